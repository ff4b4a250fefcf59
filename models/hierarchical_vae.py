"""Train a VAE with two levels of latents, the upper under a prior of your choice (HVAE, HVP)."""

import dataclasses
from typing import ClassVar

from models.shared.two_level import TwoLevel
from pyro_priors import networks, programs


@dataclasses.dataclass(frozen=True)
class Model(TwoLevel):
    """Train a VAE with two levels of latents, the upper one under N(0, I) (HVAE), a VampPrior (HVP) or another prior.

    Example:
        >>> from models import configure
        >>> configure("hierarchical-vae", data="digits", prior="vamp").run_name
        'digits-hierarchical-vae-vamp'
    """

    prior: str = "normal"  # Law of the upper latents: its knobs are those of that prior.
    lower_dim: int = 40  # Number of lower latents.

    model: ClassVar[str] = "hierarchical-vae"
    title: ClassVar[str] = "two-level VAE"
    least: ClassVar[dict[str, float]] = {**TwoLevel.least, "lower_dim": 1}

    def make(self, image_shape, attributes):
        latent_dim, hidden = self.latent_dim, self.hidden
        return programs.HierarchicalVAE(
            networks.GatedMLPEncoder(image_shape, latent_dim, hidden),
            networks.GatedMLPJointEncoder(image_shape, latent_dim, self.lower_dim, hidden[0]),
            networks.GatedMLPGaussian(latent_dim, self.lower_dim, hidden),
            networks.GatedMLPJointDecoder(self.lower_dim, latent_dim, image_shape, hidden[0]),
            self.make_prior(image_shape),
            self.make_likelihood(),
        )
