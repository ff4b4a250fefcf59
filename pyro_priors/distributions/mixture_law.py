"""What mixtures of Gaussians have in common, whatever their covariances."""

from abc import abstractmethod
from collections.abc import Sequence
from typing import ClassVar

import pyro.distributions as dist
import torch
from torch import Tensor

from pyro_priors.distributions.evidence import as_floats
from pyro_priors.distributions.unseen import if_seen
from pyro_priors.distributions.versions import Versions
from pyro_priors.ops import full_precision


class MixtureLaw(dist.MixtureSameFamily):
    """K Gaussians over R^d, whose density is one matrix product, and whose draws have pathwise gradients.

    A subclass has ``logits (K,)``, ``loc (K, d)``, what says how wide the Gaussians are, `_log_joint` and `_moved`.
    """

    has_rsample = True
    own: ClassVar[tuple[str, ...]]  # attributes that a copy shares
    logits: Tensor
    loc: Tensor
    dtype: torch.dtype
    _versions: Versions

    def expand(self, batch_shape, _instance=None):
        new = type(self).__new__(type(self)) if _instance is None else _instance
        for name in ("logits", "loc", *self.own, "has_rsample", "dtype", "_versions"):
            setattr(new, name, getattr(self, name))
        return super().expand(batch_shape, _instance=new)

    def __repr__(self) -> str:
        size = f"z: {self.loc.shape[-1]} x real, components={len(self.loc)}"
        return f"{type(self).__name__}({size}, batch_shape={tuple(self.batch_shape)})"

    def _validate_sample(self, value: Tensor) -> None:
        try:
            if_seen(super()._validate_sample, value)
        except ValueError:
            if not isinstance(value, Tensor) or value.shape[-1:] != self.event_shape or not value.isnan().any():
                raise
            gaps = "value: expected numbers without gaps, got NaN"
            also = "`TRIP` and `TTLP` take them, and TRIP(d, block_size=d) is a mixture of Gaussians too"
            raise ValueError(f"{gaps}, which {type(self).__name__} does not sum out; {also}") from None

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
        """Draws with pathwise gradients to all parameters, to first order only (`pyro_priors.ops.implicit`)."""
        draws = self.sample(sample_shape)
        if not torch.is_grad_enabled():
            return draws
        flat = full_precision(draws.reshape(-1, draws.shape[-1]))
        return self._moved(flat).reshape(draws.shape).to(self.dtype)

    def posterior(self, z: Tensor) -> dist.Categorical:
        """p(c given z) for z ``(*, d)``: batch shape ``(*)``."""
        if z.shape[-1:] != self.event_shape:
            raise ValueError(f"z: expected a last dimension of {self.event_shape[0]}, got shape {tuple(z.shape)}")
        z = full_precision(as_floats(z, self.loc.dtype))
        return dist.Categorical(logits=self._log_joint(z).log_softmax(-1).to(z.dtype))

    @abstractmethod
    def _log_joint(self, z: Tensor) -> Tensor:
        """log of weight times density, ``(*, K)``."""

    @abstractmethod
    def _moved(self, draws: Tensor) -> Tensor:
        """Draws ``(b, d)`` with their gradients."""
