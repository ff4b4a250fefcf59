"""The law of an image whose pixels depend on each other given the latents."""

from collections.abc import Sequence
from typing import Any, ClassVar

import pyro.distributions as dist
import torch
from torch import Tensor


def pixel_law(decoder: Any, likelihood: Any, inputs: Tensor, *, where: Tensor | None = None) -> dist.TorchDistribution:
    """p(x given z): of independent pixels, or where the decoder says `autoregressive` of pixels in turn.

    Args:
        decoder: from `inputs` to a raw tensor, or as `networks.PixelCNNDecoder`.
        likelihood: from a raw tensor to the law of independent pixels.
        inputs: latents, and what else the decoder takes, `(*, n)`.
        where: `(*)`, on which of them the decoder runs; the others' raw numbers are 0. None: all.
    """
    raw = decoder(inputs) if where is None else spread(decoder(inputs[where]), where)
    if getattr(decoder, "autoregressive", False):
        return AutoregressivePixels(decoder, raw, likelihood)
    return likelihood(raw)


def spread(values: Tensor, where: Tensor, other: float = 0.0) -> Tensor:
    """Rows `(count, ...)` at the `count` places where `where` `(*)` holds, `other` elsewhere: `(*, ...)`.

    Example:
        >>> spread(torch.tensor([[3.0], [4.0]]), torch.tensor([True, False, True])).flatten()
        tensor([3., 0., 4.])
    """
    return values.new_full((*where.shape, *values.shape[1:]), other).index_put((where,), values)


class AutoregressivePixels(dist.TorchDistribution):
    """p(x) = prod_i p(x_i given x_<i): each pixel by a likelihood of what a network makes of those before it.

    `log_prob` is one pass of the network, `sample` goes from pixel to pixel. `mean` is no closed form: it is drawn,
    the mean of every pixel given the earlier ones of a fresh draw, whose own mean over draws is that of the law.

    Shapes:
        - planes: `(*, planes, H, W)`; batch `(*)`
        - event: `(C, H, W)`

    Args:
        decoder: as `networks.PixelCNNDecoder`, with `raw` and `draw`.
        planes: what it made of the latents.
        likelihood: from a raw tensor to the law of independent pixels.

    Example:
        >>> from pyro_priors.networks import PixelCNNDecoder
        >>> from pyro_priors.programs.likelihoods import BernoulliLikelihood
        >>> decoder = PixelCNNDecoder(2, (1, 3, 3), channels=2, layers=2, hidden=(4,))
        >>> law = AutoregressivePixels(decoder, decoder(torch.zeros(5, 2)), BernoulliLikelihood())
        >>> law.log_prob(law.sample((4,))).shape
        torch.Size([4, 5])
    """

    arg_constraints: ClassVar[Any] = {}

    def __init__(self, decoder: Any, planes: Tensor, likelihood: Any, validate_args: bool | None = None) -> None:
        self.decoder, self.planes, self.likelihood = decoder, planes, likelihood
        shape = torch.Size(decoder.image_shape)
        super().__init__(planes.shape[:-3], shape, validate_args=validate_args)

    @property
    def support(self) -> Any:
        return self.likelihood(self.planes.new_zeros(self.event_shape)).support

    @property
    def mean(self) -> Tensor:
        return self.likelihood(self._draw(self.batch_shape)[1]).mean

    def sample(self, sample_shape: Sequence[int] = ()) -> Tensor:
        return self._draw(torch.Size(sample_shape) + self.batch_shape)[0]

    def log_prob(self, value: Tensor) -> Tensor:
        if self._validate_args:
            self._validate_sample(value)
        batch = torch.broadcast_shapes(value.shape[:-3], self.batch_shape)
        x = value.expand(batch + self.event_shape).reshape(-1, *self.event_shape)
        return self.likelihood(self.decoder.raw(x, self._planes(batch)).view(batch + self.event_shape)).log_prob(value)

    def expand(self, batch_shape: torch.Size, _instance: Any = None) -> "AutoregressivePixels":
        new: Any = self._get_checked_instance(AutoregressivePixels, _instance)
        new.decoder, new.likelihood = self.decoder, self.likelihood
        new.planes = self.planes.expand(*batch_shape, *self.planes.shape[-3:])
        super(AutoregressivePixels, new).__init__(torch.Size(batch_shape), self.event_shape, validate_args=False)
        new._validate_args = self._validate_args
        return new

    def _planes(self, batch: torch.Size) -> Tensor:
        return self.planes.expand(*batch, *self.planes.shape[-3:]).reshape(-1, *self.planes.shape[-3:])

    def _draw(self, batch: torch.Size) -> tuple[Tensor, Tensor]:
        x, raw = self.decoder.draw(self._planes(batch), self.likelihood)
        return x.view(batch + self.event_shape), raw.view(batch + self.event_shape)
