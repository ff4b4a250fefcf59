"""`bench joint-step`: what the prior of a joint VAE takes of a training step, its latents scalars or vectors."""

import dataclasses
import time
import types
from pathlib import Path

import pyro
import torch

from experiments import pages
from experiments.answers import sentence
from experiments.bench import report
from experiments.bench.timing import interleaved
from experiments.bench.training_step import pyro_step
from experiments.heads import headed
from experiments.tables import ttlp
from experiments.trainings import check_counts, check_rows
from models.shared import runs
from pyro_priors import programs
from pyro_priors.checks import UserError
from pyro_priors.data.attributes import Attribute
from pyro_priors.modules.standard_normal import StandardNormal

# Table -> its rows, that of scalars on full cores first.
ROWS = {"ttlp-mnist": ("joint", "vector"), "ttlp-faces": ("weighted", "weighted-vectors", "weighted-vector")}
TITLES = {"joint": "scalars on full cores", "weighted": "scalars on full cores"}
TITLES |= {"vector": "one vector", "weighted-vectors": "vectors of two", "weighted-vector": "one vector"}
ATTRIBUTES = {"ttlp-mnist": [("digit", 10)], "ttlp-faces": [(name, 2) for name in ttlp.FACES["attributes"]]}
SHAPES = {"ttlp-mnist": (1, 28, 28), "ttlp-faces": (3, 64, 64)}
HIDDEN = 0.3  # share of the labels
NORMAL = "N(0, I)"


@dataclasses.dataclass(frozen=True)
class BenchJointStepConfig:
    """Time a step of Adam of the joint VAE of a table, at its settings, and what the prior takes of it.

    That is measured twice: as a step less one of the same networks under N(0, I), and as all that a step does with the
    prior by itself on codes drawn at random: log p(y, z) as the program asks for it, its gradients, and Adam's update.
    """

    tables: tuple[str, ...] = tuple(ROWS)  # Whose settings.
    batch: int = 128  # Images per step.
    turns: int = 15  # Each contender's; the median counts.
    threads: tuple[int, ...] = (1, 2)  # CPU threads, one number after the other.
    results: Path = pages.FOLDER  # RESULTS/bench-joint-step.json and .md.

    def __post_init__(self):
        check_counts(self, "batch", "turns")
        check_rows(self.tables, tuple(ROWS), "tables")
        if not self.threads or min(self.threads) < 1:
            raise UserError(f"threads: expected numbers of at least 1, got {self.threads}")


def main(config: BenchJointStepConfig):
    """Measure, print, and write the files."""
    where = types.SimpleNamespace(device="cpu", threads=" or ".join(map(str, config.threads)))
    values = {"device": report.device(where), "config": dataclasses.asdict(config) | {"results": None}}
    values |= {"tables": {}, "provenance": runs.provenance()}
    for table in config.tables:
        values["tables"][table] = {str(threads): measured(config, table, threads) for threads in config.threads}
    pages.write_page(config.results / "bench-joint-step", values, page)


def measured(config, table, threads):
    """`{row: {"step": seconds, "less": .., "alone": .., "share": .., "alone_share": ..}}`

    `less` is the step less that under N(0, I), shares are those of the first row.
    """
    torch.set_num_threads(threads)
    clock = time.process_time if threads == 1 else time.perf_counter  # threads that wait take time of the processor too
    timed = interleaved(contenders(table, config.batch), config.turns, clock=clock)
    seconds, lattice = timed.seconds, ROWS[table][0]
    less = {row: seconds[row, "step"] - seconds[NORMAL, "step"] for row in ROWS[table]}
    shares = {row: timed.ratios.get((row, "alone"), 1.0) for row in ROWS[table]}
    rows = {
        row: {
            "step": seconds[row, "step"],
            "less": less[row],
            "share": less[row] / less[lattice],
            "alone": seconds[row, "alone"],
            "alone_share": shares[row],
        }
        for row in ROWS[table]
    }
    return {NORMAL: {"step": seconds[NORMAL, "step"]}, **rows}


def contenders(table, batch):
    """`{(row, "alone" or "step"): function}`, what the others are compared with first."""
    attributes = [Attribute(name, tuple(map(str, range(states)))) for name, states in ATTRIBUTES[table]]
    pyro.set_rng_seed(0)
    x = torch.rand(batch, *SHAPES[table])
    y = torch.stack([torch.randint(states, (batch,)).float() for _, states in ATTRIBUTES[table]], 1)
    y[torch.rand_like(y) < HIDDEN] = torch.nan
    settings = {row: setting(table, row) for row in ROWS[table]}
    made = {row: model.make(SHAPES[table], attributes) for row, model in settings.items()}
    first = next(iter(settings.values()))
    z = torch.randn(batch, first.latent_dim)
    normal = programs.VAE(*first.networks(SHAPES[table]), StandardNormal(first.latent_dim), first.make_likelihood())
    for program in made.values():
        program.prior.expect_rows()  # as `reinitialize` would make them known: no warning that there are none
    alone = {(row, "alone"): prior_step(program, z, y) for row, program in made.items()}
    steps = {(row, "step"): pyro_step(program, x, y) for row, program in made.items()}
    return {**alone, (NORMAL, "step"): pyro_step(normal, x, None), **steps}


def setting(table, row):
    """The model of a row of a table with all labels."""
    spec = next(spec for spec in ttlp.TABLES if spec.name == table)
    model = spec.train(next(cell for cell in spec.cells if cell.key[0] == row), 0)
    # The row says one vector; beside several attributes `auto` is vectors of two.
    return dataclasses.replace(model, block_size=model.latent_dim) if row == "weighted-vector" else model


def prior_step(program, z, y):
    """What a step of the program does with the prior, on given codes."""
    prior, weight, z = program.prior, program.label_weight, z.clone().requires_grad_()
    optimizer = torch.optim.Adam(prior.parameters())

    def step():
        with pyro.validation_enabled(False):
            optimizer.zero_grad()
            joint = prior().sharing()
            y_given_z = joint.condition(z=z).marginal("y").log_prob(y) if weight else 0.0
            score = joint.marginal("y").log_prob(y) + joint.condition(y=y).marginal("z").log_prob(z)
            (-(score + weight * y_given_z).mean()).backward()
            optimizer.step()

    return step


def answer(values):
    """What priors of vectors take by themselves, at the fewest threads."""
    said = []
    for table, of_threads in values["tables"].items():
        threads = min(of_threads, key=int)
        shares = [f"{of_threads[threads][row]['alone_share']:.2f} ({TITLES[row]})" for row in ROWS[table][1:]]
        said.append(f"at the settings of `{table}` by itself {' and '.join(shares)} of what scalars take")
    return sentence(*said)


@headed(
    "How much of a step of the joint VAE does its prior take with latents in vectors, beside scalars on full cores?",
    answer,
    "Other ranks and numbers of latents; another processor or allocator; a share of gaps within vectors.",
)
def page(values, name):
    """The whole page."""
    config = report.settings(values, BenchJointStepConfig)
    parts = [
        "# What the prior takes of a step of the joint VAE",
        f"One step of Adam at the settings of tables, batch {config['batch']}, {HIDDEN:.0%} of the labels hidden, "
        f"measured on {values['device']}, float32, all contenders taking turns, medians of {config['turns']}; of "
        "one thread the processor's seconds, of several those of the clock. Own: a "
        f"step less that of the same networks under {NORMAL}, which is noisy where the networks take long. By itself: "
        "log p(y, z) as the program asks for it, its gradients and the update, on codes drawn at random. Shares are "
        "of what scalars on full cores take.",
    ]
    for table, of_threads in values["tables"].items():
        rows = [(threads, row, figures) for threads, rows in of_threads.items() for row, figures in rows.items()]
        parts += [f"## `{table}`", pages.table(columns(), rows)]
    return parts


def columns():
    """Of a table of the page, whose rows are (threads, row, its figures)."""

    def number(name, factor, digits):
        return lambda row: f"{factor * row[2][name]:.{digits}f}" if name in row[2] else ""

    return {
        "latents": lambda row: TITLES.get(row[1], row[1]),
        "threads": lambda row: row[0],
        "step, ms": number("step", 1000, 1),
        "own, ms": number("less", 1000, 1),
        "own, share": number("share", 1, 2),
        "by itself, ms": number("alone", 1000, 1),
        "by itself, share": number("alone_share", 1, 2),
    }
