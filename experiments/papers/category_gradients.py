"""`figure category-gradients`: bias and variance of the gradients that CP-VAE may be trained with."""

import dataclasses
from pathlib import Path

import pyro
import torch

from experiments import pages
from experiments.answers import sentence
from experiments.heads import headed
from experiments.tables.runner import parsed
from experiments.trainings import check_counts, fitted, identity, training
from models.shared import runs
from pyro_priors import metrics, objectives
from pyro_priors.checks import UserError

TITLES = {
    "category": "q(c given x)",
    "encoder": "whole encoder",
    "decoder": "decoder",
    "prior": "prior",
}
SHARED = {"data": "digits", "latent_dim": 8, "hidden": (64, 64), "lr": 2e-3, "warmup_epochs": 5, "progress": False}


@dataclasses.dataclass(frozen=True)
class CategoryGradientsConfig:
    """Gradients of the bound of one batch, at several moments of a training, drawn many times by every estimator.

    The truth is the mean over draws of z of the gradient that sums over all categories.
    Results land in RESULTS/category-gradients.json and .md.
    """

    set: tuple[str, ...] = ()  # Knobs of the model and its training, by enumeration: --set hidden=64,64.
    epochs: tuple[int, ...] = (5, 40)  # Moments at which the gradients are drawn.
    temperatures: tuple[float, ...] = (1.0, 0.5, 0.2, 0.1)  # Of relaxed categories.
    keep: tuple[int, ...] = (3, 1)  # Most probable categories that a truncated sum keeps.
    batch: int = 100  # Images.
    draws: int = 2000  # Of every gradient.
    truth_draws: int = 20000  # Of the true one.
    results: Path = pages.FOLDER  # Where results lie.

    def __post_init__(self):
        check_counts(self, "batch")
        for name in ("draws", "truth_draws"):
            if getattr(self, name) < 2:
                raise UserError(f"{name}: expected at least 2, got {getattr(self, name)}")
        if not self.epochs or min(self.epochs) < 1:
            raise UserError(f"epochs: expected some, each at least 1, got {self.epochs}")
        categories = self.train().categories
        if any(not 1 <= count <= categories for count in self.keep):
            raise UserError(f"keep: expected 1 to {categories} categories, got {self.keep}")
        if any(not temperature > 0 for temperature in self.temperatures):
            raise UserError(f"temperatures: expected positive numbers, got {self.temperatures}")

    def train(self, **values):
        """The configuration of the training."""
        pairs = (text.partition("=") for text in self.set)
        return training("cp-vae", SHARED | {key: parsed(value) for key, _, value in pairs}, **values)

    @property
    def estimators(self):
        """Title -> what it sets in the model."""
        every = {"sum over all": {}}
        every |= {f"sum over the {count} most probable": {"top": count} for count in self.keep}
        for temperature in self.temperatures:
            relaxed = {"estimator": "gumbel", "temperature": temperature}
            every[f"Gumbel-Softmax, temperature {temperature:g}"] = relaxed
        return every


def main(config: CategoryGradientsConfig):
    """Train and draw, print, and write the files."""
    values = {"config": identity(config.train()), "batch": config.batch}
    values |= {"draws": config.draws, "truth_draws": config.truth_draws}
    values["moments"] = [{"epochs": epochs, "rows": rows_after(config, epochs)} for epochs in config.epochs]
    values["provenance"] = runs.provenance()
    pages.write_page(config.results / "category-gradients", values, page)


def rows_after(config, epochs):
    """Train for so many epochs, then draw -> for each estimator its bias and variance, by group of parameters."""
    train = config.train(epochs=epochs)
    model, images = fitted(train)
    model.train()
    x, groups = images.train.first(config.batch), groups_of(model)

    def drawn(count, seed, estimator="enumerate", temperature=1.0, top=None):
        model.estimator, model.temperature, model.top = estimator, temperature, top
        objective = objectives.ELBO(enumerate=estimator == "enumerate")
        pyro.set_rng_seed(seed)
        with pyro.validation_enabled(False):
            return metrics.gradient_moments(
                lambda: objective(model.model, model.guide, x)[0], model.parameters(), count
            )

    truth = drawn(config.truth_draws, train.seed)  # draws that no estimator has
    rows = {}
    for title, how in config.estimators.items():
        moments = drawn(config.draws, train.seed + 1, **how)
        rows[title] = {group: _compared(part(moments, own), part(truth, own)) for group, own in groups.items()}
    return rows


def groups_of(model):
    """Group of parameters -> which numbers of the flat gradient belong to it."""
    names = [name for name, parameter in model.named_parameters() for _ in range(parameter.numel())]
    starts = {"category": "encoder.logits", "encoder": "encoder.", "decoder": "decoder.", "prior": "prior."}
    return {group: torch.tensor([name.startswith(start) for name in names]) for group, start in starts.items()}


def part(moments, where):
    """The same of some of the numbers."""
    return metrics.GradientMoments(moments.mean[where], moments.variance[where], moments.draws)


def _compared(moments, truth):
    bias, noise = moments.bias(truth)
    return {"bias": bias, "bias_noise": noise, "variance": moments.relative_variance(truth)}


def answer(values):
    """Of the gradient of q(c given x), at every moment: the least variance, and what bias relaxing leaves."""
    said = []
    for moment in values["moments"]:
        rows = {name: _cell(row["category"]).split(", ") for name, row in moment["rows"].items()}
        relaxed = [name for name in rows if name.startswith("Gumbel")]
        shown = dict.fromkeys([next(iter(rows)), *relaxed[:1], *relaxed[-1:]])
        parts = [f"bias {rows[name][0]} and variance {rows[name][1]} by {name}" for name in shown]
        said.append(f"after {moment['epochs']} epochs {', '.join(parts)}")
    return sentence(*said)


@headed(
    "Which estimator of the gradient of q(c given x) in CP-VAE has the least bias and variance?",
    answer,
    "More categories than can be summed over; other moments of training; other data.",
)
def page(values, name):
    """Bias and variance by estimator, one table for each moment."""
    config = values["config"]
    parts = [
        "# Gradients of CP-VAE's bound by estimator",
        f"K = {config['categories']} on {config['data']}, one batch, weights of a training by enumeration. In each "
        "cell: the length of the bias as a share of that of the true gradient (< where it drowns in the noise of the "
        "means), then the variance of one draw as a share of its square. The true gradient sums over all categories "
        f"and is the mean over {values['truth_draws']} draws of z; the others are over {values['draws']}. A sum over "
        "the most probable categories is the gradient of a bound of its own, so its bias is no error of that one.",
    ]
    columns = {"estimator": lambda item: item[0]}
    columns |= {title: lambda item, group=group: _cell(item[1][group]) for group, title in TITLES.items()}
    for moment in values["moments"]:
        parts += [f"## After {moment['epochs']} epochs", pages.table(columns, moment["rows"].items())]
    return parts


def _cell(numbers):
    """
    Example:
        >>> _cell({"bias": 0.123, "bias_noise": 0.01, "variance": 4.56})
        '0.12, 4.6'
        >>> _cell({"bias": 0.001, "bias_noise": 0.01, "variance": 4.56})
        '< 0.02, 4.6'
        >>> _cell({"bias": 0.0, "bias_noise": 0.0, "variance": 0.0})
        '0, 0'
    """
    bias, noise = numbers["bias"], 2 * numbers["bias_noise"]
    words = f"< {noise:.2g}" if bias <= noise and noise > 0 else f"{bias:.2g}"
    return f"{words}, {numbers['variance']:.2g}"
