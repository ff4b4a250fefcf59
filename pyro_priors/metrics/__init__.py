"""What a trained program is worth: bounds, distances, clusters, calibration."""

from pyro_priors.metrics.attributes import (
    Calibration,
    Coverage,
    Imputation,
    accuracy_coverage,
    calibration,
    imputation,
    mutual_information,
)
from pyro_priors.metrics.bounds import Bounds, ImportanceNLL, evaluate_bounds, importance_nll
from pyro_priors.metrics.clustering import (
    CategoryDecomposition,
    CategoryMetrics,
    Clusters,
    category_decomposition,
    clusters,
)
from pyro_priors.metrics.dependence import dependence_figure
from pyro_priors.metrics.disentanglement import mutual_information_gap
from pyro_priors.metrics.frechet import frechet_distance
from pyro_priors.metrics.gradients import GradientMoments, gradient_moments
from pyro_priors.metrics.latents import (
    SymmetricKL,
    aggregated_posterior,
    high_posterior,
    leakage,
    low_posterior,
    symmetric_kl,
)

__all__ = [
    "Bounds",
    "Calibration",
    "CategoryDecomposition",
    "CategoryMetrics",
    "Clusters",
    "Coverage",
    "GradientMoments",
    "ImportanceNLL",
    "Imputation",
    "SymmetricKL",
    "accuracy_coverage",
    "aggregated_posterior",
    "calibration",
    "category_decomposition",
    "clusters",
    "dependence_figure",
    "evaluate_bounds",
    "frechet_distance",
    "gradient_moments",
    "high_posterior",
    "importance_nll",
    "imputation",
    "leakage",
    "low_posterior",
    "mutual_information",
    "mutual_information_gap",
    "symmetric_kl",
]
