"""What a decoder's raw output means: modules from a tensor `(*, C, H, W)` to a distribution over images.

Each is an `nn.Module`; its result has batch shape `(*)` and event shape `(C, H, W)`, and `.mean` is the image.
"""

from collections.abc import Sequence
from typing import TYPE_CHECKING, Any, ClassVar, Literal

import pyro.distributions as dist
import torch
from pyro.distributions import constraints
from torch import Tensor, nn

from pyro_priors.ops import full_precision
from pyro_priors.recorded import Recorded


class PixelBernoulli(dist.Bernoulli):
    """A Bernoulli law that also scores grey values in [0, 1].

    log p(x) = x log(probs) + (1 - x) log(1 - probs): for a grey x this is the expected log-probability of a pixel
    drawn from Bernoulli(x), the usual loss on grey images, and not a density over [0, 1].

    Example:
        >>> float(PixelBernoulli(logits=torch.tensor(0.0)).log_prob(torch.tensor(0.3)).exp())
        0.5
    """

    support = constraints.unit_interval


class SquaredError(dist.TorchDistribution):
    """Images scored by squared error: log p(x) = - weight * sum over pixels of the mean over channels of (x - loc)^2.

    The scale of Kuznetsov et al. (arXiv:1910.13148), Table 1: a Gaussian of variance C / 2 without its constant, so
    bounds are comparable within this likelihood only. Drawing from it returns `loc`.

    Shapes:
        - loc: `(*, C, H, W)`
        - event: `(C, H, W)`

    Args:
        loc: the image.
        weight: 1 for TRIP's scale; larger ones let a bound tell more of an image (dpVAE: 1 to 100).

    Example:
        >>> SquaredError(torch.zeros(3, 2, 2)).log_prob(torch.ones(3, 2, 2))
        tensor(-4.)
    """

    arg_constraints: ClassVar[Any] = {"loc": constraints.independent(constraints.real, 3)}
    support: Any = constraints.independent(constraints.real, 3)
    has_rsample = True

    def __init__(self, loc: Tensor, weight: float = 1.0, validate_args: bool | None = None) -> None:
        self.loc, self.weight = loc, weight
        super().__init__(loc.shape[:-3], loc.shape[-3:], validate_args=validate_args)

    @property
    def mean(self) -> Tensor:
        return self.loc

    def rsample(self, sample_shape: Sequence[int] = ()) -> Tensor:
        return self.loc.expand(self._extended_shape(torch.Size(sample_shape)))

    def log_prob(self, value: Tensor) -> Tensor:
        if self._validate_args:
            self._validate_sample(value)
        return -self.weight * (value - self.loc).square().mean(-3).sum((-2, -1))

    def expand(self, batch_shape: torch.Size, _instance: "SquaredError | None" = None) -> "SquaredError":
        new: Any = self._get_checked_instance(SquaredError, _instance)
        new.loc, new.weight = self.loc.expand(*batch_shape, *self.event_shape), self.weight
        super(SquaredError, new).__init__(torch.Size(batch_shape), self.event_shape, validate_args=False)
        new._validate_args = self._validate_args
        return new


class BernoulliLikelihood(Recorded):
    """Independent Bernoulli pixels; the raw tensor holds their logits. Accepts grey values in [0, 1]."""

    bounds: ClassVar[tuple[float, float]] = (0.0, 1.0)  # of pixels, which programs check in every batch

    def forward(self, raw: Tensor) -> dist.TorchDistribution:
        return PixelBernoulli(logits=full_precision(raw)).to_event(3)

    if TYPE_CHECKING:
        __call__ = forward


class GaussianLikelihood(Recorded):
    """Independent Gaussian pixels around the raw tensor, with one learned scale shared by all of them."""

    def __init__(self, initial_scale: float = 0.3) -> None:
        super().__init__()
        if not initial_scale > 0:
            raise ValueError(f"initial_scale: expected a positive number, got {initial_scale!r}")
        self.log_scale = nn.Parameter(torch.tensor(float(initial_scale)).log())

    def forward(self, raw: Tensor) -> dist.TorchDistribution:
        return dist.Normal(full_precision(raw), self.log_scale.exp()).to_event(3)

    if TYPE_CHECKING:
        __call__ = forward


class SquaredErrorLikelihood(Recorded):
    """Squared error around the raw tensor, on the scale of TRIP's Table 1 times a weight (see `SquaredError`)."""

    def __init__(self, weight: float = 1.0) -> None:
        super().__init__()
        if not weight > 0:
            raise ValueError(f"weight: expected a positive number, got {weight!r}")
        self.weight = weight

    def forward(self, raw: Tensor) -> dist.TorchDistribution:
        return SquaredError(full_precision(raw), self.weight)

    if TYPE_CHECKING:
        __call__ = forward


Likelihood = Literal["bernoulli", "gaussian", "squared-error"]
LIKELIHOODS = {
    "bernoulli": BernoulliLikelihood,
    "gaussian": GaussianLikelihood,
    "squared-error": SquaredErrorLikelihood,
}


def make_likelihood(likelihood: Likelihood | nn.Module) -> nn.Module:
    """A likelihood by its name, or the module itself.

    Raises:
        ValueError: an unknown name.

    Example:
        >>> make_likelihood("bernoulli")
        BernoulliLikelihood()
    """
    if isinstance(likelihood, nn.Module):
        return likelihood
    if likelihood not in LIKELIHOODS:
        raise ValueError(f"likelihood: expected one of {sorted(LIKELIHOODS)} or a module, got {likelihood!r}")
    return LIKELIHOODS[likelihood]()
