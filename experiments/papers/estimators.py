"""`figure estimators`: bias and variance of the gradients of a prior that is sampled, against a closed form."""

import dataclasses
from collections.abc import Callable
from pathlib import Path
from typing import Literal, NamedTuple

import pyro
import torch
from matplotlib.figure import Figure

import pyro_priors as pp
from experiments import pages
from experiments.answers import counted, sentence
from experiments.heads import headed
from experiments.trainings import check_counts
from models.shared import runs
from models.shared.figures import save
from pyro_priors import metrics, objectives
from pyro_priors.checks import UserError, check_seed

ESTIMATORS = {
    "pathwise": "pathwise",
    "rloo": "score function, leave-one-out",
    "reinforce": "score function, batch mean",
    "none": "score function, no baseline",
}


class Prior(NamedTuple):
    """A prior of the figure: what the page calls it and its size, and function (latents, config) -> module."""

    title: str
    size: str
    build: Callable


PRIORS = {
    "trip": Prior(
        "TRIP",
        "{components} Gaussians, cores of {rank}",
        lambda d, config: pp.TRIP(d, config.components, config.rank, init="noise"),
    ),
    "gmm": Prior(
        "Gaussian mixture", "{components} Gaussians", lambda d, config: pp.GaussianMixture(d, config.components)
    ),
}


@dataclasses.dataclass(frozen=True)
class EstimatorsConfig:
    """Draw the gradient of E |z - t|^2 / d, which is known, by every estimator, for several batch and latent sizes.

    Results land in RESULTS/estimators.json, .md and .png (estimators-gmm for the mixture).
    """

    prior: Literal["trip", "gmm"] = "trip"  # Whose parameters the gradient is of.
    latents: tuple[int, ...] = (1, 3, 10, 30, 100)  # Latent sizes d.
    batches: tuple[int, ...] = (16, 64, 256)  # Batch sizes.
    components: int = 5  # Gaussians per dimension of TRIP, or of the mixture.
    rank: int = 5  # Size of TRIP's cores.
    draws: int = 200  # Of every gradient.
    seed: int = 0  # Of prior, targets and draws.
    results: Path = pages.FOLDER  # Where results lie.

    def __post_init__(self):
        check_counts(self, "components", "rank")
        if self.rank != EstimatorsConfig.rank and "{rank}" not in PRIORS[self.prior].size:
            raise UserError(f"rank: expected its default with --prior {self.prior}, without cores, got {self.rank}")
        check_seed(self.seed)
        for field, least in (("latents", 1), ("batches", 2)):
            if not getattr(self, field) or min(getattr(self, field)) < least:
                raise UserError(f"{field}: expected some, each at least {least}, got {getattr(self, field)}")
        if self.draws < 2:
            raise UserError(f"draws: expected at least 2, got {self.draws}")


def main(config: EstimatorsConfig):
    """Draw, print, and write the files."""
    values = {name: getattr(config, name) for name in ("prior", "components", "rank", "draws", "seed")}
    values["rows"] = [row for d in config.latents for row in rows_of(config, d)]
    path = config.results / ("estimators" if config.prior == EstimatorsConfig.prior else f"estimators-{config.prior}")
    pages.write_page(path, values | {"provenance": runs.provenance()}, page)
    draw_results(path.with_suffix(".png"), values)


def rows_of(config, d):
    """Bias and variance of every estimator for d latents and every batch size."""
    pyro.set_rng_seed(config.seed)
    prior = PRIORS[config.prior].build(d, config)
    target, parameters = torch.randn(d), [p for p in prior.parameters() if p.requires_grad]
    truth = exact_gradient(prior, target, parameters)
    rows = []
    for batch in config.batches:
        for name in ESTIMATORS:
            pyro.set_rng_seed(config.seed + 1)
            moments = drawn_gradient(prior, target, parameters, name, batch, config.draws)
            bias, noise = moments.bias(truth)
            numbers = {"bias": bias, "bias_noise": noise, "variance": moments.relative_variance(truth)}
            rows.append({"latents": d, "batch": batch, "estimator": name, **numbers})
    return rows


def exact_gradient(prior, target, parameters):
    """Of E |z - t|^2 / d = the mean over dimensions of variance + (mean - t)^2, as moments without noise."""
    law = prior()
    expected = (law.variance + (law.mean - target).square()).mean()
    grads = torch.autograd.grad(expected, parameters, materialize_grads=True)
    mean = torch.cat([grad.flatten() for grad in grads]).double()
    return metrics.GradientMoments(mean, torch.zeros_like(mean), 1)


def drawn_gradient(prior, target, parameters, name, batch, draws):
    """The same by an estimator, again and again."""
    estimator = objectives.ScoreFunction("none") if name == "none" else objectives.make_estimator(name)

    def program():
        with pyro.plate("data", batch):
            return pyro.sample("z", prior())

    def loss():
        drawn = estimator.draw(program)
        return estimator.loss(drawn, (drawn.x - target).square().mean(-1))

    with pyro.validation_enabled(False):
        return metrics.gradient_moments(loss, parameters, draws)


def answer(values):
    """Variance with fewest and most latents, of pathwise gradients and of a leave-one-out baseline, smallest batch."""
    rows = [row for row in values["rows"] if row["batch"] == min(row["batch"] for row in values["rows"])]
    sizes = sorted({row["latents"] for row in rows})
    said = []
    for name in ("pathwise", "rloo"):
        own = {row["latents"]: row["variance"] for row in rows if row["estimator"] == name}
        words = f"{own[sizes[0]]:.3g} at {counted(sizes[0], 'latent')} and {own[sizes[-1]]:.3g} at {sizes[-1]}"
        said.append(f"relative variance by {ESTIMATORS[name]} is {words}")
    return sentence(f"in batches of {rows[0]['batch']} the {', the '.join(said)}")


@headed(
    "How does the variance of a sampled prior's gradients grow with the number of latents, by estimator?",
    answer,
    "A prior after training; a cost that is no sum over latents; measure-valued gradients, which have no row.",
)
def page(values, name):
    """Variance by estimator, a table for each batch size, and how many times that of pathwise it is."""
    prior = PRIORS[values["prior"]]
    parts = [
        "# Gradients of a prior that is sampled, by estimator",
        f"Prior: {prior.title} with {prior.size.format_map(values)}, as initialised. The cost is "
        "|z - t|^2 / d, whose expected gradient to all parameters is known in closed form. Variance: that of one "
        "gradient (one batch), as a share of the squared length of the true one; in brackets how many times that of "
        f"pathwise. Bias: the length of the mean of {values['draws']} gradients less the true one, as a share of the "
        "length of that; < where it drowns in noise. A batch mean that contains the example takes 1/n away. Seed "
        f"{values['seed']}.",
    ]
    for batch in dict.fromkeys(row["batch"] for row in values["rows"]):
        by = {(row["estimator"], row["latents"]): row for row in values["rows"] if row["batch"] == batch}
        columns = {"estimator": ESTIMATORS.get}
        for d in dict.fromkeys(latents for _, latents in by):
            columns[f"d = {d}"] = lambda name, d=d, by=by: _cell(by[name, d], by["pathwise", d])
        parts += [f"## Batches of {batch}", pages.table(columns, ESTIMATORS)]
    return [*parts, f"![Variance by latent size]({name}.png)"]


def _cell(row, base):
    times = "" if row is base else f" ({row['variance'] / base['variance']:.3g} x)"
    drowned = row["bias"] <= 2 * row["bias_noise"]
    return f"{row['variance']:.3g}{times}, bias {'< ' if drowned else ''}{max(row['bias'], 2 * row['bias_noise']):.2g}"


def draw_results(path, values):
    """Relative variance against latent size, a panel for each batch size."""
    batches = list(dict.fromkeys(row["batch"] for row in values["rows"]))
    figure = Figure(figsize=(3.6 * len(batches) + 0.6, 3.4), layout="constrained")
    axes = figure.subplots(1, len(batches), sharey=True, squeeze=False)[0]
    for axis, batch in zip(axes, batches, strict=True):
        for name, title in ESTIMATORS.items():
            rows = [row for row in values["rows"] if row["batch"] == batch and row["estimator"] == name]
            axis.loglog([row["latents"] for row in rows], [row["variance"] for row in rows], marker="o", label=title)
        axis.set(title=f"batches of {batch}", xlabel="latents d")
    axes[0].set_ylabel("variance / squared gradient")
    axes[0].legend(fontsize=7)
    save(figure, path)
