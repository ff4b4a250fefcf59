"""`figure estimators`: bias, variance and cost of the gradients of a prior that is sampled, against a closed form."""

import dataclasses
import itertools
import math
import time
from collections.abc import Callable
from pathlib import Path
from typing import Literal, NamedTuple

import pyro
import torch

import pyro_priors as pp
from experiments import pages
from experiments.papers import measure_valued
from experiments.papers.estimators_page import ESTIMATORS, draw_results, page
from experiments.trainings import check_counts
from models.shared import runs
from pyro_priors import metrics, objectives
from pyro_priors.checks import UserError, check_seed

__all__ = ["EstimatorsConfig", "draw_results", "main", "page"]


class Prior(NamedTuple):
    """A prior of the figure: what the page calls it and its size, and function (latents, config) -> module."""

    title: str
    build: Callable


PRIORS = {
    "trip": Prior(
        "Lattice: a ring of scalars of {components} Gaussians, cores of {rank}",
        lambda d, config: pp.TRIP(d, config.components, config.rank, init=config.init),
    ),
    "vector": Prior(
        "One vector: {rank} Gaussians with full covariances",
        lambda d, config: pp.TRIP(d, rank=config.rank, init=config.init, block_size=d),
    ),
    "vectors": Prior(
        "Vectors of {block_size}: a chain of {rank} states, Gaussians with full covariances",
        lambda d, config: pp.TRIP(d, rank=config.rank, init=config.init, block_size=config.block_size),
    ),
    "gmm": Prior(
        "Mixture: {components} Gaussians with diagonal covariances",
        lambda d, config: pp.GaussianMixture(d, config.components),
    ),
}


@dataclasses.dataclass(frozen=True)
class EstimatorsConfig:
    """Draw the gradient of E |z - t|^2 / d, which is known, by every estimator, for several priors and sizes; time it.

    Results land in RESULTS/estimators.json, .md and .png (estimators-mixture with that start). A file of the same
    settings that lies there is gone on with: delete it to measure anew.
    """

    init: Literal["noise", "mixture"] = "noise"  # How chains start: narrow Gaussians (the paper's), or wide ones.
    priors: tuple[str, ...] = ("trip", "vector", "vectors")  # Whose parameters the gradient is of: these, gmm.
    latents: tuple[int, ...] = (2, 4, 8, 16, 32, 64, 128)  # Latent sizes d.
    batches: tuple[int, ...] = (16,)  # Batch sizes.
    components: int = 5  # Gaussians per dimension of the lattice, or of the mixture.
    rank: int = 5  # Size of the lattice's cores, or states of a chain of vectors.
    block_size: int = 8  # Numbers of each of several vectors; they have a row where there are more latents.
    draws: int = 40  # Of every gradient.
    measure_draws: int = 12  # Of the measure-valued one, each of which is of many evaluations.
    turns: int = 12  # Timed calls of each estimator, in turns.
    threads: int = 1  # Of the processor.
    seed: int = 0  # Of priors, targets and draws.
    results: Path = pages.FOLDER  # Where results lie.

    def __post_init__(self):
        check_counts(self, "components", "rank", "block_size", "turns", "threads")
        check_seed(self.seed)
        if not self.priors or not set(self.priors) <= set(PRIORS):
            raise UserError(f"priors: expected some of {', '.join(PRIORS)}, got {self.priors}")
        if self.priors == ("gmm",) and self.init != EstimatorsConfig.init:
            raise UserError(f"init: expected its default without a chain, got {self.init}")
        for field, least in (("latents", 1), ("batches", 2)):
            if not getattr(self, field) or min(getattr(self, field)) < least:
                raise UserError(f"{field}: expected some, each at least {least}, got {getattr(self, field)}")
        if "vectors" in self.priors and any(d > self.block_size and d % self.block_size for d in self.latents):
            raise UserError(f"latents: expected multiples of {self.block_size} beyond it, got {self.latents}")
        for field in ("draws", "measure_draws"):
            if getattr(self, field) < 4:
                raise UserError(f"{field}: expected at least 4, got {getattr(self, field)}")


def main(config: EstimatorsConfig):
    """Draw, time, print, and write the files; what an earlier call of the same settings has measured is taken."""
    torch.set_num_threads(config.threads)
    names = ("init", "threads", "components", "rank", "block_size", "draws", "measure_draws", "turns", "seed")
    values = {name: getattr(config, name) for name in names}
    values["priors"] = {name: PRIORS[name].title.format_map(values) for name in config.priors}
    path = config.results / ("estimators" if config.init == EstimatorsConfig.init else f"estimators-{config.init}")
    measured = earlier(path.with_suffix(".json"), values)
    values |= {"rows": [], "provenance": runs.provenance()}
    for name, d in itertools.product(config.priors, config.latents):
        rows = [row for row in measured if (row["prior"], row["latents"]) == (name, d)]
        whole = {row["batch"] for row in rows} >= set(config.batches)
        values["rows"] += [row for row in rows if row["batch"] in config.batches] if whole else rows_of(config, name, d)
        others = [row for row in measured if row not in values["rows"]]
        runs.write_json(path.with_suffix(".json"), values | {"rows": values["rows"] + others})
    pages.write_page(path, values, page)
    draw_results(path.with_suffix(".png"), values)


def earlier(path, values):
    """Rows in a file of the same settings; none where it is of others, or not there."""
    known = runs.read_json(path) if path.is_file() else {}
    return known["rows"] if values.items() <= known.items() else []


def rows_of(config, name, d):
    """Bias, variance and milliseconds of every estimator for a prior of d latents and every batch size."""
    if name == "vectors" and d <= config.block_size:  # which is one vector
        return []
    pyro.set_rng_seed(config.seed)
    prior = PRIORS[name].build(d, config)
    target, parameters = torch.randn(d), [p for p in prior.parameters() if p.requires_grad]
    truth = exact_gradient(prior, target, parameters)
    asked = measure_valued.evaluations(measure_valued.as_chain(prior()))
    rows = []
    for batch in config.batches:
        losses = {estimator: sampled(prior, target, estimator, batch) for estimator in ESTIMATORS}
        seconds = timed(losses, parameters, config.turns)
        for estimator, loss in losses.items():
            valued = estimator == "measure"
            pyro.set_rng_seed(config.seed + 1)
            halves = moments_of(loss, parameters, config.measure_draws if valued else config.draws)
            moments = pooled(*halves)
            bias, noise = moments.bias(truth)
            row = {"prior": name, "latents": d, "batch": batch, "estimator": estimator, "bias": bias}
            row |= {"bias_noise": noise, "variance": moments.relative_variance(truth)}
            row |= {"halves": [half.relative_variance(truth) for half in halves]}
            rows.append(row | {"milliseconds": 1e3 * seconds[estimator], "evaluations": asked if valued else 1})
    return rows


def moments_of(loss, parameters, draws):
    """Of the first and of the second half of the draws: a variance of heavy tails is another in each."""
    with pyro.validation_enabled(False):
        return [metrics.gradient_moments(loss, parameters, draws // 2) for _ in range(2)]


def pooled(one, other):
    """Of both, which are of as many draws."""
    mean, count = (one.mean + other.mean) / 2, one.draws
    squares = (count - 1) * (one.variance + other.variance) + count / 2 * (one.mean - other.mean).square()
    return metrics.GradientMoments(mean, squares / (2 * count - 1), 2 * count)


def exact_gradient(prior, target, parameters):
    """Of E |z - t|^2 / d = the mean over dimensions of variance + (mean - t)^2, as moments without noise."""
    law = prior()
    expected = (law.variance + (law.mean - target).square()).mean()
    grads = torch.autograd.grad(expected, parameters, materialize_grads=True)
    mean = torch.cat([grad.flatten() for grad in grads]).double()
    return metrics.GradientMoments(mean, torch.zeros_like(mean), 1)


def sampled(prior, target, name, batch):
    """The same by an estimator: a function whose every call draws a scalar that has the gradient."""

    def cost(z):
        return (z - target).square().mean(-1)

    if name == "measure":
        return lambda: measure_valued.surrogate(prior(), cost, batch)
    estimator = objectives.ScoreFunction("none") if name == "none" else objectives.make_estimator(name)

    def program():
        with pyro.plate("data", batch):
            return pyro.sample("z", prior())

    def loss():
        drawn = estimator.draw(program)
        return estimator.loss(drawn, cost(drawn.x))

    return loss


def timed(losses, parameters, turns):
    """Seconds of one gradient of each loss, the least of all turns, which is what it takes where nothing else runs."""
    seconds = dict.fromkeys(losses, math.inf)
    with pyro.validation_enabled(False):
        for _ in range(turns):
            for name, loss in losses.items():
                began = time.perf_counter()
                torch.autograd.grad(loss(), parameters, materialize_grads=True)
                seconds[name] = min(seconds[name], time.perf_counter() - began)
    return seconds
