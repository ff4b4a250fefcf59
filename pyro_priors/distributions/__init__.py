"""Densities: cheap immutable functions of tensors, as Pyro distributions."""

from pyro_priors.distributions.categorical_gaussian import CategoricalGaussian, FullCategoricalGaussian
from pyro_priors.distributions.chain_law import ChainLaw
from pyro_priors.distributions.diagonal_gaussians import DiagonalGaussians
from pyro_priors.distributions.factored_train import FactoredTrain
from pyro_priors.distributions.flow_joint import FlowJoint
from pyro_priors.distributions.flow_normal import FlowNormal
from pyro_priors.distributions.full_gaussian_mixture import FullGaussianMixture
from pyro_priors.distributions.full_gaussians import FullGaussians
from pyro_priors.distributions.gaussian_mixture import GaussianMixture
from pyro_priors.distributions.gumbel_softmax import GumbelSoftmax
from pyro_priors.distributions.kinds import Continuous, Discrete, Vector
from pyro_priors.distributions.low_rank_gaussians import LowRankGaussians
from pyro_priors.distributions.precision_normal import PrecisionNormal
from pyro_priors.distributions.tensor_ring import TensorRing
from pyro_priors.distributions.truncated_categorical import TruncatedCategorical
from pyro_priors.distributions.variables import Variables

__all__ = [
    "CategoricalGaussian",
    "ChainLaw",
    "Continuous",
    "DiagonalGaussians",
    "Discrete",
    "FactoredTrain",
    "FlowJoint",
    "FlowNormal",
    "FullCategoricalGaussian",
    "FullGaussianMixture",
    "FullGaussians",
    "GaussianMixture",
    "GumbelSoftmax",
    "LowRankGaussians",
    "PrecisionNormal",
    "TensorRing",
    "TruncatedCategorical",
    "Variables",
    "Vector",
]
