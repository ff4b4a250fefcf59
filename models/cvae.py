"""Train the conditional VAE, whose missing attributes a predictor fills: the baseline of VAE-TTLP."""

import dataclasses
from typing import ClassVar

from models.shared.conditional import Conditional
from pyro_priors import programs


@dataclasses.dataclass(frozen=True)
class Model(Conditional):
    """Train a conditional VAE, p(x given z, y) with N(0, I); missing attributes are filled by a predictor beside it."""

    model: ClassVar[str] = "cvae"
    program: ClassVar[type[programs.CVAE]] = programs.CVAE
