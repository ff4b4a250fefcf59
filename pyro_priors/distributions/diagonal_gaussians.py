"""Gaussians of independent numbers."""

from collections.abc import Sequence

import torch
from torch import Tensor

from pyro_priors.distributions.gaussians import Gaussians, some_of
from pyro_priors.ops import full_precision, holds
from pyro_priors.ops.gaussians import log_normal_gaps


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

    def _marginal(self, coordinates: Sequence[int]) -> "DiagonalGaussians":
        return DiagonalGaussians(*(some_of(part, coordinates) for part in (self.loc, self.scale)))

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

    def conditional_moments(self, states: Tensor, value: Tensor) -> tuple[Tensor, Tensor]:
        missing = value.isnan()
        mean, variance = self.loc[states].to(value), self.scale[states].square().to(value)
        return torch.where(missing, mean, value), torch.where(missing, variance, 0.0)

    def triangular(self, coordinates: Sequence[int]) -> tuple[Tensor, Tensor]:
        part = self._marginal(coordinates)
        return part.loc, torch.diag_embed(part.scale.reciprocal())

    def _check_scales(self, name: str) -> None:
        if holds((self.scale <= 0).any()):
            raise ValueError(f"{name}: expected positive scales, got {self.scale.min().item():g}")
