"""A simple law pushed through an invertible network."""

from collections.abc import Sequence

import pyro.distributions as dist
from torch import Tensor


class FlowNormal(dist.TransformedDistribution):
    r"""z = g^{-1}(z_0) with z_0 from a base law, N(0, I) as a rule, and an invertible g.

    .. math:: p(z) = p_0(g(z)) \left| \det \frac{\partial g}{\partial z} \right|

    dpVAE calls the space of z_0 the generation space and that of z the representation space. Build one per call:
    transforms remember their last input and output, and what they remember is stale after an optimizer step.

    Shapes:
        batch shape ``()``, event shape ``(d,)``.

    References:
        dpVAE: Bhalodia, Lee, Elhabian, 2019, eq. 2-4, arXiv:1911.10506 (its eq. 6 leaves the Jacobian out).

    Args:
        base: law of z_0, event ``(d,)``.
        steps: transforms that lead from z_0 to z, in this order. A density and a draw cost one pass of each.
        validate_args: whether Pyro checks what the law is asked of.

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

    def log_prob(self, value: Tensor) -> Tensor:
        # A view, since transforms know a tensor that they returned again: for one drawn without gradients they would
        # take g(z) and its determinant as constants.
        return super().log_prob(value.view_as(value) if value.grad_fn is None else value)

    def to_generation(self, z: Tensor) -> Tensor:
        """z_0 = g(z), ``(*, d)``; another size is a `ValueError`."""
        self._check_size("z", z)
        for step in reversed(self.transforms):
            z = step.inv(z)
        return z

    def to_representation(self, z0: Tensor) -> Tensor:
        """z = g^{-1}(z_0), ``(*, d)``; another size is a `ValueError`."""
        self._check_size("z0", z0)
        for step in self.transforms:
            z0 = step(z0)
        return z0

    def _check_size(self, name: str, z: Tensor) -> None:
        if z.shape[-1:] != self.event_shape:
            raise ValueError(f"{name}: expected shape (*, {self.event_shape[0]}), got {tuple(z.shape)}")
