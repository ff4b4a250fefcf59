"""`bench factored`: the factored chain against the full one, and how its cost grows."""

import dataclasses
import math
from pathlib import Path

import numpy
import pyro
import torch

from experiments import pages
from experiments.answers import sentence
from experiments.bench import report
from experiments.bench.tensor_ring import size
from experiments.bench.timing import check_device, interleaved, peak_memory
from experiments.heads import headed
from experiments.trainings import check_counts
from models.shared import runs
from pyro_priors import ops
from pyro_priors.ops.layout import layout_of

SIZES = ("100,10,64,256", "100,10,128,256")
# What grows -> sizes D,N,m,batch.
SCALING = {
    "m": tuple((32, 10, rank, 256) for rank in (32, 64, 128, 256, 512)),
    "D": tuple((columns, 10, 64, 256) for columns in (25, 50, 100, 200)),
}
POSTERIOR = (100, 10, 256, 256)
MEMORY = (180, 10, 256, 256)


@dataclasses.dataclass(frozen=True)
class BenchFactoredConfig:
    """Time the contractions of a factored train, and of a full one of equal size beside it; print ratios, write JSON.

    For figures that can be compared set MALLOC_TRIM_THRESHOLD_=17179869184 MALLOC_MMAP_THRESHOLD_=4294967296, so that
    large tensors do not go back to the system between two turns; what is set is recorded.
    """

    sizes: tuple[str, ...] = SIZES  # D,N,m,batch each.
    turns: int = 7  # Each contender's; the median counts.
    threads: int = 2  # CPU threads.
    device: str = "cpu"  # Where: cpu or cuda.
    scaling: bool = True  # Also let m and D grow, one at a time, fit the slopes, and measure memory.
    compiled: bool = False  # Also the plain form as `torch.compile` makes it: minutes a size before the first number.
    results: Path = pages.FOLDER  # RESULTS/bench-factored-DEVICE.json and .md.

    def __post_init__(self):
        for text in self.sizes:
            size(text)
        check_counts(self, "turns", "threads")
        check_device(self.device)


@pyro.validation_enabled(False)
def main(config: BenchFactoredConfig):
    """Measure, print, and write the files."""
    torch.set_num_threads(config.threads)
    pyro.set_rng_seed(0)
    values = {"sizes": [measure(size(text), config) for text in config.sizes], "scaling": None}
    if config.scaling:
        values["scaling"] = {name: scaling(shapes, config) for name, shapes in SCALING.items()}
        values["posterior"] = posterior(POSTERIOR, config)
        values["memory"] = {"size": MEMORY, "bytes": peak_memory(Problem(MEMORY, config.device).step, config.device)}
    values |= {"device": report.device(config), "provenance": runs.provenance()}
    pages.write_page(config.results / f"bench-factored-{torch.device(config.device).type}", values, page)


class Problem:
    """A factored chain from noise, weights of its own for every row, and what is asked of them."""

    def __init__(self, shape, device, *, full=False):
        columns, states, rank, self.batch = shape
        noise = {"device": device, "dtype": torch.float32}
        tensors = [
            torch.randn(rank, **noise).softmax(-1),
            torch.randn(columns - 1, rank, rank, **noise).softmax(-1),
            torch.randn(columns, states, rank, **noise).softmax(1),
        ]
        self.chain = ops.Factored.of([x.requires_grad_() for x in tensors], layout_of((states,) * columns))
        self.weights = torch.randn(self.batch, columns * states, **noise, requires_grad=True)
        self.missing = torch.zeros(1, columns * states, **noise)
        self.rows = torch.zeros(self.batch, dtype=torch.long, device=device)
        self.cores = torch.randn(columns, states, rank, rank, **noise, requires_grad=True) if full else None

    def step(self, **how):
        """Forward and backward to all that may be learned."""
        total = ops.log_contract_factored(self.weights, self.chain, **how).sum()
        return torch.autograd.grad(total, [self.weights, *self.chain.tensors])

    def full_step(self):
        """The same with full cores."""
        return torch.autograd.grad(ops.log_contract(self.weights, self.cores, False).sum(), [self.weights, self.cores])

    def queries(self):
        """name -> (factored, full)"""
        weights, chain, cores, rows = self.weights.detach(), self.chain.detach(), self.cores.detach(), self.rows
        each = torch.arange(self.batch, device=rows.device)
        return {
            "forward": (
                lambda: ops.log_contract_factored(weights, chain),
                lambda: ops.log_contract(weights, cores, False),
            ),
            "forward + backward": (self.step, self.full_step),
            "state_probs": (
                lambda: ops.state_posterior_factored(weights, chain),
                lambda: ops.state_posterior(weights, cores, False),
            ),
            "sample": (
                lambda: ops.sample_states_factored(self.missing, chain, rows),
                lambda: ops.sample_states(self.missing, cores, False, rows),
            ),
            "conditional sample": (
                lambda: ops.sample_states_factored(weights, chain, each),
                lambda: ops.sample_states(weights, cores, False, each),
            ),
        }


def measure(shape, config):
    """All queries at one size -> dict of numbers."""
    problem, rows = Problem(shape, config.device, full=True), {}
    for query, (factored, full) in problem.queries().items():
        contenders = {"factored": factored, "full": full}
        if config.compiled and query == "forward + backward":
            contenders["compiled"] = lambda: problem.step(compile=True)
        timed = interleaved(contenders, config.turns, config.device)
        rows[query] = {"seconds": timed.seconds, "ratios": timed.ratios}
    return {**dict(zip(report.NAMES, shape, strict=True)), "queries": rows}


def scaling(shapes, config):
    """Forward + backward while one number grows: seconds, and the slope of a line through all, log on log."""
    (place,) = (i for i, numbers in enumerate(zip(*shapes, strict=True)) if len(set(numbers)) > 1)
    steps = {shape[place]: Problem(shape, config.device).step for shape in shapes}
    seconds = interleaved(steps, config.turns, config.device).seconds
    slope, _ = numpy.polyfit([math.log(n) for n in seconds], [math.log(s) for s in seconds.values()], 1)
    return {"shapes": shapes, "seconds": seconds, "slope": float(slope)}


def posterior(shape, config):
    """All posteriors of the states over a forward + backward."""
    problem = Problem(shape, config.device)
    weights, chain = problem.weights.detach(), problem.chain.detach()
    functions = {"step": problem.step, "state_probs": lambda: ops.state_posterior_factored(weights, chain)}
    timed = interleaved(functions, config.turns, config.device)
    return {"size": shape, "seconds": timed.seconds, "ratio": timed.ratios["state_probs"]}


def answer(values):
    """Ratio of a step of both forms at the largest size, and the slope in the rank."""
    largest = values["sizes"][-1]
    ratio = largest["queries"]["forward + backward"]["ratios"].get("full")
    size = _words(largest[name] for name in report.NAMES)
    times = f"a forward and a backward pass of the full chain take {ratio:.1f} times as long at {size}" if ratio else ""
    slopes = [f"{measured['slope']:.2f} in {grows}" for grows, measured in (values["scaling"] or {}).items()]
    return sentence(times, f"the cost grows with a power of {' and '.join(slopes)}" if slopes else "")


@headed(
    "How much faster is a chain of factored cores than one of full cores of equal size, and how does its cost grow?",
    answer,
    "Another processor, allocator or number of threads; other sizes.",
)
def page(values, name):
    """The whole page."""
    parts = [
        "# Speed of the factored chain",
        f"Measured on {values['device']}, float32, all contenders taking turns, medians. Full: the train with an m x m "
        "matrix for every state, by its own adjoint.",
    ]
    for measured in values["sizes"]:
        others = [
            other for other in ("full", "compiled") if any(other in q["ratios"] for q in measured["queries"].values())
        ]
        columns = {"query": lambda item: item[0], "factored, ms": lambda item: _ms(item[1]["seconds"]["factored"])}
        for other in others:
            columns[f"{other}, ms"] = lambda item, other=other: _ms(item[1]["seconds"].get(other))
            columns[f"{other} / factored"] = lambda item, other=other: _ratio(item[1]["ratios"].get(other))
        parts += [
            f"## {_words(measured[name] for name in report.NAMES)}",
            pages.table(columns, measured["queries"].items()),
        ]
    if values["scaling"]:
        parts.append("## How it grows")
        for grows, measured in values["scaling"].items():
            first = dict(zip(report.NAMES, measured["shapes"][0], strict=True))
            others = ", ".join(f"{other} = {number}" for other, number in first.items() if other != grows)
            columns = {
                grows: lambda item: str(item[0]),
                "forward + backward, ms": lambda item: _ms(item[1]),
                "microseconds a row": lambda item, batch=first["batch"]: f"{1e6 * item[1] / batch:.1f}",
            }
            parts += [
                f"{others}: slope {measured['slope']:.2f}, log on log.",
                pages.table(columns, measured["seconds"].items()),
            ]
        ratio, memory = values["posterior"], values["memory"]
        parts.append(
            f"Posteriors of all states take {ratio['ratio']:.2f} times a step at {_words(ratio['size'])}. "
            f"Peak memory of a step at {_words(memory['size'])}: {memory['bytes'] / 1e9:.2f} GB."
        )
    return parts


def _words(numbers):
    return ", ".join(
        f"{name} {number}" if name == "batch" else f"{name} = {number}"
        for name, number in zip(report.NAMES, numbers, strict=True)
    )


def _ms(seconds):
    return "" if seconds is None else f"{1000 * seconds:.1f}"


def _ratio(value):
    return "" if value is None else f"{value:.1f}"
