"""Networks of two levels of latents."""

import math
from typing import TYPE_CHECKING

import pyro.distributions as dist
from torch import Tensor, nn

from pyro_priors.checks import check_count
from pyro_priors.networks.autoencoders import GatedLinear, GaussianHead, check_shape, concatenated, gated_layers, glorot
from pyro_priors.recorded import Recorded


class GatedMLPGaussian(Recorded):
    """Gated dense layers from upper latents `(*, latent_dim)` to a diagonal Gaussian over the lower ones.

    Example:
        >>> import torch
        >>> GatedMLPGaussian(4, 3)(torch.zeros(2, 4)).event_shape
        torch.Size([3])
    """

    def __init__(self, latent_dim: int, lower_dim: int, hidden: tuple[int, ...] = (300, 300)):
        super().__init__()
        self.latent_dim, self.lower_dim = check_count("latent_dim", latent_dim), check_count("lower_dim", lower_dim)
        self.body, width = gated_layers(latent_dim, hidden)
        self.head = GaussianHead(width, lower_dim)

    def forward(self, z: Tensor) -> dist.TorchDistribution:
        return self.head(self.body(z))

    if TYPE_CHECKING:
        __call__ = forward


class GatedMLPJointEncoder(Recorded):
    """One gated layer for the image, one for the upper latents, one for both, then the lower latents' Gaussian.

    Example:
        >>> import torch
        >>> GatedMLPJointEncoder((1, 8, 8), 4, 3)(torch.rand(2, 1, 8, 8), torch.zeros(5, 2, 4)).batch_shape
        torch.Size([5, 2])
    """

    def __init__(self, image_shape: tuple[int, int, int], latent_dim: int, lower_dim: int, hidden: int = 300):
        super().__init__()
        self.image_shape, self.latent_dim = check_shape(image_shape), check_count("latent_dim", latent_dim)
        self.lower_dim = check_count("lower_dim", lower_dim)
        self.of_image = GatedLinear(math.prod(self.image_shape), check_count("hidden", hidden))
        self.of_latents, self.joint = GatedLinear(latent_dim, hidden), GatedLinear(2 * hidden, hidden)
        self.head = GaussianHead(hidden, lower_dim)

    def forward(self, x: Tensor, z: Tensor) -> dist.TorchDistribution:
        both = concatenated(self.of_image(x.flatten(start_dim=-3)), self.of_latents(z))
        return self.head(self.joint(both))

    if TYPE_CHECKING:
        __call__ = forward


class GatedMLPJointDecoder(Recorded):
    """One gated layer for each level of latents, one for both, then a raw image tensor `(*, *image_shape)`.

    Example:
        >>> import torch
        >>> GatedMLPJointDecoder(3, 4, (1, 8, 8))(torch.zeros(2, 3), torch.zeros(2, 4)).shape
        torch.Size([2, 1, 8, 8])
    """

    def __init__(self, lower_dim: int, latent_dim: int, image_shape: tuple[int, int, int], hidden: int = 300):
        super().__init__()
        self.image_shape, self.latent_dim = check_shape(image_shape), check_count("latent_dim", latent_dim)
        self.lower_dim = check_count("lower_dim", lower_dim)
        self.of_lower = GatedLinear(lower_dim, check_count("hidden", hidden))
        self.of_upper, self.joint = GatedLinear(latent_dim, hidden), GatedLinear(2 * hidden, hidden)
        self.head = glorot(nn.Linear(hidden, math.prod(self.image_shape)))

    def forward(self, z_lower: Tensor, z: Tensor) -> Tensor:
        both = concatenated(self.of_lower(z_lower), self.of_upper(z))
        return self.head(self.joint(both)).unflatten(-1, self.image_shape)

    if TYPE_CHECKING:
        __call__ = forward
