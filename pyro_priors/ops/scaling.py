"""From log-weights and log-cores to numbers at most one, and what closes the chain.

Letters in the shape comments of this folder: D variables, B rows, N states, m rank, r = m (ring) or 1 (train), g a
group of variables with as many states as each other, S the states of all variables.
"""

from collections.abc import Sequence
from typing import NamedTuple

import torch
from torch import Tensor

from pyro_priors.ops.layout import Cores, Layout, inverse, rows_first, rows_last, take


class ScaledChain(NamedTuple):
    """Weights and cores in linear space, each at most one, and the logarithm of what was taken out.

    Variables stand as in the chain: by their position, those of one group together.
    """

    weights: list[Tensor]  # (D_g, B, N_g) each, views of (D_g, N_g, B)
    cores: list[Tensor]  # (D_g, N_g, m, m) each
    log_scale: Tensor  # (B,)
    layout: Layout  # of the chain

    def matrices(self) -> Tensor:
        """sum_s weights[k, s] cores[k, s] for every variable and row: ``(D, B, m, m)``"""
        parts = [
            torch.bmm(weights, cores.flatten(-2)).unflatten(-1, cores.shape[-2:])
            for weights, cores in zip(self.weights, self.cores, strict=True)
        ]
        return parts[0] if len(parts) == 1 else torch.stack(self.by_position(parts))

    def by_position(self, groups: Sequence[Tensor]) -> list[Tensor]:
        """One tensor for each variable, as it stands in the chain, from one ``(D_g, *)`` for each group."""
        rows = [row for group in groups for row in group.unbind()]
        return [rows[place] for place in inverse(self.layout.grouped)]


def scale_chain(log_weights: Tensor, cores: Cores, order: tuple[int, ...] | None) -> ScaledChain:
    """Fold each state's largest core entry into its weight, then shift each variable by its largest state.

    A product of such matrices, rescaled at every step, cancels nothing and is as exact as log space.

    Shapes:
        ``log_weights (B, S)``, declared order
    """
    weights, linear, shifts = [], [], []
    parts = cores.layout.split(rows_last(log_weights), 0)
    for part, log_cores, columns in zip(parts, cores.groups, cores.layout.members(order), strict=True):
        log_cores = take(log_cores, columns, 0)
        top = log_cores.detach().amax((-1, -2))  # (D_g, N_g)
        part = take(part, columns, 0) + top.unsqueeze(-1)  # (D_g, N_g, B)
        shift = part.detach().amax(1, keepdim=True)
        shift = shift.masked_fill(shift == -torch.inf, 0.0)  # contradictory evidence: Z = 0 rather than NaN
        linear.append((log_cores - top[..., None, None]).exp_())
        weights.append((part - shift).exp_().mT)
        shifts.append(shift[:, 0])
    shift = shifts[0] if len(shifts) == 1 else torch.cat(shifts)
    return ScaledChain(weights, linear, wide(shift).sum(0), cores.layout.ordered(order))


def by_rows(groups: Sequence[Tensor]) -> Tensor:
    """``(D_g, N_g, B)`` of every group -> ``(B, S)``"""
    flat = [group.reshape(group.shape[0] * group.shape[1], group.shape[2]) for group in groups]
    return rows_first(flat[0] if len(flat) == 1 else torch.cat(flat))


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
