"""Mixtures of Gaussians over a score: probabilities of intervals, quantiles, means of what a score stands for.

Letters in the shape comments: n rows, K Gaussians with weights w that sum to one in every row, locations m, scales s.
"""

from collections.abc import Callable
from typing import NamedTuple

import numpy as np
import torch
from torch import Tensor
from torch.special import log_ndtr

NARROW = 1e-4  # half-width, in scales, from which on the density times the width is more exact than a difference
FALL = 32.0  # by what power of e the density falls where a mean takes no more notice of it
NODES = 48  # of a Gaussian's quadrature
LEAST_WEIGHT = 1e-9  # of a Gaussian in a row: what is less cannot be seen in a mean
CHUNK = 2**21  # numbers at a time
QUANTILE_REACH = 38.0  # scales, beyond which float64 has no probabilities
LEAST_SHARE, TOLERANCE, MOST_STEPS = 1e-300, 1e-11, 300  # of a quantile
LOG_ROOT = 0.5 * float(np.log(2 * np.pi))


class Bounds(NamedTuple):
    """An interval of scores for every row: ``low, high (n,)``, infinite where open."""

    low: Tensor
    high: Tensor


def log_interval(low: Tensor, high: Tensor) -> Tensor:
    """Log of the standard normal probability of an interval, finite however far out and however narrow it is.

    Shapes:
        ``low, high (*)``, infinite where open -> ``(*)``; -inf where the interval is empty
    """
    low, high = torch.broadcast_tensors(low.double(), high.double())
    flipped = low + high > 0  # measured from the nearer tail
    a, b = torch.where(flipped, -high, low), torch.where(flipped, -low, high)
    half, middle = (b - a) / 2, (a + b) / 2
    narrow = half < NARROW
    upper, lower = log_ndtr(b), log_ndtr(a)
    wide = upper + _log_rest(torch.where(narrow, -torch.inf, lower - upper))
    middle, half = torch.where(narrow, middle, 0.0), torch.where(narrow, half, NARROW)
    tilt = middle.abs() * half  # the density is the exponential of a line there, but for the square of the width
    density = -(middle**2) / 2 - LOG_ROOT + (2 * half).log()
    thin = density + tilt + _log_rest(-2 * tilt.clamp_min(1e-12)) - (2 * tilt.clamp_min(1e-12)).log()
    return torch.where(high > low, torch.where(narrow, thin, wide), -torch.inf)


def _log_rest(x: Tensor) -> Tensor:
    """log(1 - exp(x)) for x < 0."""
    return torch.where(x > -0.5, (-torch.expm1(x)).log(), torch.log1p(-x.exp()))


def log_masses(w: Tensor, m: Tensor, s: Tensor, bounds: Bounds) -> Tensor:
    """Log of the probability of an interval and each Gaussian: ``(n, K)``."""
    low, high = ((end.double().unsqueeze(-1) - m) / s for end in bounds)
    return w.double().log() + log_interval(low, high)


def log_mass(w: Tensor, m: Tensor, s: Tensor, bounds: Bounds) -> Tensor:
    """Log of the probability of an interval.

    Shapes:
        ``w, m, s (n, K)``, ``bounds`` of ``(n,)`` -> ``(n,)``
    """
    return log_masses(w, m, s, bounds).logsumexp(-1)


def mixture_cdf(z: Tensor, w: Tensor, m: Tensor, s: Tensor, bounds: Bounds | None = None) -> Tensor:
    """The probability of a score of at most z, among those within the bounds.

    Shapes:
        ``z (*, n)``, ``w, m, s (n, K)``, ``bounds`` of ``(n,)`` -> ``(*, n)``
    """
    z = z.double().unsqueeze(-1)
    if bounds is None:
        return (w * torch.special.ndtr((z - m) / s)).sum(-1)
    inside = log_masses(w, m, s, bounds)
    low, high = (end.double().unsqueeze(-1) for end in bounds)
    part = w.double().log() + log_interval((low - m) / s, (z.clamp(low, high) - m) / s)
    return (part - inside.logsumexp(-1, keepdim=True)).exp().sum(-1).clamp(max=1.0)


def mixture_quantile(level: Tensor | float, w: Tensor, m: Tensor, s: Tensor, bounds: Bounds | None = None) -> Tensor:
    """The score that a share `level` of the law lies below, within the bounds, exact to 1e-10 of the smallest scale.

    Newton's steps, and a halving of the bracket where they lead out of it.

    Shapes:
        ``level (*, n)`` or a number, ``w, m, s (n, K)``, ``bounds`` of ``(n,)`` -> ``(*, n)``

    Raises:
        ValueError: levels outside [0, 1].

    Example:
        >>> one, two = torch.ones(1, 2), torch.tensor([[-1.0, 1.0]])
        >>> mixture_quantile(0.5, one / 2, two, one).abs().item() < 1e-9
        True
    """
    level = torch.as_tensor(level, dtype=torch.float64, device=w.device)
    if not bool(((level >= 0) & (level <= 1)).all()):
        raise ValueError(f"level: expected levels within [0, 1], got {level}")
    w, m, s = w.double(), m.double(), s.double()
    level = level.expand(torch.broadcast_shapes(level.shape, w.shape[:-1]))
    shares, log_total = _shares(w, m, s, bounds)
    low, high = _bracket(m, s, shares > LEAST_SHARE, bounds)
    low, high, z = low.expand(level.shape), high.expand(level.shape), ((low + high) / 2).expand(level.shape)
    for step in range(MOST_STEPS):
        error = mixture_cdf(z, w, m, s, bounds) - level
        low, high = torch.where(error < 0, z, low), torch.where(error < 0, high, z)
        tolerance = TOLERANCE * (1 + z.abs())
        if bool((high - low <= tolerance).all()):
            break
        log_density = w.log() - ((z.unsqueeze(-1) - m) / s) ** 2 / 2 - s.log() - LOG_ROOT
        move = -error / (log_density.logsumexp(-1) - log_total).exp()
        newton = z + 1.001 * move + move.sign() * tolerance / 4  # a little beyond, so that the bracket closes
        inside = (newton > low) & (newton < high) & (step % 3 < 2)
        z = torch.where(inside, newton, (low + high) / 2)
    return z


def _shares(w: Tensor, m: Tensor, s: Tensor, bounds: Bounds | None) -> tuple[Tensor, Tensor | float]:
    """What of the law within the bounds each Gaussian has, ``(n, K)``, and the log of their probability ``(n,)``."""
    if bounds is None:
        return w.double(), 0.0
    masses = log_masses(w, m, s, bounds)
    total = masses.logsumexp(-1)
    return (masses - total.unsqueeze(-1)).exp(), total


def _bracket(m: Tensor, s: Tensor, live: Tensor, bounds: Bounds | None) -> tuple[Tensor, Tensor]:
    """Between which scores all but nothing of each live Gaussian lies: ``(n,)``, ``(n,)``"""
    if bounds is None:
        low, high = m - QUANTILE_REACH * s, m + QUANTILE_REACH * s
    else:
        a, b = (end.double().unsqueeze(-1) for end in bounds)
        low, high = ((m.minimum(b) - QUANTILE_REACH * s).maximum(a), (m.maximum(a) + QUANTILE_REACH * s).minimum(b))
    return low.masked_fill(~live, torch.inf).amin(-1), high.masked_fill(~live, -torch.inf).amax(-1)


def mixture_mean(
    function: Callable[[Tensor], Tensor],
    ends: tuple[float, float],
    w: Tensor,
    m: Tensor,
    s: Tensor,
    bounds: Bounds | None = None,
) -> Tensor:
    """The mean of a function of the score that is constant beyond two ends, within the bounds.

    Each Gaussian that counts in its row is integrated between the ends by Gauss and Legendre's rule.

    Shapes:
        ``w, m, s (n, K)``, ``bounds`` of ``(n,)`` -> ``(n,)``; the function is of ``(*)``
    """
    w, m, s = w.double(), m.double(), s.double()
    shares, _ = _shares(w, m, s, bounds)
    rows, columns = (shares > LEAST_WEIGHT).nonzero(as_tuple=True)
    result, total = (torch.zeros(len(w), dtype=torch.float64, device=w.device) for _ in range(2))
    for part in torch.arange(len(rows), device=w.device).split(max(1, CHUNK // NODES)):
        row, column = rows[part], columns[part]
        share, loc, scale = (x[row, column] for x in (shares, m, s))
        limits = None if bounds is None else Bounds(bounds.low.double()[row], bounds.high.double()[row])
        result.index_add_(0, row, share * _gaussian_mean(function, ends, loc, scale, limits))
        total.index_add_(0, row, share)
    return result / total


def _gaussian_mean(
    function: Callable[[Tensor], Tensor], ends: tuple[float, float], m: Tensor, s: Tensor, bounds: Bounds | None
) -> Tensor:
    """The same of single Gaussians: ``m, s (n,)`` -> ``(n,)``"""
    infinite = torch.full_like(m, torch.inf)
    a, b = ((end - m) / s for end in bounds) if bounds is not None else (-infinite, infinite)
    first, last = ((end - m) / s for end in ends)
    first, last = first.clamp(a, b), last.clamp(a, b)
    logs = torch.stack([log_interval(a, first), log_interval(first, last), log_interval(last, b)])
    under, between, over = logs.softmax(0)
    start, stop = _window(first, last)
    nodes, weights = _legendre(m)
    half = ((stop - start) / 2).unsqueeze(-1)
    t = ((stop + start) / 2).unsqueeze(-1) + half * nodes
    density = (weights.log() - (t - start.unsqueeze(-1)) * (t + start.unsqueeze(-1)) / 2).softmax(-1)
    inner = (density * function(m.unsqueeze(-1) + s.unsqueeze(-1) * t)).sum(-1)
    low, high = function(torch.tensor(ends, dtype=torch.float64, device=m.device))
    return under * low + between * inner + over * high


def _window(first: Tensor, last: Tensor) -> tuple[Tensor, Tensor]:
    """What of an interval counts under a standard normal law: as far as the density falls by e^-32 from its top."""

    def reach(t: Tensor) -> Tensor:
        return 2 * FALL / (t + (t**2 + 2 * FALL).sqrt())

    top = torch.zeros_like(first).clamp(first, last)  # where the density is largest
    return first.maximum(top - reach(-top.clamp(max=0))), last.minimum(top + reach(top.clamp(min=0)))


def _legendre(like: Tensor) -> tuple[Tensor, Tensor]:
    nodes, weights = np.polynomial.legendre.leggauss(NODES)
    return tuple(torch.as_tensor(x, dtype=torch.float64, device=like.device) for x in (nodes, weights))
