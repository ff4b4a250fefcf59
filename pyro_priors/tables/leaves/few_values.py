"""A column of few numbers that come again and again: which scores stand for each."""

from collections.abc import Sequence

import torch
from torch import Tensor

from pyro_priors.tables.leaves.score_mixtures import Bounds, log_interval
from pyro_priors.tables.leaves.scores import NormalScores

SAME = 1e-9  # relative difference of two numbers that are one
CHUNK = 2**20  # intervals of values under Gaussians at a time


class FewValues:
    """The only numbers that a column has. A score stands for that whose own score is nearest.

    Args:
        values: rising, two or more.
        scores: of the column.

    Attributes:
        edges: what lies between the scores of neighbours, and infinity at both ends, ``(k + 1,)``.

    Example:
        >>> few = FewValues((2.0, 4.0, 16.0), NormalScores([2.0, 16.0], [-1.0, 1.0]))
        >>> few.decode(torch.tensor([-9.0, -0.8, 0.3])).tolist()
        [2.0, 4.0, 16.0]
    """

    def __init__(self, values: Sequence[float], scores: NormalScores):
        self.values, self.scores = torch.tensor(values, dtype=torch.float64), scores
        own, outer = scores.encode(self.values), torch.tensor([torch.inf], dtype=torch.float64)
        self.edges = torch.cat([-outer, (own[1:] + own[:-1]) / 2, outer])

    def decode(self, score: Tensor) -> Tensor:
        """Scores to numbers, NaN for NaN: ``(*) -> (*)``"""
        place = torch.searchsorted(self.edges[1:-1], score.nan_to_num(0.0).contiguous())
        return torch.where(score.isnan(), torch.nan, self.values[place])

    def cell(self, x: Tensor, other: Bounds) -> Bounds:
        """The scores that stand for a number, those of `other` where it is none of the column's: ``(n,)``"""
        place = torch.searchsorted(self.edges[1:-1], self.scores.encode(x).contiguous())
        near = self.values[place]
        seen = (x.double() - near).abs() <= SAME * near.abs()
        own = Bounds(self.edges[place], self.edges[place + 1])
        return Bounds(*(torch.where(seen, ours, end) for ours, end in zip(own, other, strict=True)))

    def beneath(self, x: Tensor) -> Bounds:
        """The scores beneath which numbers are less than x, and at most x: ``(n,)``"""
        x = x.double().contiguous()
        return Bounds(*(self.edges[torch.searchsorted(self.values, x, right=right)] for right in (False, True)))

    def within(self, low: Tensor, high: Tensor) -> Bounds:
        """The scores of the column's numbers from low to high, an empty interval where there is none: ``(n,)``"""
        return Bounds(self.beneath(low).low, self.beneath(high).high)

    def mean(self, w: Tensor, m: Tensor, s: Tensor, bounds: Bounds | None = None) -> Tensor:
        """Of mixtures of Gaussians over the score, exact.

        Shapes:
            ``w, m, s (n, K)``, ``bounds`` of ``(n,)``: of the score -> ``(n,)``
        """
        size = max(1, CHUNK // (w.shape[1] * len(self.values)))
        chunks = zip(*(x.split(size) for x in (w, m, s, *(bounds or ()))), strict=True)
        parts = [self._mean(w, m, s, Bounds(*ends) if ends else None) for w, m, s, *ends in chunks]
        return torch.cat(parts)

    def _mean(self, w: Tensor, m: Tensor, s: Tensor, bounds: Bounds | None) -> Tensor:
        w, m, s = (x.double().unsqueeze(-1) for x in (w, m, s))
        low, high = self.edges[:-1], self.edges[1:]
        if bounds is not None:
            least, most = (end.double()[:, None, None] for end in bounds)
            low, high = low.clamp(least, most), high.clamp(least, most)
        shares = (w.log() + log_interval((low - m) / s, (high - m) / s)).flatten(1).softmax(-1)  # (n, K k)
        return shares @ self.values.repeat(w.shape[1])
