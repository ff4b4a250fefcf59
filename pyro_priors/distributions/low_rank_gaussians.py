"""Gaussians whose numbers share a few factors."""

from collections.abc import Sequence

import torch
from torch import Tensor

from pyro_priors.distributions.full_gaussians import FullGaussians
from pyro_priors.distributions.gaussians import Gaussians, precisely, some_of
from pyro_priors.ops import full_precision, holds, wide
from pyro_priors.ops.gaussians import eye_like, inverse_factors, log_normal_gaps


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
        inner = whitened.mT @ whitened
        factor = inverse_factors(inner + eye_like(inner))  # (N, q, q)
        weighted = wide(self.loadings / self.scale.square().unsqueeze(-1)) @ factor.mT  # (N, n, q)
        centre = self.loc.detach().mean(0)
        moved = (wide(rows - centre) @ weighted.transpose(0, 1).flatten(1)).unflatten(1, (len(self), -1))
        along = moved - (wide(self.loc - centre).unsqueeze(1) @ weighted).squeeze(1)
        log_det = factor.diagonal(dim1=-2, dim2=-1).log().sum(-1)
        alone = log_normal_gaps(rows, self.loc, self.scale)
        return (alone + 0.5 * along.square().sum(-1) + log_det).to(torch.promote_types(rows.dtype, self.dtype))

    def _marginal(self, coordinates: Sequence[int]) -> "LowRankGaussians":
        return LowRankGaussians(*(some_of(part, coordinates) for part in (self.loc, self.loadings, self.scale)))

    def _by_row(self, rows: Tensor, observed: Tensor) -> Tensor:
        return self.full()._by_row(rows, observed)

    @precisely
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

    def conditional_moments(self, states: Tensor, value: Tensor) -> tuple[Tensor, Tensor]:
        return self.full().conditional_moments(states, value)

    def triangular(self, coordinates: Sequence[int]) -> tuple[Tensor, Tensor]:
        part = self._marginal(coordinates).full()
        return part.loc, part.factor

    def _check_scales(self, name: str) -> None:
        if holds((self.scale <= 0).any()):
            raise ValueError(f"{name}: expected positive scales, got {self.scale.min().item():g}")
