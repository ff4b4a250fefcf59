"""Learnable priors: modules that own parameters and return a fresh distribution at every call."""

from pyro_priors.modules.categorical_gaussian import CategoricalGaussian
from pyro_priors.modules.flow_normal import FlowNormal
from pyro_priors.modules.flow_ttlp import FlowTTLP
from pyro_priors.modules.mixtures import GaussianMixture
from pyro_priors.modules.standard_normal import StandardNormal
from pyro_priors.modules.trip import TRIP
from pyro_priors.modules.ttlp import TTLP
from pyro_priors.modules.vamp_prior import VampPrior

__all__ = [
    "TRIP",
    "TTLP",
    "CategoricalGaussian",
    "FlowNormal",
    "FlowTTLP",
    "GaussianMixture",
    "StandardNormal",
    "VampPrior",
]
