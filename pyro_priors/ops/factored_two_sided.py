"""The factored chain contracted from both its ends at once, and the adjoint of that.

The left end moves right and the right end moves left, so that half as many steps follow each other. Step t takes a
pair of positions, t and D - 1 - t, which lie in one tensor by position and so are one strided view of it. A message
that comes to a position is multiplied by its weights and leaves through a transition:

    left to right  a[t + 1] = T[t]^T (a[t] W[t]),      right to left  b[p - 1] = T[p - 1] (b[p] W[p]).

Every message is set to a sum of one: beside the products that costs less than to find out where it can be left out.
All tensors have the batch last. Letters: h = D // 2 pairs of positions, P = (D - 1) // 2 pairs of transitions; where D
is odd both messages come to the position in the middle, where it is even one transition stands between them.
"""

from typing import NamedTuple

import torch
from torch import Tensor

from pyro_priors.ops.scaling import log_product, wide

CHUNK = 8  # positions whose transitions' gradients are worked out together


class Way(NamedTuple):
    """What the way to the middle leaves for the way back."""

    log_total: Tensor  # (B,) log Z in float64
    weights: Tensor  # (D, m, B)
    turned: Tensor  # (D - 1, m, m) transitions as each end takes them: those of the left one transposed
    came: Tensor  # (D, m, B) messages that came to each position
    left: Tensor  # (D, m, B) the same times its weights
    middle: Tensor  # (2, m, B) what comes to the middle (D odd), or what comes back to its two neighbours (D even)
    factors: list[Tensor]  # (2, 1, B) what each pair of messages was multiplied with
    overlap: Tensor  # (B,) Z of the scaled messages


def meet(weights: Tensor, initial: Tensor, transitions: Tensor, *, keep: bool = True) -> Way:
    """Contract both halves; without `keep` there is no way back, and messages take turns in little room.

    Shapes:
        ``weights (D, m, B)`` by position, ``initial (m,)``, ``transitions (D - 1, m, m)``
    """
    length, rank, batch = weights.shape
    half, moves = length // 2, (length - 1) // 2
    turned = torch.cat([transitions[: length - 1 - moves].mT, transitions[length - 1 - moves :]])
    came = weights.new_empty(length if keep else 4, rank, batch)
    left = weights.new_empty(length if keep else 2, rank, batch)
    if keep:
        coming, leaving = pairs(came, half), pairs(left, half)
    else:
        coming, leaving = list(came.view(2, 2, rank, batch).unbind()) * -(-half // 2), [left] * half
    middle = weights.new_empty(2, rank, batch)
    coming = [*coming[:half], middle]
    coming[0][0] = initial.unsqueeze(-1)
    coming[0][1] = 1
    steps = zip(pairs(turned, moves), leaving, coming[1:], strict=False)
    scales = weights.new_empty(moves, 2, 1, batch)
    tiny = torch.finfo(weights.dtype).tiny
    here = pairs(weights, half)
    for t, ((transition, leave, there), factor) in enumerate(zip(steps, scales.unbind(), strict=True)):
        torch.mul(coming[t], here[t], out=leave)
        torch.bmm(transition, leave, out=there)
        torch.sum(there, -2, keepdim=True, out=factor)  # faster than the maximum
        there.mul_(factor.clamp_(min=tiny).reciprocal_())
    if length % 2:
        overlap = (middle[0] * middle[1]).mul_(weights[half]).sum(0)
    else:
        last, transition = leaving[-1], turned[half - 1]
        torch.mul(coming[half - 1], here[-1], out=last)
        torch.mm(transition.t(), last[1], out=middle[0])
        torch.mm(transition, last[0], out=middle[1])
        overlap = (middle[0] * last[0]).sum(0)
    log_total = wide(overlap).log() - log_product(scales.squeeze(-2)).sum(0)
    return Way(log_total, weights, turned, came, left, middle, list(scales.unbind()), overlap)


class Back(NamedTuple):
    """What the way back finds."""

    reached: Tensor  # (D, m, B) gradient of log Z with respect to the weights; `Way.came` is no more
    returned: Tensor  # (D or D + 1, m, B) what comes back to each position times its weights, twice in the middle


def back(way: Way, *, keep: bool = True) -> Back:
    """The way back; without `keep` only what reached the weights."""
    _, weights, turned, came, _, middle, factors, overlap = way
    length, rank, batch = weights.shape
    odd, half = length % 2, length // 2
    middle = middle * _inverse(overlap)
    count = length + odd
    returned = weights.new_empty(count if keep else 2, rank, batch)
    returning = pairs(returned, count // 2) if keep else [returned] * (count // 2)
    reached, here = pairs(came, half), pairs(weights, half)
    if odd:
        torch.mul(middle.flip(0), weights[half], out=returning[half])
        torch.mul(middle[0], way.middle[1], out=came[half])
    else:
        reached[-1].mul_(middle)
        torch.mul(middle, here[-1], out=returning[half - 1])
    comes = torch.empty_like(middle)
    for t, transition in reversed(list(enumerate(pairs(turned, len(factors))))):
        torch.bmm(transition.mT, returning[t + 1].mul_(factors[t]), out=comes)
        reached[t].mul_(comes)
        torch.mul(comes, here[t], out=returning[t])
    return Back(came, returned)


def transition_usage(way: Way, returned: Tensor, factor: Tensor) -> Tensor:
    """Gradient of ``factor @ log Z`` with respect to the transitions.

    Shapes:
        ``returned`` as that of `Back`, ``factor (D, B)`` by position -> ``(D - 1, m, m)``
    """
    length, left, moves = len(way.weights), way.left, len(way.factors)
    factor = factor.unsqueeze(-2)  # may be a batch of them, under vmap: nothing is written in place
    parts = []
    for some in chunks(0, moves):
        after = returned[some.start + 1 : some.stop + 1] * factor[some]
        parts.append(torch.bmm(left[some], after.mT))
    if length % 2 == 0:
        half = length // 2
        before = left[half - 1] * (factor[half - 1] * _inverse(way.overlap))
        parts.append((before @ left[half].mT).unsqueeze(0))
    extra = len(returned) - length
    for some in chunks(length - moves, length):
        before = returned[some.start + extra - 1 : some.stop + extra - 1] * factor[some]
        parts.append(torch.bmm(before, left[some].mT))
    return torch.cat(parts) if parts else way.turned


def chunks(start: int, stop: int) -> list[slice]:
    """A range in parts of at most `CHUNK`."""
    return [slice(first, min(first + CHUNK, stop)) for first in range(start, stop, CHUNK)]


def pairs(x: Tensor, count: int) -> list[Tensor]:
    """The first entry with the last, the second with the last but one, and so on: ``(n, *) -> (2, *)`` each, views."""
    step, shape, strides, start = x.stride(0), (2, *x.shape[1:]), x.stride()[1:], x.storage_offset()
    last = len(x) - 1
    return [x.as_strided(shape, ((last - 2 * t) * step, *strides), start + t * step) for t in range(count)]


def _inverse(overlap: Tensor) -> Tensor:
    """Its reciprocal; zero where the evidence is contradictory."""
    return torch.where(overlap > 0, overlap.clamp(min=torch.finfo(overlap.dtype).tiny).reciprocal(), 0.0)
