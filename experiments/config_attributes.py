"""The knobs of trainings on pictures with attributes."""

import dataclasses
from pathlib import Path
from typing import ClassVar, Literal

from experiments.config import AutoencoderConfig, TrainingConfig
from pyro_priors.checks import UserError


@dataclasses.dataclass(frozen=True)
class AttributeFields:
    """Which attributes, and how many of their labels are hidden; not a command itself."""

    attributes: tuple[str, ...] = ()  # Columns to use, () = all; `name=a|!b` is 1 where a is 1 or b is 0.
    missing: float = 0.0  # Share of the known labels of training and validation that is hidden, at random.

    def __post_init__(self):
        super().__post_init__()
        if not 0 <= self.missing < 1:
            raise UserError(f"missing: expected a share in [0, 1), got {self.missing}")


@dataclasses.dataclass(frozen=True)
class JointConfig(AttributeFields, AutoencoderConfig):
    """Train a joint VAE (VAE-TTLP): one prior over codes and attributes, any of which may be missing.

    Example:
        >>> JointConfig(data="digits", missing=0.7).run_name
        'digits-joint-vae'
        >>> JointConfig(missing=1.5)
        Traceback (most recent call last):
            ...
        pyro_priors.checks.UserError: missing: expected a share in [0, 1), got 1.5
    """

    binarize: Literal["dynamic", "none"] = "none"  # Draw 0/1 pixels afresh for every batch, or keep grey values.
    network: Literal["mlp", "conv"] = "conv"  # Gated dense layers, or 4x4 stride-2 convolutions (28, 32 or 64 pixels).
    likelihood: Literal["bernoulli", "gaussian", "squared-error"] = "squared-error"  # Law of the pixels, p(x given z).
    epochs: int = 20  # Passes over the training data, at most.
    particles: int = 10  # Importance samples of the reported IWAE bound.

    init: Literal["mixture", "noise"] = "mixture"  # How the cores start: as a mixture, or from noise (the papers').
    boundary: Literal["train", "ring"] = "train"  # How the chain closes.
    order: Literal["random", "declared"] = "random"  # Of the variables in the chain.
    components: int = 10  # Gaussians per latent dimension, and per continuous attribute.
    rank: int = 20  # Size of the cores.
    local: int | None = None  # Bond dimension within a cluster: more than 1 for many attributes. None: 1.
    label_weight: float = 0.0  # At first, add so many times log p(y given z) to the bound; 0: the plain ELBO.
    label_epochs: int | None = None  # Epochs over which that weight falls to 0, the plain ELBO; None: never.
    pretrained: Path | None = None  # Run of `train vae` whose networks to start from; the prior is first fitted alone.
    start_epochs: int | None = None  # Passes of that first fit; None: 10.
    frozen: bool = False  # Leave it at that: the pretrained networks stay as they are, the prior gets --epochs passes.

    model: ClassVar[str] = "joint-vae"
    counts: ClassVar[tuple[str, ...]] = (
        *AutoencoderConfig.counts,
        "components",
        "rank",
        "label_epochs",
        "start_epochs",
        "local",
    )

    def __post_init__(self):
        super().__post_init__()
        if not self.label_weight >= 0:
            raise UserError(f"label_weight: expected 0 or more, got {self.label_weight}")
        if self.local and self.rank % self.local:
            raise UserError(f"local: expected a divisor of the rank {self.rank}, got {self.local}")
        if (self.local or 1) > 1 and self.init == "noise":
            raise UserError(f"local: expected 1 with init noise, got {self.local}")
        if self.frozen and self.pretrained is None:
            raise UserError("frozen: expected --pretrained RUN beside it, got none")


@dataclasses.dataclass(frozen=True)
class CVAEConfig(AttributeFields, AutoencoderConfig):
    """Train a conditional VAE, p(x given z, y) with N(0, I); missing attributes are filled by a predictor beside it."""

    binarize: Literal["dynamic", "none"] = "none"  # Draw 0/1 pixels afresh for every batch, or keep grey values.
    network: Literal["mlp", "conv"] = "conv"  # Gated dense layers, or 4x4 stride-2 convolutions (28, 32 or 64 pixels).
    likelihood: Literal["bernoulli", "gaussian", "squared-error"] = "squared-error"  # Law of the pixels, p(x given z).
    epochs: int = 20  # Passes over the training data, at most.
    particles: int = 10  # Importance samples of the reported IWAE bound.

    components: int = 10  # Gaussians per continuous attribute.
    rank: int = 20  # Size of the cores of p(y).

    model: ClassVar[str] = "cvae"
    counts: ClassVar[tuple[str, ...]] = (*AutoencoderConfig.counts, "components", "rank")


@dataclasses.dataclass(frozen=True)
class ClassifierConfig(AttributeFields, TrainingConfig):
    """Train a convolutional classifier of the attributes: the reader of generated pictures, apart from every model."""

    binarize: Literal["dynamic", "none"] = "none"  # Draw 0/1 pixels afresh for every batch, or keep grey values.
    epochs: int = 8  # Passes over the training data, at most.
    decay: bool = True  # Let the learning rates fall to 0 along a cosine.
    components: int = 10  # Gaussians per continuous attribute.

    model: ClassVar[str] = "classifier"
    counts: ClassVar[tuple[str, ...]] = (*TrainingConfig.counts, "components")
