"""Normal scores: a monotone transform of a column of numbers that makes it standard normal, and its exact inverse."""

from collections.abc import Sequence
from typing import Any

import torch
from torch import Tensor

from pyro_priors.ops import Piece, rational_piece

LINEAR = 4.0  # scores beyond the outermost knots in which the tails are straight lines; logarithms follow


class NormalScores:
    """A monotone C1 spline through knots, with tails; every finite number has a finite score, and back.

    Between the knots it consists of linear rational pieces. Beyond them it goes on as a straight line for four scores,
    then as a logarithm of it, so that a number a googol away has a score of a thousand.

    Args:
        knots: numbers in own units, rising, two at least.
        scores: of the knots, rising.
        slopes: of the score at the knots, positive; None: means of the neighbouring secants in the logarithm, weighted
            as for a parabola, and at the ends the outermost secants.

    Shapes:
        ``knots, scores, slopes (k,)``; `encode` and `decode` take and give ``(*)`` of float64, NaN for NaN.

    Raises:
        ValueError: fewer than two knots, or not rising ones.

    References:
        Dolatabadi, Erfani, Leckie, "Invertible generative modeling using linear rational splines", 2020,
        arXiv:2001.05168.

    Example:
        >>> scores = NormalScores([0.0, 1.0, 4.0], [-1.0, 0.0, 1.0])
        >>> z = scores.encode(torch.tensor([-1e100, 0.0, 2.0, 9.0], dtype=torch.float64))
        >>> [f"{value:.4g}" for value in z.tolist()], [f"{value:.4g}" for value in scores.decode(z).tolist()]
        (['-920.5', '-1', '0.476', '2.667'], ['-1e+100', '0', '2', '9'])
    """

    def __init__(
        self,
        knots: Sequence[float] | Tensor,
        scores: Sequence[float] | Tensor,
        slopes: Sequence[float] | Tensor | None = None,
    ):
        self.knots, self.scores = (torch.as_tensor(part, dtype=torch.float64) for part in (knots, scores))
        rising = all(len(part) > 1 and bool((part.diff() > 0).all()) for part in (self.knots, self.scores))
        if not rising or self.knots.shape != self.scores.shape:
            raise ValueError(f"knots: expected two or more, rising, and a rising score of each, got {knots}, {scores}")
        self.slopes = self._smooth() if slopes is None else torch.as_tensor(slopes, dtype=torch.float64)

    def _smooth(self) -> Tensor:
        widths = self.knots.diff()
        secants = (self.scores.diff() / widths).log()
        inner = (widths[1:] * secants[:-1] + widths[:-1] * secants[1:]) / (widths[1:] + widths[:-1])
        return torch.cat([secants[:1], inner, secants[-1:]]).exp()

    def encode(self, x: Tensor) -> Tensor:
        """Own units to scores."""
        return self._both(x)[0]

    def log_slope(self, x: Tensor) -> Tensor:
        """Log of the score's derivative by the number; what a density of scores gains in own units."""
        return self._both(x)[1]

    def _both(self, x: Tensor) -> tuple[Tensor, Tensor]:
        x = x.double()
        knots, scores, slopes = self._on(x)
        there = x.clamp(knots[0], knots[-1])
        result, log_slope = rational_piece(there, _pieces(there, knots, self._on(x)))
        beyond = x - there  # of its own sign, zero inside
        end = torch.where(beyond > 0, slopes[-1], slopes[0])
        line = beyond.abs() * end
        steps = line.clamp_min(LINEAR) / LINEAR
        tail = line.clamp_max(LINEAR) + LINEAR * steps.log()
        tail = torch.where(beyond > 0, scores[-1] + tail, scores[0] - tail)
        outside = beyond != 0
        return torch.where(outside, tail, result), torch.where(outside, end.log() - steps.log(), log_slope)

    def decode(self, z: Tensor) -> Tensor:
        """Scores to own units."""
        z = z.double()
        knots, scores, slopes = self._on(z)
        there = z.clamp(scores[0], scores[-1])
        result, _ = rational_piece(there, _pieces(there, scores, self._on(z)), inverse=True)
        beyond = (z - there).abs()
        line = beyond.clamp_max(LINEAR) * ((beyond - LINEAR).clamp_min(0) / LINEAR).exp()
        tail = torch.where(z > there, knots[-1] + line / slopes[-1], knots[0] - line / slopes[0])
        return torch.where(beyond > 0, tail, result)

    def _on(self, x: Tensor) -> tuple[Tensor, ...]:
        return tuple(part.to(x.device) for part in (self.knots, self.scores, self.slopes))

    def to_json(self) -> dict[str, Any]:
        """Numbers as JSON gives them back to the bit."""
        return {"knots": self.knots.tolist(), "scores": self.scores.tolist(), "slopes": self.slopes.tolist()}

    @classmethod
    def from_json(cls, value: dict[str, Any]) -> "NormalScores":
        """What `to_json` wrote."""
        return cls(value["knots"], value["scores"], value["slopes"])

    def __repr__(self):
        return f"NormalScores({len(self.knots)} knots from {self.knots[0]:.6g} to {self.knots[-1]:.6g})"


def _pieces(x: Tensor, edges: Tensor, parts: Sequence[Tensor]) -> Piece:
    """The piece that each number lies in, which the edges bound: they are the knots or their scores."""
    bins = torch.searchsorted(edges[1:-1], x.contiguous(), right=True)
    return Piece(*(part[bins + step] for part in parts for step in (0, 1)))
