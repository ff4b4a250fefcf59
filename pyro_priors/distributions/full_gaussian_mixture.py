"""A mixture of Gaussians with full covariances."""

from collections.abc import Sequence

import pyro.distributions as dist
import torch
from torch import Tensor

from pyro_priors.distributions.full_gaussians import FullGaussians
from pyro_priors.distributions.mixture_law import MixtureLaw
from pyro_priors.distributions.precision_normal import PrecisionNormal
from pyro_priors.distributions.unseen import where_seen
from pyro_priors.distributions.versions import Versions
from pyro_priors.ops import full_precision, pathwise_vector
from pyro_priors.ops.gaussians import log_normal_factors


class FullGaussianMixture(MixtureLaw):
    r"""K Gaussians with full covariance over R^d.

    .. math:: p(z) = \sum_c w_c N(z \mid \mathtt{loc}[c], \Sigma_c), \qquad \Sigma_c^{-1} = L_c^T L_c

    with w = softmax(logits), L lower triangular: row i of it gives z_i from those before it.

    A `MixtureSameFamily` whose density is one matrix product of rows and components, and whose draws have pathwise
    gradients. Cost: O(K d^2) a row, memory O(K d^2).

    Shapes:
        batch shape ``()``, event shape ``(d,)``.

    Note:
        As for `GaussianMixture`.

    Args:
        logits: ``(K,)``.
        loc: ``(K, d)``.
        factor: L, ``(K, d, d)``, lower triangular with a positive diagonal.

    Raises:
        ValueError: shapes that are not those, values that are not finite, factors that are not such.

    See Also:
        `pyro_priors.GaussianMixture`, the module that owns such parameters where ``covariance="full"``.

    Example:
        >>> factor = torch.tensor([[1.0, 0.0], [-0.5, 1.0]]).expand(2, 2, 2)
        >>> law = FullGaussianMixture(torch.zeros(2), torch.tensor([[-1.0, 0.0], [1.0, 0.0]]), factor)
        >>> law.log_prob(torch.zeros(1, 2))
        tensor([-2.4629])
        >>> law.marginal([1]).variance
        tensor([1.2500])
    """

    own = ("factor", "gaussians")

    def __init__(self, logits: Tensor, loc: Tensor, factor: Tensor, validate_args: bool | None = None):
        self.gaussians = FullGaussians(loc, factor)
        if logits.shape != loc.shape[:1]:
            raise ValueError(f"logits: expected shape ({len(loc)},), got {tuple(logits.shape)}")
        self.dtype = loc.dtype
        self._versions = Versions(type(self).__name__, loc=loc, logits=logits, factor=factor)
        logits = full_precision(logits)
        weights = where_seen(lambda check: dist.Categorical(logits=logits, validate_args=check), validate_args)
        self.logits, self.loc, self.factor = weights.logits, self.gaussians.loc, self.gaussians.factor
        components = PrecisionNormal(self.loc, self.factor, validate_args=False)
        super().__init__(weights, components, validate_args=validate_args)
        if self._validate_args:
            self.gaussians.check(type(self).__name__)

    def marginal(self, coordinates: Sequence[int]) -> "FullGaussianMixture":
        """The law of some coordinates, in their order; `ValueError` where one is not there."""
        self._versions.check()
        size = self.loc.shape[-1]
        if any(not -size <= place < size for place in coordinates):
            raise ValueError(f"coordinates: expected some of 0..{size - 1}, got {list(coordinates)}")
        return FullGaussianMixture(self.logits, *self.gaussians.triangular([place % size for place in coordinates]))

    def sample(self, sample_shape: Sequence[int] = ()) -> Tensor:
        self._versions.check()
        with torch.no_grad(), torch.autocast(self.loc.device.type, enabled=False):
            states = self.mixture_distribution.sample(torch.Size(sample_shape))
            return self.gaussians.draw(states).to(self.dtype)

    def _moved(self, draws: Tensor) -> Tensor:
        return pathwise_vector(draws, self.logits, self.loc, self.factor)

    def _log_joint(self, z: Tensor) -> Tensor:
        self._versions.check()
        common = torch.promote_types(z.dtype, self.loc.dtype)
        parameters = self.loc.to(common), self.factor.to(common)
        with torch.autocast(z.device.type, enabled=False):
            density = log_normal_factors(z.reshape(-1, z.shape[-1]).to(common), *parameters)
        return density.reshape(*z.shape[:-1], len(self.loc)) + self.logits
