"""Laws of numbers as a page draws them: densities on an axis, points of some values, means and intervals."""

import math
from collections.abc import Sequence
from typing import Any, NamedTuple

import numpy as np
import torch
from torch import Tensor

from pyro_priors.tables.answers.mixtures import LOG_ROOT, Mixture
from pyro_priors.tables.answers.posterior import Number, Part, Posterior
from pyro_priors.tables.leaves.score_mixtures import log_interval

STEPS = 160  # of an axis
ENDS = (0.0005, 0.9995)  # what of a law with nothing given its axis must show
LEVELS = (0.05, 0.5, 0.95)  # of the interval that is written, and its middle
AT_ONCE = 400  # components that are drawn together: they stay in a cache
LIGHT = 1e-9  # components that weigh less are not drawn


class Axis(NamedTuple):
    """Where the density of a number is drawn.

    Args:
        x: ``(G,)``, in the number's own units.
        scores: the same as scores of its leaf.
        log_slope: log of the derivative of the scores by x.
    """

    x: Tensor
    scores: Tensor
    log_slope: Tensor

    @classmethod
    def between(cls, leaf: Any, low: float, high: float) -> "Axis":
        """Of numbers that a leaf encodes; of a single point one around it."""
        low, high = (low - 0.5, high + 0.5) if not low < high else (low, high)
        x = torch.linspace(low, high, STEPS + 1, dtype=torch.float64)
        return cls(x, leaf.scores.encode(x), leaf.scores.log_slope(x))


class Curve(NamedTuple):
    """The law of one number.

    Args:
        density: ``(G,)`` on its axis, of what is no point; None where all are points.
        values, masses: its points, ``(a,)`` each.
        mean: exact.
        ends: quantiles at `LEVELS`.
    """

    density: Tensor | None
    values: Tensor
    masses: Tensor
    mean: float
    ends: tuple[float, ...]


def density(mixture: Mixture, scores: Tensor, log_slopes: Tensor) -> Tensor:
    """Of mixtures, one a row, in own units on an axis for each: ``(n, G), (n, G) -> (n, G)``"""
    some = mixture.weight > LIGHT
    mixture = Mixture(*(x[some] for x in mixture))
    mixture = mixture._replace(scale=mixture.scale.clamp_min(1e-12))
    result = torch.zeros_like(scores)
    for row, own in enumerate(scores):
        for part in (mixture.row == row).nonzero()[:, 0].split(AT_ONCE):
            result[row] += _density(Mixture(*(x[part] for x in mixture)), own)
    return result * log_slopes.exp()


def _density(mixture: Mixture, scores: Tensor) -> Tensor:
    """Of one mixture at scores: ``(G,)``"""
    mean, scale, low, high = (x.unsqueeze(-1) for x in mixture[2:])
    height = mixture.weight / (mixture.scale * math.exp(LOG_ROOT))
    each = scores.sub(mean).div_(scale).square_().mul_(-0.5)
    if bool(mixture.is_cut.any()):
        each = each - log_interval((low - mean) / scale, (high - mean) / scale)
        each = each.masked_fill((scores < low) | (scores > high), -torch.inf)
    return height @ each.exp_()


def curves(posterior: Posterior, columns: Sequence[int], axes: Sequence[Axis | None]) -> list[Curve]:
    """Of the numbers in some columns, of the one row of a posterior."""
    row = torch.zeros(1, dtype=torch.long)
    laws = [posterior.number(column, row) for column in columns]
    ends = _quantiles(laws)
    drawn = _densities(laws, axes)
    return [
        Curve(y, law.values, law.at[0], float(law.mean()), tuple(end.tolist()))
        for y, law, end in zip(drawn, laws, ends, strict=True)
    ]


def _densities(laws: Sequence[Number], axes: Sequence[Axis | None]) -> list[Tensor | None]:
    """On their axes, ``(G,)`` each, None of those without one; all mixtures in one go."""
    owners, mixtures, scores, slopes = [], [], [], []
    for k, (law, axis) in enumerate(zip(laws, axes, strict=True)):
        if axis is None:
            continue
        for part in law.parts:
            # Parts of several laws may have leaves of their own.
            own = part.wide.number_leaf(part.column).scores if len(law.parts) > 1 else None
            mixtures.append(part.mixture._replace(row=torch.full_like(part.mixture.row, len(owners))))
            scores.append(axis.scores if own is None else own.encode(axis.x))
            slopes.append(axis.log_slope if own is None else own.log_slope(axis.x))
            owners.append(k)
    total = torch.zeros(len(laws), STEPS + 1, dtype=torch.float64)
    if owners:
        each = density(Mixture.join(mixtures), torch.stack(scores), torch.stack(slopes))
        total.index_add_(0, torch.tensor(owners), each)
    return [None if axis is None else total[k] for k, axis in enumerate(axes)]


def _quantiles(laws: Sequence[Number]) -> list[Tensor]:
    """At `LEVELS`, ``(3,)`` of each; those without points, and of a leaf each, in one search."""
    result: list[Tensor] = [torch.empty(0)] * len(laws)
    plain = [k for k, law in enumerate(laws) if not len(law.values) and len(law.parts) == 1]
    if plain:
        count, copies = len(LEVELS), []
        for place, k in enumerate(plain):
            mixture = laws[k].parts[0].mixture
            copies += [mixture._replace(row=mixture.row + count * place + step) for step in range(count)]
        levels = torch.tensor(LEVELS, dtype=torch.float64).repeat(len(plain))
        scores = Mixture.join(copies).quantile(levels).clamp(-1e300, 1e300).view(-1, count)
        for k, score in zip(plain, scores, strict=True):
            part: Part = laws[k].parts[0]
            result[k] = part.values(score)
    for k, law in enumerate(laws):
        if k not in plain:
            result[k] = torch.cat([law.quantile(level) for level in LEVELS])
    return result


def change(now: Curve, before: Curve, axis: Axis | None) -> float:
    """The divergence KL(now, before) in nats: of points exact, of a density by the trapezoid rule on its axis."""
    nats = float(divergence(now.masses.numpy(), before.masses.numpy()))
    if axis is not None and now.density is not None and before.density is not None:
        gains = _gains(now.density.numpy(), before.density.numpy())
        nats += float(((gains[1:] + gains[:-1]) / 2).sum() * (axis.x[1] - axis.x[0]))
    return max(0.0, nats)


def divergence(p: np.ndarray, q: np.ndarray) -> np.ndarray:
    """KL(p, q) of probabilities in nats: ``(*, N) -> (*)``"""
    return _gains(p, q).sum(-1).clip(0.0)


def _gains(p: np.ndarray, q: np.ndarray) -> np.ndarray:
    with np.errstate(divide="ignore", invalid="ignore"):
        return np.where(p > 0, p * (np.log(p) - np.log(q)), 0.0)
