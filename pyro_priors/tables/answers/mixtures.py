"""Mixtures of Gaussians over scores, one for each row of a table, each with as many components as it needs."""

import math
from functools import lru_cache
from typing import NamedTuple

import numpy as np
import torch
from torch import Tensor
from torch.special import ndtri

from pyro_priors.distributions.gaussians import LOG_ROOT
from pyro_priors.ops import holds
from pyro_priors.tables.leaves.score_mixtures import below_of, log_interval

NODES = 40  # of the quadrature over a truncated Gaussian
STEP, LONGEST, TINY = 1e-9, 200, 1e-300  # of the search of quantiles: how near, how many steps, the smallest share
PART = 500  # components of a row, of very many, by which the search begins


class Mixture(NamedTuple):
    """Components of all rows one after the other: component p belongs to row ``row[p]`` and weighs ``weight[p]``.

    The Gaussians may be truncated to an interval, and those of scale 0 are points.
    """

    row: Tensor  # (P,) integers
    weight: Tensor  # (P,)
    mean: Tensor  # (P,)
    scale: Tensor  # (P,)
    low: Tensor  # (P,)
    high: Tensor  # (P,)

    @classmethod
    def of(cls, row: Tensor, weight: Tensor, mean: Tensor, scale: Tensor) -> "Mixture":
        """Of Gaussians that nothing truncates."""
        infinite = torch.full_like(mean, torch.inf)
        return cls(row, weight, mean, scale, -infinite, infinite)

    @classmethod
    def join(cls, parts: "list[Mixture]") -> "Mixture":
        """The components of several."""
        return cls(*(torch.cat(part) for part in zip(*parts, strict=True)))

    def among(self, rows: Tensor) -> "Mixture":
        """The components of some rows, ``(n,)`` whether they are, which become rows 0, 1, ..."""
        some = rows[self.row]
        return Mixture(*(x[some] for x in self))._replace(row=(rows.cumsum(0) - 1)[self.row[some]])

    def times(self, factor: Tensor) -> "Mixture":
        """All weights of a row times its factor, ``(n,)``."""
        return self._replace(weight=self.weight * factor[self.row])

    def total(self, x: Tensor, count: int) -> Tensor:
        """Sums over the components of each row, weighted: ``(P,) -> (count,)``"""
        if count == 1:
            return (self.weight @ x).unsqueeze(0)
        return x.new_zeros(count).index_add(0, self.row, self.weight * x)

    def distinct(self) -> tuple["Mixture", Tensor]:
        """Components none of which are alike, of any row and weight, and which of them each is."""
        which = torch.zeros(len(self.row), dtype=torch.long)
        for part in (self.mean, self.scale, self.low, self.high):
            values, place = part.unique(return_inverse=True)
            if len(values) > 1:
                which = (which * len(values) + place).unique(return_inverse=True)[1]
        first = torch.empty(int(which.max()) + 1 if len(which) else 0, dtype=torch.long)
        first[which] = torch.arange(len(which))
        return Mixture(*(x[first] for x in self)), which

    def whole(self, count: int) -> Tensor:
        """The weight of each row: ``-> (count,)``"""
        return self.total(torch.ones_like(self.weight), count)

    @property
    def is_cut(self) -> Tensor:
        """Which components are truncated, ``(P,)``."""
        return (self.low != -torch.inf) | (self.high != torch.inf)

    def cdf(self, score: Tensor) -> Tensor:
        """Weight below a score of each row, included: ``(n,) -> (n,)``"""
        return self.total(self._below(score[self.row]), len(score))

    def _below(self, z: Tensor) -> Tensor:
        point = self.scale == 0
        scale = torch.where(point, 1.0, self.scale)
        if holds(self.is_cut.any()):
            below = truncated_cdf(*((x - self.mean) / scale for x in (z, self.low, self.high)))
        else:
            below = below_of((z - self.mean) / scale)
        return torch.where(point, (z >= self.mean).to(below), below)

    def _slope(self, z: Tensor, log_inside: Tensor) -> Tensor:
        """The density of each component, 0 of a point: ``(P,)``, given log of what is within its bounds."""
        standard = (z - self.mean) / self.scale
        slope = (-0.5 * standard.square() - LOG_ROOT - log_inside).exp() / self.scale
        return torch.where((self.scale > 0) & (z >= self.low) & (z <= self.high), slope, 0.0)

    def _plain(self, z: Tensor) -> tuple[Tensor, Tensor]:
        """As `_below` and `_slope`, where no component is truncated or a point."""
        standard = z.sub(self.mean).div_(self.scale)
        return below_of(standard), standard.square_().mul_(-0.5).exp_().div_(self.scale).mul_(math.exp(-LOG_ROOT))

    def _roughly(self, level: Tensor, start: Tensor) -> Tensor:
        """Quantiles of a part of very many components, for a search to begin at; of a row that has none the start."""
        step = len(self.row) // (PART * len(level))
        if step < 2:
            return start
        part = Mixture(*(x[::step] for x in self))
        there = part.whole(len(level)) > 0
        if bool(there.all()):
            return part.quantile(level)
        result = start.clone()
        result[there] = part.among(there).quantile(level[there])
        return result

    def quantile(self, level: Tensor) -> Tensor:
        """The score of each row below which a share of its whole weight lies, ``(n,) -> (n,)``; each has components.

        Newton's steps, and a halving of the bracket where they lead out of it or are not half as long as the last one;
        rows that are settled take no more.
        """
        count, whole = len(level), self.whole(len(level))
        share = level[self.row].clamp(TINY, 1 - 1e-16)
        cut = holds(self.is_cut.any())
        ends = self.mean + self.scale * ndtri(share)
        if cut:
            ends = truncated_quantile(share, self.mean, self.scale, self.low, self.high)
        low, high = (_extreme(ends, self.row, count, how) for how in ("amin", "amax"))
        centre = self.total(self.mean, count) / whole  # where a single Gaussian of the same moments has it
        spread = self.total(self.scale.square() + (self.mean - centre[self.row]).square(), count) / whole
        result = centre + spread.sqrt() * ndtri(level.clamp(TINY, 1 - 1e-16))
        low, goal = low - STEP * (1 + low.abs()), level * whole
        result = torch.minimum(torch.maximum(self._roughly(level, result), low), high)
        plain, inside = not cut and not holds((self.scale == 0).any()), torch.zeros_like(self.mean)
        if cut:
            inside = log_interval(*((x - self.mean) / self.scale for x in (self.low, self.high)))
        some, left = self, torch.arange(count)  # components and rows that are not settled
        moved, exact = torch.full_like(result, torch.inf), torch.zeros(count, dtype=torch.bool)
        for _ in range(LONGEST):
            z = result[left]
            at = z[some.row]
            parts = some._plain(at) if plain else (some._below(at), some._slope(at, inside))
            below, slope = (some.total(x, len(left)) for x in parts)
            above = below >= goal[left]
            low[left], high[left] = torch.where(above, low[left], z), torch.where(above, z, high[left])
            newton, small = z - (below - goal[left]) / slope, STEP * (1 + z.abs())
            good = (newton >= low[left]) & (newton <= high[left])
            near = good & ((newton - z).abs() <= small)
            good &= 2 * (newton - z).abs() <= moved[left]  # else a halving is as fast, and sure
            good |= near
            result[left] = torch.where(good, newton, 0.5 * (low[left] + high[left]))
            moved[left], exact[left] = (result[left] - z).abs(), near
            open_rows = (high[left] - low[left] > 1e-3 * small) & ~near
            if not bool(open_rows.any()):
                break
            if 4 * int(open_rows.sum()) < len(left):
                inside, some = inside if plain else inside[open_rows[some.row]], some.among(open_rows)
                left = left[open_rows]
        return torch.where(~exact & (high - result < 2 * STEP * (1 + high.abs())), high, result)  # a point


def pick(row: Tensor, weight: Tensor, count: int, generator: torch.Generator) -> Tensor:
    """The place of one component of each of `count` rows, drawn by its weight, 0 for a row without: ``-> (count,)``"""
    noise = torch.rand(len(row), generator=generator, dtype=weight.dtype).clamp_min(1e-300)
    race = torch.where(weight > 0, -noise.log() / weight, torch.inf)  # the first arrival of exponential clocks
    first = _extreme(race, row, count, "amin")
    winner = (race == first[row]).nonzero()[:, 0]
    return torch.zeros(count, dtype=torch.long).index_copy(0, row[winner], winner)


def _extreme(x: Tensor, row: Tensor, count: int, how: str) -> Tensor:
    return x.new_zeros(count).scatter_reduce(0, row, x, how, include_self=False)


def truncated_cdf(z: Tensor, low: Tensor, high: Tensor) -> Tensor:
    """P(Z <= z) of a standard Gaussian between bounds, exact in its tails."""
    flip = low > 0  # there the other tail has the digits
    a, b = torch.where(flip, -high, low), torch.where(flip, -low, high)
    x = torch.where(flip, -z, z)
    x = torch.minimum(torch.maximum(x, a), b)
    share = (log_interval(a, x) - log_interval(a, b)).exp()
    return torch.where(flip, 1 - share, share)


def truncated_quantile(level: Tensor, mean: Tensor, scale: Tensor, low: Tensor, high: Tensor) -> Tensor:
    """The inverse of `truncated_cdf`, for Gaussians of any mean and scale; of scale 0 their mean. All of one shape."""
    point = scale == 0
    width = torch.where(point, 1.0, scale)
    bounds = (low - mean) / width, (high - mean) / width
    flip = bounds[0] > 0  # there the other tail has the digits
    a, b = torch.where(flip, -bounds[1], bounds[0]), torch.where(flip, -bounds[0], bounds[1])
    share, below, above = torch.where(flip, 1 - level, level), below_of(a), below_of(b)
    z = torch.where(above > 0, ndtri(below + share * (above - below)), b)  # at its end where floats see no more
    z = torch.minimum(torch.maximum(z, a), b)
    return torch.where(point, mean, mean + width * torch.where(flip, -z, z))


def reach_of(low: Tensor, high: Tensor, drop: float = 74.0) -> tuple[Tensor, Tensor]:
    """The part of an interval where a standard Gaussian is not smaller than exp(-drop / 2) times its largest there."""
    mode = torch.zeros_like(low).maximum(low).minimum(high)
    far = (mode.square() + drop).sqrt()
    return torch.maximum(low, -far), torch.minimum(high, far)


def truncated_nodes(mean: Tensor, scale: Tensor, low: Tensor, high: Tensor) -> tuple[Tensor, Tensor]:
    """Scores and log-weights that integrate against a Gaussian over an interval: ``(P,) -> (P, NODES)`` each.

    The weights sum to the probability of the interval, as near as the quadrature comes to it.
    """
    bottom, top = reach_of((low - mean) / scale, (high - mean) / scale, 50.0)
    x, w = legendre(NODES)
    half = 0.5 * (top - bottom).unsqueeze(-1)
    z = 0.5 * (top + bottom).unsqueeze(-1) + half * x
    log_weights = w.log() + half.log() - 0.5 * z.square() - LOG_ROOT
    nodes = mean.unsqueeze(-1) + scale.unsqueeze(-1) * z
    return nodes.maximum(low.unsqueeze(-1)).minimum(high.unsqueeze(-1)), log_weights


@lru_cache
def legendre(count: int) -> tuple[Tensor, Tensor]:
    """Nodes and weights of Gauss and Legendre over (-1, 1)."""
    nodes, weights = np.polynomial.legendre.leggauss(count)
    return torch.from_numpy(nodes), torch.from_numpy(weights)
