"""`bench tensor-ring`: the contraction against the textbook's, bare products, Pyro's enumeration and a reference."""

import dataclasses
import itertools
import math
from pathlib import Path

import numpy
import pyro
import torch

import pyro_priors as pp
from experiments import pages
from experiments.bench import enumeration, floors, plain, reference, report
from experiments.bench.timing import check_device, interleaved, peak_memory
from experiments.trainings import check_counts
from models.shared import runs
from pyro_priors.checks import UserError

SIZES = ("100,10,20,128", "128,10,40,128", "128,10,40,256")
BASE = (64, 8, 16, 64)


@dataclasses.dataclass(frozen=True)
class BenchTensorRingConfig:
    """Time every query of the tensor ring, all contenders taking turns; print ratios, write JSON and a log-log plot.

    Pyro's validation is off, as `training.fit` has it after the first batch. For figures that can be compared set
    MALLOC_TRIM_THRESHOLD_=17179869184 MALLOC_MMAP_THRESHOLD_=4294967296, so that large tensors do not go back to the
    system between two turns; what is set is recorded.
    """

    sizes: tuple[str, ...] = SIZES  # D,N,m,batch each.
    boundaries: tuple[str, ...] = ("ring", "train")  # How the chain closes.
    turns: int = 7  # Each contender's; the median counts.
    threads: int = 2  # CPU threads.
    device: str = "cpu"  # Where: cpu or cuda.
    scaling: bool = True  # Also double D, N, m and batch, one at a time, from (64, 8, 16, 64), and fit the slopes.
    reference: Path | None = None  # A checkout of the authors' TRIP or GENTRL repository, to be timed too.
    results: Path = pages.FOLDER  # RESULTS/bench-tensor-ring-DEVICE.json, .md and .png.

    def __post_init__(self):
        for text in self.sizes:
            size(text)
        for boundary in self.boundaries:
            if boundary not in ("ring", "train"):
                raise UserError(f"boundaries: expected ring or train, got {boundary}")
        check_counts(self, "turns", "threads")
        check_device(self.device)


def size(text):
    """``"100,10,20,128"`` -> (100, 10, 20, 128)"""
    try:
        numbers = tuple(map(int, text.split(",")))
    except ValueError:
        numbers = ()
    if len(numbers) != 4 or min(numbers) < 1:
        raise UserError(f"sizes: expected D,N,m,batch, got {text!r}")
    return numbers


@pyro.validation_enabled(False)
def main(config: BenchTensorRingConfig):
    """Measure, print, and write the files."""
    torch.set_num_threads(config.threads)
    theirs = None if config.reference is None else reference.find(config.reference)
    pyro.set_rng_seed(0)
    values = {"sizes": [], "scaling": [], "device": report.device(config), "provenance": runs.provenance()}
    for text, boundary in itertools.product(config.sizes, config.boundaries):
        values["sizes"].append(measure(size(text), boundary == "ring", config, theirs))
    if config.scaling:
        values["scaling"] = [scaling(boundary == "ring", config) for boundary in config.boundaries]
    values["enumeration"] = enumeration.compare(config)
    path = config.results / f"bench-tensor-ring-{torch.device(config.device).type}"
    pages.write_page(path, values, report.page)
    if config.scaling:
        report.draw_results(path.with_suffix(".png"), values)


class Problem:
    """One prior with every contender's version of its parameters, and values to ask about.

    Its cores are fresh. Those of a trained one are sharper, and sums are set to one again after more of the steps.
    """

    def __init__(self, shape, ring, device):
        columns, states, rank, batch = shape
        self.shape, self.ring, self.device = shape, ring, device
        self.prior = pp.TRIP(columns, states, rank, "ring" if ring else "train").to(device)
        self.value = self.prior().sample((batch,))
        self.half = torch.where(torch.rand_like(self.value) < 0.5, torch.nan, self.value)
        log_cores, *leaves = (parameter.detach() for parameter in self.prior.parameters())
        self.parts = [part.requires_grad_() for part in (log_cores.exp(), *leaves)]  # the textbook's cores are positive

    def queries(self):
        """name -> (ours, the textbook's, floor or None)"""
        batch, arguments = self.shape[-1], (*self.shape, self.ring, self.device)
        no_grad = torch.no_grad()
        return {
            "forward": (
                no_grad(lambda: self.prior().log_prob(self.value)),
                no_grad(lambda: plain.log_prob(self.value, *self.parts, self.ring)),
                floors.forward(*arguments),
            ),
            "forward + backward": (
                lambda: torch.autograd.grad(self.prior().log_prob(self.value).sum(), [*self.prior.parameters()]),
                lambda: torch.autograd.grad(plain.log_prob(self.value, *self.parts, self.ring).sum(), self.parts),
                floors.backward(*arguments),
            ),
            "sample": (
                lambda: self.prior().sample((batch,)),
                no_grad(lambda: plain.sample(batch, *self.parts, self.ring)),
                floors.sample(*arguments),
            ),
            "conditional sample": (
                lambda: self.prior().impute(self.half),
                no_grad(lambda: plain.sample(batch, *self.parts, self.ring, self.half)),
                None,
            ),
            "state_probs": (
                no_grad(lambda: self.prior().state_probs(self.value)),
                lambda: plain.state_probs(self.value, *(part.detach() for part in self.parts), self.ring),
                None,
            ),
        }


def measure(shape, ring, config, theirs=None):
    """All queries at one size -> dict of numbers."""
    problem = Problem(shape, ring, config.device)
    queries, rows = problem.queries(), {}
    for query, (ours, textbook, floor) in queries.items():
        contenders = {"ours": ours, "plain": textbook}
        if floor is not None:
            contenders["floor"] = floor
        if theirs is not None and (function := theirs(problem, query)) is not None:
            contenders["reference"] = function
        timed = interleaved(contenders, config.turns, config.device)
        rows[query] = {
            "seconds": timed.seconds,
            "speedup": timed.ratios["plain"],
            "over_floor": 1 / timed.ratios["floor"] if floor is not None else None,
            "speedup_over_reference": timed.ratios.get("reference"),
        }
    columns, _, rank, batch = shape
    step = queries["forward + backward"][0]
    bytes_of_matrices = 4 * columns * batch * rank**2
    return {
        "boundary": "ring" if ring else "train",
        **dict(zip(report.NAMES, shape, strict=True)),
        "queries": rows,
        "memory": peak_memory(step, config.device) / bytes_of_matrices,
        "float32_error": float32_error(problem),
    }


@torch.no_grad()
def float32_error(problem):
    """Largest difference of log_prob between single and double precision, over max(1, |log_prob|)."""
    single = problem.prior().log_prob(problem.value).double()
    double = problem.prior.double()().log_prob(problem.value.double())
    problem.prior.float()
    return ((single - double).abs() / double.abs().clamp(min=1)).max().item()


def scaling(ring, config, doublings=3):
    """Forward + backward while one of D, N, m and batch doubles: seconds, and the slope of a line through all."""
    result = {"boundary": "ring" if ring else "train", "base": BASE, "seconds": {}, "slopes": {}}
    for place, name in enumerate(report.NAMES):
        shapes = [
            tuple(number * 2**step if other == place else number for other, number in enumerate(BASE))
            for step in range(doublings + 1)
        ]
        problems = [Problem(shape, ring, config.device) for shape in shapes]
        steps = {shape[place]: p.queries()["forward + backward"][0] for shape, p in zip(shapes, problems, strict=True)}
        seconds = interleaved(steps, config.turns, config.device).seconds
        slope, _ = numpy.polyfit([math.log(n) for n in seconds], [math.log(s) for s in seconds.values()], 1)
        result["seconds"][name], result["slopes"][name] = seconds, float(slope)
    return result
