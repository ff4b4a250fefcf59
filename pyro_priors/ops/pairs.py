"""Which variables the two ends of a chain take together: each beside its mirror image.

The left end moves right and the right end moves left. Step t takes variable t for the left end, and for the right end
variable D - 1 - t with its matrix transposed. Where the two have as many states they are one move, of two matrices that
lie beside each other; otherwise each is a move of its own.
"""

from functools import lru_cache
from typing import NamedTuple

import torch
from torch import Tensor

from pyro_priors.ops.layout import Layout, take
from pyro_priors.ops.scaling import ScaledChain


class Move(NamedTuple):
    """What one variable does to one end, or two of one group to both."""

    sides: slice  # of a state
    group: int
    places: slice  # of the paired group


class Plan(NamedTuple):
    """Where each variable of a chain stands among the pairs.

    In a paired group stand first those that move together, two by two, then those alone at the left, then at the right.
    """

    steps: list[list[Move]]
    together: list[tuple[list[int], list[int]]]  # of each group: which of it are at the left, and which at the right
    alone: list[tuple[list[int], list[int]]]
    back: list[
        list[int] | None
    ]  # where those of the group now stand, left ones before right ones; None: see `unpaired`


class Paired(NamedTuple):
    """Weights ``(P, N, B)`` and cores ``(P, N, m, m)`` of each group, those at the right transposed."""

    weights: list[Tensor]
    cores: list[Tensor]
    plan: Plan


@lru_cache(maxsize=64)
def plan_of(layout: Layout) -> Plan:
    """The pairs of a chain, in which a variable that changes nothing comes last where their number is odd.

    That has as many states as all others, or is a group of its own with one.
    """
    sizes, groups = list(layout.sizes), [list(columns) for _, columns in layout.groups]
    if len(sizes) % 2:
        if len(groups) == 1:
            groups[0].append(len(sizes))
        else:
            groups.append([len(sizes)])
        sizes.append(sizes[0] if len(groups) == 1 else 0)
    half = len(sizes) // 2
    group_of = {column: (g, i) for g, columns in enumerate(groups) for i, column in enumerate(columns)}
    mirror = [len(sizes) - 1 - t for t in range(half)]
    both = {t: None for t in range(half) if group_of[t][0] == group_of[mirror[t]][0]}
    together = [([], []) for _ in groups]
    alone = [([], []) for _ in groups]
    steps: list[list[Move]] = [[] for _ in range(half)]
    for t in both:
        (g, left), (_, right) = group_of[t], group_of[mirror[t]]
        place = 2 * len(together[g][0])
        steps[t].append(Move(slice(0, 2), g, slice(place, place + 2)))
        together[g][0].append(left)
        together[g][1].append(right)
    for side, ends in enumerate((range(half), mirror)):
        for t, column in enumerate(ends):
            if t not in both:
                g, i = group_of[column]
                place = 2 * len(together[g][0]) + len(alone[g][0]) + len(alone[g][1])
                steps[t].append(Move(slice(side, side + 1), g, slice(place, place + 1)))
                alone[g][side].append(i)
    back = []
    for (lefts, rights), (more, most) in zip(together, alone, strict=True):
        standing = [*lefts, *more, *rights, *most]
        back.append(
            None if standing == list(range(len(standing))) else [standing.index(i) for i in range(len(standing))]
        )
    return Plan(steps, together, alone, back)


def paired(scaled: ScaledChain) -> Paired:
    """Each variable beside its mirror image, whose core is transposed."""
    plan = plan_of(scaled.layout)
    weights, cores = list(scaled.weights), list(scaled.cores)
    if len(scaled.layout.sizes) % 2:
        if len(weights) == 1:
            neutral, ones = _neutral(cores[0], weights[0])
            weights, cores = [torch.cat([weights[0], ones])], [torch.cat([cores[0], neutral])]
        else:
            neutral, ones = _neutral(cores[0][:, :1], weights[0][..., :1])
            weights, cores = [*weights, ones], [*cores, neutral]
    both = zip(weights, cores, plan.together, plan.alone, strict=True)
    parts = [(_beside(w.mT, two, lone, False), _beside(c, two, lone, True)) for w, c, two, lone in both]
    return Paired([w for w, _ in parts], [c for _, c in parts], plan)


def _neutral(cores: Tensor, weights: Tensor) -> tuple[Tensor, Tensor]:
    """Core and weights of a variable that changes nothing, with as many states as these have."""
    neutral = torch.zeros_like(cores[:1])
    neutral[0, 0] = torch.eye(cores.shape[-1], dtype=cores.dtype, device=cores.device)
    return neutral, torch.ones_like(weights[:1])


def _beside(
    x: Tensor, together: tuple[list[int], list[int]], alone: tuple[list[int], list[int]], turned: bool
) -> Tensor:
    """A group as it is paired, those at the right transposed if they have to be."""
    left, right, lone, last = (take(x, places, 0) for places in (*together, *alone))
    if turned:
        right, last = right.mT, last.mT
    both = torch.stack([left, right], 1).flatten(0, 1)
    return torch.cat([both, lone, last]) if len(lone) + len(last) else both


def unpaired(x: list[Tensor], plan: Plan, layout: Layout, turned: bool) -> list[Tensor]:
    """The way back: one tensor ``(D_g, *)`` for each group, as the variables stand in the chain."""
    result = []
    parts = zip(x, plan.together, plan.alone, plan.back, layout.groups, strict=False)  # without what is neutral
    for group, (lefts, _), (more, _), back, (_, columns) in parts:
        cut = 2 * len(lefts)
        left, right = group[:cut:2], group[1:cut:2]
        lone, last = group[cut : cut + len(more)], group[cut + len(more) :]
        if turned:
            right, last = right.mT, last.mT
        if not more and not len(last):
            result.append(torch.cat([left, right.flip(0)])[: len(columns)])
        else:
            both = torch.cat([left, lone, right, last])
            result.append((both if back is None else take(both, back, 0))[: len(columns)])
    return result
