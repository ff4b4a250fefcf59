"""The knobs of autoencoders with two levels of latents: a category above, or more latents."""

import dataclasses
from typing import ClassVar, Literal

from experiments.config import AutoencoderConfig
from pyro_priors.checks import UserError


@dataclasses.dataclass(frozen=True)
class PaperConfig(AutoencoderConfig):
    """The settings that CP-VAE's experiments share; not a command itself."""

    latent_dim: int = 40  # Number of latent dimensions, the size of z.
    batch_size: int = 100  # Images per step.
    lr: float = 5e-4  # Adam's learning rate of the networks.
    prior_lr: float = 5e-4  # Adam's learning rate of the prior.
    warmup_epochs: int = 100  # Epochs over which the weight of the KL term rises from 0 to 1.

    def __post_init__(self):
        super().__post_init__()
        if self.network != "mlp":
            raise UserError(f"network: expected mlp, got {self.network}")
        if self.prior_epochs:
            raise UserError(f"prior_epochs: expected 0, got {self.prior_epochs}")


@dataclasses.dataclass(frozen=True)
class CategoricalConfig(PaperConfig):
    """Train a VAE with a category behind its latents (CP-VAE), without labels; its clusters are judged by them.

    Example:
        >>> CategoricalConfig(data="digits").run_name
        'digits-cp-vae'
        >>> CategoricalConfig(temperature=0.0)
        Traceback (most recent call last):
            ...
        pyro_priors.checks.UserError: temperature: expected a positive number, got 0.0
    """

    categories: int = 10  # K; 1 is CP1, one learnable Gaussian.
    estimator: Literal["enumerate", "gumbel"] = "enumerate"  # Sum over c, or draw a relaxed c (large K; the paper's).
    blind_epochs: int = 0  # Epochs without categories; then all is set from clusters of codes, --decay starts anew.
    kept: int | None = None  # Most probable categories of each picture that the sum keeps in the end; None: all.
    kept_epochs: int = 10  # Epochs (after the blind ones) over which the others are given up, one after the other.
    told: Literal["probabilities", "category"] = "probabilities"  # What q(z given x, c) sees of c (the paper's first).
    warm_categories: bool = False  # Let the warm-up weigh the categories' KL too (the paper's; c may collapse).
    spread: float = 0.5  # Standard deviation of the prior's means at the start.
    temperature: float = 1.0  # Of relaxed draws, at the start.
    last_temperature: float = 0.5  # Of relaxed draws, from --temperature-epochs on.
    temperature_epochs: int = 100  # Epochs over which it falls.

    model: ClassVar[str] = "cp-vae"
    counts: ClassVar[tuple[str, ...]] = (*PaperConfig.counts, "categories", "temperature_epochs", "kept")
    positive: ClassVar[tuple[str, ...]] = (*PaperConfig.positive, "spread", "temperature", "last_temperature")

    def __post_init__(self):
        super().__post_init__()
        for field in ("blind_epochs", "kept_epochs"):
            if getattr(self, field) < 0:
                raise UserError(f"{field}: expected 0 or more, got {getattr(self, field)}")
        if self.blind_epochs and not self.blind_epochs < self.epochs:
            raise UserError(f"blind_epochs: expected fewer than epochs = {self.epochs}, got {self.blind_epochs}")
        if self.patience is not None and self.patience <= self.blind_epochs:
            raise UserError(
                f"patience: expected more than blind_epochs = {self.blind_epochs}, in which no bound improves, got "
                f"{self.patience}"
            )
        if self.kept is not None and (self.estimator == "gumbel" or self.kept > self.categories):
            raise UserError(
                f"kept: expected at most {self.categories}, and none with --estimator gumbel, got {self.kept}"
            )


@dataclasses.dataclass(frozen=True)
class HierarchicalConfig(PaperConfig):
    """Train a VAE with two levels of latents, the upper one under N(0, I) (HVAE) or a VampPrior (HVP).

    Example:
        >>> HierarchicalConfig(data="digits", prior="vamp").run_name
        'digits-hierarchical-vae-vamp'
    """

    lower_dim: int = 40  # Number of lower latents.
    prior: Literal["normal", "vamp"] = "normal"  # Of the upper latents.
    pseudo_inputs: int | None = None  # Of the VampPrior, which start at training pictures; None: 500.

    model: ClassVar[str] = "hierarchical-vae"
    counts: ClassVar[tuple[str, ...]] = (*PaperConfig.counts, "lower_dim", "pseudo_inputs")

    @property
    def run_name(self):
        return self.name or f"{self.data}-{self.model}-{self.prior}"
