"""Encoders, decoders, generators and critics: networks that programs are made of."""

from pyro_priors.networks.autoencoders import ConvDecoder, ConvEncoder, GatedLinear, GatedMLPDecoder, GatedMLPEncoder
from pyro_priors.networks.categorical_encoder import GatedMLPCategoricalEncoder
from pyro_priors.networks.conditional_critic import ConditionalCritic
from pyro_priors.networks.critics import AutoEncoderCritic, ConvCritic, MinibatchDiscrimination, MLPCritic, Recogniser
from pyro_priors.networks.generators import ConvGenerator, MLPGenerator
from pyro_priors.networks.pixelcnn import PixelCNNDecoder
from pyro_priors.networks.two_level import GatedMLPGaussian, GatedMLPJointDecoder, GatedMLPJointEncoder

__all__ = [
    "AutoEncoderCritic",
    "ConditionalCritic",
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
    "MLPCritic",
    "MLPGenerator",
    "MinibatchDiscrimination",
    "PixelCNNDecoder",
    "Recogniser",
]
