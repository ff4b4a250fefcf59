"""A mixture of Gaussians with diagonal covariance."""

import pyro.distributions as dist
from torch import Tensor

from pyro_priors.distributions.mixture_law import MixtureLaw
from pyro_priors.distributions.unseen import where_seen
from pyro_priors.distributions.versions import Versions
from pyro_priors.ops import full_precision, mixture_pathwise
from pyro_priors.ops.gaussians import log_normal_pairs


class GaussianMixture(MixtureLaw):
    r"""K Gaussians with diagonal covariance over R^d.

    .. math:: p(z) = \sum_c w_c \prod_i N(z_i \mid \mathtt{loc}[c, i], \mathtt{scale}[c, i])

    with w = softmax(logits).

    A `MixtureSameFamily` whose density is one matrix product of rows and components, and whose draws have pathwise
    gradients. Cost: O(K d) a row, memory O(K).

    Shapes:
        batch shape ``()``, event shape ``(d,)``.

    Note:
        Parameters of 16 bits are computed with in 32: draws have their type, densities do not. A law that is older than
        its loc, logits or scale raises `ValueError`.

    Args:
        logits: ``(K,)``.
        loc: ``(K, d)``.
        scale: ``(K, d)``, positive.

    Raises:
        ValueError: shapes that are not those, values that are not finite, scale <= 0.

    See Also:
        `pyro_priors.GaussianMixture`, the module that owns such parameters.

    Example:
        >>> import torch
        >>> law = GaussianMixture(torch.zeros(2), torch.tensor([[-1.0], [1.0]]), torch.ones(2, 1))
        >>> law.log_prob(torch.tensor([[0.0], [1.0]]))
        tensor([-1.4189, -1.4852])
        >>> law.posterior(torch.tensor([[0.0], [1.0]])).probs
        tensor([[0.5000, 0.5000],
                [0.1192, 0.8808]])
    """

    own = ("scale",)

    def __init__(self, logits: Tensor, loc: Tensor, scale: Tensor, validate_args: bool | None = None):
        if loc.dim() != 2 or loc.shape != scale.shape or 0 in loc.shape:
            raise ValueError(f"loc, scale: expected one shape (K, d), got {tuple(loc.shape)} and {tuple(scale.shape)}")
        if logits.shape != loc.shape[:1]:
            raise ValueError(f"logits: expected shape ({len(loc)},), got {tuple(logits.shape)}")
        self.dtype = loc.dtype
        self._versions = Versions(type(self).__name__, loc=loc, logits=logits, scale=scale)
        logits, loc, scale = (full_precision(x) for x in (logits, loc, scale))
        weights = where_seen(lambda check: dist.Categorical(logits=logits, validate_args=check), validate_args)
        self.logits, self.loc, self.scale = weights.logits, loc, scale
        components = where_seen(lambda check: dist.Normal(loc, scale, validate_args=check), validate_args).to_event(1)
        super().__init__(weights, components, validate_args=validate_args)

    def _moved(self, draws: Tensor) -> Tensor:
        return mixture_pathwise(draws, self.logits, self.loc, self.scale)

    def _log_joint(self, z: Tensor) -> Tensor:
        self._versions.check()
        return log_normal_pairs(z, self.loc, self.scale) + self.logits
