"""Gaussians with full covariances."""

from collections.abc import Sequence

import torch
from torch import Tensor

from pyro_priors.distributions.gaussians import ENTRIES, LOG_ROOT, Densities, Gaussians, precisely, some_of
from pyro_priors.ops import full_precision, holds, transformed, wide
from pyro_priors.ops.gaussian_gaps import log_normal_without
from pyro_priors.ops.gaussians import (
    eye_like,
    gap_patterns,
    inverse_factors,
    inverse_lower,
    log_normal_factors,
    observed_factors,
)

FEW = 8  # where less than one number of so many is missing, or two in all, these are rather taken away


class FullGaussians(Gaussians):
    r"""Gaussians with full covariance, given by factors of its inverse.

    .. math:: N(x \mid \mathtt{loc}[s], \Sigma_s), \qquad \Sigma_s^{-1} = L_s^T L_s

    L lower triangular: row i gives x_i from those before it. Cost: O(N n^2) a row, one product of matrices; a pattern
    of gaps costs O(N n^3) once, O(N n^2) where one or two numbers are missing, or an eighth of them.

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

    def _densities_of(self, observed: Sequence[list[int]]) -> Densities:
        least = self.size - max(2, self.size // FEW)  # numbers that are there where it pays to take the others away
        covariance = self._covariance() if any(0 < len(places) < least for places in observed) else None

        def densities(rows: Sequence[Tensor], places: Sequence[list[int]]) -> list[Tensor]:
            result, few = [rows[0]] * len(rows), {}
            for number, some in enumerate(places):
                if max(1, least) <= len(some) < self.size:
                    few.setdefault(len(some), []).append(number)
                elif covariance is not None and 0 < len(some) < least:
                    marginal = self._marginal(some, covariance)
                    result[number] = marginal._evaluate(some_of(rows[number], some))
                else:
                    result[number] = self._density_of(rows[number], some)
            for members in few.values():
                gone = [[place for place in range(self.size) if place not in places[number]] for number in members]
                missing = torch.tensor(gone, dtype=torch.long, device=self.loc.device)
                of_members = log_normal_without([rows[number] for number in members], missing, self.loc, self.factor)
                for number, density in zip(members, of_members, strict=True):
                    result[number] = density
            return result

        return densities

    def _marginal(self, coordinates: Sequence[int], covariance: Tensor | None = None) -> "FullGaussians":
        covariance = self._covariance() if covariance is None else covariance
        part = some_of(some_of(covariance, coordinates).mT, coordinates)
        return FullGaussians(some_of(self.loc, coordinates), inverse_factors(part).to(self.dtype))

    def _by_row(self, rows: Tensor, observed: Tensor) -> Tensor:
        factor = observed_factors(self._covariance(), observed).to(torch.promote_types(self.dtype, rows.dtype))
        moved = torch.where(observed.unsqueeze(1), rows.unsqueeze(1) - self.loc, 0.0).to(factor)
        whitened = (factor @ moved.unsqueeze(-1)).squeeze(-1)
        constant = factor.diagonal(dim1=-2, dim2=-1).log().sum(-1)
        constant = constant - LOG_ROOT * observed.sum(-1, keepdim=True).to(factor)
        return constant - 0.5 * whitened.square().sum(-1)

    def _scale_tril(self) -> Tensor:
        """Cholesky factors of the covariances, ``(N, n, n)``, in float64."""
        return inverse_lower(wide(self.factor))

    def _covariance(self) -> Tensor:
        scale = self._scale_tril()
        return scale @ scale.mT

    @torch.no_grad()
    @precisely
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

    @torch.no_grad()
    @precisely
    def conditional_moments(self, states: Tensor, value: Tensor) -> tuple[Tensor, Tensor]:
        precision = wide(self.factor).mT @ wide(self.factor)
        means, variances = [value.new_empty(0, self.size)], [value.new_empty(0, self.size)]
        for rows, some in zip(*(x.split(max(1, ENTRIES // self.size**2)) for x in (value, states)), strict=True):
            missing = rows.isnan()
            patterns, which = gap_patterns(missing)
            pairs, which = (which * len(self) + some).unique(return_inverse=True)  # rows of one share their matrices
            state, gaps = pairs % len(self), patterns[pairs // len(self)]
            inverse = torch.cholesky_inverse(_missing_factors(precision[state], gaps))
            loc = wide(self.loc[some])
            known = torch.where(missing, 0.0, wide(rows) - loc).unsqueeze(-1)
            pull = torch.where(missing.unsqueeze(-1), precision[some] @ known, 0.0)
            drift = (inverse[which] @ pull).squeeze(-1)
            means.append(torch.where(missing, (loc - drift).to(rows), rows))
            variances.append(torch.where(missing, inverse.diagonal(dim1=-2, dim2=-1)[which].to(rows), 0.0))
        return torch.cat(means), torch.cat(variances)

    def moments(self) -> tuple[Tensor, Tensor]:
        return self.loc, self._scale_tril().square().sum(-1).to(self.dtype)

    @precisely
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

    @precisely
    def triangular(self, coordinates: Sequence[int]) -> tuple[Tensor, Tensor]:
        count = len(coordinates)
        if list(coordinates) == list(range(count)):  # each given those before it, as it stands
            return self.loc[:, :count], self.factor[:, :count, :count]
        part = self._marginal(coordinates)
        return part.loc, part.factor

    @precisely
    def triangulars(self, coordinates: Tensor) -> tuple[Tensor, Tensor]:
        rows, columns = coordinates.unsqueeze(-1), coordinates.unsqueeze(-2)
        part = self._covariance()[:, rows, columns].transpose(0, 1)  # (p, N, k, k)
        return self.loc[:, coordinates].transpose(0, 1), inverse_factors(part).to(self.dtype)

    def _check_scales(self, name: str) -> None:
        if holds((self.factor.triu(1) != 0).any()):
            raise ValueError(f"{name}: expected factors with zeros above the diagonal, got others")
        diagonal = self.factor.diagonal(dim1=-2, dim2=-1)
        if holds((diagonal <= 0).any()):
            raise ValueError(f"{name}: expected factors with a positive diagonal, got {diagonal.min().item():g}")


def log_densities(several: Sequence[Gaussians], values: Sequence[Tensor]) -> Tensor:
    """`Gaussians.log_density` of several vectors with as many states each: ``(*, n)`` each ``-> (*, k, N)``

    Those of full covariances and one size go together where nothing is missing.
    """
    first, rows = several[0], None
    alike = (isinstance(each, FullGaussians) and each.loc.shape == first.loc.shape for each in several)
    if len(several) > 1 and all(alike) and not transformed():
        rows = full_precision(torch.stack(list(values), -2))
    if rows is None or holds(rows.isnan().any()):
        return torch.stack([each.log_density(value) for each, value in zip(several, values, strict=True)], -2)
    loc, factor = (torch.stack([each.tensors[name] for each in several]) for name in ("loc", "factor"))
    with torch.autocast(loc.device.type, enabled=False):
        apart = rows.reshape(-1, *rows.shape[-2:]).transpose(0, 1)
        density = log_normal_factors(apart, full_precision(loc), full_precision(factor))
        return density.transpose(0, 1).reshape(*rows.shape[:-1], len(first))


def _missing_factors(precision: Tensor, missing: Tensor) -> Tensor:
    """Cholesky factors of precisions among what is missing, the identity elsewhere: ``(*, n, n), (*, n)``"""
    both = missing.unsqueeze(-1) & missing.unsqueeze(-2)
    return torch.linalg.cholesky(torch.where(both, precision, eye_like(precision)))
