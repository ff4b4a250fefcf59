"""Generative programs: modules with `.model` and `.guide` that take a prior."""

from models.categorical_encoder import GatedMLPCategoricalEncoder
from models.categorical_vae import CategoricalVAE
from models.classifier import ConvClassifier
from models.critics import AutoEncoderCritic, ConvCritic, MinibatchDiscrimination, MLPCritic, Recogniser
from models.cvae import CVAE
from models.gan import GAN, ConditionalCritic, ConditionalGAN, InfoGAN
from models.generators import ConvGenerator, MLPGenerator
from models.gumbel import GumbelSoftmax
from models.hierarchical_vae import GatedMLPGaussian, GatedMLPJointDecoder, GatedMLPJointEncoder, HierarchicalVAE
from models.joint_vae import JointVAE
from models.likelihoods import BernoulliLikelihood, GaussianLikelihood, SquaredErrorLikelihood, make_likelihood
from models.networks import ConvDecoder, ConvEncoder, GatedLinear, GatedMLPDecoder, GatedMLPEncoder
from models.truncated import TruncatedCategorical
from models.vae import VAE

__all__ = [
    "CVAE",
    "GAN",
    "VAE",
    "AutoEncoderCritic",
    "BernoulliLikelihood",
    "CategoricalVAE",
    "ConditionalCritic",
    "ConditionalGAN",
    "ConvClassifier",
    "ConvCritic",
    "ConvDecoder",
    "ConvEncoder",
    "ConvGenerator",
    "GatedLinear",
    "GatedMLPCategoricalEncoder",
    "GatedMLPDecoder",
    "GatedMLPEncoder",
    "GatedMLPGaussian",
    "GatedMLPJointDecoder",
    "GatedMLPJointEncoder",
    "GaussianLikelihood",
    "GumbelSoftmax",
    "HierarchicalVAE",
    "InfoGAN",
    "JointVAE",
    "MLPCritic",
    "MLPGenerator",
    "MinibatchDiscrimination",
    "Recogniser",
    "SquaredErrorLikelihood",
    "TruncatedCategorical",
    "make_likelihood",
]
