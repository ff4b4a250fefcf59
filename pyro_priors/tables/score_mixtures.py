"""Mixtures of Gaussians over a score: probabilities of intervals, and quantiles.

Letters in the shape comments: n rows, K Gaussians with weights w that sum to one in every row, locations m, scales s.
"""

import math
from typing import NamedTuple

import torch
from torch import Tensor
from torch.special import log_ndtr

NARROW = 1e-4  # half-width, in scales, from which on the density times the width is more exact than a difference
REACH = 38.0  # scales, beyond which float64 has no probabilities
LEAST_SHARE = 1e-16  # of a Gaussian in a row: what is less changes no quantile
TOLERANCE, MOST_STEPS = 1e-11, 300
LOG_ROOT = 0.5 * math.log(2 * math.pi)


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
        >>> w, m, s = torch.full((1, 2), 0.5), torch.tensor([[-1.0, 1.0]]), torch.ones(1, 2)
        >>> round(mixture_quantile(0.9, w, m, s).item(), 6)
        1.849468
    """
    w, m, s = w.double(), m.double(), s.double()
    levels = torch.as_tensor(level, dtype=torch.float64, device=w.device)
    if not bool(((levels >= 0) & (levels <= 1)).all()):
        raise ValueError(f"level: expected levels within [0, 1], got {level}")
    levels = levels.expand(torch.broadcast_shapes(levels.shape, w.shape[:-1]))
    w, m, s = _live(w, m, s, bounds)
    share, _ = shares(w, m, s, bounds)
    low, high, z = (x.flatten().clone() for x in _bracket(levels, share, m, s, bounds))
    open_ = torch.arange(len(z), device=z.device)  # those whose bracket is wider than allowed
    last = high - low
    for _ in range(MOST_STEPS):
        rows, there = open_ % len(w), z[open_]
        limits = None if bounds is None else Bounds(bounds.low[rows], bounds.high[rows])
        density = mixture_density(there, w[rows], m[rows], s[rows], limits)
        error = mixture_cdf(there, w[rows], m[rows], s[rows], limits) - levels.flatten()[open_]
        low[open_] = a = torch.where(error < 0, there, low[open_])
        high[open_] = b = torch.where(error < 0, high[open_], there)
        tolerance = TOLERANCE * (1 + there.abs())
        move = -error / density
        newton = there + move + move.sign() * tolerance / 2  # a little beyond, so that the bracket closes
        fast = (newton > a) & (newton < b) & (move.abs() < last[open_] / 2)
        z[open_] = next_ = torch.where(fast, newton, (a + b) / 2)
        last[open_] = (next_ - there).abs()
        open_ = open_[b - a > tolerance]  # NaN of impossible bounds is no reason to go on
        if not len(open_):
            break
    return z.view(levels.shape)


def mixture_density(z: Tensor, w: Tensor, m: Tensor, s: Tensor, bounds: Bounds | None = None) -> Tensor:
    """The density of a score among those within the bounds: as `mixture_cdf`."""
    log_density = w.double().log() - ((z.double().unsqueeze(-1) - m) / s) ** 2 / 2 - s.log() - LOG_ROOT
    _, log_total = shares(w, m, s, bounds)
    return (log_density.logsumexp(-1) - log_total).exp()


def _live(w: Tensor, m: Tensor, s: Tensor, bounds: Bounds | None) -> tuple[Tensor, Tensor, Tensor]:
    """The Gaussians that matter to a row, as many as to the row that needs most."""
    share, _ = shares(w, m, s, bounds)
    count = int((share > LEAST_SHARE).sum(-1).max()) if len(w) else 1
    if count >= w.shape[-1]:
        return w, m, s
    best = share.topk(max(count, 1)).indices
    w, m, s = (x.gather(-1, best) for x in (w.expand_as(share), m.expand_as(share), s.expand_as(share)))
    return (w / w.sum(-1, keepdim=True) if bounds is None else w), m, s


def shares(w: Tensor, m: Tensor, s: Tensor, bounds: Bounds | None) -> tuple[Tensor, Tensor | float]:
    """What of the law within the bounds each Gaussian has, ``(n, K)``, and the log of their probability ``(n,)``."""
    if bounds is None:
        return w.double(), 0.0
    masses = log_masses(w, m, s, bounds)
    total = masses.logsumexp(-1)
    return (masses - total.unsqueeze(-1)).exp(), total


def _bracket(
    levels: Tensor, share: Tensor, m: Tensor, s: Tensor, bounds: Bounds | None
) -> tuple[Tensor, Tensor, Tensor]:
    """Between which scores the quantiles lie, and a first guess: ``(*, n)`` each."""
    standard = torch.special.ndtri(levels.clamp(1e-300, 1 - 2**-53)).unsqueeze(-1)
    if bounds is None:  # a mixture's quantile lies between those of its Gaussians
        low = high = m + s * standard
    else:
        a, b = (end.double().unsqueeze(-1) for end in bounds)
        low, high = ((m.minimum(b) - REACH * s).maximum(a), (m.maximum(a) + REACH * s).minimum(b))
        m = m.clamp(a, b)
    dead = share <= LEAST_SHARE
    low = low.masked_fill(dead, torch.inf).amin(-1).expand(levels.shape)
    high = high.masked_fill(dead, -torch.inf).amax(-1).expand(levels.shape)
    mean = (share * m).sum(-1)
    spread = (share * (s**2 + (m - mean.unsqueeze(-1)) ** 2)).sum(-1).sqrt()
    guess = mean + spread * standard.squeeze(-1)
    return low, high, torch.where((guess > low) & (guess < high), guess, (low + high) / 2)
