"""Copies of a score or else what the chain has there: log-densities and log-probabilities of all pairs of them.

The adjoints are written by hand. Of M exemplars and n values they cost a few sweeps over ``(n, M)``, and what the chain
has there, which nothing learns, none. Letters in the shape comments: n values, M exemplars, U different centres.
"""

import math

import torch
from torch import Tensor

from pyro_priors.tables.leaves.score_mixtures import LOG_ROOT, below_of

SMALLEST = 1e-300  # probability of an interval under an exemplar
CACHED = 2**16  # pairs at a time, which stay in a cache
FAR = 1e6  # standard deviations, where no density is left
ALIKE = 1e-12  # ends of intervals that are no further apart are one


def log_density(value: Tensor, centre: Tensor, width: Tensor, mean: Tensor, scale: Tensor, logs: Tensor) -> Tensor:
    """Of values under ``exp(logs[0]) N(centre, width) + exp(logs[1]) N(mean, scale)``.

    Shapes:
        ``value (n,)``; ``centre, mean, scale (M,)``, ``logs (2, M)``, ``width ()`` -> ``(n, M)``
    """
    if width.requires_grad or logs.requires_grad:
        return _LogDensity.apply(value, centre, width, mean, scale, logs)  # pyright: ignore[reportReturnType]
    parts = value.split(max(1, CACHED // len(centre)))
    return torch.cat([torch.logaddexp(*_log_parts(part, centre, width, mean, scale, logs)) for part in parts])


def _log_parts(value, centre, width, mean, scale, logs) -> tuple[Tensor, Tensor]:
    half = math.sqrt(0.5)
    near, far = ((value.unsqueeze(-1) - x).mul_(half / s).square_() for x, s in ((centre, width), (mean, scale)))
    copied, anew = (log - s.log() - LOG_ROOT for log, s in zip(logs, (width, scale), strict=True))
    return torch.sub(copied, near, out=near), torch.sub(anew, far, out=far)


class _LogDensity(torch.autograd.Function):
    @staticmethod
    def forward(ctx, value, centre, width, mean, scale, logs):
        spike, slab = _log_parts(value, centre, width, mean, scale, logs)
        result = torch.logaddexp(spike, slab)
        ctx.save_for_backward(value, centre, width, spike.sub_(result).exp_())
        return result

    @staticmethod
    def backward(ctx, grad):  # pyright: ignore[reportIncompatibleMethodOverride] (torch's takes any number)
        value, centre, width, share = ctx.saved_tensors  # of the copies, (n, M)
        copied = grad * share
        near = (value.unsqueeze(-1) - centre).div_(width).square_().sub_(1)
        to_logs = torch.stack([copied.sum(0), (grad.sub(copied)).sum(0)])
        return None, None, (copied * near).sum() / width, None, None, to_logs


def log_mass(ends: tuple[Tensor, Tensor], centre: Tensor, width: Tensor, slab: Tensor, logs: Tensor) -> Tensor:
    """Of intervals under ``exp(logs[0]) N(centre, width)``, and ``exp(logs[1])`` times their probability under a slab.

    Shapes:
        ``ends (n,)`` twice; ``centre (M,)``, ``logs (2, M)``, ``width ()``, ``slab (n, M)`` -> ``(n, M)``
    """
    if width.requires_grad or logs.requires_grad:
        return _LogMass.apply(*ends, centre, width, slab, logs)  # pyright: ignore[reportReturnType]
    return _mass(copies(ends, centre, width), slab, logs).clamp_min_(SMALLEST).log_()


def _mass(copies: Tensor, slab: Tensor, logs: Tensor) -> Tensor:
    copied, anew = logs.exp()
    return copies.mul_(copied).addcmul_(slab, anew)


def copies(ends: tuple[Tensor, Tensor], centre: Tensor, width: Tensor) -> Tensor:
    """Of intervals about centres, of which many are alike where values are few: ``(n,), (n,), (M,) -> (n, M)``"""
    centre, which = centre.unique(return_inverse=True)
    return interval_masses(ends, centre, width.expand_as(centre)).index_select(1, which)


class _LogMass(torch.autograd.Function):
    @staticmethod
    def forward(ctx, low, high, centre, width, slab, logs):
        apart, which = centre.unique(return_inverse=True)  # (U,)
        unit = interval_masses((low, high), apart, width.expand_as(apart))
        total = _mass(unit.index_select(1, which), slab, logs).clamp_min_(SMALLEST)
        ctx.save_for_backward(low, high, apart, which, width, unit, slab, logs, total)
        return total.log()

    @staticmethod
    def backward(ctx, grad):  # pyright: ignore[reportIncompatibleMethodOverride]
        low, high, apart, which, width, unit, slab, logs, total = ctx.saved_tensors
        copied, anew = logs.exp()
        grad = torch.where(total > SMALLEST, grad / total, 0.0)
        low, high = ((end.unsqueeze(-1) - apart) / width for end in (low, high))
        slope = (_moment(low) - _moment(high)) / width  # of the copies by their width, (n, U)
        to_copied = (grad * unit.index_select(1, which)).sum(0) * copied
        to_width = ((grad * slope.index_select(1, which)).sum(0) * copied).sum()
        return None, None, None, to_width, None, torch.stack([to_copied, (grad * slab).sum(0) * anew])


def _moment(z: Tensor) -> Tensor:
    """z times the standard normal density there: nothing at infinite ends."""
    return z.clamp(-FAR, FAR) * (-0.5 * z.square() - LOG_ROOT).exp()


def interval_masses(ends: tuple[Tensor, Tensor], mean: Tensor, scale: Tensor) -> Tensor:
    """Probabilities of intervals under Gaussians, with the digits of their tails: ``(n,), (n,), (M,) x 2 -> (n, M)``

    Intervals that lie side by side share their ends: each costs one error function, not two.
    """
    both = torch.cat(ends)
    _, which = (both / ALIKE).round().unique(return_inverse=True)
    apart = both.new_empty(int(which.max()) + 1 if len(which) else 0).index_copy_(0, which, both)
    low, high = which.chunk(2)
    step, result = max(1, CACHED // max(1, len(mean))), []
    if len(apart) <= 1.5 * len(low):
        z = (apart.unsqueeze(-1) - mean) / scale
        tail = torch.cat([below_of(-part.abs()) for part in z.split(step)]) if len(z) else z
        for one, other in zip(low.split(step), high.split(step), strict=True):
            result.append(_between(z[one], z[other], tail[one], tail[other]))
    else:
        for one, other in zip(*(end.split(step) for end in ends), strict=True):
            a, b = ((end.unsqueeze(-1) - mean) / scale for end in (one, other))
            result.append(_between(a, b, below_of(-a.abs()), below_of(-b.abs())))
    return torch.cat(result) if result else both.new_empty(0, len(mean))


def _between(low: Tensor, high: Tensor, below: Tensor, above: Tensor) -> Tensor:
    """What lies between two scores, of whose nearer tails the probabilities are known."""
    return torch.where((low < 0) & (high > 0), (1 - below).sub_(above), (above - below).abs_())
