"""Learnable priors: modules that own parameters and return a fresh distribution at every call."""

from pyro_priors.modules.mixtures import GaussianMixture
from pyro_priors.modules.standard_normal import StandardNormal
from pyro_priors.modules.trip import TRIP
from pyro_priors.modules.ttlp import TTLP

__all__ = ["TRIP", "TTLP", "GaussianMixture", "StandardNormal"]
