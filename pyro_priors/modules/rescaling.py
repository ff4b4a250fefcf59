"""Gaussians moved as a whole: those of x that a module owns become those of (x - shift) / scale."""

from typing import Any

from torch import Tensor

from pyro_priors.modules.factors import factor_of, parameters_of


def rescale_leaves(loc: Tensor, log_scale: Tensor, shift: Tensor, scale: Tensor) -> None:
    """Of independent numbers, in place; all of shapes that broadcast to that of loc."""
    loc.sub_(shift.to(loc)).div_(scale.to(loc))
    log_scale.sub_(scale.log().to(log_scale))


def rescale_gaussians(owner: Any, shift: Tensor, scale: Tensor) -> None:
    """Of vectors, in place: those of a module with ``loc, log_scale (N, n)`` and, where covariances are full,
    ``coupling`` (see `factor_of`); shift and scale are ``(n,)``.
    """
    before = None if owner.coupling is None else factor_of(owner.log_scale, owner.coupling)
    rescale_leaves(owner.loc, owner.log_scale, shift, scale)
    if before is not None:
        log_scale, moved = parameters_of(before * scale)
        owner.log_scale.copy_(log_scale)
        owner.coupling.copy_(moved)
