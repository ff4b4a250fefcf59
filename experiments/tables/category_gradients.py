"""`table category-gradients`: bias and variance of the gradients that CP-VAE may be trained with."""

import dataclasses
from pathlib import Path

import pyro
import torch

from experiments import build, fitting, pages, runs
from experiments.config import check_counts
from experiments.config_two_level import CategoricalConfig
from experiments.tables import kept
from pyro_priors import metrics, objectives
from pyro_priors.checks import UserError

TITLES = {
    "category": "q(c given x)",
    "encoder": "whole encoder",
    "decoder": "decoder",
    "prior": "prior",
}


@dataclasses.dataclass(frozen=True)
class CategoryGradientsConfig:
    """Gradients of the bound of one batch, at several moments of a training, drawn many times by every estimator.

    The truth is the mean over draws of z of the gradient that sums over all categories.
    Results land in RESULTS/category-gradients.json and .md.
    """

    train: CategoricalConfig = CategoricalConfig(  # The model and its training, by enumeration.  # noqa: RUF009
        data="digits", latent_dim=8, hidden=(64, 64), lr=2e-3, warmup_epochs=5, progress=False
    )
    epochs: tuple[int, ...] = (5, 40)  # Moments at which the gradients are drawn.
    temperatures: tuple[float, ...] = (1.0, 0.5, 0.2, 0.1)  # Of relaxed categories.
    keep: tuple[int, ...] = (3, 1)  # Most probable categories that a truncated sum keeps.
    batch: int = 100  # Pictures.
    draws: int = 2000  # Of every gradient.
    truth_draws: int = 20000  # Of the true one.
    results: Path = pages.FOLDER  # Where results are kept.

    def __post_init__(self):
        check_counts(self, "batch")
        for name in ("draws", "truth_draws"):
            if getattr(self, name) < 2:
                raise UserError(f"{name}: expected at least 2, got {getattr(self, name)}")
        if not self.epochs or min(self.epochs) < 1:
            raise UserError(f"epochs: expected some, each at least 1, got {self.epochs}")
        if any(not 1 <= count <= self.train.categories for count in self.keep):
            raise UserError(f"keep: expected 1 to {self.train.categories} categories, got {self.keep}")
        if any(not temperature > 0 for temperature in self.temperatures):
            raise UserError(f"temperatures: expected positive numbers, got {self.temperatures}")


def main(config: CategoryGradientsConfig):
    """Train, draw, print, and write the files."""
    found = {"config": kept.identity(config.train), "draws": config.draws, "truth_draws": config.truth_draws}
    found["moments"] = [{"epochs": epochs, "rows": rows_after(config, epochs)} for epochs in config.epochs]
    found["provenance"] = runs.provenance()
    text = markdown(found)
    pages.write_page(config.results / "category-gradients", found, text)


def rows_after(config, epochs):
    """Train for so many epochs, then draw -> for each estimator its bias and variance, by group of parameters."""
    train = dataclasses.replace(config.train, epochs=epochs)
    images = build.load_data(train)
    model = build.model(train, images.image_shape)
    fitting.fit(train, model, images, run_dir=None)
    model.train()
    x, groups = images.train.first(config.batch), groups_of(model)

    def drawn(count, estimator="enumerate", temperature=1.0, most=None, seed=config.train.seed + 1):
        model.estimator, model.temperature, model.kept = estimator, temperature, most
        objective = objectives.ELBO(enumerate=estimator == "enumerate")
        pyro.set_rng_seed(seed)

        def loss():
            return objective(model.model, model.guide, x)[0]

        with pyro.validation_enabled(False):
            return metrics.gradient_moments(loss, model.parameters(), count)

    truth = drawn(config.truth_draws, seed=config.train.seed)  # draws that no estimator has
    estimators = {"sum over all": drawn(config.draws)}
    estimators |= {f"sum over the {count} most probable": drawn(config.draws, most=count) for count in config.keep}
    estimators |= {
        f"Gumbel-Softmax, temperature {temperature:g}": drawn(config.draws, "gumbel", temperature)
        for temperature in config.temperatures
    }
    return {
        name: {group: _compared(part(found, where), part(truth, where)) for group, where in groups.items()}
        for name, found in estimators.items()
    }


def groups_of(model):
    """Group of parameters -> which numbers of the flat gradient belong to it."""
    names = [name for name, parameter in model.named_parameters() for _ in range(parameter.numel())]
    starts = {"category": "encoder.logits", "encoder": "encoder.", "decoder": "decoder.", "prior": "prior."}
    return {group: torch.tensor([name.startswith(start) for name in names]) for group, start in starts.items()}


def part(moments, where):
    """The same of some of the numbers."""
    return metrics.GradientMoments(moments.mean[where], moments.variance[where], moments.draws)


def _compared(found, truth):
    bias, noise = found.bias(truth)
    return {"bias": bias, "bias_noise": noise, "variance": found.relative_variance(truth)}


def markdown(found):
    """Bias and variance by estimator, one table for each moment."""
    config = found["config"]
    lines = [
        "# Gradients of CP-VAE's bound by estimator",
        "",
        f"K = {config['categories']} on {config['data']}, one batch, weights of a training by enumeration. In each "
        "cell: the length of the bias as a share of that of the true gradient (< where it drowns in the noise of the "
        "means), then the variance of one draw as a share of its square. The true gradient sums over all categories "
        f"and is the mean over {found['truth_draws']} draws of z; the others are over {found['draws']}. A sum over the "
        "most probable categories is the gradient of a bound of its own, so its bias is no error of that one.",
    ]
    for moment in found["moments"]:
        lines += ["", f"## After {moment['epochs']} epochs", ""]
        lines += [f"| estimator | {' | '.join(TITLES.values())} |", "|---" * (1 + len(TITLES)) + "|"]
        for name, row in moment["rows"].items():
            lines.append(f"| {name} | {' | '.join(_cell(row[group]) for group in TITLES)} |")
    lines += ["", pages.measured([found["provenance"]], "category-gradients.json"), ""]
    return "\n".join(lines)


def _cell(one):
    """
    Example:
        >>> _cell({"bias": 0.123, "bias_noise": 0.01, "variance": 4.56})
        '0.12, 4.6'
        >>> _cell({"bias": 0.001, "bias_noise": 0.01, "variance": 4.56})
        '< 0.02, 4.6'
        >>> _cell({"bias": 0.0, "bias_noise": 0.0, "variance": 0.0})
        '0, 0'
    """
    drowned = one["bias"] <= 2 * one["bias_noise"] and one["bias_noise"] > 0
    told = f"< {2 * one['bias_noise']:.2g}" if drowned else f"{one['bias']:.2g}"
    return f"{told}, {one['variance']:.2g}"
