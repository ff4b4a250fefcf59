"""Gaussians with full covariance, by factors of their inverse."""

from collections.abc import Sequence
from typing import ClassVar

import pyro.distributions as dist
import torch
from torch import Tensor
from torch.distributions import Independent, Normal, constraints, register_kl

from pyro_priors.distributions.evidence import as_floats
from pyro_priors.distributions.gaussians import LOG_ROOT
from pyro_priors.distributions.unseen import if_seen, where_seen
from pyro_priors.ops import full_precision
from pyro_priors.ops.gaussians import inverse_lower


class PrecisionNormal(dist.TorchDistribution):
    r"""A Gaussian over R^d whose inverse covariance is :math:`L^T L`.

    L is lower triangular: row i gives z_i from those before it. Nothing is inverted for a density; a draw is the
    solution of a triangular system, and `rsample` differentiates it. KL divergences from independent normals have their
    closed form. Cost: O(d^2) a row.

    Shapes:
        batch shape that of both parameters, event shape ``(d,)``.

    Note:
        As `PreciseNormal`: parameters of 16 bits are computed with in 32, and draws have their type.

    Args:
        loc: ``(*, d)``.
        factor: L, ``(*, d, d)``, with a positive diagonal.

    Raises:
        ValueError: shapes that are not those, values that are not finite, a factor that is not lower triangular.

    Example:
        >>> law = PrecisionNormal(torch.zeros(2), torch.tensor([[1.0, 0.0], [-0.5, 1.0]]))
        >>> law.variance
        tensor([1.0000, 1.2500])
        >>> law.log_prob(torch.zeros(2))
        tensor(-1.8379)
    """

    arg_constraints: ClassVar = {  # pyright: ignore (torch declares a property, its own laws do this)
        "loc": constraints.real_vector,
        "factor": constraints.lower_cholesky,
    }
    support = constraints.real_vector  # pyright: ignore[reportAssignmentType, reportIncompatibleMethodOverride]
    has_rsample = True
    loc: Tensor
    factor: Tensor

    def __init__(self, loc: Tensor, factor: Tensor, validate_args: bool | None = None) -> None:
        if loc.dim() < 1 or factor.dim() < 2 or factor.shape[-2:] != loc.shape[-1:] * 2 or 0 in loc.shape[-1:]:
            got = f"{tuple(loc.shape)} and {tuple(factor.shape)}"
            raise ValueError(f"loc, factor: expected shapes (*, d) and (*, d, d), got {got}")
        self.dtype = loc.dtype
        batch = torch.broadcast_shapes(loc.shape[:-1], factor.shape[:-2])
        self.loc = full_precision(loc).expand(*batch, -1)
        self.factor = full_precision(factor).expand(*batch, -1, -1)
        make = super().__init__
        where_seen(lambda check: make(batch, loc.shape[-1:], validate_args=check), validate_args)

    def expand(self, batch_shape, _instance=None):
        new = type(self).__new__(type(self)) if _instance is None else _instance
        new.dtype, batch = self.dtype, torch.Size(batch_shape)
        new.loc, new.factor = self.loc.expand(*batch, -1), self.factor.expand(*batch, -1, -1)
        super(PrecisionNormal, new).__init__(batch, self.event_shape, validate_args=False)
        new._validate_args = self._validate_args
        return new

    def _validate_sample(self, value: Tensor) -> None:
        if_seen(super()._validate_sample, value)

    @property
    def mean(self) -> Tensor:
        return self.loc

    @property
    def variance(self) -> Tensor:
        return inverse_lower(self.factor).square().sum(-1)

    def log_prob(self, value: Tensor) -> Tensor:
        if self._validate_args:
            self._validate_sample(value)
        value = full_precision(as_floats(value, self.loc.dtype))
        with torch.autocast(value.device.type, enabled=False):
            log_prob = self._log_det() - 0.5 * self._whitened(value - self.loc).square().sum(-1)
        return (log_prob - self.event_shape[0] * LOG_ROOT).to(value.dtype)

    def sample(self, sample_shape: Sequence[int] = ()) -> Tensor:
        with torch.no_grad():
            return self.rsample(sample_shape)

    def rsample(self, sample_shape: Sequence[int] = ()) -> Tensor:
        shape = torch.Size(sample_shape)
        noise = torch.randn(*self.loc.shape, shape.numel(), dtype=self.loc.dtype, device=self.loc.device)
        with torch.autocast(noise.device.type, enabled=False):
            moved = torch.linalg.solve_triangular(self.factor, noise, upper=False)  # (*, d, draws)
        draws = self.loc + moved.movedim(-1, 0).reshape(*shape, *self.loc.shape)
        return draws.to(self.dtype)

    def _whitened(self, off: Tensor) -> Tensor:
        """L times rows, without a copy of L for each row that it is the same for."""
        common = torch.promote_types(off.dtype, self.factor.dtype)
        return torch.einsum("...ij,...j->...i", self.factor.to(common), off.to(common))

    def _log_det(self) -> Tensor:
        return self.factor.diagonal(dim1=-2, dim2=-1).log().sum(-1)


@register_kl(Independent, PrecisionNormal)
def _from_independent(q: Independent, p: PrecisionNormal) -> Tensor:
    base = q.base_dist
    if not isinstance(base, Normal) or q.event_shape != p.event_shape:
        raise NotImplementedError
    with torch.autocast(p.loc.device.type, enabled=False):
        loc, scale = full_precision(base.loc), full_precision(base.scale)
        off = p._whitened(loc - p.loc).square().sum(-1)
        spread = torch.einsum("...ij,...j->...", p.factor.square(), scale.square().to(p.factor))
        return 0.5 * (spread + off - p.event_shape[0]) - p._log_det() - scale.log().sum(-1)
