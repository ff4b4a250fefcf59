"""Gaussians of which some numbers are known to lie between bounds: probabilities, and points that stand for the rest.

Where one number is bounded, given those that are known, its law is a truncated Gaussian: its probability is exact and
its points are those of a quadrature. Where several are, the probability of their box has no closed form: it is the mean
of weighted draws, each number drawn between its bounds given those drawn before it (Geweke, Hajivassiliou and Keane).
The draws are the same for all rows, low-discrepancy and seeded, so that a row's answer depends on nothing else.
"""

from collections.abc import Iterator
from functools import lru_cache
from typing import NamedTuple

import torch
from torch import Tensor

from pyro_priors.distributions.gaussians import Gaussians
from pyro_priors.ops.gaussians import gap_patterns
from pyro_priors.tables.answers.mixtures import truncated_nodes, truncated_quantile
from pyro_priors.tables.leaves.score_mixtures import log_interval

DRAWS = 512  # where several numbers are bounded
ENTRIES = 2**21  # numbers that points may take at once


class Cut(NamedTuple):
    """Bounds of the scores of a vector, ``(n, k)`` each, infinite where there is none."""

    low: Tensor
    high: Tensor

    def at(self, rows: Tensor) -> "Cut":
        """Those of some rows."""
        return Cut(self.low[rows], self.high[rows])

    @property
    def bounded(self) -> Tensor:
        """Which numbers have bounds, ``(n, k)``."""
        return (self.low != -torch.inf) | (self.high != torch.inf)


class Points(NamedTuple):
    """Values of the bounded numbers in place of their bounds, several for each of P pairs of a row and a state."""

    pair: Tensor  # (Q,)
    log_weight: Tensor  # (Q,), of which the exponentials of a pair sum to the probability of its bounds
    value: Tensor  # (Q, k): what is neither known nor bounded is NaN


def log_masses(gaussians: Gaussians, states: Tensor, value: Tensor, cut: Cut) -> Tensor:
    """log p(within the bounds given what is known) under each pair's state: ``(P), (P, k), (P, k) x 2 -> (P)``"""
    result = value.new_zeros(len(value))
    for pairs, moments in _patterns(gaussians, states, value, cut):
        if len(moments.places) == 1:
            result[pairs] = log_interval(*_single(moments))
        elif moments.places:
            for some in _pieces(len(pairs), len(moments.places)):
                _, log_weights = _sequential(moments.at(some))
                result[pairs[some]] = log_weights.logsumexp(-1)
    return result


def cut_points(gaussians: Gaussians, states: Tensor, value: Tensor, cut: Cut) -> Points:
    """Points in place of the bounds of each pair; a pair without bounds has one, of log-weight 0."""
    parts = []
    for pairs, moments in _patterns(gaussians, states, value, cut):
        if not moments.places:
            parts.append(Points(pairs, value.new_zeros(len(pairs)), value[pairs]))
            continue
        if len(moments.places) == 1:
            mean, scale = moments.first()
            nodes, log_weights = truncated_nodes(mean, scale, moments.low[:, 0], moments.high[:, 0])
            exact = log_interval(*_single(moments)).unsqueeze(-1)
            log_weights = log_weights - log_weights.logsumexp(-1, keepdim=True) + exact
            nodes = nodes.unsqueeze(-1)
        else:
            nodes, log_weights = _sequential(moments)
        count = nodes.shape[1]
        filled = value[pairs].unsqueeze(1).repeat(1, count, 1)
        filled[:, :, moments.places] = nodes
        pair = pairs.unsqueeze(-1).expand(-1, count)
        parts.append(Points(pair.flatten(), log_weights.flatten(), filled.flatten(0, 1)))
    return Points(*(torch.cat(part) for part in zip(*parts, strict=True)))


class _Moments(NamedTuple):
    """The bounded numbers of pairs of one pattern, each given what is known and the bounded ones before it."""

    places: list[int]  # of the r bounded numbers in their vector
    loc: Tensor  # (b, r)
    pull: Tensor  # (b, r): what the known numbers take from the mean
    factor: Tensor  # (b, r, r), rows over their diagonal
    scale: Tensor  # (b, r)
    low: Tensor  # (b, r)
    high: Tensor  # (b, r)

    def at(self, rows: Tensor) -> "_Moments":
        return _Moments(self.places, *(x[rows] for x in self[1:]))

    def first(self) -> tuple[Tensor, Tensor]:
        """Mean and scale of the first one."""
        return self.loc[:, 0] - self.pull[:, 0], self.scale[:, 0]


def _patterns(gaussians: Gaussians, states: Tensor, value: Tensor, cut: Cut) -> Iterator[tuple[Tensor, _Moments]]:
    """The pairs that know the same numbers and have bounds on the same others, together."""
    known, bounded = ~value.isnan(), cut.bounded & value.isnan()
    patterns, which = gap_patterns(torch.cat([known, bounded], -1))
    size = value.shape[-1]
    for number, pattern in enumerate(patterns.tolist()):
        pairs = (which == number).nonzero()[:, 0]
        given, places = ([k for k in range(size) if flags[k]] for flags in (pattern[:size], pattern[size:]))
        if not places:
            empty = value.new_zeros(len(pairs), 0)
            yield pairs, _Moments([], empty, empty, empty.unsqueeze(-1), empty, empty, empty)
            continue
        loc, factor = (x.to(value) for x in gaussians.triangular([*given, *places]))
        own, count = states[pairs], len(given)
        diagonal = factor.diagonal(dim1=-2, dim2=-1)
        factor = (factor / diagonal.unsqueeze(-1))[:, count:]
        moved = value[pairs][:, given] - loc[own, :count]
        pull = (factor[own][:, :, :count] @ moved.unsqueeze(-1)).squeeze(-1)
        bounds = (x[pairs][:, places] for x in cut)
        inner, scale = factor[:, :, count:][own], diagonal[:, count:].reciprocal()[own]
        yield pairs, _Moments(places, loc[own, count:], pull, inner, scale, *bounds)


def _single(moments: _Moments) -> tuple[Tensor, Tensor]:
    mean, scale = moments.first()
    return (moments.low[:, 0] - mean) / scale, (moments.high[:, 0] - mean) / scale


def _sequential(moments: _Moments) -> tuple[Tensor, Tensor]:
    """Weighted draws between the bounds: ``(b, DRAWS, r)`` and their log-weights ``(b, DRAWS)``"""
    count = len(moments.places)
    uniform = _uniform(count)
    draws = moments.loc.new_empty(len(moments.loc), DRAWS, count)
    log_weights = moments.loc.new_full((len(moments.loc), DRAWS), -torch.tensor(float(DRAWS)).log().item())
    for i in range(count):
        moved = draws[:, :, :i] - moments.loc[:, None, :i]
        pull = moments.pull[:, i : i + 1] + (moved @ moments.factor[:, i, :i].unsqueeze(-1)).squeeze(-1)
        mean, scale = moments.loc[:, i : i + 1] - pull, moments.scale[:, i : i + 1].expand(-1, DRAWS)
        low, high = (x[:, i : i + 1].expand(-1, DRAWS) for x in (moments.low, moments.high))
        log_weights = log_weights + log_interval((low - mean) / scale, (high - mean) / scale)
        draws[:, :, i] = truncated_quantile(uniform[:, i].expand_as(mean), mean, scale, low, high)
    return draws, log_weights


@lru_cache
def _uniform(count: int) -> Tensor:
    """Points of the unit cube that fill it evenly, ``(DRAWS, count)``."""
    engine = torch.quasirandom.SobolEngine(count, scramble=True, seed=0)
    return engine.draw(DRAWS, dtype=torch.float64).clamp(1e-9, 1 - 1e-9)


def _pieces(count: int, numbers: int) -> Iterator[Tensor]:
    yield from torch.arange(count).split(max(1, ENTRIES // (DRAWS * numbers)))
