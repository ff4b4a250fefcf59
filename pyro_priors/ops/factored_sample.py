"""Exact joint draws of the states of a weighted factored chain.

Its bonds are a Markov chain. Both ends meet in the middle (`factored_two_sided`, without a batch where the weights have
none); the bond there is drawn first, then those to its left and to its right, two at a time, from one row of one
transition each, then all states at once given their bond: ``O(D (m + N))`` a draw beside the sweep.
"""

import torch
from torch import Tensor

from pyro_priors.ops.chain_sample import _of, _pick
from pyro_priors.ops.factored_two_sided import Way, meet, meeting_order
from pyro_priors.ops.factored_weights import Factored, bond_weights, by_position, scale_leaves
from pyro_priors.ops.layout import inverse, take

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
    with torch.autocast(chain.initial.device.type, enabled=False):
        order = meeting_order(len(chain.layout.sizes), order)
        leaves = scale_leaves(log_weights.flatten(1), chain, order)
        way = meet(bond_weights(leaves), chain.initial, chain.transitions)
        if way.overlap.isnan().any():
            raise ValueError("initial, emissions, transitions, weights: expected numbers, got NaN")
        uniform = torch.rand(2, len(chain.layout.sizes), len(rows), dtype=chain.initial.dtype, device=rows.device)
        bonds = _bonds(way, rows, uniform[0])
        states = []
        for weights, emissions, (_, places) in zip(leaves.weights, leaves.emissions, leaves.layout.groups, strict=True):
            chances, bond = take(uniform[1], places, 0), take(bonds, places, 0)
            states.append(bond if emissions is None else _states(weights, emissions, rows, bond, chances))
        along = by_position(states, leaves.layout)
        return take(along, inverse(order), 0).T


def _bonds(way: Way, rows: Tensor, uniform: Tensor) -> Tensor:
    """All bond states, in meeting order: ``(D, n)``."""
    moves, count = len(way.factors), len(rows)
    left = way.came * way.weights  # what leaves each position towards the middle
    inner = _inner(way, left, rows, uniform[2 * moves :])
    if not moves:
        return torch.stack(inner)
    chances = uniform[: 2 * moves].view(moves, 2 * count)
    start = torch.cat([inner[0], inner[-1]])
    single = way.weights.shape[-1] == 1 and MANY * count > way.weights.shape[1]
    outer = (_from_tables if single else _from_rows)(way, left, start, rows, chances)
    return torch.cat([outer.view(2 * moves, count), torch.stack(inner)])


def _inner(way: Way, left: Tensor, rows: Tensor, uniform: Tensor) -> list[Tensor]:
    """The bond state in the middle (D odd), or the two beside it."""
    opening = (way.middle[0] * way.middle[1]).mul_(way.weights[-1]) if way.last is None else way.middle[0] * left[-2]
    first = _pick(_of(opening.T, rows, 0).expand(len(rows), -1), uniform[0])
    if way.last is None:
        return [first]
    row = way.last.index_select(0, first).mul_(_of(left[-1].T, rows, 0))
    return [first, _pick(row, uniform[1])]


def _from_tables(way: Way, left: Tensor, start: Tensor, rows: Tensor, chances: Tensor) -> Tensor:
    """Bond states of the pairs, from the middle outwards, where all draws have the same weights: ``(P, 2 n)``.

    Each row of each transition is summed up once for all draws, and all tables are one, whose rows are numbered.
    """
    moves, _, rank, _ = way.turned.shape
    table = _table(way.turned * left[: 2 * moves].view(moves, 2, 1, rank)).flatten(0, 2)
    first_rows = rank * torch.arange(2 * moves, device=start.device).repeat_interleave(len(rows)).view(moves, -1)
    places = torch.empty_like(first_rows)  # rows of the table that are read: bond states of the next pair inwards
    places[-1] = first_rows[-1] + start
    offsets, thresholds = first_rows.to(table).unbind(), _below_one(chances).unsqueeze(-1).unbind()
    row, ones, passed = table.new_empty(len(start), rank), table.new_ones(rank), table.new_empty(len(start))
    drawn = places.unbind()
    for t in range(moves - 1, -1, -1):
        torch.index_select(table, 0, drawn[t], out=row)
        torch.le(row, thresholds[t], out=row)
        if t:
            drawn[t - 1].copy_(torch.addmv(offsets[t - 1], row, ones, out=passed))
    outermost = torch.mv(row, ones).long()
    return torch.cat([outermost.unsqueeze(0), places[:-1] - first_rows[:-1]])


def _from_rows(way: Way, left: Tensor, start: Tensor, rows: Tensor, chances: Tensor) -> Tensor:
    """The same where weights differ from draw to draw, or draws are few."""
    (moves, _, rank, _), batch = way.turned.shape, left.shape[-1]
    transitions, left = way.turned.flatten(0, 2), left.mT.reshape(-1, rank)
    side = torch.arange(2, device=rows.device).repeat_interleave(len(rows))
    bonds, weights = rank * side, batch * side + (torch.zeros_like(rows) if batch == 1 else rows).repeat(2)
    drawn, chances = [start], _below_one(chances)
    for t in range(moves - 1, -1, -1):
        row = transitions.index_select(0, drawn[-1] + (bonds + 2 * rank * t))
        row.mul_(left.index_select(0, weights + 2 * batch * t))
        drawn.append(_counted(row, chances[t]))
    return torch.stack(drawn[:0:-1])


def _states(weights: Tensor, emissions: Tensor, rows: Tensor, bonds: Tensor, uniform: Tensor) -> Tensor:
    """States given their bonds: ``(D_g, N_g, B)``, ``(D_g, N_g, m)``, ``(n,)``, ``(D_g, n)`` -> ``(D_g, n)``"""
    rank = emissions.shape[-1]
    places = bonds + rank * torch.arange(len(bonds), device=bonds.device)[:, None]
    same = weights.shape[-1] == 1 and MANY * len(rows) > rank
    table = _table((emissions * weights).mT.contiguous()) if same else emissions.mT
    chosen = table.flatten(0, 1).index_select(0, places.flatten()).unflatten(0, places.shape)  # (D_g, n, N_g)
    if not same:
        return _counted(chosen.mul_(_of(weights, rows, 2).mT), _below_one(uniform))
    return (torch.le(chosen, _below_one(uniform).unsqueeze(-1), out=chosen) @ chosen.new_ones(chosen.shape[-1])).long()


def _counted(weights: Tensor, uniform: Tensor) -> Tensor:
    """As `_pick`, in the room of the weights, by counting as with a table: ``(*, n), (*) -> (*)``."""
    torch.cumsum(weights, -1, out=weights)
    threshold = uniform.unsqueeze(-1) * weights[..., -1:]
    torch.le(weights, threshold, out=weights)
    return (weights @ weights.new_ones(weights.shape[-1])).long().clamp_(max=weights.shape[-1] - 1)


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
