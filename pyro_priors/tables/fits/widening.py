"""Wider Gaussians than those that fit the rows best: they were chosen for these, and others lie farther from them."""

import math

import torch
from torch import Tensor

from pyro_priors.tables.fits.descent import Judge
from pyro_priors.tables.laws.law import TableLaw

WIDER, WIDEST = 1.04, 4.0  # a step of `widened`, and no further than this
EXPECTED = 50.0  # hidden cells that theory counts as
MOST = 3.0  # that it expects


@torch.no_grad()
def widened(law: TableLaw, judge: Judge, expected: float | None = None) -> tuple[float, float]:
    """Widen the Gaussians of all states while that explains the hidden cells better.

    What theory expects counts as some hidden cells beside them: of few rows these say little.

    Args:
        expected: factor of the standard deviations, see `expected_widening`; None: theory expects nothing.

    Returns:
        by what factor, and what the judge says of the law that is left
    """
    cells = float(judge.hidden.sum())

    def worth(factor: float, score: float) -> float:
        if expected is None:
            return score
        return cells * score - EXPECTED * (math.log(factor) + (expected / factor) ** 2 / 2)

    factor, score = 1.0, judge(law)
    while law.vectors and factor < WIDEST:
        widen(law, WIDER)
        now = judge(law)
        if not worth(factor * WIDER, now) > worth(factor, score):
            widen(law, 1 / WIDER)
            break
        factor, score = factor * WIDER, now
    return factor, score


def expected_widening(law: TableLaw, codes: Tensor) -> float:
    """How much wider than fitted a number is expected to be given the others, if Gaussians are right.

    A regression on q numbers leaves n rows (n - q - 1) / n of the variance, and new rows (n + q + 1) / n of it. Here n
    are rows that know two numbers, of which states share what they know of covariances: each has what it would
    have if they were as many as the square root of their number.

    Args:
        law: with its groups of numbers and its rank.
        codes: the rows that it was fitted to, ``(n, C)``, NaN = missing.

    Example:
        >>> from pyro_priors.data.schema import Field
        >>> from pyro_priors.tables.leaves.leaf_fitting import fit_leaf
        >>> codes = torch.linspace(0, 1, 36, dtype=torch.float64)[:, None].repeat(1, 2)
        >>> fields = [Field("a", "continuous"), Field("b", "continuous")]
        >>> law = TableLaw([fit_leaf(field, x) for field, x in zip(fields, codes.T)], rank=4)
        >>> expected_widening(law, codes)  # (18 + 2) / (18 - 2) of the variance
        1.118033988749895
    """
    if not law.groups:
        return 1.0
    most = list(max(law.groups, key=len))
    known = float((~codes[:, most].isnan()).double().mean())
    rows, others = known**2 * len(codes) / math.sqrt(law.rank), known * (len(most) - 1)
    left = rows - others - 1
    return MOST if left <= 0 else min(MOST, math.sqrt((rows + others + 1) / left))


@torch.no_grad()
def widen(law: TableLaw, factor: float) -> None:
    """Multiply the standard deviations of the Gaussians of all states."""
    for leaf in law.prior.vectors:
        leaf.log_scale.add_(math.log(factor))
