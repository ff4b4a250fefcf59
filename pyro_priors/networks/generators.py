"""Generators of adversarial models, from latents `(n, latent_dim)` to images `(n, C, H, W)`."""

import math
from itertools import pairwise
from typing import TYPE_CHECKING, Literal

from torch import Tensor, nn

from pyro_priors.checks import check_choice, check_count
from pyro_priors.networks.autoencoders import check_conv_shape, check_shape, pyramid
from pyro_priors.recorded import Recorded


class MLPGenerator(Recorded):
    """Dense layers with ReLU from latents to an image, in [-1, 1] by a tanh or as it comes.

    Args:
        latent_dim: number of latents, other inputs included.
        image_shape: (channels, height, width).
        hidden: widths of the hidden layers.
        output: "tanh" or "linear".
        slope: of the hidden layers below 0 (LeakyReLU), so that no unit dies; 0 is ReLU.

    Example:
        >>> import torch
        >>> MLPGenerator(3, (1, 8, 8), (16,))(torch.zeros(5, 3)).shape
        torch.Size([5, 1, 8, 8])
    """

    def __init__(
        self,
        latent_dim: int,
        image_shape: tuple[int, int, int],
        hidden: tuple[int, ...] = (256, 256),
        output: Literal["tanh", "linear"] = "tanh",
        slope: float = 0.0,
    ) -> None:
        super().__init__()
        check_choice("output", output, ("tanh", "linear"))
        self.image_shape, self.latent_dim, self.output = check_shape(image_shape), latent_dim, output
        widths = [check_count("latent_dim", latent_dim), *(check_count("hidden", width) for width in hidden)]
        layers = [part for a, b in pairwise(widths) for part in (nn.Linear(a, b), nn.LeakyReLU(slope))]
        self.body = nn.Sequential(*layers, nn.Linear(widths[-1], math.prod(self.image_shape)))

    def forward(self, z: Tensor) -> Tensor:
        x = self.body(z).unflatten(-1, self.image_shape)
        return x.tanh() if self.output == "tanh" else x

    if TYPE_CHECKING:
        __call__ = forward


class ConvGenerator(Recorded):
    """A dense layer to 4x4 (7x7 for 28 pixels), then transposed 5x5 convolutions that double the side; tanh at the end.

    Batch normalisation and ReLU after every layer but the last.

    References:
        Radford, Metz, Chintala (DCGAN), 2015, arXiv:1511.06434; TRIP trains such with 64 base channels.

    Args:
        latent_dim: number of latents, other inputs included.
        image_shape: (channels, height, width), square, of side 28, 32 or 64.
        channels: channels before the last layer; every level below has twice as many.

    Example:
        >>> import torch
        >>> ConvGenerator(3, (3, 32, 32), channels=4)(torch.zeros(5, 3)).shape
        torch.Size([5, 3, 32, 32])
    """

    def __init__(self, latent_dim: int, image_shape: tuple[int, int, int], channels: int = 64) -> None:
        super().__init__()
        self.image_shape, self.latent_dim = check_conv_shape(image_shape), check_count("latent_dim", latent_dim)
        widths, side = pyramid(self.image_shape, check_count("channels", channels))
        smallest = (widths[-1], side, side)
        layers: list[nn.Module] = [nn.Linear(latent_dim, math.prod(smallest)), nn.Unflatten(-1, smallest)]
        for a, b in pairwise(reversed(widths)):
            layers += [nn.BatchNorm2d(a), nn.ReLU(), nn.ConvTranspose2d(a, b, 5, 2, 2, output_padding=1)]
        self.body = nn.Sequential(*layers, nn.Tanh())

    def forward(self, z: Tensor) -> Tensor:
        return self.body(z)

    if TYPE_CHECKING:
        __call__ = forward
