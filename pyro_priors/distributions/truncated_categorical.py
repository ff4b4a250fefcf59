"""A categorical law cut to its most probable values, which can be summed over at a fixed cost."""

import pyro.distributions as dist
import torch
from torch import Tensor

from pyro_priors.checks import check_count
from pyro_priors.ops import full_precision


class TruncatedCategorical(dist.Categorical):
    r"""The `count` most probable values of a categorical law, renormalised, row by row.

    .. math:: q(c) \propto p_c \text{ for the most probable } c, \quad 0 \text{ for the others}

    As a guide it gives a bound like any other, whose sum over c has `count` terms whatever K: enumeration at the price
    of a few values. Values that are cut get no gradient, so let it take over from the whole sum once the rows have
    made up their minds.

    Shapes:
        batch shape ``(*)``, event shape ``()``; `enumerate_support` gives ``(count, *)``, other values in each row.

    References:
        Lücke, Eggert, "Expectation truncation and the benefits of preselection in training generative models", 2010.

    Args:
        logits: ``(*, K)``.
        count: values that stay, at most K.

    Raises:
        ValueError: count < 1 or > K.

    Example:
        >>> law = TruncatedCategorical(torch.tensor([0.1, 0.4, 0.2, 0.3]).log(), count=2)
        >>> law.enumerate_support(), law.probs
        (tensor([1, 3]), tensor([0.0000, 0.5714, 0.0000, 0.4286]))
    """

    def __init__(self, logits: Tensor, count: int, validate_args: bool | None = None):
        if check_count("count", count) > logits.shape[-1]:
            raise ValueError(f"count: expected at most {logits.shape[-1]} values, got {count}")
        logits = full_precision(logits)
        self.top = logits.topk(count, -1).indices
        # Finite: the gradient of 0 times infinity would be NaN.
        cut = torch.full_like(logits, torch.finfo(logits.dtype).min / 2)
        super().__init__(logits=cut.scatter(-1, self.top, logits.gather(-1, self.top)), validate_args=validate_args)

    def expand(self, batch_shape, _instance=None):
        logits = self.logits.expand(*batch_shape, -1)
        return TruncatedCategorical(logits, self.top.shape[-1], validate_args=False)

    def enumerate_support(self, expand: bool = True) -> Tensor:
        return self.top.movedim(-1, 0)
