"""Train a Wasserstein GAN with clipped weights."""

import dataclasses
from typing import ClassVar

from models.shared.adversarial import Adversarial
from pyro_priors import objectives


@dataclasses.dataclass(frozen=True)
class Model(Adversarial):
    """Train a Wasserstein GAN with clipped weights."""

    critic_steps: int = 5  # Steps of the critic for one of the generator.
    clip: float = 0.01  # Largest weight of the critic.

    model: ClassVar[str] = "wgan"
    game: ClassVar[str] = "wasserstein"
    positive: ClassVar[tuple[str, ...]] = (*Adversarial.positive, "clip")

    def after_critic(self, optimizer):
        objectives.clip_weights(optimizer, self.clip)
