"""The factored chain contracted from both its ends at once, and the adjoint of that.

The left end moves right and the right end moves left, so that half as many steps follow each other. Step t takes a
pair of positions, t and D - 1 - t, which lie in one tensor by position and so are one strided view of it. A message
that comes to a position is multiplied by its weights and leaves through a transition:

    left to right  a[t + 1] = T[t]^T (a[t] W[t]),      right to left  b[p - 1] = T[p - 1] (b[p] W[p]).

Messages are set to a sum of one at every fourth step; where one drifted too far until then, at every step after all.
All tensors have the batch last. Letters: h = D // 2 pairs of positions, P = (D - 1) // 2 pairs of transitions; where D
is odd both messages come to the position in the middle, where it is even one transition stands between them.
"""

from typing import NamedTuple

import torch
from torch import Tensor

from pyro_priors.ops.scaling import log_product, wide

CHUNK = 4  # pairs of positions that are worked out together on the way back, and stay in the cache
SPARED = 4  # steps from one sum of one to the next


class Way(NamedTuple):
    """What the way to the middle leaves for the way back: no more than has to be read again."""

    log_total: Tensor  # (B,) log Z in float64
    weights: Tensor  # (D, m, B)
    turned: Tensor  # (D - 1, m, m) transitions as each end takes them: those of the left one transposed
    came: Tensor  # (D, m, B) messages that came to each position
    middle: Tensor  # (2, m, B) what comes to the middle (D odd), or what comes back to its two neighbours (D even)
    factors: list[Tensor | None]  # (2, 1, B) what each pair of messages was multiplied with, if with anything
    scales: Tensor  # all of these
    overlap: Tensor  # (B,) Z of the scaled messages


def meet(weights: Tensor, initial: Tensor, transitions: Tensor, *, keep: bool = True) -> Way:
    """Contract both halves; without `keep` there is no way back, and messages take turns in little room.

    Shapes:
        ``weights (D, m, B)`` by position, ``initial (m,)``, ``transitions (D - 1, m, m)``
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
    turned = torch.cat([transitions[: length - 1 - moves].mT, transitions[length - 1 - moves :]])
    came = weights.new_empty(length if keep else 4, rank, batch)
    turns = pairs(came, half) if keep else list(came.view(2, 2, rank, batch).unbind()) * -(-half // 2)
    middle, leaving = weights.new_empty(2, 2, rank, batch).unbind()
    coming, here = [*turns[:half], middle], pairs(weights, half)
    coming[0][0] = initial.unsqueeze(-1)
    coming[0][1] = 1
    scales = weights.new_empty(-(-moves // spared), 2, 1, batch)
    room, tiny = iter(scales.unbind()), torch.finfo(weights.dtype).tiny
    factors: list[Tensor | None] = [None] * moves
    for t, transition in enumerate(pairs(turned, moves)):
        there = coming[t + 1]
        torch.mul(coming[t], here[t], out=leaving)
        torch.bmm(transition, leaving, out=there)
        if (moves - 1 - t) % spared == 0:  # the last one too
            factor = factors[t] = next(room)
            torch.sum(there, -2, keepdim=True, out=factor)  # faster than the maximum
            there.mul_(factor.clamp_(min=tiny).reciprocal_())
    if length % 2:
        overlap = (middle[0] * middle[1]).mul_(weights[half]).sum(0)
    else:
        transition = turned[half - 1]
        torch.mul(coming[half - 1], here[-1], out=leaving)
        torch.mm(transition.t(), leaving[1], out=middle[0])
        torch.mm(transition, leaving[0], out=middle[1])
        overlap = (middle[0] * leaving[0]).sum(0)
    log_total = wide(overlap).log() - log_product(scales.squeeze(-2)).sum(0)
    return Way(log_total, weights, turned, came, middle, factors, scales, overlap)


class Back(NamedTuple):
    """What the way back finds: gradients."""

    reached: Tensor  # (D, m, B) of log Z with respect to the weights; `Way.came` is no more
    to_initial: Tensor  # (m,) of ``grad @ log Z``
    to_transitions: Tensor | None  # (D - 1, m, m)


def back(way: Way, grad: Tensor, *, transitions: bool = True) -> Back:
    """The way back, with gradients of the transitions where they are wanted.

    Each chunk of positions is read once: products and gradients are done while it is near.

    Shapes:
        ``grad (B,)``
    """
    _, weights, turned, came, middle, factors, _, overlap = way
    length, rank, batch = weights.shape
    half, moves = length // 2, len(factors)
    here, reached, steps = pairs(weights, half), pairs(came, half), pairs(turned, moves)
    # 0 where the evidence is contradictory
    inverse = torch.where(overlap > 0, overlap.clamp(min=torch.finfo(overlap.dtype).tiny).reciprocal(), 0.0)
    to_left, to_right = [], []
    scaled = middle * inverse
    if length % 2:
        returned = scaled.flip(0) * weights[half]
        torch.mul(scaled[0], middle[1], out=came[half])
    else:
        if transitions:
            left, right = reached[-1] * here[-1]
            to_left.append(((left * (inverse * grad)) @ right.mT).unsqueeze(0))  # grad: may be a batch, under vmap
        reached[-1].mul_(scaled)
        returned = scaled * here[-1]
    comes = torch.empty_like(returned)
    room = weights.new_empty(2 * CHUNK + 2, rank, batch)
    for stop in range(moves, 0, -CHUNK):
        start = max(0, stop - CHUNK)
        sides = slice(start, stop), slice(length - stop, length - start)
        left, right = (came[some] * weights[some] if transitions else None for some in sides)
        some = room[: 2 * (stop - start + 1)]
        returning = pairs(some, stop - start + 1)
        returning[-1].copy_(returned)
        for t in range(stop - 1, start - 1, -1):
            factor = factors[t]
            if factor is not None:
                returning[t - start + 1].mul_(factor)
            torch.bmm(steps[t].mT, returning[t - start + 1], out=comes)
            reached[t].mul_(comes)
            torch.mul(comes, here[t], out=returning[t - start])
        returned.copy_(returning[0])
        if left is not None and right is not None:
            middle_of = len(some) // 2
            to_left.append(left @ (some[1:middle_of] * grad).mT)
            to_right.append((some[middle_of:-1] * grad) @ right.mT)
    to_transitions = torch.cat([*to_left[::-1], *to_right]) if to_left else turned if transitions else None
    return Back(came, returned[0] @ grad, to_transitions)


def pairs(x: Tensor, count: int) -> list[Tensor]:
    """The first entry with the last, the second with the last but one, and so on: ``(n, *) -> (2, *)`` each, views."""
    step, shape, strides, start = x.stride(0), (2, *x.shape[1:]), x.stride()[1:], x.storage_offset()
    last = len(x) - 1
    return [x.as_strided(shape, ((last - 2 * t) * step, *strides), start + t * step) for t in range(count)]
