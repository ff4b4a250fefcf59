"""Train a Wasserstein GAN with gradient penalty."""

import dataclasses
from typing import ClassVar

from models.shared.adversarial import Adversarial


@dataclasses.dataclass(frozen=True)
class Model(Adversarial):
    """Train a Wasserstein GAN with gradient penalty."""

    critic_steps: int = 5  # Steps of the critic for one of the generator.
    penalty: float = 10.0  # Weight of the gradient penalty.
    layer_norm: bool = True  # Give the critic layer normalisation.
    minibatch: ClassVar[int] = 0  # the penalty is one of each image's own number

    model: ClassVar[str] = "wgan-gp"
    game: ClassVar[str] = "wasserstein"
    positive: ClassVar[tuple[str, ...]] = (*Adversarial.positive, "penalty")

    @property
    def norm(self):
        """Of the critic's layers."""
        return "layer" if self.layer_norm else "none"

    @property
    def critic_terms(self):
        """Of the critic's loss."""
        return {"penalty": self.penalty}
