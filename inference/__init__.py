"""Algorithms for any model/guide pair: objectives, schedules, metrics, and the training loop."""

from inference.adversarial import CriticLoss, GeneratorLoss, gradient_penalty, make_game
from inference.adversarial_autoencoders import (
    AdversarialELBO,
    CodeCriticLoss,
    SimilarityCriticLoss,
    SimilarityLoss,
)
from inference.adversarial_tricks import Consensus, ExponentialAverage, clip_weights
from inference.arviz_bridge import to_arviz
from inference.attribute_metrics import (
    Calibration,
    Coverage,
    Imputation,
    accuracy_coverage,
    calibration,
    imputation,
    mutual_information,
)
from inference.callbacks import Anneal, Callback, CosineDecay, FitState, Reinitialize
from inference.checkpoints import (
    CHECKPOINT,
    CheckpointError,
    DamagedCheckpoint,
    load_state,
    load_weights,
    remove_checkpoints,
    save_state,
    save_weights,
)
from inference.clusters import CategoryDecomposition, CategoryMetrics, Clusters, category_decomposition, clusters
from inference.discrepancy import InfoELBO, squared_mmd
from inference.disentanglement import mutual_information_gap
from inference.estimators import Drawn, Pathwise, ScoreFunction, make_estimator
from inference.files import replace_file, write_table
from inference.fit import FitResult, OptimizationStep, fit
from inference.fit_prior import fit_prior
from inference.frechet import frechet_distance
from inference.gradient_moments import GradientMoments, gradient_moments
from inference.latent_metrics import (
    SymmetricKL,
    aggregated_posterior,
    high_posterior,
    leakage,
    low_posterior,
    symmetric_kl,
)
from inference.metrics import Bounds, ImportanceNLL, evaluate_bounds, importance_nll
from inference.objectives import (
    ELBO,
    ELBOTerms,
    ImportanceWeightedELBO,
    ImportanceWeightedTerms,
    LogLikelihood,
    LogLikelihoodTerms,
)
from inference.queries import classify, generate, impute, posterior_mean
from inference.regularisers import CapacityELBO, RegularisedTerms
from inference.reports import Draw, TensorBoard
from inference.schedules import EarlyStopping, LinearWarmup, Until
from inference.signals import Terminated
from inference.total_correlation import DensityRatio, Discriminator, FactorELBO, TotalCorrelationELBO

__all__ = [
    "CHECKPOINT",
    "ELBO",
    "AdversarialELBO",
    "Anneal",
    "Bounds",
    "Calibration",
    "Callback",
    "CapacityELBO",
    "CategoryDecomposition",
    "CategoryMetrics",
    "CheckpointError",
    "Clusters",
    "CodeCriticLoss",
    "Consensus",
    "CosineDecay",
    "Coverage",
    "CriticLoss",
    "DamagedCheckpoint",
    "DensityRatio",
    "Discriminator",
    "Draw",
    "Drawn",
    "ELBOTerms",
    "EarlyStopping",
    "ExponentialAverage",
    "FactorELBO",
    "FitResult",
    "FitState",
    "GeneratorLoss",
    "GradientMoments",
    "ImportanceNLL",
    "ImportanceWeightedELBO",
    "ImportanceWeightedTerms",
    "Imputation",
    "InfoELBO",
    "LinearWarmup",
    "LogLikelihood",
    "LogLikelihoodTerms",
    "OptimizationStep",
    "Pathwise",
    "RegularisedTerms",
    "Reinitialize",
    "ScoreFunction",
    "SimilarityCriticLoss",
    "SimilarityLoss",
    "SymmetricKL",
    "TensorBoard",
    "Terminated",
    "TotalCorrelationELBO",
    "Until",
    "accuracy_coverage",
    "aggregated_posterior",
    "calibration",
    "category_decomposition",
    "classify",
    "clip_weights",
    "clusters",
    "evaluate_bounds",
    "fit",
    "fit_prior",
    "frechet_distance",
    "generate",
    "gradient_moments",
    "gradient_penalty",
    "high_posterior",
    "importance_nll",
    "imputation",
    "impute",
    "leakage",
    "load_state",
    "load_weights",
    "low_posterior",
    "make_estimator",
    "make_game",
    "mutual_information",
    "mutual_information_gap",
    "posterior_mean",
    "remove_checkpoints",
    "replace_file",
    "save_state",
    "save_weights",
    "squared_mmd",
    "symmetric_kl",
    "to_arviz",
    "write_table",
]
