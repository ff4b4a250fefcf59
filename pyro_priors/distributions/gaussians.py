"""N Gaussians over R^n each, the leaves of a vector variable: densities, draws and moments with any gaps."""

import math
from abc import ABC, abstractmethod
from collections.abc import Callable, Sequence
from functools import wraps

import torch
from torch import Tensor
from torch.utils.checkpoint import checkpoint

from pyro_priors.ops import full_precision, holds, transformed, wide
from pyro_priors.ops.gaussians import (
    factors_without,
    gap_patterns,
    inverse_factors,
    log_normal_factors,
    log_normal_gaps,
    observed_factors,
)

LOG_ROOT = 0.5 * math.log(2 * math.pi)
ENTRIES = 2**23  # numbers that factors of several patterns of gaps, or of several rows, may take at once


def _precisely(method: Callable) -> Callable:
    """A method whose products of matrices are no narrower than its parameters, whatever the autocast mode."""

    @wraps(method)
    def precise(self, *arguments):
        with torch.autocast(self.loc.device.type, enabled=False):
            return method(self, *arguments)

    return precise


class Gaussians(ABC):
    """The components of a vector variable, one for each of its states.

    Shapes:
        N states, vectors of n numbers. What is NaN in a value is summed out exactly.
    """

    loc: Tensor  # (N, n)
    tensors: dict[str, Tensor]  # all parameters by name

    def __len__(self) -> int:
        return len(self.loc)

    @property
    def size(self) -> int:
        return self.loc.shape[-1]

    @property
    def dtype(self) -> torch.dtype:
        return self.loc.dtype

    @_precisely
    def log_density(self, value: Tensor) -> Tensor:
        """Of the numbers that are not NaN under every state, 0 where none is: ``(*, n) -> (*, N)``

        Rows of one pattern of gaps go together. Patterns are taken in chunks, of which a training keeps none.
        """
        value = full_precision(value)
        rows = value.reshape(-1, self.size)
        return self._log_density(rows).reshape(*value.shape[:-1], len(self))

    def _log_density(self, rows: Tensor) -> Tensor:
        missing = rows.isnan()
        if transformed():  # whose values nobody may look at
            return self._by_row(torch.where(missing, self.loc.detach().mean(0).to(rows), rows), ~missing)
        if not holds(missing.any()):
            return self._evaluate(rows)
        patterns, which = gap_patterns(missing)
        order, counts = which.argsort(), which.bincount(minlength=len(patterns)).tolist()
        of_patterns = rows[order].split(counts)
        observed = [gaps.logical_not().nonzero()[:, 0].tolist() for gaps in patterns.cpu()]
        at_once, density = max(1, ENTRIES // (len(self) * self.size**2)), self._density_of_some(observed)

        def of_pattern(part: Tensor, places: list[int]) -> Tensor:
            if not places:
                return part.new_zeros(len(part), len(self))
            return self._evaluate(part) if len(places) == self.size else density(_some(part, places), places)

        def some(first: int) -> Tensor:
            pairs = zip(of_patterns[first : first + at_once], observed[first : first + at_once], strict=True)
            return torch.cat([of_pattern(*pair) for pair in pairs])

        firsts = range(0, len(patterns), at_once)
        result = torch.cat([_forgotten(some, first, len(firsts) > 1) for first in firsts])
        return result[order.argsort()]

    @abstractmethod
    def _by_row(self, rows: Tensor, observed: Tensor) -> Tensor:
        """Log densities where every row counts as a pattern of its own: ``(b, n), (b, n) -> (b, N)``"""

    @abstractmethod
    def _evaluate(self, rows: Tensor) -> Tensor:
        """Log densities of rows without gaps: ``(b, n) -> (b, N)``"""

    @abstractmethod
    def _density_of_some(self, observed: Sequence[list[int]]) -> Callable[[Tensor, list[int]], Tensor]:
        """What gives log densities ``(b, k) -> (b, N)`` of k numbers, which are some of `observed`.

        What several of these need is made once.
        """

    @abstractmethod
    def draw(self, states: Tensor, value: Tensor | None = None) -> Tensor:
        """Draws from the states, what is missing given what is not: ``(*), (*, n) -> (*, n)``"""

    @abstractmethod
    def moments(self) -> tuple[Tensor, Tensor]:
        """Means and variances of all numbers, ``(N, n)`` each."""

    @abstractmethod
    def conditional_mean(self, value: Tensor) -> Tensor:
        """Of what is missing given what is not, under every state: ``(b, n) -> (b, N, n)``"""

    @abstractmethod
    def triangular(self, coordinates: Sequence[int]) -> tuple[Tensor, Tensor]:
        """Means and precision factors of the marginals of k numbers, in their order: ``(N, k)``, ``(N, k, k)``

        The inverse covariance is L^T L with L lower triangular, of which row i gives x_i from those before it.
        """

    def check(self, name: str) -> None:
        """`ValueError` where a parameter is not finite, or a scale not positive."""
        for parameter, x in self.tensors.items():
            if holds(~x.isfinite().all()):
                raise ValueError(f"{name}: expected finite {parameter}, got {x[~x.isfinite()][0].item()}")
        self._check_scales(name)

    @abstractmethod
    def _check_scales(self, name: str) -> None: ...


class FullGaussians(Gaussians):
    r"""Gaussians with full covariance, given by factors of its inverse.

    .. math:: N(x \mid \mathtt{loc}[s], \Sigma_s), \qquad \Sigma_s^{-1} = L_s^T L_s

    L lower triangular: row i gives x_i from those before it. Cost: O(N n^2) a row, one product of matrices; a pattern
    of gaps costs O(N n^3) once.

    Args:
        loc: ``(N, n)``.
        factor: ``(N, n, n)``, lower triangular with a positive diagonal.

    Raises:
        ValueError: other shapes.
    """

    def __init__(self, loc: Tensor, factor: Tensor):
        if loc.dim() != 2 or factor.shape != (*loc.shape, loc.shape[-1]) or 0 in loc.shape:
            got = f"{tuple(loc.shape)} and {tuple(factor.shape)}"
            raise ValueError(f"loc, factor: expected shapes (N, n) and (N, n, n), got {got}")
        self.loc, self.factor = full_precision(loc), full_precision(factor)
        self.tensors = {"loc": loc, "factor": factor}

    def _evaluate(self, rows: Tensor) -> Tensor:
        return log_normal_factors(rows, self.loc, self.factor)

    def _density_of_some(self, observed: Sequence[list[int]]) -> Callable[[Tensor, list[int]], Tensor]:
        many = self.size + 4 - self.size // 4  # of the numbers, or more: what is missing is rather taken away
        whole = wide(self.factor)
        covariance = self._covariance() if any(len(places) < many for places in observed) else None

        def density(rows: Tensor, places: list[int]) -> Tensor:
            if covariance is not None and len(places) < many:
                return self._marginal(places, covariance)._evaluate(rows)
            gone = [place for place in range(self.size) if place not in places]
            index = (torch.tensor(some, dtype=torch.long, device=rows.device) for some in (places, gone))
            factor, log_det = factors_without(whole, *index)
            return log_normal_factors(rows, _some(self.loc, places), factor.to(self.dtype), log_det)

        return density

    def _marginal(self, coordinates: Sequence[int], covariance: Tensor) -> "FullGaussians":
        part = _some(_some(covariance, coordinates).mT, coordinates)
        return FullGaussians(_some(self.loc, coordinates), inverse_factors(part).to(self.dtype))

    def _by_row(self, rows: Tensor, observed: Tensor) -> Tensor:
        factor = observed_factors(self._covariance(), observed).to(torch.promote_types(self.dtype, rows.dtype))
        moved = torch.where(observed.unsqueeze(1), rows.unsqueeze(1) - self.loc, 0.0).to(factor)
        whitened = (factor @ moved.unsqueeze(-1)).squeeze(-1)
        constant = factor.diagonal(dim1=-2, dim2=-1).log().sum(-1)
        constant = constant - LOG_ROOT * observed.sum(-1, keepdim=True).to(factor)
        return constant - 0.5 * whitened.square().sum(-1)

    def _scale_tril(self) -> Tensor:
        """Cholesky factors of the covariances, ``(N, n, n)``, in float64."""
        factor = wide(self.factor)
        eye = torch.eye(self.size, dtype=factor.dtype, device=factor.device).expand_as(factor)
        return torch.linalg.solve_triangular(factor, eye, upper=False)

    def _covariance(self) -> Tensor:
        scale = self._scale_tril()
        return scale @ scale.mT

    @torch.no_grad()
    @_precisely
    def draw(self, states: Tensor, value: Tensor | None = None) -> Tensor:
        flat = states.reshape(-1)
        noise = torch.randn(len(flat), self.size, dtype=self.dtype, device=flat.device)
        rows = None if value is None else full_precision(value).expand(*states.shape, -1).reshape(noise.shape)
        if rows is None or not holds((~rows.isnan()).any()):
            scale = self._scale_tril().to(self.dtype)

            def drawn(some: Tensor) -> Tensor:
                chosen = flat[some]
                return self.loc[chosen] + (scale[chosen] @ noise[some].unsqueeze(-1)).squeeze(-1)
        else:
            precision = wide(self.factor).mT @ wide(self.factor)

            def drawn(some: Tensor) -> Tensor:
                return self._given(rows[some], flat[some], precision, noise[some])

        every = torch.arange(len(flat), device=flat.device)
        parts = [drawn(some) for some in every.split(max(1, ENTRIES // self.size**2))] or [noise]
        return torch.cat(parts).reshape(*states.shape, self.size)

    def _given(self, rows: Tensor, states: Tensor, precision: Tensor, noise: Tensor) -> Tensor:
        """What is missing from its Gaussian given what is not; what is not stays as it is."""
        missing, loc = rows.isnan(), wide(self.loc[states])
        factor = _missing_factors(precision[states], missing)  # (b, n, n)
        known = torch.where(missing, 0.0, wide(rows) - loc).unsqueeze(-1)
        pull = torch.where(missing.unsqueeze(-1), precision[states] @ known, 0.0)
        drift = torch.cholesky_solve(pull, factor)
        spread = torch.linalg.solve_triangular(factor.mT, wide(noise).unsqueeze(-1), upper=True)
        return torch.where(missing, (loc + (spread - drift).squeeze(-1)).to(rows), rows)

    def moments(self) -> tuple[Tensor, Tensor]:
        return self.loc, self._scale_tril().square().sum(-1).to(self.dtype)

    @_precisely
    def conditional_mean(self, value: Tensor) -> Tensor:
        missing = value.isnan()
        patterns, which = gap_patterns(missing)
        precision = wide(self.factor).mT @ wide(self.factor)
        result = wide(self.loc).expand(len(value), -1, -1).clone()
        for number, gaps in enumerate(patterns):
            rows = (which == number).nonzero()[:, 0]
            if gaps.all():
                continue
            known = torch.where(gaps, 0.0, wide(value[rows]).unsqueeze(1) - wide(self.loc))  # (b, N, n)
            pull = torch.where(gaps, torch.einsum("sij,bsj->bsi", precision, known), 0.0)
            factor = _missing_factors(precision, gaps)
            drift = torch.cholesky_solve(pull.permute(1, 2, 0), factor).permute(2, 0, 1)
            result[rows] = torch.where(gaps, wide(self.loc) - drift, wide(value[rows]).unsqueeze(1))
        return result.to(value.dtype)

    @_precisely
    def triangular(self, coordinates: Sequence[int]) -> tuple[Tensor, Tensor]:
        count = len(coordinates)
        if list(coordinates) == list(range(count)):  # each given those before it, as it stands
            return self.loc[:, :count], self.factor[:, :count, :count]
        part = self._marginal(coordinates, self._covariance())
        return part.loc, part.factor

    def _check_scales(self, name: str) -> None:
        if holds((self.factor.triu(1) != 0).any()):
            raise ValueError(f"{name}: expected factors with zeros above the diagonal, got others")
        diagonal = self.factor.diagonal(dim1=-2, dim2=-1)
        if holds((diagonal <= 0).any()):
            raise ValueError(f"{name}: expected factors with a positive diagonal, got {diagonal.min().item():g}")


class DiagonalGaussians(Gaussians):
    """Gaussians of independent numbers: ``loc (N, n)``, ``scale (N, n)``. Cost: O(N n) a row, whatever is missing."""

    def __init__(self, loc: Tensor, scale: Tensor):
        if loc.dim() != 2 or loc.shape != scale.shape or 0 in loc.shape:
            raise ValueError(f"loc, scale: expected one shape (N, n), got {tuple(loc.shape)} and {tuple(scale.shape)}")
        self.loc, self.scale = full_precision(loc), full_precision(scale)
        self.tensors = {"loc": loc, "scale": scale}

    def _log_density(self, rows: Tensor) -> Tensor:
        return log_normal_gaps(rows, self.loc, self.scale).to(rows.dtype)

    def _evaluate(self, rows: Tensor) -> Tensor:
        return self._log_density(rows)

    def _density_of_some(self, observed: Sequence[list[int]]) -> Callable[[Tensor, list[int]], Tensor]:
        return lambda rows, places: self._marginal(places)._evaluate(rows)

    def _marginal(self, coordinates: Sequence[int]) -> "DiagonalGaussians":
        return DiagonalGaussians(*(_some(part, coordinates) for part in (self.loc, self.scale)))

    def _by_row(self, rows: Tensor, observed: Tensor) -> Tensor:
        return self._log_density(rows)

    @torch.no_grad()
    def draw(self, states: Tensor, value: Tensor | None = None) -> Tensor:
        draw = torch.normal(self.loc[states], self.scale[states])
        return draw if value is None else torch.where(value.isnan(), draw, value.to(draw))

    def moments(self) -> tuple[Tensor, Tensor]:
        return self.loc, self.scale.square()

    def conditional_mean(self, value: Tensor) -> Tensor:
        value = value.unsqueeze(1)
        return torch.where(value.isnan(), self.loc, value)

    def triangular(self, coordinates: Sequence[int]) -> tuple[Tensor, Tensor]:
        coordinates = list(coordinates)
        return self.loc[:, coordinates], torch.diag_embed(self.scale[:, coordinates].reciprocal())

    def _check_scales(self, name: str) -> None:
        if holds((self.scale <= 0).any()):
            raise ValueError(f"{name}: expected positive scales, got {self.scale.min().item():g}")


class LowRankGaussians(Gaussians):
    r"""Gaussians whose numbers share q factors: :math:`\Sigma_s = W_s W_s^T + \operatorname{diag}(\mathtt{scale}_s^2)`.

    Cost: O(N n q) a row; a pattern of gaps costs O(N (n q^2 + q^3)) once.

    Args:
        loc: ``(N, n)``.
        loadings: W, ``(N, n, q)``.
        scale: ``(N, n)``, positive.

    Raises:
        ValueError: other shapes.
    """

    def __init__(self, loc: Tensor, loadings: Tensor, scale: Tensor):
        if loc.dim() != 2 or loc.shape != scale.shape or loadings.shape[:-1] != loc.shape or 0 in loadings.shape:
            got = f"{tuple(loc.shape)}, {tuple(loadings.shape)} and {tuple(scale.shape)}"
            raise ValueError(f"loc, loadings, scale: expected shapes (N, n), (N, n, q) and (N, n), got {got}")
        self.loc, self.loadings, self.scale = (full_precision(x) for x in (loc, loadings, scale))
        self.tensors = {"loc": loc, "loadings": loadings, "scale": scale}

    def _evaluate(self, rows: Tensor) -> Tensor:
        whitened = wide(self.loadings / self.scale.unsqueeze(-1))
        eye = torch.eye(whitened.shape[-1], dtype=whitened.dtype, device=whitened.device)
        factor = inverse_factors(whitened.mT @ whitened + eye)  # (N, q, q)
        weighted = wide(self.loadings / self.scale.square().unsqueeze(-1)) @ factor.mT  # (N, n, q)
        centre = self.loc.detach().mean(0)
        moved = (wide(rows - centre) @ weighted.transpose(0, 1).flatten(1)).unflatten(1, (len(self), -1))
        along = moved - (wide(self.loc - centre).unsqueeze(1) @ weighted).squeeze(1)
        log_det = factor.diagonal(dim1=-2, dim2=-1).log().sum(-1)
        alone = log_normal_gaps(rows, self.loc, self.scale)
        return (alone + 0.5 * along.square().sum(-1) + log_det).to(torch.promote_types(rows.dtype, self.dtype))

    def _density_of_some(self, observed: Sequence[list[int]]) -> Callable[[Tensor, list[int]], Tensor]:
        return lambda rows, places: self._marginal(places)._evaluate(rows)

    def _marginal(self, coordinates: Sequence[int]) -> "LowRankGaussians":
        return LowRankGaussians(*(_some(part, coordinates) for part in (self.loc, self.loadings, self.scale)))

    def _by_row(self, rows: Tensor, observed: Tensor) -> Tensor:
        return self.full()._by_row(rows, observed)

    @_precisely
    def full(self) -> FullGaussians:
        """The same laws by factors of their inverse covariances."""
        loadings = wide(self.loadings)
        covariance = loadings @ loadings.mT + torch.diag_embed(wide(self.scale).square())
        return FullGaussians(self.loc, inverse_factors(covariance).to(self.dtype))

    def draw(self, states: Tensor, value: Tensor | None = None) -> Tensor:
        return self.full().draw(states, value)

    def moments(self) -> tuple[Tensor, Tensor]:
        return self.loc, self.loadings.square().sum(-1) + self.scale.square()

    def conditional_mean(self, value: Tensor) -> Tensor:
        return self.full().conditional_mean(value)

    def triangular(self, coordinates: Sequence[int]) -> tuple[Tensor, Tensor]:
        part = self._marginal(coordinates).full()
        return part.loc, part.factor

    def _check_scales(self, name: str) -> None:
        if holds((self.scale <= 0).any()):
            raise ValueError(f"{name}: expected positive scales, got {self.scale.min().item():g}")


def _some(x: Tensor, coordinates: Sequence[int]) -> Tensor:
    """Some of the second dimension."""
    return x.index_select(1, torch.tensor(coordinates, dtype=torch.long, device=x.device))


def _missing_factors(precision: Tensor, missing: Tensor) -> Tensor:
    """Cholesky factors of precisions among what is missing, the identity elsewhere: ``(*, n, n), (*, n)``"""
    both = missing.unsqueeze(-1) & missing.unsqueeze(-2)
    eye = torch.eye(precision.shape[-1], dtype=precision.dtype, device=precision.device)
    return torch.linalg.cholesky(torch.where(both, precision, eye))


def _forgotten(function: Callable[[int], Tensor], first: int, several: bool) -> Tensor:
    """What a function returns; where there are several calls none keeps what autograd would need, but computes it
    again."""
    if several and torch.is_grad_enabled():
        return checkpoint(function, first, use_reentrant=False)  # pyright: ignore[reportReturnType]
    return function(first)
