"""Normal scores from the values of a column: which quantiles the spline goes through."""

import math

import torch
from torch import Tensor

from pyro_priors.tables.leaves.scores import NormalScores

MOST_KNOTS = 64
LEAST_ROWS = 5.0  # between two knots, lest the spline follows gaps between neighbours
STEEPEST = 1e12  # slope in scores by the spread of the column; what is steeper is a tie with a rounding
FURTHEST = 1e-9  # probability beyond which a weight changes no score


def tally(x: Tensor, weight: Tensor | None = None) -> tuple[Tensor, Tensor]:
    """Different values of a column, rising, and what rows weigh that have them, NaN and weights of zero left out.

    Weights sum to the number of rows that they stand for: to their own sum, as whole ones that say how often a row
    stands there, or to what rows of equal weights would need to say as much, whichever is larger.

    Shapes:
        ``x (n,)``, ``weight (n,)`` -> ``(k,)``, ``(k,)``

    Raises:
        ValueError: infinite values, negative weights.
    """
    x = torch.as_tensor(x, dtype=torch.float64)
    weight = torch.ones_like(x) if weight is None else torch.as_tensor(weight, dtype=torch.float64)
    if weight.shape != x.shape or not bool((weight.isfinite() & (weight >= 0)).all()):
        raise ValueError(f"weight: expected a finite weight, 0 or more, for each of {len(x)} values, got {weight}")
    if bool(x.isinf().any()):
        raise ValueError("x: expected finite values or NaN, got infinite ones")
    known = ~x.isnan() & (weight > 0)
    values, places = x[known].unique(return_inverse=True)
    sums = torch.zeros_like(values).index_add_(0, places, weight[known])
    total = weight[known].sum()
    rows = total.maximum((total / weight[known].norm()) ** 2) if len(values) else total
    return values, sums * (rows / total)


def fit_scores(x: Tensor, weight: Tensor | None = None) -> NormalScores:
    """The scores of a column: a spline through quantiles that lie evenly in scores, at mid-ranks of tied values.

    Knots are about twice the cube root of the number of rows, at most 64; between two lie five rows at least, so that
    the slope is bounded by that of the values themselves, not by a gap between two of them.

    Shapes:
        ``x (n,)``, NaN where missing, ``weight (n,)``

    Raises:
        ValueError: no value, infinite values, negative weights.

    Example:
        >>> fit_scores(torch.tensor([1.0, 2.0, 2.0, 4.0, float("nan")]))
        NormalScores(2 knots from 1 to 4)
    """
    values, counts = tally(x, weight)
    if not len(values):
        raise ValueError("x: expected a value that is not missing, got none")
    if len(values) == 1:  # a straight line through it, in ones or what its digits allow
        half = max(1.0, 1e-6 * abs(float(values)))
        return NormalScores([float(values) - half, float(values) + half], [-1.0, 1.0])
    total = counts.sum()
    below = counts.cumsum(0) - counts / 2
    # A further value lies below the kth of n with probability k / (n + 1).
    above = (total - below + 0.5).clamp_min(0) / (total + 1)
    below = (below + 0.5) / (total + 1)
    share = below.minimum(above).clamp_min(FURTHEST)
    scores = torch.where(below < above, 1, -1) * torch.special.ndtri(share)
    chosen = _spread(scores, below, float(total))
    return NormalScores(*_slope_bounded(values[chosen], scores[chosen], STEEPEST / _range(values)))


def _spread(scores: Tensor, ranks: Tensor, rows: float) -> Tensor:
    """Which values are knots: the ends, and the nearest to scores that are evenly spread, five rows apart."""
    count = min(MOST_KNOTS, int(2 * rows ** (1 / 3)) + 1)
    levels = torch.linspace(float(scores[0]), float(scores[-1]), max(count, 3), dtype=torch.float64)
    nearest = torch.searchsorted((scores[1:] + scores[:-1]) / 2, levels).unique().tolist()
    last, chosen = len(scores) - 1, [0]
    for place in nearest[1:-1]:
        apart = rows * float(ranks[place] - ranks[chosen[-1]])
        left = rows * float(ranks[last] - ranks[place])
        if min(apart, left) >= LEAST_ROWS:
            chosen.append(place)
    return torch.tensor([*chosen, last])


def _range(values: Tensor) -> float:
    """How far the middle four fifths of different values lie apart: neither ties nor outliers change it much."""
    last = len(values) - 1
    return float(values[math.ceil(0.9 * last)] - values[int(0.1 * last)])


def _slope_bounded(values: Tensor, scores: Tensor, steepest: float) -> tuple[Tensor, Tensor]:
    """Knots without those that lie too near to each other: the two become one between them."""
    while len(values) > 2:
        slopes = scores.diff() / values.diff()
        k = int(slopes.argmax())
        if float(slopes[k]) <= steepest:
            break
        values, scores = (
            torch.cat([part[:k], (part[k : k + 1] + part[k + 1 : k + 2]) / 2, part[k + 2 :]])
            for part in (values, scores)
        )
    return values, scores
