"""`bench gaps`: what gaps inside a vector cost, by how many patterns of them there are in a batch."""

import dataclasses
import time
from pathlib import Path

import torch

import pyro_priors as pp
from experiments import pages
from experiments.answers import sentence
from experiments.bench.timing import interleaved, peak_memory
from experiments.heads import headed
from experiments.trainings import check_counts
from models.shared import runs
from pyro_priors.checks import UserError

MISSING = 0.25  # of the numbers of a row
WORK = {"density": False, "density and gradient": True}


@dataclasses.dataclass(frozen=True)
class BenchGapsConfig:
    """Time densities of rows of one vector of full covariances under a chain, in turn, with and without gaps."""

    rows: int = 1024  # Of a batch.
    states: int = 100  # Of the vector.
    sizes: tuple[int, ...] = (16, 40)  # Numbers of a vector.
    patterns: tuple[int, ...] = (1, 8, 64, 1024)  # Of gaps in a batch.
    turns: int = 5  # Of each.
    results: Path = pages.FOLDER  # RESULTS/bench-gaps.json and .md.

    def __post_init__(self):
        check_counts(self, "rows", "states", "turns")
        for name in ("sizes", "patterns"):
            if not (values := getattr(self, name)) or min(values) < 1:
                raise UserError(f"{name}: expected numbers of at least 1, got {values}")


def main(config: BenchGapsConfig):
    """Measure, print, and write the files."""
    settings = {name: getattr(config, name) for name in ("rows", "states", "turns")}
    measured = [each for size in config.sizes for each in measure(config, size)]
    values = {**settings, "measured": measured, "provenance": runs.provenance()}
    pages.write_page(config.results / "bench-gaps", values, page)


def measure(config, size):
    """Seconds, ratios and memory of every number of patterns, for each kind of work."""
    torch.manual_seed(0)
    prior = pp.TRIP(size, block_size=size, rank=config.states)
    full = torch.randn(config.rows, size)
    batches = {0: full} | {count: with_gaps(full, count) for count in config.patterns}

    def called(rows, gradient):
        def call():
            with torch.set_grad_enabled(gradient):
                loss = prior().log_prob(rows).sum()
            if gradient:
                torch.autograd.grad(loss, list(prior.parameters()), allow_unused=True)

        return call

    for name, gradient in WORK.items():
        functions = {count: called(rows, gradient) for count, rows in batches.items()}
        timed = interleaved(functions, config.turns, clock=time.process_time)
        yield {
            "size": size,
            "work": name,
            "seconds": {str(count): seconds for count, seconds in timed.seconds.items()},
            "ratios": {str(count): ratio for count, ratio in timed.ratios.items()},
            "bytes": {str(count): peak_memory(function) for count, function in functions.items()},
        }


def with_gaps(rows, count):
    """Rows without some of their numbers, by so many patterns, the rows in turn."""
    patterns = torch.rand(count, rows.shape[1]) < MISSING
    return rows.masked_fill(patterns[torch.arange(len(rows)) % count], torch.nan)


def answer(values):
    """How many times as long the most patterns take that are no more than 8, and the most there are."""
    said = []
    for each in values["measured"]:
        few = max((count for count in each["ratios"] if int(count) <= 8), key=int, default=None)
        counts = dict.fromkeys(filter(None, (few, max(each["ratios"], key=int))))
        times = ", ".join(f"{each['ratios'][count]:.1f} times as long with {count} patterns" for count in counts)
        said.append(f"{each['work']} of {each['size']} numbers: {times}")
    return sentence(*said)


@headed(
    "What do gaps inside a vector cost, by how many patterns of them a batch has?",
    answer,
    "More states or rows; few patterns in the table at hand; a GPU.",
)
def page(values, name):
    """The whole page."""
    counts = list(values["measured"][0]["seconds"])
    return [
        "# Gaps inside a vector",
        f"Log-densities of {values['rows']:,} rows of one vector under `TRIP` with {values['states']} states of full "
        f"covariances, float32, one row after another without {MISSING:.0%} of its numbers by one of so many patterns. "
        f"Medians of the processor's seconds over {values['turns']} turns, and how many times as long as without gaps; "
        "memory is the most that is alive at once, beyond the law.",
        pages.table(
            {
                ("numbers", "work"): lambda row: [str(row[0]["size"]), row[0]["work"]],
                "patterns": lambda row: row[1],
                "milliseconds": lambda row: f"{1000 * row[0]['seconds'][row[1]]:.1f}",
                "times without gaps": lambda row: f"{row[0]['ratios'].get(row[1], 1.0):.2f}",
                "memory, MB": lambda row: f"{row[0]['bytes'][row[1]] / 1e6:.1f}",
            },
            [(each, count) for each in values["measured"] for count in counts],
        ),
    ]
