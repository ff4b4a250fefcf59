"""Intervals of scores, and their probabilities."""

import math
from typing import NamedTuple

import torch
from torch import Tensor
from torch.special import erfc, log_ndtr

from pyro_priors.distributions.gaussians import LOG_ROOT

NARROW = 1e-4  # half-width, in scales, from which on the density times the width is more exact than a difference


class Bounds(NamedTuple):
    """An interval of scores for every row: ``low, high (n,)``, infinite where open."""

    low: Tensor
    high: Tensor


def below_of(z: Tensor) -> Tensor:
    """P(Z <= z) of a standard Gaussian, with all digits in the lower tail, where `torch.special.ndtr` has none."""
    return 0.5 * erfc(-math.sqrt(0.5) * z)


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
