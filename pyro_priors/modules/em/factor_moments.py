"""Expected moments of the states of a low-rank vector, read off gradients, and what they make of its factors.

A row is x = loc + W f + e with factors f ~ N(0, I) and e ~ N(0, diag(scale^2)). With P the inverse of the covariance
C = W W^T + diag(scale^2), and S the sum of (x - loc) (x - loc)^T by how probable the state is, gradients of a
log-likelihood are

    by W: G = (P S P - mass P) W,    by loc: g = P sum (x - loc),    by scale: diag(P S P - mass P) scale

so that sums over rows of what factor analysis expects follow without an inverse: of f W^T g, of f f^T mass + W^T G, of
(x - loc) f^T C G + mass W, of e^2 scale^2 (mass + scale (by scale)). What is missing counts as the law expects it.
"""

from collections.abc import Mapping
from typing import Any, NamedTuple

import torch
from torch import Tensor

from pyro_priors.distributions.low_rank_gaussians import LowRankGaussians
from pyro_priors.ops import full_precision, wide
from pyro_priors.ops.gaussians import eye_like

LEAST = 1e-8  # of a number's variance under a state: what its factors leave is not less


class FactorGradients(NamedTuple):
    """Gradients of a mean log-likelihood with respect to Gaussians of low rank."""

    loadings: Tensor  # W, (N, n, q)
    scale: Tensor  # (N, n)
    by_loc: Tensor  # (N, n)
    by_loadings: Tensor  # (N, n, q)
    by_scale: Tensor  # (N, n)

    @classmethod
    def of_parameters(cls, leaf: Any, gradients: Mapping[str, Tensor]) -> "FactorGradients":
        """From those with respect to the parameters of a `VectorLeaf` of low rank."""
        law = leaf()
        by_scale = wide(gradients["log_scale"]) / wide(full_precision(leaf.log_scale)).exp()
        return cls(law.loadings, law.scale, gradients["loc"], gradients["loadings"], by_scale)

    def sums(self, mass: Tensor, about: Tensor) -> tuple[Tensor, ...]:
        """Sums, with y what is ``about (N, n)`` from loc, of y, y^2, y f^T, f and f f^T, in float64.

        Takes how often each state is expected, ``(N,)``, and loc less the origin that the sums are to have.

        Shapes:
            ``(N, n), (N, n), (N, n, q), (N, q), (N, q, q)``, as `factor_shapes` says
        """
        loadings, scale, by_loc, by_loadings, by_scale = (wide(x) for x in self)
        mass, about, noise = wide(mass).unsqueeze(-1), wide(about), scale.square()
        factors = (loadings.mT @ by_loc.unsqueeze(-1)).squeeze(-1)
        inner = loadings.mT @ by_loadings
        squares = mass.unsqueeze(-1) * eye_like(inner) + 0.5 * (inner + inner.mT)
        first = (loadings @ factors.unsqueeze(-1)).squeeze(-1) + noise * by_loc
        cross = loadings @ inner + noise.unsqueeze(-1) * by_loadings + mass.unsqueeze(-1) * loadings
        alone = noise * (mass + scale * by_scale)
        second = alone + (loadings * (2 * cross - loadings @ squares)).sum(-1)
        return (
            first + mass * about,
            second + 2 * about * first + mass * about.square(),
            cross + about.unsqueeze(-1) * factors.unsqueeze(-2),
            factors,
            squares,
        )


def factor_shapes(loadings: Tensor) -> list[tuple[int, ...]]:
    """Those of `FactorGradients.sums`."""
    states, size, factors = loadings.shape
    return [(states, size), (states, size), (states, size, factors), (states, factors), (states, factors, factors)]


def factor_regression(
    mass: Tensor, sums: tuple[Tensor, ...], origin: Tensor, before: LowRankGaussians, alive: Tensor
) -> LowRankGaussians:
    """The M-step of factor analysis: numbers regressed on factors; states that are not alive stay as they were.

    References:
        Ghahramani, Hinton, "The EM algorithm for mixtures of factor analyzers", 1996.
    """
    first, second, cross, factors, squares = (wide(x) for x in sums)
    mass, alive = wide(mass).clamp(min=1e-30)[:, None, None], alive[:, None, None]
    beside = torch.cat([squares, factors.unsqueeze(-2)], -2)
    inner = torch.cat([beside, torch.cat([factors.unsqueeze(-1), mass], -2)], -1) / mass  # (N, q + 1, q + 1)
    inner = torch.where(alive, inner, eye_like(inner))
    outer = torch.cat([cross, first.unsqueeze(-1)], -1) / mass  # (N, n, q + 1)
    new = torch.linalg.solve(inner, outer, left=False)
    second = second / mass.squeeze(-1)
    noise = (second - (new * outer).sum(-1)).maximum(LEAST * second).clamp(min=1e-30)
    loadings = torch.where(alive, new[..., :-1], wide(before.loadings))
    loc, alive = wide(origin) + new[..., -1], alive.squeeze(-1)
    scale = torch.where(alive, noise.sqrt(), wide(before.scale))
    return LowRankGaussians(torch.where(alive, loc, wide(before.loc)), loadings, scale)
