"""What a game of probabilities has: labels that are smoothed, and its minimax form."""

import dataclasses

from models.shared.adversarial import Adversarial
from pyro_priors.checks import UserError


@dataclasses.dataclass(frozen=True)
class Smoothed(Adversarial):
    """A GAN whose critic says a probability; not a command itself."""

    minimax: bool = False  # Let the generator minimise log(1 - D), not maximise log D.
    real_label: float = 1.0  # What the critic is to say of real images (one-sided smoothing).

    def __post_init__(self):
        super().__post_init__()
        if not 0 < self.real_label <= 1:
            raise UserError(f"real_label: expected a number in (0, 1], got {self.real_label}")

    @property
    def objective_kind(self):
        return "minimax" if self.minimax else self.game

    @property
    def player_terms(self):
        """Of both players' losses."""
        return {"real_label": self.real_label}
