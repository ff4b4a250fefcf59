"""Train a generative adversarial network with a prior of your choice, fixed or learnable."""

import dataclasses
from typing import ClassVar

from models.shared.adversarial import Adversarial
from models.shared.smoothed import Smoothed


@dataclasses.dataclass(frozen=True)
class Model(Smoothed, Adversarial):
    """Train a generative adversarial network with the prior of your choice, fixed or learnable.

    Example:
        >>> from models import configure
        >>> configure("gan", data="grid", prior="normal").run_name
        'grid-gan-normal'
        >>> configure("gan", minibatch=3, estimator="rloo")
        Traceback (most recent call last):
            ...
        pyro_priors.checks.UserError: minibatch: expected 0 with a score function (a critic that sees the others of ...
    """

    model: ClassVar[str] = "gan"
