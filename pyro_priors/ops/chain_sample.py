"""Exact joint draws of the states of a weighted chain.

With non-negative cores the bonds between neighbouring cores are themselves random variables: the chain is a Markov
chain over bonds with a different transition at every variable. One sweep of suffixes (without a batch where the
weights have none), then a walk along the bonds that reads one row of one matrix a step, then all states at once
given their two bonds. Cost: the sweep plus ``O(D (m + N))`` a draw, against ``O(D r m^2)`` for the chain rule on
states (TRIP eq. 5, TTLP eq. 7-8), whose law is the same.
"""

import torch
from torch import Tensor

from pyro_priors.ops.layout import Cores, inverse, take
from pyro_priors.ops.scaling import boundaries, scale_chain, wide
from pyro_priors.ops.sweeps import suffix_sweep


@torch.no_grad()
def sample_states(
    log_weights: Tensor,
    log_cores: Tensor | Cores,
    ring: bool,
    rows: Tensor,
    order: tuple[int, ...] | None = None,
) -> Tensor:
    """Draw all states jointly, once for each entry of ``rows``, which says whose weights apply.

    Shapes:
        weights and cores as those of `log_contract`, ``rows (n,)`` -> ``(n, D)``, integers

    Raises:
        ValueError: a weight or core is NaN, of which a draw, a number like any other, would say nothing.
    """
    cores = Cores.of(log_cores).detach()  # what `torch.jit.trace` writes down knows of no `no_grad`
    log_weights = log_weights.detach()
    with torch.autocast(cores.device.type, enabled=False):
        scaled = scale_chain(log_weights.flatten(1), cores, order)
        bonds = _sample_bonds(scaled.matrices(), ring, rows)
        steps = bonds[:-1] * cores.rank + bonds[1:]  # (D, n)
        uniform = torch.rand(steps.shape, dtype=scaled.cores[0].dtype, device=rows.device)
        states = []
        for weights, linear, (_, places) in zip(scaled.weights, scaled.cores, scaled.layout.groups, strict=True):
            variable = torch.arange(len(places), device=rows.device)[:, None]
            used = linear.flatten(-2).mT[variable, take(steps, places, 0)]  # (D_g, n, N_g)
            states.append(_pick(used.mul_(_of(weights, rows, 1)), take(uniform, places, 0)))
        along = states[0] if len(states) == 1 else take(torch.cat(states), inverse(scaled.layout.grouped), 0)
        return along.T if order is None else take(along.T, inverse(order), 1)


def _sample_bonds(matrices: Tensor, ring: bool, rows: Tensor) -> Tensor:
    """(D, B, m, m), (n,) -> (D + 1, n)"""
    ends = boundaries(matrices, ring)
    rank, count = matrices.shape[-1], len(rows)
    suffixes, scales = suffix_sweep(matrices, ends)
    if suffixes[0].isnan().any():
        raise ValueError("log_cores, weights: expected numbers, got NaN")
    log_scale = wide(scales).log().sum((0, -1))  # (B, r)
    opening = suffixes[0] * ends * (log_scale - log_scale.amax(-1, keepdim=True)).exp().to(ends)[..., None]  # (B, r, m)
    uniform = torch.rand(len(matrices) + 1, count, dtype=matrices.dtype, device=rows.device)
    both_ends = _pick(_of(opening.flatten(-2), rows, 0).expand(count, -1), uniform[-1])
    closing, opened = both_ends // rank, both_ends % rank
    # What follows a bond is the same for all bonds before it.
    following = suffixes[1:].flatten(1, 2)[:, rows * len(ends) + closing]  # (D, n, m)
    bonds = [opened]
    first_row = None if matrices.shape[1] == 1 else rows * rank
    for matrix, follow, chance in zip(matrices.flatten(1, 2).unbind(), following.unbind(), uniform[:-1], strict=True):
        row = matrix.index_select(0, bonds[-1] if first_row is None else bonds[-1] + first_row)
        bonds.append(_pick(row.mul_(follow), chance))
    return torch.stack(bonds)


def _of(x: Tensor, rows: Tensor, dim: int) -> Tensor:
    """The rows that are asked for; one that all share is left to broadcasting."""
    return x if x.shape[dim] == 1 else x.index_select(dim, rows)


def _pick(weights: Tensor, uniform: Tensor) -> Tensor:
    """One category for each row of non-negative weights, by a number in [0, 1): ``(*, n), (*) -> (*)``

    Never one of weight 0, wherever rounding puts the threshold, unless all are (the evidence is contradictory).
    """
    mass = weights.cumsum(-1)
    threshold = uniform * mass[..., -1] * (1 - 2 * torch.finfo(mass.dtype).eps)
    return torch.searchsorted(mass, threshold.unsqueeze(-1), right=True).squeeze(-1).clamp_(max=mass.shape[-1] - 1)
