"""A monotone spline of linear rational pieces and its inverse, without differences of numbers that nearly agree."""

from typing import NamedTuple

import torch
from torch import Tensor
from torch.nn.functional import pad

from pyro_priors.ops.scaling import wide

LEAST_WIDTH, LEAST_SLOPE, LEAST_SPLIT = 1e-3, 1e-3, 0.025  # of the box, of the spline, of a bin


def rational_spline(
    x: Tensor, widths: Tensor, heights: Tensor, slopes: Tensor, splits: Tensor, bound: float, *, inverse: bool = False
) -> tuple[Tensor, Tensor]:
    """A spline within [-bound, bound], the identity elsewhere, and the log of its slope (that of the inverse).

    Each bin is cut once, and is a ratio of two lines on either side of the cut. All is measured from the nearer end of
    the bin, so that both ways lose a few roundings of float64, in which they are computed, whatever the shape; the
    result has the type of x. The function is that of Pyro's `SplineCoupling`.

    References:
        Dolatabadi, Erfani, Leckie, "Invertible generative modeling using linear rational splines", 2020, section 4,
        arXiv:2001.05168.

    Shapes:
        ``x (*)``, ``widths, heights (*, K)`` that sum to one, ``slopes (*, K - 1)`` at the inner knots, not negative,
        ``splits (*, K)`` in [0, 1] -> ``(*)``, ``(*)``
    """
    widths, heights, slopes, splits = (wide(part) for part in (widths, heights, slopes, splits))
    edges, levels = _knots(widths, bound), _knots(heights, bound)
    slopes = pad(LEAST_SLOPE + slopes, (1, 1), value=1 - LEAST_SLOPE)
    there = wide(x).clamp(-bound, bound)
    bins = (there.unsqueeze(-1) >= (levels if inverse else edges)[..., 1:-1]).sum(-1, keepdim=True)

    def of_bin(part: Tensor) -> Tensor:
        return part.gather(-1, bins).squeeze(-1)

    left, right, bottom, top = (of_bin(part) for knots in (edges, levels) for part in (knots[..., :-1], knots[..., 1:]))
    before, after = of_bin(slopes[..., :-1]), of_bin(slopes[..., 1:])
    cut = of_bin((1 - 2 * LEAST_SPLIT) * splits + LEAST_SPLIT)
    result, log_slope = rational_piece(there, Piece(left, right, bottom, top, before, after, cut), inverse=inverse)
    inside = x.abs() <= bound
    return torch.where(inside, result.to(x.dtype), x), torch.where(inside, log_slope, 0.0).to(x.dtype)


class Piece(NamedTuple):
    """A bin of a spline, or one for every number: where it stands, and the slopes at its ends.

    Args:
        left, right: its ends.
        bottom, top: the values there.
        before, after: the slopes there, positive.
        cut: share of the width that lies before the cut, within (0, 1).
    """

    left: Tensor
    right: Tensor
    bottom: Tensor
    top: Tensor
    before: Tensor
    after: Tensor
    cut: Tensor | float = 0.5


def rational_piece(x: Tensor, piece: Piece, *, inverse: bool = False) -> tuple[Tensor, Tensor]:
    """The value in a bin, and the log of the slope (that of the inverse); as `rational_spline`, of any bin.

    Shapes:
        ``x (*)``, parts of the piece ``(*)`` -> ``(*)``, ``(*)``
    """
    left, right, bottom, top, before, after, cut = piece
    cut = torch.as_tensor(cut, dtype=x.dtype, device=x.device)
    rest, width, height = 1 - cut, right - left, top - bottom
    end = (before / after).sqrt()  # weights of the ratio at the bin's end and at the cut; at its start it is one
    middle = (cut * before + rest * end * after) * width / height
    low, high = height * cut * end / (rest + cut * end), height * rest / (rest + cut * end)  # heights of the two parts
    if inverse:
        lower = x - bottom <= low
        up, down = (x - bottom).minimum(low), (top - x).minimum(high)
        first = cut * up / (up + middle * (low - up))  # share of the width from the bin's start, and from its end
        last = rest * end * down / (end * down + middle * (high - down))
        result = torch.where(lower, left + width * first, right - width * last)
    else:
        first, last = (x - left) / width, (right - x) / width
        lower = first <= cut
        first, last = first.minimum(cut), last.minimum(rest)
        rise = middle * first * low / ((cut - first) + middle * first)
        fall = middle * last * high / (middle * last + end * (rest - last))
        result = torch.where(lower, bottom + rise, top - fall)
    log_low = cut.log() + low.log() - 2 * ((cut - first) + middle * first).log()
    log_high = end.log() + rest.log() + high.log() - 2 * (middle * last + end * (rest - last)).log()
    log_slope = torch.where(lower, log_low, log_high) + middle.log() - width.log()
    log_slope = -log_slope if inverse else log_slope
    return result, log_slope


def _knots(lengths: Tensor, bound: float) -> Tensor:
    """Where the bins end, the outer ends included: ``(*, K) -> (*, K + 1)``"""
    lengths = LEAST_WIDTH + (1 - LEAST_WIDTH * lengths.shape[-1]) * lengths
    inner = 2 * bound * lengths.cumsum(-1)[..., :-1] - bound
    return pad(pad(inner, (1, 0), value=-bound), (0, 1), value=bound)
