"""Encoders and decoders for images: gated multilayer perceptrons and strided convolutions.

An encoder maps images `(batch, channels, height, width)` to a Pyro distribution over latents; a
decoder maps latents `(*, latent_dim)`, with any leading dimensions (particles), to one raw tensor
`(*, channels, height, width)` that a likelihood (`pyro_priors.programs.likelihoods`) reads.
"""

import math
from itertools import pairwise
from typing import TYPE_CHECKING

import pyro.distributions as dist
import torch
from torch import Tensor, nn
from torch.nn.functional import softplus

from pyro_priors.checks import check_count
from pyro_priors.ops import full_precision
from pyro_priors.recorded import Recorded

CONV_SIZES = (28, 32, 64)


class GatedLinear(Recorded):
    """A dense layer with a multiplicative gate: `h * sigmoid(g)`, with h and g linear in the input.

    Note:
        Glorot (Xavier uniform) weights, zero biases.

    References:
        Dauphin et al., "Language modeling with gated convolutional networks", 2017; used by Lavda et al.,
        arXiv:1911.10885.

    Example:
        >>> GatedLinear(4, 3)(torch.zeros(2, 4)).shape
        torch.Size([2, 3])
    """

    def __init__(self, in_features: int, out_features: int) -> None:
        super().__init__()
        self.value = glorot(nn.Linear(in_features, out_features))
        self.gate = glorot(nn.Linear(in_features, out_features))

    def forward(self, x: Tensor) -> Tensor:
        return self.value(x) * torch.sigmoid(self.gate(x))

    if TYPE_CHECKING:
        __call__ = forward


class GaussianHead(Recorded):
    """The last layer of an encoder: features `(*, in_features)` to `Normal(loc, scale).to_event(1)`.

    Note:
        float32 even under autocast: sums of bfloat16 log-densities over a hundred dimensions are off by
        half a nat. The scale is a softplus with a floor, so it is never 0.
    """

    def __init__(self, in_features: int, latent_dim: int) -> None:
        super().__init__()
        self.loc = glorot(nn.Linear(in_features, latent_dim))
        self.scale = glorot(nn.Linear(in_features, latent_dim))

    def forward(self, features: Tensor) -> dist.TorchDistribution:
        loc, raw_scale = full_precision(self.loc(features)), full_precision(self.scale(features))
        return dist.Normal(loc, softplus(raw_scale) + 1e-6).to_event(1)

    if TYPE_CHECKING:
        __call__ = forward


class GatedMLPEncoder(Recorded):
    """Gated dense layers from an image to a diagonal Gaussian over the latents.

    Shapes:
        - x: `(batch, *image_shape)`
        - result: batch `(batch,)`, event `(latent_dim,)`

    References:
        Lavda, Gregorova, Kalousis, arXiv:1911.10885, section 5 (two hidden layers of 300).

    Args:
        image_shape: (channels, height, width).
        latent_dim: number of latents.
        hidden: width of each hidden layer.

    Example:
        >>> GatedMLPEncoder((1, 8, 8), latent_dim=5)(torch.rand(3, 1, 8, 8)).event_shape
        torch.Size([5])
    """

    def __init__(self, image_shape: tuple[int, int, int], latent_dim: int, hidden: tuple[int, ...] = (300, 300)):
        super().__init__()
        self.image_shape, self.latent_dim = check_shape(image_shape), check_count("latent_dim", latent_dim)
        self.body, width = gated_layers(math.prod(self.image_shape), hidden)
        self.head = GaussianHead(width, latent_dim)

    def forward(self, x: Tensor) -> dist.TorchDistribution:
        return self.head(self.body(x.flatten(start_dim=-3)))

    if TYPE_CHECKING:
        __call__ = forward


class GatedMLPDecoder(Recorded):
    """Gated dense layers from latents `(*, latent_dim)` to a raw image tensor `(*, *image_shape)`.

    Args:
        latent_dim: number of latents.
        image_shape: (channels, height, width).
        hidden: width of each hidden layer.

    Example:
        >>> GatedMLPDecoder(5, (1, 8, 8))(torch.zeros(7, 3, 5)).shape
        torch.Size([7, 3, 1, 8, 8])
    """

    def __init__(self, latent_dim: int, image_shape: tuple[int, int, int], hidden: tuple[int, ...] = (300, 300)):
        super().__init__()
        self.image_shape, self.latent_dim = check_shape(image_shape), check_count("latent_dim", latent_dim)
        self.body, width = gated_layers(latent_dim, hidden)
        self.head = glorot(nn.Linear(width, math.prod(self.image_shape)))

    def forward(self, z: Tensor) -> Tensor:
        return self.head(self.body(z)).unflatten(-1, self.image_shape)

    if TYPE_CHECKING:
        __call__ = forward


class ConvFeatures(Recorded):
    """Convolutions and a dense layer, with batch normalisation, from an image to features `(*, hidden)`.

    At every level down to 4x4 (7x7 for 28 pixels) a 4x4 convolution halves the side, and a 3x3 one follows where the
    side is 16 or less.

    Args:
        image_shape: (channels, height, width), square, of side 28, 32 or 64.
        channels: channels after the first convolution; all but the first level double them.
        hidden: width of the dense layer.

    Example:
        >>> ConvFeatures((1, 28, 28), channels=4, hidden=8)(torch.rand(3, 1, 28, 28)).shape
        torch.Size([3, 8])
    """

    def __init__(self, image_shape: tuple[int, int, int], channels: int = 32, hidden: int = 256) -> None:
        super().__init__()
        self.image_shape = check_conv_shape(image_shape)
        widths, smallest = pyramid(self.image_shape, check_count("channels", channels))
        layers, side = [], self.image_shape[-1]
        for a, b in pairwise(widths):
            layers, side = [*layers, *_normalised(nn.Conv2d(a, b, 4, 2, 1, bias=False))], side // 2
            layers += _normalised(nn.Conv2d(b, b, 3, 1, 1, bias=False)) if side <= 16 else []
        self.body = nn.Sequential(*layers)
        dense = nn.Linear(widths[-1] * smallest**2, check_count("hidden", hidden))
        self.head = nn.Sequential(nn.Flatten(), dense, nn.LeakyReLU(0.2))

    def forward(self, x: Tensor) -> Tensor:
        features = self.head(self.body(x.reshape(-1, *self.image_shape)))
        return features.reshape(*x.shape[:-3], -1)

    if TYPE_CHECKING:
        __call__ = forward


class ConvEncoder(Recorded):
    """Convolutions of 4x4, stride 2, from an image to a diagonal Gaussian over the latents.

    Each convolution halves the side and all but the first double the channels, down to 4x4 (7x7 for 28 pixels).

    Shapes:
        - x: `(batch, *image_shape)`, square, of side 28, 32 or 64
        - result: batch `(batch,)`, event `(latent_dim,)`

    References:
        Kuznetsov et al., arXiv:1910.13148, the VAE on CelebA (64 base channels).

    Args:
        image_shape: (channels, height, width).
        latent_dim: number of latents.
        channels: channels after the first convolution.

    Example:
        >>> ConvEncoder((1, 28, 28), latent_dim=5, channels=8)(torch.rand(3, 1, 28, 28)).event_shape
        torch.Size([5])
    """

    def __init__(self, image_shape: tuple[int, int, int], latent_dim: int, channels: int = 32) -> None:
        super().__init__()
        self.image_shape, self.latent_dim = check_conv_shape(image_shape), check_count("latent_dim", latent_dim)
        widths, side = pyramid(self.image_shape, check_count("channels", channels))
        layers = [nn.Sequential(nn.Conv2d(a, b, 4, 2, 1), nn.LeakyReLU(0.2)) for a, b in pairwise(widths)]
        self.body = nn.Sequential(*layers)
        self.head = GaussianHead(widths[-1] * side**2, latent_dim)

    def forward(self, x: Tensor) -> dist.TorchDistribution:
        features = self.body(x.reshape(-1, *self.image_shape)).flatten(start_dim=1)
        return self.head(features.reshape(*x.shape[:-3], -1))

    if TYPE_CHECKING:
        __call__ = forward


class ConvDecoder(Recorded):
    """The mirror of `ConvEncoder`: latents `(*, latent_dim)` to a raw image tensor `(*, *image_shape)`.

    Args:
        latent_dim: number of latents.
        image_shape: (channels, height, width), square, of side 28, 32 or 64.
        channels: channels before the last transposed convolution.

    Example:
        >>> ConvDecoder(5, (3, 32, 32), channels=8)(torch.zeros(7, 2, 5)).shape
        torch.Size([7, 2, 3, 32, 32])
    """

    def __init__(self, latent_dim: int, image_shape: tuple[int, int, int], channels: int = 32) -> None:
        super().__init__()
        self.image_shape, self.latent_dim = check_conv_shape(image_shape), check_count("latent_dim", latent_dim)
        widths, side = pyramid(self.image_shape, check_count("channels", channels))
        self._smallest = (widths[-1], side, side)
        self.head = nn.Linear(latent_dim, math.prod(self._smallest))
        layers: list[nn.Module] = []
        for a, b in pairwise(reversed(widths)):
            layers += [nn.LeakyReLU(0.2), nn.ConvTranspose2d(a, b, 4, 2, 1)]
        self.body = nn.Sequential(*layers)

    def forward(self, z: Tensor) -> Tensor:
        features = self.head(z.reshape(-1, self.latent_dim)).unflatten(-1, self._smallest)
        return self.body(features).reshape(*z.shape[:-1], *self.image_shape)

    if TYPE_CHECKING:
        __call__ = forward


def _normalised(convolution: nn.Conv2d) -> list[nn.Module]:
    return [convolution, nn.BatchNorm2d(convolution.out_channels), nn.LeakyReLU(0.2)]


def glorot(layer: nn.Linear) -> nn.Linear:
    """The same layer with Xavier uniform weights and no bias."""
    nn.init.xavier_uniform_(layer.weight)
    nn.init.zeros_(layer.bias)
    return layer


def gated_layers(in_features: int, hidden: tuple[int, ...]) -> tuple[nn.Sequential, int]:
    """Gated dense layers of these widths, and how many features leave the last."""
    widths = [in_features, *(check_count("hidden", width) for width in hidden)]
    return nn.Sequential(*(GatedLinear(a, b) for a, b in pairwise(widths))), widths[-1]


def concatenated(a: Tensor, b: Tensor) -> Tensor:
    """Along the last dimension, the others broadcast."""
    lead = torch.broadcast_shapes(a.shape[:-1], b.shape[:-1])
    return torch.cat([a.expand(*lead, -1), b.expand(*lead, -1)], -1)


def pyramid(image_shape: tuple[int, int, int], channels: int) -> tuple[list[int], int]:
    """Channels at every level, the image's first, and the side of the last level."""
    widths, side = [image_shape[0]], image_shape[-1]
    while side % 2 == 0 and side > 4:
        widths, side = [*widths, channels * 2 ** (len(widths) - 1)], side // 2
    return widths, side


def check_shape(image_shape: tuple[int, int, int]) -> tuple[int, int, int]:
    """(channels, height, width), or `ValueError`."""
    shape = tuple(image_shape)
    if len(shape) != 3 or not all(isinstance(size, int) and size > 0 for size in shape):
        raise ValueError(f"image_shape: expected (channels, height, width), got {image_shape!r}")
    return shape


def check_conv_shape(image_shape: tuple[int, int, int]) -> tuple[int, int, int]:
    shape = check_shape(image_shape)
    if shape[1] != shape[2] or shape[2] not in CONV_SIZES:
        raise ValueError(f"image_shape: expected a square image of side {CONV_SIZES}, got {shape}")
    return shape
