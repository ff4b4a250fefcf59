"""Exact joint draws of the states of a weighted factored chain.

One sweep of suffixes (without a batch where the weights have none), then a walk along the bonds that reads one row of
one transition a step, then all states at once given their bond: ``O(D (m + N))`` a draw beside the sweep.
"""

import torch
from torch import Tensor

from pyro_priors.ops.chain_sample import _of, _pick
from pyro_priors.ops.factored_weights import Factored, by_position, scale_leaves
from pyro_priors.ops.layout import inverse, take


@torch.no_grad()
def sample_states_factored(
    log_weights: Tensor, chain: Factored, rows: Tensor, order: tuple[int, ...] | None = None
) -> Tensor:
    """Draw all states jointly, once for each entry of ``rows``, which says whose weights apply.

    Shapes:
        weights and chain as those of `log_contract_factored`, ``rows (n,)`` -> ``(n, D)``, integers

    Raises:
        ValueError: a weight or a probability is NaN, of which a draw, a number like any other, would say nothing.
    """
    chain, log_weights = chain.detach(), log_weights.detach()  # what `torch.jit.trace` writes down knows no `no_grad`
    with torch.autocast(chain.device.type, enabled=False):
        leaves = scale_leaves(log_weights.flatten(1), chain, order)
        parts = [torch.bmm(w.mT, e) for w, e in zip(leaves.weights, leaves.emissions, strict=True)]
        following = _following(by_position(parts, leaves.layout), chain.transitions)
        first = following[0] * chain.initial
        if first.isnan().any():
            raise ValueError("initial, emissions, transitions, weights: expected numbers, got NaN")
        uniform = torch.rand(2, len(chain.layout.sizes), len(rows), dtype=first.dtype, device=rows.device)
        bonds = _bonds(first, following, chain.transitions, rows, uniform[0])
        states = []
        for weights, emissions, (_, places) in zip(leaves.weights, leaves.emissions, leaves.layout.groups, strict=True):
            chances, bond = take(uniform[1], places, 0), take(bonds, places, 0)
            states.append(_states(weights, emissions, rows, bond, chances))
        along = by_position(states, leaves.layout)
        return along.T if order is None else take(along.T, inverse(order), 1)


def _following(weights: Tensor, transitions: Tensor) -> Tensor:
    """Weights of a position times what follows it, for every bond state; each row of a sum of one: ``(D, B, m)``."""
    tiny = torch.finfo(weights.dtype).tiny
    here = weights.unbind()
    here[-1].div_(here[-1].sum(-1, keepdim=True).clamp_(min=tiny))
    for k, transition in reversed(list(enumerate(transitions.unbind()))):
        here[k].mul_(here[k + 1] @ transition.T)
        here[k].div_(here[k].sum(-1, keepdim=True).clamp_(min=tiny))
    return weights


def _bonds(first: Tensor, following: Tensor, transitions: Tensor, rows: Tensor, uniform: Tensor) -> Tensor:
    """Bond states drawn one after the other: ``(D, n)``.

    Where all draws have the same weights and are many, each transition is summed along its rows once for all.
    """
    count, batch, rank = len(rows), len(first), first.shape[-1]
    bonds = [_pick(_of(first, rows, 0).expand(count, -1), uniform[0])]
    if batch == 1 and count > rank // 4:
        tables = _table(transitions * following[1:])
        chances = _below_one(uniform[1:]).unsqueeze(-1)
        for table, chance in zip(tables.unbind(), chances.unbind(), strict=True):
            bonds.append(torch.searchsorted(table.index_select(0, bonds[-1]), chance, right=True).squeeze(-1))
        return torch.stack(bonds)
    steps = zip(transitions.unbind(), following[1:].unbind(), uniform[1:].unbind(), strict=True)
    for transition, follow, chance in steps:
        bonds.append(_pick(transition.index_select(0, bonds[-1]).mul_(_of(follow, rows, 0)), chance))
    return torch.stack(bonds)


def _states(weights: Tensor, emissions: Tensor, rows: Tensor, bonds: Tensor, uniform: Tensor) -> Tensor:
    """States given their bonds: ``(D_g, N_g, B)``, ``(D_g, N_g, m)``, ``(n,)``, ``(D_g, n)`` -> ``(D_g, n)``"""
    variable = torch.arange(len(bonds), device=bonds.device)[:, None]
    if weights.shape[-1] == 1 and len(rows) > emissions.shape[-1] // 4:
        table = _table((emissions * weights).mT)  # (D_g, m, N_g)
        chosen = table[variable, bonds]
        return torch.searchsorted(chosen, _below_one(uniform).unsqueeze(-1), right=True).squeeze(-1)
    return _pick(emissions.mT[variable, bonds].mul_(_of(weights, rows, 2).mT), uniform)


def _table(weights: Tensor) -> Tensor:
    """Sums up to each category over the sum of all; ones where all are zero: the first is drawn then."""
    mass = weights.cumsum(-1)
    total = mass[..., -1:]
    return torch.where(total > 0, mass / total, 1.0)


def _below_one(uniform: Tensor) -> Tensor:
    """Numbers that a table's last entry, one, is always greater than."""
    return uniform * (1 - 2 * torch.finfo(uniform.dtype).eps)
