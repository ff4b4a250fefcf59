"""Bounds, regularisers, adversarial losses and gradient estimators for any model/guide pair."""

from pyro_priors.objectives.adversarial import CriticLoss, GeneratorLoss, gradient_penalty, make_game
from pyro_priors.objectives.adversarial_autoencoders import (
    AdversarialELBO,
    CodeCriticLoss,
    SimilarityCriticLoss,
    SimilarityLoss,
)
from pyro_priors.objectives.adversarial_tricks import Consensus, clip_weights
from pyro_priors.objectives.bounds import (
    ELBO,
    ELBOTerms,
    ImportanceWeightedELBO,
    ImportanceWeightedTerms,
    LogLikelihood,
    LogLikelihoodTerms,
)
from pyro_priors.objectives.discrepancy import InfoELBO
from pyro_priors.objectives.estimators import Drawn, Pathwise, ScoreFunction, make_estimator
from pyro_priors.objectives.kernels import squared_mmd, squared_stein
from pyro_priors.objectives.pulling_away import pull_away
from pyro_priors.objectives.regularisers import CapacityELBO, RegularisedTerms
from pyro_priors.objectives.total_correlation import DensityRatio, Discriminator, FactorELBO, TotalCorrelationELBO

__all__ = [
    "ELBO",
    "AdversarialELBO",
    "CapacityELBO",
    "CodeCriticLoss",
    "Consensus",
    "CriticLoss",
    "DensityRatio",
    "Discriminator",
    "Drawn",
    "ELBOTerms",
    "FactorELBO",
    "GeneratorLoss",
    "ImportanceWeightedELBO",
    "ImportanceWeightedTerms",
    "InfoELBO",
    "LogLikelihood",
    "LogLikelihoodTerms",
    "Pathwise",
    "RegularisedTerms",
    "ScoreFunction",
    "SimilarityCriticLoss",
    "SimilarityLoss",
    "TotalCorrelationELBO",
    "clip_weights",
    "gradient_penalty",
    "make_estimator",
    "make_game",
    "pull_away",
    "squared_mmd",
    "squared_stein",
]
