"""Generative programs: modules with `.model` and `.guide` that take a prior."""

from pyro_priors.programs.autoregressive import AutoregressivePixels
from pyro_priors.programs.categorical_vae import CategoricalVAE
from pyro_priors.programs.classifier import ConvClassifier
from pyro_priors.programs.cvae import CVAE
from pyro_priors.programs.gan import GAN, ConditionalGAN, InfoGAN
from pyro_priors.programs.hierarchical_vae import HierarchicalVAE
from pyro_priors.programs.joint_vae import JointVAE
from pyro_priors.programs.likelihoods import (
    BernoulliLikelihood,
    GaussianLikelihood,
    SquaredErrorLikelihood,
    make_likelihood,
)
from pyro_priors.programs.semi_supervised_vae import SemiSupervisedVAE
from pyro_priors.programs.vae import VAE

__all__ = [
    "CVAE",
    "GAN",
    "VAE",
    "AutoregressivePixels",
    "BernoulliLikelihood",
    "CategoricalVAE",
    "ConditionalGAN",
    "ConvClassifier",
    "GaussianLikelihood",
    "HierarchicalVAE",
    "InfoGAN",
    "JointVAE",
    "SemiSupervisedVAE",
    "SquaredErrorLikelihood",
    "make_likelihood",
]
