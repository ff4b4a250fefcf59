"""Encoders, decoders, generators and critics, which programs are made of; a network to compare images by."""

from pyro_priors.networks.autoencoders import ConvDecoder, ConvEncoder, GatedLinear, GatedMLPDecoder, GatedMLPEncoder
from pyro_priors.networks.categorical_encoder import GatedMLPCategoricalEncoder
from pyro_priors.networks.conditional_critic import ConditionalCritic
from pyro_priors.networks.critics import AutoEncoderCritic, ConvCritic, MinibatchDiscrimination, MLPCritic, Recogniser
from pyro_priors.networks.efficientnet import EfficientNetLite0
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
    "EfficientNetLite0",
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
