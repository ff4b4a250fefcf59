"""How a stochastic gradient scatters: mean and variance over many draws."""

from collections.abc import Callable, Iterable
from typing import NamedTuple

import torch
from torch import Tensor

from pyro_priors.checks import check_count


class GradientMoments(NamedTuple):
    """Mean and variance (of one draw) of every number of a gradient, flat and in float64, over so many draws."""

    mean: Tensor
    variance: Tensor
    draws: int

    def bias(self, truth: "GradientMoments") -> tuple[float, float]:
        """How far the mean is from that of `truth`, as a share of the length of the latter, and its noise.

        The square of the distance is cleared of what the noise of the two means adds to it; below `noise`, the length
        of that addition, a bias cannot be told from none.
        """
        noise = (self.variance / self.draws + truth.variance / truth.draws).sum()
        square = (self.mean - truth.mean).square().sum() - noise
        length = truth.mean.norm()
        return float(square.clamp(min=0).sqrt() / length), float(noise.sqrt() / length)

    def relative_variance(self, truth: "GradientMoments") -> float:
        """The total variance of one draw, as a share of the squared length of the true gradient."""
        return float(self.variance.sum() / truth.mean.square().sum())


def gradient_moments(loss: Callable[[], Tensor], parameters: Iterable[Tensor], draws: int) -> GradientMoments:
    """Draw the gradient of a stochastic loss again and again.

    Args:
        loss: a call draws it once more, a scalar.
        parameters: what it is differentiated by.
        draws: how often, at least 2.

    Raises:
        ValueError: fewer than 2 draws.

    Example:
        >>> _ = torch.manual_seed(0)
        >>> w = torch.zeros(1, requires_grad=True)
        >>> found = gradient_moments(lambda: (w * (2 + torch.randn(1))).sum(), [w], draws=2000)
        >>> found.mean.round(decimals=1), found.variance.round(decimals=1)
        (tensor([2.], dtype=torch.float64), tensor([1.], dtype=torch.float64))
    """
    check_count("draws", draws, least=2)
    parameters = list(parameters)
    mean = torch.zeros(sum(parameter.numel() for parameter in parameters), dtype=torch.float64)
    squares = torch.zeros_like(mean)
    for count in range(1, draws + 1):
        grads = torch.autograd.grad(loss(), parameters, materialize_grads=True)
        drawn = torch.cat([grad.detach().flatten().double().cpu() for grad in grads])
        off = drawn - mean  # Welford's update
        mean += off / count
        squares += off * (drawn - mean)
    return GradientMoments(mean, squares / (draws - 1), draws)
