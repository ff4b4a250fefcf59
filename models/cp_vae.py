"""Train a VAE that finds categories without labels (CP-VAE)."""

import dataclasses
from typing import ClassVar, Literal

import torch

from models.shared import answers
from models.shared.two_level import TwoLevel
from pyro_priors import CategoricalGaussian, metrics, networks, objectives, programs, training
from pyro_priors.checks import UserError
from pyro_priors.data.names import CLASSED
from pyro_priors.modules.plugins import knob


@dataclasses.dataclass(frozen=True)
class Model(TwoLevel):
    """Train a VAE with a category behind its latents (CP-VAE), without labels; its clusters are judged by them.

    Example:
        >>> from models import configure
        >>> configure("cp-vae", data="digits").run_name
        'digits-cp-vae'
        >>> configure("cp-vae", estimator="gumbel", temperature=0.0)
        Traceback (most recent call last):
            ...
        pyro_priors.checks.UserError: temperature: expected a positive number, got 0.0
    """

    categories: int = 10  # K; 1 is CP1, one learnable Gaussian.
    estimator: Literal["enumerate", "gumbel"] = "enumerate"  # Sum over c, or draw a relaxed c (large K; the paper's).
    blind_epochs: int = 0  # Epochs without categories; then all is set from clusters of codes, --decay starts anew.
    reinit_samples: int | None = knob(None, blind_epochs=bool)  # Codes whose clusters these are; None: 10,000.
    top: int | None = knob(None, estimator="enumerate")  # Most probable categories that the sum goes over in the end.
    top_epochs: int = knob(10, top=bool)  # Epochs (after the blind ones) over which the others are given up.
    reads: Literal["probabilities", "category"] = "probabilities"  # What q(z given x, c) reads (paper's first).
    warm_categories: bool = False  # Let the warm-up weigh the categories' KL too (the paper's; c may collapse).
    covariance: Literal["diagonal", "full", "low-rank"] = "diagonal"  # Of the prior's Gaussians, p(z given c).
    factors: int | None = knob(None, covariance="low-rank")  # That the latents share there; None: 8, or all there are.
    spread: float = 0.5  # Standard deviation of the prior's means at the start.
    temperature: float = knob(1.0, estimator="gumbel")  # Of relaxed draws, at the start.
    last_temperature: float = knob(0.5, estimator="gumbel")  # Of relaxed draws, from --temperature-epochs on.
    temperature_epochs: int = knob(100, estimator="gumbel")  # Epochs over which it falls.

    model: ClassVar[str] = "cp-vae"
    title: ClassVar[str] = "CP-VAE"
    learns: ClassVar[bool] = True
    reinitializes: ClassVar[bool] = False
    counts_categories: ClassVar[bool] = True
    infers_categories: ClassVar[bool] = True
    least: ClassVar[dict[str, float]] = {
        **TwoLevel.least,
        **dict.fromkeys(("categories", "temperature_epochs", "top", "factors"), 1),
        **dict.fromkeys(("blind_epochs", "top_epochs"), 0),
    }
    positive: ClassVar[tuple[str, ...]] = (*TwoLevel.positive, "spread", "temperature", "last_temperature")

    def __post_init__(self):
        super().__post_init__()
        if self.blind_epochs and not self.blind_epochs < self.epochs:
            raise UserError(f"blind_epochs: expected fewer than epochs = {self.epochs}, got {self.blind_epochs}")
        if self.patience is not None and self.patience <= self.blind_epochs:
            raise UserError(
                f"patience: expected more than blind_epochs = {self.blind_epochs}, in which no bound improves, got "
                f"{self.patience}"
            )
        if self.factors is not None and self.factors > self.latent_dim:
            raise UserError(f"factors: expected at most latent_dim = {self.latent_dim}, got {self.factors}")
        if self.top is not None and self.top > self.categories:
            raise UserError(f"top: expected at most {self.categories}, got {self.top}")

    @property
    def hidden_labels(self):
        return {"attributes": (), "missing": 0.0} if self.data in (*CLASSED, "shapes") else {}

    def make(self, image_shape, attributes):
        latent_dim, hidden = self.latent_dim, self.hidden
        encoder = networks.GatedMLPCategoricalEncoder(image_shape, self.categories, latent_dim, hidden, self.reads)
        decoder = networks.GatedMLPDecoder(latent_dim + self.categories, image_shape, hidden[::-1])
        shape = {"covariance": self.covariance, "factors": self.factors}
        prior = CategoricalGaussian(self.categories, latent_dim, **shape, spread=self.spread)
        how = {"estimator": self.estimator, "temperature": self.temperature, "top": self.top}
        return programs.CategoricalVAE(encoder, decoder, prior, self.make_likelihood(), **how)

    def bound(self, images):
        """The ELBO, by enumeration if that is wanted, with the categories' KL in full from the start."""
        unweighted = () if self.warm_categories else ("c",)
        return objectives.ELBO(unweighted=unweighted, enumerate=self.estimator == "enumerate")

    def callbacks(self, program, images, objective, batches):
        """The temperature falls, categories wait and are given up; how they are used goes to metrics.csv."""
        callbacks = super().callbacks(program, images, objective, batches)
        fall = training.LinearWarmup(self.temperature_epochs * batches, self.temperature, self.last_temperature)
        callbacks += [
            training.Anneal(program, "temperature", fall),
            metrics.CategoryMetrics(program, images.validation.first(1000), answers.classes(images.validation, 1000)),
        ]
        blind = self.blind_epochs * batches
        if blind:
            callbacks.append(training.Anneal(program, "blind", training.Until(blind)))
            how = {"first": self.blind_epochs, "every": None, "samples": self.reinit_samples or 10_000}
            clustered = self.loader(images.train, 500, shuffle=True)
            callbacks.append(training.Reinitialize(program, clustered, encode=None, **how))
        if self.top:
            fall = training.LinearWarmup(self.top_epochs * batches, self.categories, self.top, delay=blind)
            callbacks.append(training.Anneal(program, "top", fall))
        return callbacks

    def reinitialisation(self, program, images):
        return []  # but after the blind epochs, as a whole

    @property
    def cycles(self):
        """Blind epochs end with steady codes, whose clusters can be told apart."""
        blind = [self.blind_epochs] if 0 < self.blind_epochs < self.epochs else []
        return (*blind, self.epochs - sum(blind))

    @torch.no_grad()
    def evaluate(self, program, part, attributes, seed, particles=None):
        """Bounds; the aggregated posterior q(c), and how well categories match labels where there are some."""
        results = self.bounds(program, part, seed, particles)
        probs = torch.cat([program.classify(x) for x in self.loader(part, 1000)])
        results["categories"] = probs.mean(0).tolist()
        labels = answers.classes(part)
        if labels is not None:
            results["clusters"] = metrics.clusters(probs, labels)._asdict()
        return results, {}
