"""Train the conditional VAE of semi-supervised learning (M2), which sums over missing attributes."""

import dataclasses
from typing import ClassVar

from models.shared.attributes import LabelTerm
from models.shared.conditional import Conditional
from pyro_priors import objectives, programs
from pyro_priors.checks import UserError
from pyro_priors.data.attributes import kinds
from pyro_priors.programs.semi_supervised_vae import configurations_of


@dataclasses.dataclass(frozen=True)
class Model(Conditional):
    """Train M2, p(x given z, y) with N(0, I): missing attributes, all discrete, are summed out under a predictor.

    Example:
        >>> from models import configure
        >>> configure("m2", missing=0.95).alpha
        0.1
        >>> configure("m2", alpha=-1.0)
        Traceback (most recent call last):
            ...
        pyro_priors.checks.UserError: alpha: expected 0 or more, got -1.0
    """

    alpha: float = 0.1  # Weight of log q(y given x) of a known label, over the share of labels that are known.

    components: ClassVar[int] = 1  # no attribute is continuous
    model: ClassVar[str] = "m2"
    program: ClassVar[type[programs.CVAE]] = programs.SemiSupervisedVAE
    least: ClassVar[dict[str, float]] = {**Conditional.least, "alpha": 0}

    def check_data(self, images):
        super().check_data(images)
        try:
            configurations_of(kinds(images.attributes))
        except ValueError as error:
            raise UserError(str(error)) from error

    def start(self, images):
        program = super().start(images)
        known = (~images.train.labels.isnan()).float().mean().item()
        program.label_weight = self.alpha / known if known else 0.0
        return program

    def callbacks(self, program, images, objective, batches):
        return [*super().callbacks(program, images, objective, batches), LabelTerm(program)]

    def bound(self, images):
        """The ELBO, summed over what is missing, whose KL counts in full from the start."""
        return objectives.ELBO(enumerate=True, unweighted=("completion",))
