"""Train a GAN whose critic has spectral normalisation, with the hinge loss."""

import dataclasses
from typing import ClassVar

from models.shared.adversarial import Adversarial


@dataclasses.dataclass(frozen=True)
class Model(Adversarial):
    """Train a GAN whose critic has spectral normalisation, with the hinge loss."""

    lipschitz: float = 1.0  # What the critic's inputs are multiplied by; with `mlp` it bounds its Lipschitz constant.

    model: ClassVar[str] = "sn-gan"
    game: ClassVar[str] = "hinge"
    norm: ClassVar[str] = "spectral"
    positive: ClassVar[tuple[str, ...]] = (*Adversarial.positive, "lipschitz")

    @property
    def scale(self):
        """What the critic's inputs are multiplied by."""
        return self.lipschitz
