"""Expected moments of the states of a vector, read off gradients, and the Gaussians that they make most probable.

With Sigma^-1 = L^T L the gradient of a log-likelihood with respect to L is D = mass diag(1 / L_ii) - L S below and on
the diagonal, where S sums (x - loc) (x - loc)^T by how probable the state is. So L S L^T = mass I - D L^T there, and it
is symmetric; the gradient with respect to loc is L^T L times the sum of x - loc. What is missing counts as the law
expects it, given what is not: so say gradients of densities in which it is summed out.
"""

import math
from collections.abc import Mapping, Sequence
from typing import Any, NamedTuple

import torch
from torch import Tensor

from pyro_priors.distributions.diagonal_gaussians import DiagonalGaussians
from pyro_priors.distributions.full_gaussians import FullGaussians
from pyro_priors.distributions.gaussians import Gaussians
from pyro_priors.distributions.low_rank_gaussians import LowRankGaussians
from pyro_priors.modules.em.factor_moments import factor_regression, factor_shapes
from pyro_priors.modules.factors import lower
from pyro_priors.modules.starting.clustered_vectors import CAUTION, CENTRED, FLOOR, Moments, Spread, factored
from pyro_priors.ops import full_precision, wide
from pyro_priors.ops.gaussians import eye_like, inverse_factors, inverse_lower

NOTCHES = 12  # by which the shrinkage changes, at most, in a step of EM
SLIGHT = 1e-4  # the floor where the rows count alone


class VectorGradients(NamedTuple):
    """Gradients of a mean log-likelihood with respect to Gaussians of factors L of their inverse covariances."""

    factor: Tensor  # L, (N, n, n)
    by_loc: Tensor  # (N, n)
    by_factor: Tensor  # (N, n, n), of which what is above the diagonal is ignored

    @classmethod
    def of_parameters(cls, leaf: Any, gradients: Mapping[str, Tensor]) -> "VectorGradients":
        """From those with respect to the parameters of a `VectorLeaf`, whose covariances are full or diagonal."""
        gaussians = leaf()
        by_scale = wide(gradients["log_scale"]) / wide(full_precision(leaf.log_scale)).exp()
        if leaf.coupling is None:
            scale = wide(gaussians.scale)
            return cls(torch.diag_embed(1 / scale), gradients["loc"], torch.diag_embed(-by_scale * scale.square()))
        factor = wide(gaussians.factor)
        scale = factor.diagonal(dim1=-2, dim2=-1).reciprocal()
        by_coupling = gradients.get("coupling", leaf.coupling)  # of one number there is none
        below = -scale.unsqueeze(-1) * lower(wide(by_coupling), scale.shape[-1])
        along = -scale * by_scale - (below * factor).sum(-1)
        return cls(factor, gradients["loc"], below + torch.diag_embed(scale * along))

    def sums(self, mass: Tensor, about: Tensor) -> tuple[Tensor, Tensor]:
        """Sums of what is ``about (N, n)`` from loc and of its outer product: ``(N, n), (N, n, n)``, in float64.

        Takes how often each state is expected, ``(N,)``, and loc less the origin that the sums are to have.
        """
        factor, mass = wide(self.factor), wide(mass)[:, None, None]
        standard = -(wide(self.by_factor).tril() @ factor.mT).tril()
        standard = standard + standard.tril(-1).mT + mass * eye_like(factor)
        back = inverse_lower(factor)
        first = back @ (back.mT @ wide(self.by_loc).unsqueeze(-1))
        second, shift = back @ standard @ back.mT, wide(about).unsqueeze(-1)
        cross = first @ shift.mT
        second = second + cross + cross.mT + mass * (shift @ shift.mT)
        return (first + mass * shift).squeeze(-1), second


def joined(sums: Sequence[tuple[Tensor, ...]]) -> Tensor:
    """Those of all vectors in one row of numbers, which a checkpoint holds."""
    return torch.cat([part.flatten() for parts in sums for part in parts])


def apart(numbers: Tensor, leaves: Sequence[Any]) -> list[tuple[Tensor, ...]]:
    """The way back from `joined`, for these `VectorLeaf`."""
    shapes = [_shapes(leaf) for leaf in leaves]
    parts = iter(numbers.split([math.prod(shape) for some in shapes for shape in some]))
    return [tuple(next(parts).view(shape) for shape in some) for some in shapes]


def _shapes(leaf: Any) -> list[tuple[int, ...]]:
    states, size = leaf.loc.shape
    return [(states, size), (states, size, size)] if leaf.loadings is None else factor_shapes(leaf.loadings)


class Rows(NamedTuple):
    """How far moments are to be believed."""

    known: float  # the rows that they speak of
    shrinkage: float  # rows of the law within states that each has seen, for each coordinate; 0: the moments alone


def likely(mass: Tensor, first: Tensor, second: Tensor, origin: Tensor, rows: Rows) -> tuple[Tensor, Tensor, float]:
    """Means and covariances of the states, as `Spread` makes them, and a shrinkage that is more probable.

    Shapes:
        ``mass (N,)``, sums a row of x - origin and its square ``(N, n), (N, n, n)``, ``origin (N, n)`` -> ``(N, n),
        (N, n, n)``
    """
    mass, first, second, origin = (wide(x) for x in (mass, first, second, origin))
    mass = mass.clamp(min=0)
    total = mass.sum()
    centre = ((mass.unsqueeze(-1) * origin + first) / total).sum(0)
    shift = (origin - centre).unsqueeze(-1)
    cross = first.unsqueeze(-1) @ shift.mT
    second = second + cross + cross.mT + mass[:, None, None] * (shift @ shift.mT)
    first = first + mass.unsqueeze(-1) * shift.squeeze(-1)
    spread = (second.sum(0).diagonal() / total).clamp(min=1e-12).sqrt()
    standard = Moments(*(x * (rows.known / total) for x in (mass, first / spread, second / spread / spread[:, None])))
    alone = rows.shrinkage == 0
    states = Spread.of(standard, SLIGHT if alone else FLOOR, 0.0 if alone else CENTRED)
    probable = rows.shrinkage
    for _ in range(0 if alone else NOTCHES):
        before, probable = probable, states.better(probable)
        if probable == before:
            break
    covariance = states.covariance(CAUTION * probable)
    return states.loc * spread + centre, covariance * spread * spread[:, None], probable


def set_likely(leaf: Any, mass: Tensor, sums: tuple[Tensor, ...], origin: Tensor, alive: Tensor, rows: Rows) -> float:
    """Give the states of a `VectorLeaf` that are alive what is most probable; returns a more probable shrinkage.

    Factors are regressed on as they are expected under the covariances of before; where these are shrunk, it is
    towards the covariance within all states, as the factors explain it.
    """
    before = leaf()
    if not isinstance(before, LowRankGaussians):
        loc, covariance, better = likely(mass, *sums, origin, rows)
        _set_states(leaf, before, loc, covariance, alive)
        return better
    new = factor_regression(mass, sums, origin, before, alive)
    if rows.shrinkage == 0:
        leaf.set(new)
        return 0.0
    mass, moved = wide(mass).clamp(min=0).unsqueeze(-1), new.loc - wide(origin)
    covariance = new.loadings @ new.loadings.mT + torch.diag_embed(new.scale.square())
    second = mass.unsqueeze(-1) * (covariance + moved.unsqueeze(-1) * moved.unsqueeze(-2))
    loc, covariance, better = likely(mass.squeeze(-1), mass * moved, second, origin, rows)
    _set_states(leaf, new, loc, covariance, alive)
    return better


def _set_states(leaf: Any, before: Gaussians, loc: Tensor, covariance: Tensor, alive: Tensor) -> None:
    """Give the states of a `VectorLeaf` that are alive these means and covariances, as near as its kind comes."""
    alive = alive.unsqueeze(-1)
    loc = torch.where(alive, loc, wide(before.loc))
    if isinstance(before, FullGaussians):
        factor = inverse_factors(covariance)
        leaf.set(FullGaussians(loc, torch.where(alive.unsqueeze(-1), factor, wide(before.factor))))
    elif isinstance(before, DiagonalGaussians):
        scale = covariance.diagonal(dim1=-2, dim2=-1).sqrt()
        leaf.set(DiagonalGaussians(loc, torch.where(alive, scale, wide(before.scale))))
    elif isinstance(before, LowRankGaussians):
        unit = covariance.diagonal(dim1=-2, dim2=-1).mean(0).sqrt()  # the floor is for columns of variance 1
        loadings, scale = wide(before.loadings) / unit.unsqueeze(-1), wide(before.scale) / unit
        new = factored(covariance / unit / unit[:, None], (loadings, scale), loadings.shape[-1])
        loadings = torch.where(alive.unsqueeze(-1), new[0], loadings) * unit.unsqueeze(-1)
        leaf.set(LowRankGaussians(loc, loadings, torch.where(alive, new[1], scale) * unit))
