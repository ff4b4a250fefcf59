"""Normal laws, exact where their parameters have 16 bits."""

from collections.abc import Sequence

import pyro.distributions as dist
from torch import Tensor

from pyro_priors.distributions.evidence import as_floats
from pyro_priors.distributions.unseen import if_seen, where_seen
from pyro_priors.ops import full_precision


class PreciseNormal(dist.Normal):
    """A `Normal` that computes in at least 32 bits; its draws have the type of the parameters.

    Squares above 65,504 are infinite in float16, and sums of a hundred terms have two digits in bfloat16.

    Args:
        loc, scale: any shape.
        validate_args: whether Pyro checks parameters and values.

    Example:
        >>> import torch
        >>> law = PreciseNormal(torch.zeros(1, dtype=torch.float16), torch.ones(1, dtype=torch.float16)).to_event(1)
        >>> law.sample().dtype, law.log_prob(torch.tensor([400], dtype=torch.float16))
        (torch.float16, tensor(-80000.9219))
    """

    def __init__(self, loc: Tensor, scale: Tensor, validate_args: bool | None = None) -> None:
        self.dtype = loc.dtype
        exact, make = (full_precision(loc), full_precision(scale)), super().__init__
        where_seen(lambda check: make(*exact, validate_args=check), validate_args)

    def expand(self, batch_shape, _instance=None):
        new = type(self).__new__(type(self)) if _instance is None else _instance
        new.dtype = self.dtype
        return super().expand(batch_shape, _instance=new)

    def sample(self, sample_shape: Sequence[int] = ()) -> Tensor:
        return super().sample(sample_shape).to(self.dtype)  # pyright: ignore[reportArgumentType] (any sequence will do)

    def rsample(self, sample_shape: Sequence[int] = ()) -> Tensor:
        return super().rsample(sample_shape).to(self.dtype)  # pyright: ignore[reportArgumentType] (likewise)

    def _validate_sample(self, value: Tensor) -> None:
        if_seen(super()._validate_sample, value)

    def log_prob(self, value: Tensor) -> Tensor:
        return super().log_prob(full_precision(as_floats(value, self.loc.dtype)))
