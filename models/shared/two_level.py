"""The knobs of autoencoders with two levels of latents: a category above, or more latents."""

import dataclasses
from typing import ClassVar

from models.shared.autoencoder import BoundAutoencoder
from pyro_priors.modules.plugins import knob


@dataclasses.dataclass(frozen=True)
class TwoLevel(BoundAutoencoder):
    """The settings that CP-VAE's experiments share; not a command itself."""

    hidden: tuple[int, ...] = (300, 300)  # Widths of the hidden layers.
    latent_dim: int = 40  # Number of latent dimensions, the size of z.
    batch_size: int = 100  # Images per step.
    lr: float = 5e-4  # Adam's learning rate of the networks.
    prior_lr: float = knob(5e-4, learns=True)  # Adam's learning rate of the prior.
    warmup_epochs: int = 100  # Epochs over which the weight of the KL term rises from 0 to 1.

    widths: ClassVar[tuple[str, ...]] = ("hidden",)
    refits: ClassVar[bool] = False
