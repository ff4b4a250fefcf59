"""The training loop, its callbacks, schedules, checkpoints, and what it writes."""

from pyro_priors.training.averages import ExponentialAverage
from pyro_priors.training.callbacks import Anneal, Callback, CosineDecay, FitState, Reinitialize
from pyro_priors.training.checkpoints import (
    CHECKPOINT,
    CheckpointError,
    DamagedCheckpoint,
    load_state,
    load_weights,
    remove_checkpoints,
    save_state,
    save_weights,
)
from pyro_priors.training.files import replace_file, write_table
from pyro_priors.training.fitting import OptimizationStep, fit
from pyro_priors.training.loop import FitResult
from pyro_priors.training.plateau import Plateau
from pyro_priors.training.prior_fitting import fit_prior
from pyro_priors.training.reports import Draw, TensorBoard
from pyro_priors.training.saving import load, save
from pyro_priors.training.schedules import EarlyStopping, LinearWarmup, Until
from pyro_priors.training.signals import Terminated
from pyro_priors.training.stepwise_em import StepwiseEM

__all__ = [
    "CHECKPOINT",
    "Anneal",
    "Callback",
    "CheckpointError",
    "CosineDecay",
    "DamagedCheckpoint",
    "Draw",
    "EarlyStopping",
    "ExponentialAverage",
    "FitResult",
    "FitState",
    "LinearWarmup",
    "OptimizationStep",
    "Plateau",
    "Reinitialize",
    "StepwiseEM",
    "TensorBoard",
    "Terminated",
    "Until",
    "fit",
    "fit_prior",
    "load",
    "load_state",
    "load_weights",
    "remove_checkpoints",
    "replace_file",
    "save",
    "save_state",
    "save_weights",
    "write_table",
]
