"""The numbers of a vector in rows that know some of them: whitened under every state, and each given the others."""

from collections.abc import Iterator
from typing import NamedTuple

import numpy as np
import torch
from torch import Tensor

from pyro_priors.distributions.gaussians import LOG_ROOT, Gaussians
from pyro_priors.ops.gaussians import gap_patterns
from pyro_priors.tables.laws.wide_law import WideLaw
from pyro_priors.tables.leaves.score_mixtures import log_interval

SHARED = 8  # rows of a pattern of gaps, on average, from which on each pattern is a product of its own
ENTRIES = 2**18  # numbers of all factors of other rows at a time


class Cells(NamedTuple):
    """The numbers of a vector in n rows, and the intervals of those whose columns have a resolution."""

    value: Tensor  # (n, k) scores
    low: Tensor  # (n, k), NaN where a number has a density
    high: Tensor  # (n, k)

    @classmethod
    def of(cls, wide: WideLaw, codes: np.ndarray, rows: Tensor, variable: int) -> "Cells":
        value = wide.value(rows, variable)
        ends = torch.full_like(value, torch.nan), torch.full_like(value, torch.nan)
        for number, column in wide.numbers_of(variable):
            if wide.leaves[column].resolution:
                x, known = torch.from_numpy(codes[:, column]), ~value[:, number].isnan()
                bounds = wide.number_leaf(column).cell(x[known])
                for end, bound in zip(ends, bounds, strict=True):
                    end[known, number] = bound
        return cls(value, *ends)

    def whitened(self, gaussians: Gaussians) -> Iterator["Whitened"]:
        """All rows that know something, some at a time: of one pattern of gaps, or of several of as many numbers."""
        patterns, which = gap_patterns(self.value.isnan())
        order = (~self.low.isnan()).any(0).to(torch.uint8).argsort(stable=True)  # densities first
        there = patterns.logical_not()[:, order]
        counts = there.sum(-1)
        for count in counts[counts > 0].unique().tolist():
            members = (counts == count).nonzero()[:, 0]
            known = order[there[members].nonzero()[:, 1]].view(-1, count)
            place = torch.full_like(counts, -1).index_copy(0, members, torch.arange(len(members)))[which]
            rows = (place >= 0).nonzero()[:, 0]
            rows = rows[place[rows].argsort(stable=True)]
            sizes = place[rows].bincount(minlength=len(members)).tolist()
            if len(rows) > SHARED * len(members) or len(members) == 1:
                for some, numbers in zip(rows.split(sizes), known, strict=True):
                    yield self._whitened(some, numbers.unsqueeze(0), *gaussians.triangular(numbers.tolist()))
                continue
            for some in rows.split(max(1, ENTRIES // (len(gaussians) * count**2))):
                patterns_of = place[some]
                first = int(patterns_of[0])
                parts = gaussians.triangulars(known[first : int(patterns_of[-1]) + 1])
                yield self._whitened(some, known[patterns_of], *(x[patterns_of - first] for x in parts))

    def _whitened(self, rows: Tensor, known: Tensor, loc: Tensor, factor: Tensor) -> "Whitened":
        at = rows.unsqueeze(-1), known
        cells = Cells(*(part[at] for part in self))
        moved, factor = cells.value.unsqueeze(1) - loc, factor.to(cells.value)
        if factor.dim() == 3:
            white = torch.einsum("bsj,sij->bsi", moved, factor)
        else:
            white = (factor @ moved.unsqueeze(-1)).squeeze(-1)
        return Whitened(rows, known, cells, white, factor)


class Whitened(NamedTuple):
    """Rows that know k numbers of a vector, under N states.

    Args:
        rows: which they are, ``(b,)``.
        known: which numbers of each, densities first, ``(b, k)``, or ``(1, k)`` for all.
        cells: these numbers.
        white: each less its mean given those before it, in standard deviations: ``(b, N, k)``.
        factor: lower triangular, of the precision L^T L of each: ``(b, N, k, k)``, or ``(N, k, k)`` for all.
    """

    rows: Tensor
    known: Tensor
    cells: Cells
    white: Tensor
    factor: Tensor

    @property
    def at(self) -> tuple[Tensor, Tensor]:
        """Where the known cells stand in the rows and numbers of the vector: of shape ``(b, k)`` together."""
        return self.rows.unsqueeze(-1), self.known

    @property
    def diagonal(self) -> Tensor:
        """Of the factor."""
        return self.factor.diagonal(dim1=-2, dim2=-1)

    def log_cells(self, white: Tensor, slope: Tensor) -> Tensor:
        """log density, or probability of the interval, of numbers ``(b, N, k)`` whitened by slopes ``(*, N, k)``."""
        density = slope.log() - LOG_ROOT - 0.5 * white.square()
        slim = ~self.cells.low.isnan()
        if not bool(slim.any()):
            return density
        ends = (self.cells.low, self.cells.high)
        low, high = (white + slope * (end - self.cells.value).unsqueeze(1) for end in ends)
        mass = log_interval(torch.nan_to_num(low), torch.nan_to_num(high, 1.0))
        return torch.where(slim.unsqueeze(1), mass, density)

    def left_out(self) -> "LeftOut":
        """Each number given the others, which stands in a row of their joint precision."""
        whole = (self.diagonal.log() - LOG_ROOT).sum(-1) - 0.5 * self.white.square().sum(-1)
        if self.factor.dim() == 3:
            pull = torch.einsum("bsi,sij->bsj", self.white, self.factor)
        else:
            pull = (self.factor.mT @ self.white.unsqueeze(-1)).squeeze(-1)
        slope = self.factor.square().sum(-2).sqrt()
        alone = pull / slope
        return LeftOut(whole, alone, slope, whole.unsqueeze(-1) - (slope.log() - LOG_ROOT - 0.5 * alone.square()))


class LeftOut(NamedTuple):
    """Numbers of a vector given the others of their row, under N states.

    Args:
        whole: log-density of all, ``(b, N)``.
        alone: each less its mean given the others, in standard deviations, ``(b, N, k)``.
        slope: one over these, ``(*, N, k)``.
        without: log-density of all but one, ``(b, N, k)``.
    """

    whole: Tensor
    alone: Tensor
    slope: Tensor
    without: Tensor
