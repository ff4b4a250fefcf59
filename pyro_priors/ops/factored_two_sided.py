"""The factored chain contracted from both its ends at once, and the adjoint of that.

The left end moves right and the right end moves left, so that half as many steps follow each other. A message that
comes to a position is multiplied by its weights and leaves through a transition:

    left to right  a[t + 1] = T[t]^T (a[t] W[t]),      right to left  b[p - 1] = T[p - 1] (b[p] W[p]).

Step t does it for positions t and D - 1 - t. What belongs to positions stands in this order, pair after pair, the
position in the middle last (`meeting_order`), and has the batch last. Messages are set to a sum of one at every fourth
step; where one drifted too far until then, at every step after all.

Letters: h = D // 2 pairs of positions, P = (D - 1) // 2 pairs of transitions; where D is odd both messages come to the
position in the middle, where it is even one transition stands between them.
"""

from functools import lru_cache
from typing import NamedTuple

import torch
from torch import Tensor

from pyro_priors.ops.scaling import log_product, wide

CHUNK = 16  # pairs of positions that are worked out together on the way back
SPARED = 4  # steps from one sum of one to the next


@lru_cache(maxsize=256)
def meeting_order(length: int, order: tuple[int, ...] | None) -> tuple[int, ...]:
    """Variables as their positions meet: the first, the last, the second, the last but one, and so on."""
    order = tuple(range(length)) if order is None else order
    return tuple(order[-1 - q // 2 if q % 2 else q // 2] for q in range(length))


class Way(NamedTuple):
    """What the way to the middle leaves for the way back: no more than has to be read again."""

    log_total: Tensor  # (B,) log Z in float64
    weights: Tensor  # (D, m, B)
    turned: Tensor  # (P, 2, m, m) transitions as each end takes them: those of the left one transposed
    last: Tensor | None  # (m, m) the transition in the middle, where there is one
    came: Tensor  # (D, m, B) messages that came to each position; nothing yet to one in the middle
    middle: Tensor  # (2, m, B) what comes to the middle (D odd), or what comes back to its two neighbours (D even)
    factors: list[Tensor | None]  # (2, 1, B) what each pair of messages was multiplied with, if with anything
    scales: Tensor  # all of these
    overlap: Tensor  # (B,) Z of the scaled messages


def meet(weights: Tensor, initial: Tensor, transitions: Tensor, *, keep: bool = True) -> Way:
    """Contract both halves; without `keep` there is no way back, and messages take turns in little room.

    Shapes:
        ``weights (D, m, B)`` in meeting order, ``initial (m,)``, ``transitions (D - 1, m, m)`` by position
    """
    if weights.device.type == "cpu":  # others would have to be waited for
        way = _meet(weights, initial, transitions, keep, SPARED)
        least = torch.finfo(weights.dtype).tiny ** 0.2  # room below it for what is small beside a sum
        low, high = (bound.item() for bound in way.scales.aminmax()) if way.scales.numel() else (1.0, 1.0)
        if least < low and high < 1 / least:
            return way
    return _meet(weights, initial, transitions, keep, 1)


def _meet(weights: Tensor, initial: Tensor, transitions: Tensor, keep: bool, spared: int) -> Way:
    length, rank, batch = weights.shape
    half, moves = length // 2, (length - 1) // 2
    turned = transitions.new_empty(moves, 2, rank, rank)
    turned[:, 0], turned[:, 1] = transitions[:moves].mT, transitions[length - 1 - moves :].flip(0)
    last = None if length % 2 else transitions[half - 1]
    came = weights.new_empty(length if keep else 4, rank, batch)
    turns = _pairs(came, half) if keep else _pairs(came, 2) * -(-half // 2)
    middle, leaving = weights.new_empty(2, 2, rank, batch).unbind()
    coming, here = [*turns[:half], middle], _pairs(weights, half)
    coming[0][0] = initial.unsqueeze(-1)
    coming[0][1] = 1
    scales = weights.new_empty(-(-moves // spared), 2, 1, batch)
    room, tiny = iter(scales.unbind()), torch.finfo(weights.dtype).tiny
    factors: list[Tensor | None] = [None] * moves
    for t, transition in enumerate(turned.unbind()):
        there = coming[t + 1]
        torch.mul(coming[t], here[t], out=leaving)
        torch.bmm(transition, leaving, out=there)
        if (moves - 1 - t) % spared == 0:  # the last one too
            factor = factors[t] = next(room)
            torch.sum(there, -2, keepdim=True, out=factor)  # faster than the maximum
            there.mul_(factor.clamp_(min=tiny).reciprocal_())
    if last is None:
        overlap = (middle[0] * middle[1]).mul_(weights[-1]).sum(0)
    else:
        torch.mul(coming[half - 1], here[-1], out=leaving)
        torch.mm(last, leaving[1], out=middle[0])
        torch.mm(last.t(), leaving[0], out=middle[1])
        overlap = (middle[0] * leaving[0]).sum(0)
    log_total = wide(overlap).log() - log_product(scales.squeeze(-2)).sum(0)
    return Way(log_total, weights, turned, last, came, middle, factors, scales, overlap)


class Back(NamedTuple):
    """What the way back finds: gradients."""

    reached: Tensor  # (D, m, B) of log Z with respect to the weights; `Way.came` is no more
    to_initial: Tensor  # (m,) of ``grad @ log Z``
    to_transitions: Tensor | None  # (D - 1, m, m) by position


def back(way: Way, grad: Tensor, *, transitions: bool = True) -> Back:
    """The way back, with gradients of the transitions where they are wanted.

    Shapes:
        ``grad (B,)``, which may be a batch of them, under vmap: nothing is written in place with it
    """
    weights, came, middle, overlap, moves = way.weights, way.came, way.middle, way.overlap, len(way.factors)
    here, reached = (_pairs(x, len(weights) // 2) for x in (weights, came))
    # 0 where the evidence is contradictory
    inverse = torch.where(overlap > 0, overlap.clamp(min=torch.finfo(overlap.dtype).tiny).reciprocal(), 0.0)
    scaled = middle * inverse
    parts: list[Tensor] = []
    if way.last is None:
        returned = scaled.flip(0) * weights[-1]
        torch.mul(scaled[0], middle[1], out=came[-1])
    else:
        if transitions:
            left, right = reached[-1] * here[-1]
            parts.append(((left * (inverse * grad)) @ right.mT).unsqueeze(0))
        reached[-1].mul_(scaled)
        returned = scaled * here[-1]
    comes, most = torch.empty_like(returned), torch.finfo(returned.dtype).max ** 0.8
    room = weights.new_empty(min(CHUNK, moves) + 1, *returned.shape)
    steps = way.turned.mT.unbind()
    for stop in range(moves, 0, -CHUNK):
        start = max(0, stop - CHUNK)
        some, returning = slice(2 * start, 2 * stop), room[: stop - start + 1].unbind()
        left = (came[some] * weights[some]).unflatten(0, (-1, 2)) if transitions else None
        returning[-1].copy_(returned)
        for t in range(stop - 1, start - 1, -1):
            after, factor = returning[t - start + 1], way.factors[t]
            if factor is not None:  # what no message reached may outgrow all numbers
                after.mul_(factor).clamp_(max=most)
            torch.bmm(steps[t], after, out=comes)
            reached[t].mul_(comes)
            torch.mul(comes, here[t], out=returning[t - start])
        returned.copy_(returning[0])
        if left is not None:
            after = room[1 : stop - start + 1] * grad
            to_right = torch.bmm(after[..., 1, :, :], left[:, 1].mT).flip(-3)
            parts = [torch.bmm(left[:, 0], after[..., 0, :, :].mT), *parts, to_right]
    to_transitions = torch.cat(parts) if parts else way.turned.flatten(0, 1) if transitions else None
    return Back(came, returned[0] @ grad, to_transitions)


def _pairs(x: Tensor, count: int) -> list[Tensor]:
    """``(n, *) -> (2, *)`` each, views."""
    return list(x[: 2 * count].unflatten(0, (count, 2)).unbind())
