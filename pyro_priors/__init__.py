"""Learnable priors for deep generative models, as ordinary Pyro distributions."""

from pyro_priors import distributions, modules, ops
from pyro_priors.distributions.variables import Continuous, Discrete
from pyro_priors.modules import *  # noqa: F403
from pyro_priors.modules import __all__ as _modules

__version__ = "0.1.0"
__all__ = ["Continuous", "Discrete", "distributions", "modules", "ops", *_modules]
