"""`figure estimators`: bias and variance of the gradients of a prior that is sampled, against a closed form."""

import dataclasses
from pathlib import Path
from typing import Literal

import pyro
import torch
from matplotlib.figure import Figure

import pyro_priors as pp
from experiments import pages, runs
from experiments.config import check_counts
from experiments.figures import save
from pyro_priors import metrics, objectives
from pyro_priors.checks import UserError, check_seed

ESTIMATORS = {
    "pathwise": "pathwise",
    "rloo": "score function, leave-one-out",
    "reinforce": "score function, batch mean",
    "none": "score function, no baseline",
}
PRIORS = {"trip": "TRIP", "gmm": "Gaussian mixture"}


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
    results: Path = pages.FOLDER  # Where results are kept.

    def __post_init__(self):
        check_counts(self, "components", "rank")
        check_seed(self.seed)
        for field, least in (("latents", 1), ("batches", 2)):
            if not getattr(self, field) or min(getattr(self, field)) < least:
                raise UserError(f"{field}: expected some, each at least {least}, got {getattr(self, field)}")
        if self.draws < 2:
            raise UserError(f"draws: expected at least 2, got {self.draws}")


def main(config: EstimatorsConfig):
    """Draw, print, and write the files."""
    rows = [row for d in config.latents for row in rows_of(config, d)]
    found = {
        "prior": config.prior,
        "components": config.components,
        "rank": config.rank,
        "draws": config.draws,
        "seed": config.seed,
        "rows": rows,
        "provenance": runs.provenance(),
    }
    path = config.results / ("estimators" if config.prior == "trip" else f"estimators-{config.prior}")
    text = markdown(found, path.name)
    pages.write_page(path, found, text)
    draw(path.with_suffix(".png"), found)


def rows_of(config, d):
    """Bias and variance of every estimator for d latents and every batch size."""
    pyro.set_rng_seed(config.seed)
    if config.prior == "trip":
        prior = pp.TRIP(d, config.components, config.rank, init="noise")
    else:
        prior = pp.GaussianMixture(d, config.components)
    target, parameters = torch.randn(d), [p for p in prior.parameters() if p.requires_grad]
    truth = exact_gradient(prior, target, parameters)
    rows = []
    for batch in config.batches:
        for name in ESTIMATORS:
            pyro.set_rng_seed(config.seed + 1)
            found = drawn_gradient(prior, target, parameters, name, batch, config.draws)
            bias, noise = found.bias(truth)
            variance = found.relative_variance(truth)
            one = {"latents": d, "batch": batch, "estimator": name, "bias": bias, "bias_noise": noise}
            rows.append({**one, "variance": variance})
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


def markdown(found, stem):
    """Variance by estimator, a table for each batch size, and how many times that of pathwise it is."""
    batches = list(dict.fromkeys(row["batch"] for row in found["rows"]))
    size = f", cores of {found['rank']}" if found["prior"] == "trip" else ""
    lines = [
        "# Gradients of a prior that is sampled, by estimator",
        "",
        f"Prior: {PRIORS[found['prior']]} with {found['components']} Gaussians{size}, as initialised. The cost is "
        "|z - t|^2 / d, whose expected gradient to all parameters is known in closed form. Variance: that of one "
        "gradient (one batch), as a share of the squared length of the true one; in brackets how many times that of "
        f"pathwise. Bias: the length of the mean of {found['draws']} gradients less the true one, as a share of the "
        "length of that; < where it drowns in noise. A batch mean that contains the example takes 1/n away.",
    ]
    for batch in batches:
        rows = [row for row in found["rows"] if row["batch"] == batch]
        latents = list(dict.fromkeys(row["latents"] for row in rows))
        lines += ["", f"## Batches of {batch}", ""]
        lines += [f"| estimator | {' | '.join(f'd = {d}' for d in latents)} |", "|---" * (1 + len(latents)) + "|"]
        by = {(row["estimator"], row["latents"]): row for row in rows}
        for name, title in ESTIMATORS.items():
            cells = []
            for d in latents:
                one, base = by[name, d], by["pathwise", d]
                times = "" if name == "pathwise" else f" ({one['variance'] / base['variance']:.3g} x)"
                cells.append(f"{one['variance']:.3g}{times}, bias {_bias(one)}")
            lines.append(f"| {title} | {' | '.join(cells)} |")
    lines += ["", f"![Variance by latent size]({stem}.png)", ""]
    lines += [f"Seed {found['seed']}. {pages.measured([found['provenance']], f'{stem}.json')}", ""]
    return "\n".join(lines)


def _bias(one):
    if one["bias"] <= 2 * one["bias_noise"]:
        return f"< {2 * one['bias_noise']:.2g}"
    return f"{one['bias']:.2g}"


def draw(path, found):
    """Relative variance against latent size, a panel for each batch size."""
    batches = list(dict.fromkeys(row["batch"] for row in found["rows"]))
    figure = Figure(figsize=(3.6 * len(batches) + 0.6, 3.4), layout="constrained")
    axes = figure.subplots(1, len(batches), sharey=True, squeeze=False)[0]
    for axis, batch in zip(axes, batches, strict=True):
        for name, title in ESTIMATORS.items():
            rows = [row for row in found["rows"] if row["batch"] == batch and row["estimator"] == name]
            axis.loglog([row["latents"] for row in rows], [row["variance"] for row in rows], marker="o", label=title)
        axis.set(title=f"batches of {batch}", xlabel="latents d")
    axes[0].set_ylabel("variance / squared gradient")
    axes[0].legend(fontsize=7)
    save(figure, path)
