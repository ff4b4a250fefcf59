"""Learnable priors for deep generative models, as ordinary Pyro distributions."""

from pyro_priors import distributions, modules, ops
from pyro_priors.distributions.kinds import Continuous, Discrete, Vector
from pyro_priors.modules import (
    TRIP,
    TTLP,
    CategoricalGaussian,
    FlowNormal,
    FlowTTLP,
    GaussianMixture,
    StandardNormal,
    VampPrior,
)

__version__ = "0.1.0"
__all__ = [
    "TRIP",
    "TTLP",
    "CategoricalGaussian",
    "Continuous",
    "Discrete",
    "FlowNormal",
    "FlowTTLP",
    "GaussianMixture",
    "StandardNormal",
    "VampPrior",
    "Vector",
    "distributions",
    "modules",
    "ops",
]
