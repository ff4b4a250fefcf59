"""From log-weights and log-cores to numbers at most one, and what closes the chain.

Letters in the shape comments of this folder: D variables, B rows, N states, m rank, r = m (ring) or 1 (train).
"""

from typing import NamedTuple

import torch
from torch import Tensor

from pyro_priors.ops.layout import rows_last


class ScaledChain(NamedTuple):
    """Weights and cores in linear space, each at most one, and the logarithm of what was taken out."""

    weights: Tensor  # (D, B, N), a view of (D, N, B)
    cores: Tensor  # (D, N, m, m)
    log_scale: Tensor  # (B,)

    def matrices(self) -> Tensor:
        """sum_s weights[k, s] cores[k, s] for every variable and row: ``(D, B, m, m)``"""
        return torch.bmm(self.weights, self.cores.flatten(-2)).unflatten(-1, self.cores.shape[-2:])


def scale_chain(log_weights: Tensor, log_cores: Tensor) -> ScaledChain:
    """Fold each state's largest core entry into its weight, then shift each variable by its largest state.

    A product of such matrices, rescaled at every step, cancels nothing and is as exact as log space.

    Shapes:
        ``log_weights (B, D, N)``, ``log_cores (D, N, m, m)``
    """
    top = log_cores.detach().amax((-1, -2))  # (D, N)
    log_weights = rows_last(log_weights) + top.unsqueeze(-1)  # (D, N, B)
    shift = log_weights.detach().amax(1, keepdim=True)
    shift = shift.masked_fill(shift == -torch.inf, 0.0)  # contradictory evidence: Z = 0 rather than NaN
    cores = (log_cores - top[..., None, None]).exp_()
    return ScaledChain((log_weights - shift).exp_().mT, cores, wide(shift[:, 0]).sum(0))


def boundaries(cores: Tensor, ring: bool) -> Tensor:
    """The vectors o_r = c_r that open and close the chain: ``(r, m)``."""
    rank = cores.shape[-1]
    kind = {"dtype": cores.dtype, "device": cores.device}
    return torch.eye(rank, **kind) if ring else torch.ones(1, rank, **kind)


def log_product(factors: Tensor) -> Tensor:
    """Log of the product of positive numbers along the first dimension, in float64 where there is one.

    Eight numbers of single precision are multiplied before each logarithm, which costs more than all else here.
    """
    if factors.dtype != torch.float32 or wide(factors[:0]).dtype != torch.float64:
        return wide(factors).log().sum(0)
    return torch.stack([wide(some).prod(0) for some in factors.split(8)]).log().sum(0)


def full_precision(x: Tensor) -> Tensor:
    """Half precision to float32; float64 stays."""
    return x.float() if x.dtype in (torch.float16, torch.bfloat16) else x


def wide(x: Tensor) -> Tensor:
    """float64, but on Apple's GPUs, which have none."""
    return x if x.device.type == "mps" else x.double()
