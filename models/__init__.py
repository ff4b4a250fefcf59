"""Generative programs: modules with `.model` and `.guide` that take a prior."""

from models.joint_vae import JointVAE
from models.likelihoods import BernoulliLikelihood, GaussianLikelihood, SquaredErrorLikelihood, make_likelihood
from models.networks import ConvDecoder, ConvEncoder, GatedLinear, GatedMLPDecoder, GatedMLPEncoder
from models.vae import VAE

__all__ = [
    "VAE",
    "BernoulliLikelihood",
    "ConvDecoder",
    "ConvEncoder",
    "GatedLinear",
    "GatedMLPDecoder",
    "GatedMLPEncoder",
    "GaussianLikelihood",
    "JointVAE",
    "SquaredErrorLikelihood",
    "make_likelihood",
]
