"""Exact joint draws of the states of a weighted chain.

With non-negative cores the bonds between neighbouring cores are themselves random variables: the chain is a Markov
chain over bonds with a different transition at every variable. One sweep of suffixes (without a batch where the
weights have none), then a walk along the bonds that reads one row of one matrix a step, then all states at once
given their two bonds. Cost: the sweep plus ``O(D (m + N))`` a draw, against ``O(D r m^2)`` for the chain rule on
states (TRIP eq. 5, TTLP eq. 7-8), whose law is the same.
"""

import torch
from torch import Tensor

from pyro_priors.ops.chain import boundaries, scale_chain, suffix_sweep, wide


@torch.no_grad()
def sample_states(log_weights: Tensor, log_cores: Tensor, ring: bool, rows: Tensor) -> Tensor:
    """Draw all states jointly, once for each entry of ``rows``, which says whose weights apply.

    Shapes:
        ``log_weights (B, D, N)``, ``log_cores (D, N, m, m)``, ``rows (n,)`` -> ``(n, D)``, integers
    """
    with torch.autocast(log_cores.device.type, enabled=False):
        scaled = scale_chain(log_weights, log_cores)
        bonds = _sample_bonds(scaled.matrices(), ring, rows)
        rank = log_cores.shape[-1]
        position = torch.arange(len(log_cores), device=rows.device)[:, None]
        used = scaled.cores.mT[position, bonds[:-1] * rank + bonds[1:]]  # (D, n, N)
        return _race(used * scaled.weights[:, rows]).T


def _sample_bonds(matrices: Tensor, ring: bool, rows: Tensor) -> Tensor:
    """(D, B, m, m), (n,) -> (D + 1, n)"""
    ends = boundaries(matrices, ring)
    rank, count = matrices.shape[-1], len(rows)
    suffixes, scales = suffix_sweep(matrices, ends)
    log_scale = wide(scales).log().sum((0, -1))  # (B, r)
    opening = suffixes[0] * ends * (log_scale - log_scale.amax(-1, keepdim=True)).exp().to(ends)[..., None]  # (B, r, m)
    ends_drawn = _race(opening.flatten(-2)[rows])
    closing, bond = ends_drawn // rank, ends_drawn % rank
    following = suffixes[1:, rows, closing]  # (D, n, m)
    following = following / torch.empty_like(following).exponential_()
    first_row = rows * rank
    bonds = torch.empty(len(matrices) + 1, count, dtype=torch.long, device=rows.device)
    bonds[0] = bond
    for matrix, follow, chosen in zip(matrices.flatten(1, 2).unbind(), following.unbind(), bonds[1:], strict=True):
        torch.argmax(matrix.index_select(0, first_row + bond).mul_(follow), -1, out=chosen)
        bond = chosen
    return bonds


def _race(weights: Tensor) -> Tensor:
    """One category for each row of non-negative weights: the first of exponential clocks to ring."""
    return (weights / torch.empty_like(weights).exponential_()).argmax(-1)
