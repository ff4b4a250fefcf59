"""Exact joint draws of the states of a weighted factored chain.

Its bonds are a Markov chain. Both ends meet in the middle (`factored_two_sided`, without a batch where the weights have
none); the bond there is drawn first, then those to its left and to its right, two at a time, from one row of one
transition each, then all states at once given their bond: ``O(D (m + N))`` a draw beside the sweep.
"""

import torch
from torch import Tensor

from pyro_priors.ops.chain_sample import _of, _pick
from pyro_priors.ops.factored_two_sided import Way, meet
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
    with torch.autocast(chain.device.type, enabled=False):
        leaves = scale_leaves(log_weights.flatten(1), chain, order)
        way = meet(bond_weights(leaves), chain.initial, chain.transitions)
        if way.overlap.isnan().any():
            raise ValueError("initial, emissions, transitions, weights: expected numbers, got NaN")
        uniform = torch.rand(2, len(chain.layout.sizes), len(rows), dtype=chain.dtype, device=rows.device)
        bonds = _bonds(way, rows, uniform[0])
        states = []
        for weights, emissions, (_, places) in zip(leaves.weights, leaves.emissions, leaves.layout.groups, strict=True):
            chances, bond = take(uniform[1], places, 0), take(bonds, places, 0)
            states.append(_states(weights, emissions, rows, bond, chances))
        along = by_position(states, leaves.layout)
        return along.T if order is None else take(along.T, inverse(order), 1)


def _bonds(way: Way, rows: Tensor, uniform: Tensor) -> Tensor:
    """All bond states: ``(D, n)``."""
    half, moves, count = len(uniform) // 2, len(way.factors), len(rows)
    left = way.came * way.weights  # what leaves each position: at the right of the middle towards the left
    inner = _inner(way, left, rows, uniform[half - 1 : half + 1] if len(uniform) % 2 == 0 else uniform[half : half + 1])
    if not moves:
        return torch.stack(inner)
    chances = torch.cat([uniform[:moves].flip(0), uniform[-moves:]], 1)  # (P, 2 n), from the middle outwards
    start = torch.cat([inner[0], inner[-1]])
    single = way.weights.shape[-1] == 1 and MANY * count > way.weights.shape[1]
    outer = (_from_tables if single else _from_rows)(way, left, start, rows, chances)
    return torch.cat([outer[:, :count].flip(0), torch.stack(inner), outer[:, count:]])


def _inner(way: Way, left: Tensor, rows: Tensor, uniform: Tensor) -> list[Tensor]:
    """The bond state in the middle (D odd), or the two beside it."""
    half, count = len(way.weights) // 2, len(rows)
    if len(uniform) == 1:
        opening = (way.middle[0] * way.middle[1]).mul_(way.weights[half])
    else:
        opening = way.middle[0] * left[half - 1]
    first = _pick(_of(opening.T, rows, 0).expand(count, -1), uniform[0])
    if len(uniform) == 1:
        return [first]
    row = way.turned[half - 1].T.index_select(0, first).mul_(_of(left[half].T, rows, 0))
    return [first, _pick(row, uniform[1])]


def _from_tables(way: Way, left: Tensor, start: Tensor, rows: Tensor, chances: Tensor) -> Tensor:
    """Bond states from the middle outwards, where all draws have the same weights: ``(P, 2 n)``.

    Each row of each transition is summed up once for all draws, and all tables are one, whose rows are numbered.
    """
    moves, rank, twice = len(chances), way.turned.shape[-1], len(start)
    sides = [way.turned[some] * left[some].mT for some in (slice(moves), slice(-moves, None))]
    table = _table(torch.cat(sides)).flatten(0, 1)
    step = torch.arange(moves - 1, -1, -1, device=start.device)
    first_rows = rank * torch.stack([step, 2 * moves - 1 - step], 1).repeat_interleave(twice // 2, 1)  # (P, 2 n)
    places = start.new_empty(moves + 1, twice)
    places[0] = start + first_rows[0]
    offsets = torch.cat([first_rows[1:], torch.zeros_like(first_rows[:1])])
    row, ones, passed = table.new_empty(twice, rank), table.new_ones(rank), table.new_empty(twice)
    steps = zip(places.unbind(), _below_one(chances).unsqueeze(-1).unbind(), offsets.to(table).unbind(), strict=False)
    following = places[1:].unbind()
    for (place, chance, offset), there in zip(steps, following, strict=False):
        torch.index_select(table, 0, place, out=row)
        torch.le(row, chance, out=row)
        there.copy_(torch.addmv(offset, row, ones, out=passed))
    return places[1:] - offsets


def _from_rows(way: Way, left: Tensor, start: Tensor, rows: Tensor, chances: Tensor) -> Tensor:
    """The same where weights differ from draw to draw, or draws are few."""
    length, rank, batch = way.weights.shape
    transitions, left = way.turned.flatten(0, 1), left.mT.reshape(length * batch, rank)
    both = (torch.zeros_like(rows) if batch == 1 else rows).repeat(2)
    side = torch.arange(2, device=rows.device).repeat_interleave(len(rows))
    drawn = [start]
    for t, chance in zip(range(len(chances) - 1, -1, -1), chances.unbind(), strict=True):
        row = transitions.index_select(0, drawn[-1] + rank * (t + side * (length - 2 - 2 * t)))
        row.mul_(left.index_select(0, both + batch * (t + side * (length - 1 - 2 * t))))
        drawn.append(_pick(row, chance))
    return torch.stack(drawn[1:])


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
