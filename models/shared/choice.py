"""The choice of a prior: which ones a model takes, and what their knobs say of them."""

import dataclasses
from typing import ClassVar

from pyro_priors.checks import UserError
from pyro_priors.modules.plugins import Setting


class ChoosesPrior:
    """What a model knows of its prior; its class has the knobs of that where it has a field `prior` (`with_prior`)."""

    @classmethod
    def takes(cls, knobs):
        """Whether it takes a prior with knobs of this class."""
        return not knobs.joint

    prior_defaults: ClassVar[dict[str, dict]] = {}  # of the priors' knobs, where they are not those of the prior itself

    @property
    def prior_knobs(self):
        """The knobs of the prior alone."""
        try:
            return self.prior_kind(**{f.name: getattr(self, f.name) for f in dataclasses.fields(self.prior_kind)})
        except ValueError as error:
            raise UserError(str(error)) from error

    @property
    def learns(self):
        """Whether there is anything to learn in the prior."""
        return self.prior_knobs.learns

    @property
    def reinitializes(self):
        """Whether the prior can be set from encoded data."""
        return self.prior_knobs.reinitializes

    @property
    def standardizes(self):
        """Whether the prior can be moved to mean 0 and standard deviation 1."""
        return self.prior_knobs.standardizes

    def make_prior(self, image_shape, attributes=None):
        """The prior, seeded by torch's global generator."""
        bounds = (0.0, 1.0) if getattr(self, "likelihood", None) == "bernoulli" else None
        return self.prior_knobs.build(Setting(self.latent_dim, attributes or {}, image_shape, bounds))
