"""Pathwise gradients of draws from a chain of one-dimensional conditional mixtures.

Each variable given those before it is a Gaussian mixture with CDF F_k. Differentiating the identity
F_k(z_k given z_<k) = u_k gives the implicit reparameterisation gradient, mixture weights included, which autograd
finds in one sweep over ``z_k - (F_k(z_k given z'_<k) - F_k.detach()) / p_k.detach()`` where z' are the returned,
gradient-carrying values (Figurnov, Mohamed, Mnih, "Implicit reparameterization gradients", 2018, eq. 6). The surrogate
is exact to first order only.
"""

import math
from collections.abc import Sequence

import torch
from torch import Tensor

from pyro_priors.ops.gaussians import log_normal_factors
from pyro_priors.ops.implicit_vector import pathwise_vector
from pyro_priors.ops.layout import Cores
from pyro_priors.ops.scaling import boundaries, scale_chain, wide
from pyro_priors.ops.sweeps import rescale, sweep_plain

#: Of a number: loc and scale; of a vector: loc and factors of its inverse covariances.
Leaf = tuple[Tensor, Tensor]


def pathwise(
    draws: Sequence[Tensor | None],
    leaves: Sequence[Leaf | None],
    log_weights: Tensor,
    log_cores: Tensor | Cores,
    ring: bool,
    order: tuple[int, ...] | None = None,
) -> list[Tensor | None]:
    """``draws`` with first-order gradients to leaves, weights and cores; their values do not change.

    Variables that were not drawn (None) are summed out under their weights.

    Shapes:
        draws of D variables, ``(n,)`` or of a vector ``(n, k)``; leaves, of a number loc and scale ``(N,)``, of a
        vector loc ``(N, k)`` and factors ``(N, k, k)`` of its inverse covariances; weights (of n rows or one) and cores
        as those of `log_contract` -> as the draws
    """
    chained = Cores.of(log_cores)
    with torch.autocast(chained.device.type, enabled=False):
        scaled = scale_chain(log_weights.flatten(1), chained, order)
        chain = range(len(draws)) if order is None else order
        matrices = scaled.matrices().unbind()
        ends = boundaries(scaled.cores[0], ring)
        suffixes, log_scales = sweep_plain([matrix.mT for matrix in reversed(matrices)], ends)
        cores = scaled.by_position([part.flatten(-2) for part in scaled.cores])
        of_rows = scaled.by_position(scaled.weights)
        count = next(len(draw) for draw in draws if draw is not None)
        state, result = ends.expand(count, *ends.shape), list(draws)
        log_scale = wide(torch.zeros_like(state[..., 0]))  # (n, r)
        for k, (column, matrix, core, weights) in enumerate(zip(chain, matrices, cores, of_rows, strict=True)):
            draw, leaf = draws[column], leaves[column]
            if draw is None or leaf is None:
                state, taken = rescale(state @ matrix)
            else:
                together = log_scale + log_scales[-2 - k]
                together = (together - together.amax(-1, keepdim=True)).exp().to(state)[..., None]
                between = ((state * together).mT @ suffixes[-2 - k]).flatten(-2)  # (n, m * m)
                probs = weights * (between @ core.mT)
                result[column], density = moved_draw(draw.detach(), probs, leaf)
                state, taken = rescale(state @ ((weights * density) @ core).unflatten(-1, state.shape[-1:] * 2))
            log_scale = log_scale + taken
        return result


def moved_draw(value: Tensor, probs: Tensor, leaf: Leaf) -> tuple[Tensor, Tensor]:
    """A draw with its implicit gradient, and its densities under all states, over the largest.

    Shapes:
        ``(n,)`` or ``(n, k)``, weights of the states ``(n, N)``, the leaf -> as the value, ``(n, N)``
    """
    loc, spread = leaf
    if value.dim() == 1:
        moved = _implicit(value, probs / probs.sum(-1, keepdim=True), loc, spread)
        return moved, _densities(moved, loc, spread)
    log_probs = probs.clamp(min=torch.finfo(probs.dtype).tiny).log()
    moved = pathwise_vector(value, log_probs, loc, spread)
    log_density = log_normal_factors(moved, loc, spread)
    return moved, (log_density - log_density.detach().amax(-1, keepdim=True)).exp()


def mixture_pathwise(draws: Tensor, logits: Tensor, loc: Tensor, scale: Tensor) -> Tensor:
    """`pathwise` for a mixture of Gaussians over whole rows, which is a ring with diagonal cores.

    Shapes:
        ``draws (n, D)``, ``logits (K,)``, ``loc (K, D)``, ``scale (K, D)`` -> ``(n, D)``
    """
    with torch.autocast(draws.device.type, enabled=False):
        log_weights, result = logits.expand(len(draws), -1), []
        for value, a, b in zip(draws.detach().unbind(-1), loc.unbind(-1), scale.unbind(-1), strict=True):
            moved = _implicit(value, log_weights.softmax(-1), a, b)
            result.append(moved)
            log_weights = log_weights - 0.5 * ((moved[:, None] - a) / b).square() - b.log()
        return torch.stack(result, -1)


def _densities(value: Tensor, loc: Tensor, scale: Tensor) -> Tensor:
    """Of each component, over the largest of the row: (n,), (N,), (N,) -> (n, N)"""
    log_density = -0.5 * ((value[:, None] - loc) / scale).square() - scale.log()
    return (log_density - log_density.detach().amax(-1, keepdim=True)).exp()


def _implicit(value: Tensor, probs: Tensor, loc: Tensor, scale: Tensor) -> Tensor:
    """The value of a mixture with its implicit gradient: (n,), (n, N), (N,), (N,) -> (n,)"""
    standard = (value[:, None] - loc) / scale
    cdf = (probs * torch.special.ndtr(standard)).sum(-1)
    pdf = (probs * torch.exp(-0.5 * standard.square()) / (scale * math.sqrt(2 * math.pi))).sum(-1)
    return value - (cdf - cdf.detach()) / pdf.detach()
