"""Exact joint draws of the states of a weighted factored chain.

One sweep of suffixes (without a batch where the weights have none), then a walk along the bonds that reads one row of
one transition a step, then all states at once given their bond: ``O(D (m + N))`` a draw beside the sweep.
"""

import torch
from torch import Tensor

from pyro_priors.ops.chain_sample import _of, _pick
from pyro_priors.ops.factored_weights import Factored, by_position, scale_leaves
from pyro_priors.ops.layout import holds, inverse, take

MANY = 4  # bond states for each draw up to which a table of all sums is worth its making


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
    """Weights of a position times what follows it, for every bond state: ``(D, B, m)``, rows of a sum of one or zero.

    Sums are set to one at every fourth step, and where one came near the smallest float, once more at every step.
    """
    tiny = torch.finfo(weights.dtype).tiny
    following, sums = _swept(weights, transitions, 4)
    if not holds((sums > tiny**0.5).all()):  # NaN too, and where a transform hides it
        following, sums = _swept(weights, transitions, 1)
    return following.div_(sums.clamp_(min=tiny))


def _swept(weights: Tensor, transitions: Tensor, every: int) -> tuple[Tensor, Tensor]:
    """What `_following` says before the last division, and sums of rows ``(D, B, 1)``."""
    following, message = torch.empty_like(weights), torch.empty_like(weights[0])
    scale = torch.empty_like(message[:, :1])
    here, rooms, steps = weights.unbind(), following.unbind(), transitions.mT.unbind()
    rooms[-1].copy_(here[-1])
    for k in range(len(steps) - 1, -1, -1):
        after = rooms[k + 1]
        torch.mm(after, steps[k], out=message)
        if k % every == 0:
            torch.sum(message, -1, keepdim=True, out=scale)
            message.div_(scale.clamp_(min=torch.finfo(weights.dtype).tiny))
        torch.mul(here[k], message, out=rooms[k])
    return following, following.sum(-1, keepdim=True)


def _bonds(first: Tensor, following: Tensor, transitions: Tensor, rows: Tensor, uniform: Tensor) -> Tensor:
    """Bond states drawn one after the other: ``(D, n)``.

    Where all draws have the same weights and are many, each transition is summed along its rows once for all.
    """
    count, batch, rank = len(rows), len(first), first.shape[-1]
    bonds = rows.new_empty(len(following), count)
    bonds[0] = _pick(_of(first, rows, 0).expand(count, -1), uniform[0])
    drawn = bonds.unbind()
    if batch == 1 and MANY * count > rank:
        row, ones, passed = first.new_empty(count, rank), first.new_ones(rank), first.new_empty(count)
        chances = _below_one(uniform).unsqueeze(-1).unbind()
        for k, table in enumerate(_table(transitions * following[1:]).unbind()):
            torch.index_select(table, 0, drawn[k], out=row)
            torch.le(row, chances[k + 1], out=row)
            drawn[k + 1].copy_(torch.mv(row, ones, out=passed))
    else:
        for k, transition in enumerate(transitions.unbind()):
            row = transition.index_select(0, drawn[k]).mul_(_of(following[k + 1], rows, 0))
            drawn[k + 1].copy_(_pick(row, uniform[k + 1]))
    return bonds


def _states(weights: Tensor, emissions: Tensor, rows: Tensor, bonds: Tensor, uniform: Tensor) -> Tensor:
    """States given their bonds: ``(D_g, N_g, B)``, ``(D_g, N_g, m)``, ``(n,)``, ``(D_g, n)`` -> ``(D_g, n)``"""
    rank = emissions.shape[-1]
    places = bonds + rank * torch.arange(len(bonds), device=bonds.device)[:, None]
    same = weights.shape[-1] == 1 and MANY * len(rows) > rank
    table = _table((emissions * weights).mT.contiguous()) if same else emissions.mT
    chosen = table.flatten(0, 1).index_select(0, places.flatten()).unflatten(0, places.shape)  # (D_g, n, N_g)
    if same:
        passed = torch.le(chosen, _below_one(uniform).unsqueeze(-1), out=chosen) @ chosen.new_ones(chosen.shape[-1])
        return passed.long()
    return _pick(chosen.mul_(_of(weights, rows, 2).mT), uniform)


def _table(weights: Tensor) -> Tensor:
    """Sums up to each category over the sum of all, in their room; the last one where all are zero.

    How many of them a number in [0, 1) passes is a draw. To compare with all and count by a product takes half as long
    as a binary search of each row.
    """
    torch.cumsum(weights, -1, out=weights)
    weights.div_(weights[..., -1:].clamp(min=torch.finfo(weights.dtype).tiny))
    weights[..., -1] = 1
    return weights


def _below_one(uniform: Tensor) -> Tensor:
    """Numbers that a table's last entry, one, is always greater than."""
    return uniform * (1 - 2 * torch.finfo(uniform.dtype).eps)
