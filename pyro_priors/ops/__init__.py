"""Contractions of chains of non-negative cores: pure functions of tensors."""

from pyro_priors.ops.chain import log_contract, state_posterior
from pyro_priors.ops.chain_sample import sample_states
from pyro_priors.ops.factored import log_contract_factored, state_posterior_factored
from pyro_priors.ops.factored_pathwise import pathwise_factored
from pyro_priors.ops.factored_sample import sample_states_factored
from pyro_priors.ops.factored_weights import Factored
from pyro_priors.ops.implicit import Leaf, mixture_pathwise, pathwise
from pyro_priors.ops.implicit_vector import pathwise_vector
from pyro_priors.ops.layout import Cores, holds, transformed
from pyro_priors.ops.scaling import full_precision, wide
from pyro_priors.ops.splines import Piece, rational_piece, rational_spline

__all__ = [
    "Cores",
    "Factored",
    "Leaf",
    "Piece",
    "full_precision",
    "holds",
    "log_contract",
    "log_contract_factored",
    "mixture_pathwise",
    "pathwise",
    "pathwise_factored",
    "pathwise_vector",
    "rational_piece",
    "rational_spline",
    "sample_states",
    "sample_states_factored",
    "state_posterior",
    "state_posterior_factored",
    "transformed",
    "wide",
]
