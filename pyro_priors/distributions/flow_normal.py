"""A simple law pushed through an invertible network."""

import copy
from collections.abc import Iterable, Sequence
from typing import Any

import pyro.distributions as dist
import torch
from pyro.distributions.util import sum_rightmost
from torch import Tensor, nn
from torch.distributions.transforms import Transform, _InverseTransform

from pyro_priors.distributions.evidence import as_floats
from pyro_priors.distributions.unseen import if_seen
from pyro_priors.ops import full_precision, transformed, wide

TOLERANCE = 1e-3  # how far from its z_0 a draw may be mapped back to, beside 1 + |z_0|


class FlowNormal(dist.TransformedDistribution):
    r"""z = g^{-1}(z_0) with z_0 from a base law, N(0, I) as a rule, and an invertible g.

    .. math:: p(z) = p_0(g(z)) \left| \det \frac{\partial g}{\partial z} \right|

    dpVAE calls the space of z_0 the generation space and that of z the representation space.

    Shapes:
        batch shape ``()``, event shape ``(d,)``.

    Note:
        What transforms remember of their last input is forgotten from call to call: the law always is that of the
        present parameters of its steps, in any thread. Parameters of 16 bits are computed with in 32. Steps that say
        `widens` are computed in float64 between z and z_0; log_prob keeps the type of its value.

    References:
        dpVAE: Bhalodia, Lee, Elhabian, 2019, eq. 2-4, arXiv:1911.10506 (its eq. 6 leaves the Jacobian out).

    Args:
        base: law of z_0, event ``(d,)``.
        steps: transforms that lead from z_0 to z, in this order. A density and a draw cost one pass of each.
        validate_args: whether Pyro checks what the law is asked of, and draws are mapped back to see that they can be.

    Raises:
        ValueError: with validation, where a draw is not finite, or mapped back to further than 0.001 (1 + abs(z_0))
            from its z_0: the steps are too steep there for the type in which they are computed. What
            `to_representation` returns must lead back in its own type too, if that has 32 bits.

    See Also:
        `pyro_priors.FlowNormal`, the module that owns the networks.

    Example:
        >>> import torch
        >>> double_and_add_3 = dist.transforms.AffineTransform(3.0, 2.0)
        >>> law = FlowNormal(dist.Normal(torch.zeros(2), 1.0).to_event(1), [double_and_add_3])
        >>> law.to_generation(torch.tensor([3.0, 5.0])), law.to_representation(torch.tensor([0.0, 1.0]))
        (tensor([0., 1.]), tensor([3., 5.]))
    """

    def __init__(
        self,
        base: dist.TorchDistribution,
        steps: Sequence[dist.transforms.Transform],
        validate_args: bool | None = None,
    ):
        super().__init__(base, list(steps), validate_args=validate_args)

    def expand(self, batch_shape, _instance=None):
        new = type(self).__new__(type(self)) if _instance is None else _instance
        return super().expand(batch_shape, _instance=new)

    def __repr__(self) -> str:
        size = f"z: {self.event_shape[0]} x real, steps={len(self.transforms)}, base={self.base_dist}"
        return f"{type(self).__name__}({size}, batch_shape={tuple(self.batch_shape)})"

    def _validate_sample(self, value: Tensor) -> None:
        if_seen(super()._validate_sample, value)

    def log_prob(self, value: Tensor) -> Tensor:
        value = full_precision(as_floats(value, torch.float32))
        if self._validate_args:
            self._validate_sample(value)
        with torch.autocast(value.device.type, enabled=False):
            z0, log_volume = self.mapped(value)
            return log_volume + self.base_dist.log_prob(z0)

    def mapped(self, z: Tensor) -> tuple[Tensor, Tensor]:
        """z_0 = g(z) and log abs det dg/dz, in the type of z or of the steps: ``(*, d) -> (*, d), (*)``"""
        moved: Any = z
        log_volume: Any = 0.0
        with torch.autocast(z.device.type, enabled=False):
            for step in map(forgetful, reversed(self.transforms)):
                z0 = step.inv(moved)
                log_volume = log_volume - sum_rightmost(step.log_abs_det_jacobian(z0, moved), 1 - step.domain.event_dim)
                moved = z0
        return moved, log_volume

    @torch.no_grad()
    def sample(self, sample_shape: Sequence[int] = ()) -> Tensor:
        return self._pushed(self.base_dist.sample(torch.Size(sample_shape)))

    def rsample(self, sample_shape: Sequence[int] = ()) -> Tensor:
        return self._pushed(self.base_dist.rsample(torch.Size(sample_shape)))

    def to_generation(self, z: Tensor) -> Tensor:
        """z_0 = g(z), ``(*, d)``; another size is a `ValueError`."""
        z = self._checked("z", z)
        return _through((step.inv for step in reversed(self.transforms)), self._widened(z)).to(z.dtype)

    def to_representation(self, z0: Tensor) -> Tensor:
        """z = g^{-1}(z_0), ``(*, d)``; another size, or a z that g does not map back to z_0, is a `ValueError`.

        Where g is flat many z have nearly one z_0: there the way from z and back is not bounded.
        """
        return self._pushed(self._checked("z0", z0), rounded=True)

    def _pushed(self, z0: Tensor, *, rounded: bool = False) -> Tensor:
        start = self._widened(z0)
        z = _through(self.transforms, start)
        if self._validate_args and not transformed():  # there nobody can look at a value
            narrow = rounded and z0.dtype == torch.float32  # the rounding of a draw is no error of the draw
            self._check_way_back(
                start.detach(), z.detach().to(z0.dtype).to(z.dtype) if narrow else z.detach(), z0.dtype
            )
        return z.to(z0.dtype)

    @torch.no_grad()
    def _check_way_back(self, start: Tensor, z: Tensor, dtype: torch.dtype) -> None:
        back = _through((step.inv for step in reversed(self.transforms)), z)
        off = (back - start).abs() / (1 + start.abs())
        if wrong := int((~(off <= TOLERANCE)).any(-1).sum()):
            raise ValueError(
                f"z: expected rows that g maps back to within {TOLERANCE} (1 + |z_0|) of their z_0, got {wrong} of "
                f"{off[..., 0].numel()} that are up to {float(off.max()):.3g} off: the flow is too steep there for "
                f"{dtype}; smaller weights, values nearer to 0 or float64 would help"
            )

    def _widened(self, z: Tensor) -> Tensor:
        """In the type in which the steps are computed."""
        parts = [part for step in self.transforms for part in (step, step.inv) if isinstance(part, nn.Module)]
        return wide(z) if parts and all(getattr(part, "widens", False) for part in parts) else full_precision(z)

    def _checked(self, name: str, z: Tensor) -> Tensor:
        if z.shape[-1:] != self.event_shape:
            raise ValueError(f"{name}: expected shape (*, {self.event_shape[0]}), got {tuple(z.shape)}")
        return as_floats(z, torch.float32)


def forgetful(transform: Transform) -> Transform:
    """The same transform, on the same parameters, that remembers nothing and shares no memory with the original."""
    if isinstance(transform, _InverseTransform):
        return _InverseTransform(forgetful(transform.inv))  # unlike `.inv`, without a reference in a circle
    twin = copy.copy(transform)
    state = vars(twin)
    state["_inv"] = None
    if "_cached_x_y" in state:
        state["_cached_x_y"] = None, None
    for name, part in list(state.items()):
        if isinstance(part, Transform):
            state[name] = forgetful(part)
        elif name == "_modules" and isinstance(part, dict):
            state[name] = {key: forgetful(x) if isinstance(x, Transform) else x for key, x in part.items()}
        elif isinstance(part, list) and part and all(isinstance(x, Transform) for x in part):
            state[name] = [forgetful(x) for x in part]
    return twin


def _through(steps: Iterable[Transform], z: Tensor) -> Tensor:
    moved: Any = z
    with torch.autocast(z.device.type, enabled=False):
        for step in steps:
            moved = forgetful(step)(moved)
    return moved
