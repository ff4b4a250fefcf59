"""Train an energy-based GAN, whose critic is an auto-encoder."""

import dataclasses
from typing import ClassVar

from models.shared.adversarial import Adversarial
from pyro_priors import networks
from pyro_priors.checks import UserError


@dataclasses.dataclass(frozen=True)
class Model(Adversarial):
    """Train an energy-based GAN, whose critic is an auto-encoder."""

    margin: float = 10.0  # Energy above which that of generated images need not rise.
    code: int = 32  # Width of the auto-encoder's code.
    pulling_away: float = 0.0  # Weight of the squared cosines of the codes of a batch (pull-away term; 0.1 in EBGAN).
    hidden: tuple[int, ...] = (256, 256)  # Widths of the hidden layers.
    slope: float = 0.0  # Of the generator's layers below 0 (LeakyReLU; 0: ReLU).
    network: ClassVar[str] = "mlp"
    channels: ClassVar[int] = 64
    minibatch: ClassVar[int] = 0

    model: ClassVar[str] = "eb-gan"
    game: ClassVar[str] = "energy"
    least: ClassVar[dict[str, float]] = {**Adversarial.least, "code": 1, "pulling_away": 0}
    positive: ClassVar[tuple[str, ...]] = (*Adversarial.positive, "margin")

    def __post_init__(self):
        super().__post_init__()
        if self.pulling_away and self.estimator != "pathwise":
            raise UserError(
                "pulling_away: expected 0 with a score function (codes that are compared have no cost of one example), "
                f"got {self.pulling_away}"
            )

    @property
    def least_batch(self):
        return 2 if self.pulling_away else 1

    @classmethod
    def takes(cls, knobs):
        return not (knobs.takes_encoder or knobs.joint)

    def critic(self, image_shape, norm=None):
        return networks.AutoEncoderCritic(image_shape, self.hidden, self.code)

    @property
    def player_terms(self):
        """Of both players' losses."""
        return {"margin": self.margin}

    @property
    def generator_terms(self):
        """Of the generator's loss."""
        return {"pulling_away": self.pulling_away}
