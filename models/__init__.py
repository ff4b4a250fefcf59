"""Generative programs: modules with `.model` and `.guide` that take a prior."""

from models.classifier import ConvClassifier
from models.cvae import CVAE
from models.joint_vae import JointVAE
from models.likelihoods import BernoulliLikelihood, GaussianLikelihood, SquaredErrorLikelihood, make_likelihood
from models.networks import ConvDecoder, ConvEncoder, GatedLinear, GatedMLPDecoder, GatedMLPEncoder
from models.vae import VAE

__all__ = [
    "CVAE",
    "VAE",
    "BernoulliLikelihood",
    "ConvClassifier",
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
