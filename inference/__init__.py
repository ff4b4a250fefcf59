"""Algorithms for any model/guide pair: objectives, schedules, metrics, and the training loop."""

from inference.callbacks import Anneal, Callback, FitState, Reinitialize
from inference.checkpoints import load_weights, replace_file, save_weights
from inference.fit import FitResult, OptimizationStep, fit
from inference.fit_prior import fit_prior
from inference.metrics import Bounds, ImportanceNLL, evaluate_bounds, importance_nll
from inference.objectives import ELBO, ELBOTerms, ImportanceWeightedELBO, ImportanceWeightedTerms
from inference.queries import classify, generate, impute
from inference.schedules import EarlyStopping, LinearWarmup

__all__ = [
    "ELBO",
    "Anneal",
    "Bounds",
    "Callback",
    "ELBOTerms",
    "EarlyStopping",
    "FitResult",
    "FitState",
    "ImportanceNLL",
    "ImportanceWeightedELBO",
    "ImportanceWeightedTerms",
    "LinearWarmup",
    "OptimizationStep",
    "Reinitialize",
    "classify",
    "evaluate_bounds",
    "fit",
    "fit_prior",
    "generate",
    "importance_nll",
    "impute",
    "load_weights",
    "replace_file",
    "save_weights",
]
