"""Means of what a score stands for, under mixtures of Gaussians over the score.

Letters in the shape comments: n rows, K Gaussians with weights w that sum to one in every row, locations m, scales s.
"""

import math
from collections.abc import Callable

import numpy as np
import torch
from torch import Tensor

from pyro_priors.tables.leaves.score_mixtures import Bounds, log_interval

CELLS = 4096  # of the table that stands for the function
STEP, REACH = 0.25, 7.0  # of the trapezoidal rule, and how far it goes, in scales
NODES = 64  # of the rule within bounds
FALL = 32.0  # by what power of e the density falls where a mean within bounds takes no more notice of it
LEAST_WEIGHT = 1e-8  # of a Gaussian in a row: what is less cannot be seen in a mean
CHUNK = 2**17  # numbers at a time, which stay in a cache


class ScoreMeans:
    """The mean of a function of a score that is constant beyond two ends.

    By Stein's identity E g(m + s t) = E t G(m + s t) / s, G being an integral of g, which is smoother than g by one
    order, whose knots the trapezoidal rule therefore hardly sees: means are exact to about 1e-3 standard deviations. g
    is a table of 4,096 straight pieces, as fast to look up as a number is multiplied a few times.

    Args:
        function: of scores ``(*)``, rising.
        low, high: the ends.

    Example:
        >>> means = ScoreMeans(lambda z: z.clamp(-3, 3) ** 3, -3.0, 3.0)
        >>> w, m, s = torch.ones(1, 1), torch.full((1, 1), 0.5), torch.full((1, 1), 0.1)
        >>> round(means(w, m, s).item(), 4)  # of m^3 + 3 m s^2
        0.14
    """

    def __init__(self, function: Callable[[Tensor], Tensor], low: float, high: float):
        self.low, self.high, self.width = low, high, (high - low) / CELLS
        values = function(torch.linspace(low, high, CELLS + 1, dtype=torch.float64))
        self.least, self.most = float(values[0]), float(values[-1])
        values = values - self.least  # digits are not spent on what all have in common
        self.values, self.rises = values[:-1], values.diff()
        sums = ((values[1:] + values[:-1]) / 2).cumsum(0)
        self.sums, self.total = torch.nn.functional.pad(sums[:-1], (1, 0)), float(sums[-1])

    def __call__(self, w: Tensor, m: Tensor, s: Tensor, bounds: Bounds | None = None) -> Tensor:
        """The mean, within the bounds of a score if there are any.

        Shapes:
            ``w, m, s (n, K)``, ``bounds`` of ``(n,)`` -> ``(n,)``
        """
        if self.least == self.most:  # such as of a column whose values are all one
            return torch.full((len(w),), self.least, dtype=torch.float64, device=w.device)
        w, m, s = w.double(), m.double(), s.double()
        share = _shares(w, m, s, bounds)
        rows, columns = (share > LEAST_WEIGHT).nonzero(as_tuple=True)
        result, total = (torch.zeros(len(w), dtype=torch.float64, device=w.device) for _ in range(2))
        for part in torch.arange(len(rows), device=w.device).split(CHUNK // NODES):
            row, column = rows[part], columns[part]
            weight, loc, scale = (x[row, column] for x in (share, m, s))
            if bounds is None:
                mean = self._mean(loc, scale)
            else:
                mean = self._mean_within(loc, scale, *(end.double()[row] for end in bounds))
            result.index_add_(0, row, weight * mean)
            total.index_add_(0, row, weight)
        return (self.least + result / total).clamp(self.least, self.most)

    def _place(self, z: Tensor) -> tuple[Tensor, Tensor, Tensor]:
        """In which cell a score is, how far into it, and how far beyond the upper end, in cells."""
        place = (z - self.low).div_(self.width)
        there = place.clamp(0, CELLS)
        cell = there.long().clamp_(max=CELLS - 1)
        return cell, there - cell, place.sub_(CELLS).clamp_(min=0)

    def _value(self, z: Tensor) -> Tensor:
        cell, into, _ = self._place(z)
        return self.values.to(z.device).take(cell) + into * self.rises.to(z.device).take(cell)

    def _integral(self, z: Tensor) -> Tensor:
        """Of the function less its lower end, in cells."""
        cell, into, beyond = self._place(z)
        sums, values, rises = (x.to(z.device).take(cell) for x in (self.sums, self.values, self.rises))
        return rises.mul_(into / 2).add_(values).mul_(into).add_(sums).add_(beyond, alpha=self.most - self.least)

    def _mean(self, m: Tensor, s: Tensor) -> Tensor:
        """Of single Gaussians: ``m, s (n,)`` -> ``(n,)``"""
        t = torch.arange(STEP / 2, REACH, STEP, dtype=torch.float64, device=m.device)
        weights = STEP * t * (-(t**2) / 2).exp() / math.sqrt(2 * math.pi)
        m, away = m.unsqueeze(-1), s.unsqueeze(-1) * t
        return (self._integral(m + away) - self._integral(m - away)) @ weights * (self.width / s)

    def _mean_within(self, m: Tensor, s: Tensor, low: Tensor, high: Tensor) -> Tensor:
        """The same within bounds, by Gauss and Legendre's rule between the ends."""
        a, b = (low - m) / s, (high - m) / s
        first, last = ((end - m) / s for end in (self.low, self.high))
        first, last = first.clamp(a, b), last.clamp(a, b)
        logs = torch.stack([log_interval(a, first), log_interval(first, last), log_interval(last, b)])
        _, between, over = logs.softmax(0)
        start, stop = _window(first, last)
        nodes, weights = (torch.as_tensor(x, device=m.device) for x in np.polynomial.legendre.leggauss(NODES))
        t = ((stop + start) / 2).unsqueeze(-1) + ((stop - start) / 2).unsqueeze(-1) * nodes
        density = (weights.log() - (t**2 - start.unsqueeze(-1) ** 2) / 2).softmax(-1)
        inner = (density * self._value(m.unsqueeze(-1) + s.unsqueeze(-1) * t)).sum(-1)
        return between * inner + over * (self.most - self.least)


def _shares(w: Tensor, m: Tensor, s: Tensor, bounds: Bounds | None) -> Tensor:
    """What of the law within the bounds each Gaussian has: ``(n, K)``"""
    if bounds is None:
        return w
    low, high = ((end.double().unsqueeze(-1) - m) / s for end in bounds)
    return (w.log() + log_interval(low, high)).softmax(-1)


def _window(first: Tensor, last: Tensor) -> tuple[Tensor, Tensor]:
    """What of an interval counts under a standard normal law: as far as the density falls by e^-32 from its top."""

    def reach(t: Tensor) -> Tensor:
        return 2 * FALL / (t + (t**2 + 2 * FALL).sqrt())

    top = torch.zeros_like(first).clamp(first, last)  # where the density is largest
    return first.maximum(top - reach(-top.clamp(max=0))), last.minimum(top + reach(top.clamp(min=0)))
