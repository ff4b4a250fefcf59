"""A mixture of Gaussians with diagonal covariance."""

from collections.abc import Sequence

import pyro.distributions as dist
import torch
from torch import Tensor

from pyro_priors.distributions.evidence import as_floats
from pyro_priors.distributions.unseen import if_seen, where_seen
from pyro_priors.distributions.versions import Versions
from pyro_priors.ops import full_precision, mixture_pathwise
from pyro_priors.ops.gaussians import log_normal_pairs


class GaussianMixture(dist.MixtureSameFamily):
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
        >>> law = GaussianMixture(torch.zeros(2), torch.tensor([[-1.0], [1.0]]), torch.ones(2, 1))
        >>> law.log_prob(torch.tensor([[0.0], [1.0]]))
        tensor([-1.4189, -1.4852])
        >>> law.posterior(torch.tensor([[0.0], [1.0]])).probs
        tensor([[0.5000, 0.5000],
                [0.1192, 0.8808]])
    """

    has_rsample = True

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

    def expand(self, batch_shape, _instance=None):
        new = type(self).__new__(type(self)) if _instance is None else _instance
        new.logits, new.loc, new.scale, new.has_rsample = self.logits, self.loc, self.scale, self.has_rsample
        new.dtype, new._versions = self.dtype, self._versions
        return super().expand(batch_shape, _instance=new)

    def __repr__(self) -> str:
        size = f"z: {self.loc.shape[-1]} x real, components={len(self.loc)}"
        return f"{type(self).__name__}({size}, batch_shape={tuple(self.batch_shape)})"

    def _validate_sample(self, value: Tensor) -> None:
        if_seen(super()._validate_sample, value)

    def log_prob(self, value: Tensor) -> Tensor:
        if self._validate_args:
            self._validate_sample(value)
        value = full_precision(as_floats(value, self.loc.dtype))
        log_prob = self._log_joint(value).logsumexp(-1).to(value.dtype)
        return log_prob.expand(torch.broadcast_shapes(log_prob.shape, self.batch_shape))

    @property
    def mean(self) -> Tensor:
        self._versions.check()
        return super().mean

    @property
    def variance(self) -> Tensor:
        self._versions.check()
        return super().variance

    def sample(self, sample_shape: Sequence[int] = ()) -> Tensor:
        self._versions.check()
        return super().sample(sample_shape).to(self.dtype)  # pyright: ignore[reportArgumentType] (any sequence will do)

    def rsample(self, sample_shape: Sequence[int] = ()) -> Tensor:
        """Draws with pathwise gradients to logits, loc and scale, to first order only (`pyro_priors.ops.implicit`)."""
        draws = self.sample(sample_shape)
        if not torch.is_grad_enabled():
            return draws
        flat = full_precision(draws.reshape(-1, draws.shape[-1]))
        return mixture_pathwise(flat, self.logits, self.loc, self.scale).reshape(draws.shape).to(self.dtype)

    def posterior(self, z: Tensor) -> dist.Categorical:
        """p(c given z) for z ``(*, d)``: batch shape ``(*)``."""
        if z.shape[-1:] != self.event_shape:
            raise ValueError(f"z: expected a last dimension of {self.event_shape[0]}, got shape {tuple(z.shape)}")
        z = full_precision(as_floats(z, self.loc.dtype))
        return dist.Categorical(logits=self._log_joint(z).log_softmax(-1).to(z.dtype))

    def _log_joint(self, z: Tensor) -> Tensor:
        """log of weight times density, ``(*, K)``."""
        self._versions.check()
        return log_normal_pairs(z, self.loc, self.scale) + self.logits
