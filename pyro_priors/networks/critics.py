"""Critics of adversarial models: multilayer perceptrons and strided convolutions.

A critic maps images `(n, C, H, W)` to one number each, `(n,)`, and has `features(x)`, `(n, features)`, what its last
layer sees.
"""

import math
from itertools import pairwise
from typing import TYPE_CHECKING, Literal, get_args

import torch
from torch import Tensor, nn
from torch.nn.utils.parametrizations import spectral_norm

from pyro_priors.checks import check_choice, check_count
from pyro_priors.networks.autoencoders import check_conv_shape, check_shape, pyramid
from pyro_priors.recorded import Recorded

Norm = Literal["none", "batch", "layer", "spectral"]


class Critic(Recorded):
    """What critics of images share: `body` makes features `(n, width)`, one last layer a number of them.

    Args:
        image_shape: (channels, height, width).
        body: from images to features.
        width: how many.
        norm: of the layers; "spectral" holds for the last one too.
        minibatch: kernels of minibatch discrimination before the last layer; 0 for none. With several devices it sees
            each device's part of the batch, as batch normalisation does.
        scale: what images are multiplied by; with spectral normalisation of dense layers, and no minibatch
            discrimination, a bound on the Lipschitz constant.

    Raises:
        ValueError: a scale that is not positive, a negative number of kernels.
    """

    def __init__(
        self,
        image_shape: tuple[int, int, int],
        body: nn.Module,
        width: int,
        norm: Norm,
        minibatch: int,
        scale: float = 1.0,
    ) -> None:
        super().__init__()
        if not scale > 0:
            raise ValueError(f"scale: expected a positive number, got {scale}")
        self.scale = scale
        self.image_shape, self.body, self.width = tuple(image_shape), body, width
        self.among = MinibatchDiscrimination(width, minibatch) if check_count("minibatch", minibatch, 0) else None
        self.head = _linear(width + minibatch, 1, norm)

    def features(self, x: Tensor) -> Tensor:
        """What the last layer sees of each image, `(n, width)`; nothing of the others of the batch."""
        return self.body(self.scale * x)

    def forward(self, x: Tensor) -> Tensor:
        features = self.features(x)
        return self.head(features if self.among is None else self.among(features)).squeeze(-1)

    if TYPE_CHECKING:
        __call__ = forward


class MLPCritic(Critic):
    """Dense layers with LeakyReLU(0.2) from an image to a number.

    Args:
        image_shape: (channels, height, width).
        hidden: widths of the hidden layers.
        norm: "none", "batch", "layer" or "spectral".
        minibatch, scale: as in `Critic`.

    Example:
        >>> MLPCritic((1, 8, 8), (16,), norm="layer")(torch.zeros(5, 1, 8, 8)).shape
        torch.Size([5])
    """

    def __init__(
        self,
        image_shape: tuple[int, int, int],
        hidden: tuple[int, ...] = (256, 256),
        norm: Norm = "none",
        minibatch: int = 0,
        scale: float = 1.0,
    ) -> None:
        check_choice("norm", norm, get_args(Norm))
        widths = [math.prod(check_shape(image_shape)), *(check_count("hidden", width) for width in hidden)]
        normed = {"batch": nn.BatchNorm1d, "layer": nn.LayerNorm}.get(norm)
        layers: list[nn.Module] = [nn.Flatten()]
        for a, b in pairwise(widths):
            layers += [_linear(a, b, norm), *([normed(b)] if normed else []), nn.LeakyReLU(0.2)]
        super().__init__(image_shape, nn.Sequential(*layers), widths[-1], norm, minibatch, scale)


class ConvCritic(Critic):
    """5x5 convolutions of stride 2 with LeakyReLU(0.2), down to 4x4 (7x7 for 28 pixels), then a dense layer.

    Layer normalisation is over channels and places of an image, with a scale and shift a channel; no level but the
    first is without it.

    References:
        Gulrajani et al., "Improved training of Wasserstein GANs", 2017, arXiv:1704.00028, section 4 and appendix
        (layer normalisation, since the penalty is one of every image by itself).

    Args:
        image_shape: (channels, height, width), square, of side 28, 32 or 64.
        channels: channels after the first convolution; every level below has twice as many.
        norm, minibatch, scale: as in `MLPCritic`.

    Example:
        >>> ConvCritic((3, 32, 32), channels=4, norm="spectral")(torch.zeros(5, 3, 32, 32)).shape
        torch.Size([5])
    """

    def __init__(
        self,
        image_shape: tuple[int, int, int],
        channels: int = 64,
        norm: Norm = "none",
        minibatch: int = 0,
        scale: float = 1.0,
    ) -> None:
        check_choice("norm", norm, get_args(Norm))
        widths, side = pyramid(check_conv_shape(image_shape), check_count("channels", channels))
        layers: list[nn.Module] = []
        for level, (a, b) in enumerate(pairwise(widths)):
            convolution = nn.Conv2d(a, b, 5, 2, 2)
            layers.append(spectral_norm(convolution) if norm == "spectral" else convolution)
            if level and norm in ("batch", "layer"):
                layers.append(nn.BatchNorm2d(b) if norm == "batch" else nn.GroupNorm(1, b))
            layers.append(nn.LeakyReLU(0.2))
        body = nn.Sequential(*layers, nn.Flatten())
        super().__init__(image_shape, body, widths[-1] * side**2, norm, minibatch, scale)


class Recogniser(Recorded):
    """Logits of the code that an image was made with, `(n, categories)`, for `InfoGAN`.

    Args:
        critic: a fresh `Critic`, of which only the layers below the last become part of this.
        categories: of the code.

    Example:
        >>> Recogniser(MLPCritic((1, 8, 8), (16,)), 10)(torch.zeros(5, 1, 8, 8)).shape
        torch.Size([5, 10])
    """

    def __init__(self, critic: Critic, categories: int) -> None:
        super().__init__()
        self.image_shape, self.body, self.scale = critic.image_shape, critic.body, critic.scale
        self.head = nn.Linear(critic.width, check_count("categories", categories, 2))

    def forward(self, x: Tensor) -> Tensor:
        return self.head(self.body(self.scale * x))

    if TYPE_CHECKING:
        __call__ = forward


class MinibatchDiscrimination(Recorded):
    """Beside the features of an image, how near those of the others of the batch are: a critic that sees collapse.

    ``o(x_i)_b = sum_{j != i} exp(-|M_ib - M_jb|_1)``, with M a linear map of the features to `kernels` rows of `size`.
    It grows with the batch: a critic is to be asked in batches of the size that it was trained on. Memory O(n^2).

    Shapes:
        ``(n, features) -> (n, features + kernels)``

    References:
        Salimans et al., "Improved techniques for training GANs", 2016, section 3.2, arXiv:1606.03498.

    Example:
        >>> MinibatchDiscrimination(6, kernels=2)(torch.randn(5, 6)).shape
        torch.Size([5, 8])
    """

    def __init__(self, features: int, kernels: int, size: int = 5) -> None:
        super().__init__()
        shape = [
            check_count(name, count) for name, count in (("features", features), ("kernels", kernels), ("size", size))
        ]
        self.weight = nn.Parameter(torch.randn(shape) / features**0.5)

    def forward(self, features: Tensor) -> Tensor:
        rows = torch.einsum("nf,fks->nks", features, self.weight)
        near = (rows[:, None] - rows[None]).abs().sum(-1).neg().exp().sum(1) - 1
        return torch.cat([features, near], -1)

    if TYPE_CHECKING:
        __call__ = forward


class AutoEncoderCritic(Recorded):
    """The critic of an EBGAN: its number is an energy, the distance of an image from what an auto-encoder makes of it.

    References:
        Zhao, Mathieu, LeCun, "Energy-based generative adversarial network", 2016, eq. 3, arXiv:1609.03126.

    Args:
        image_shape: (channels, height, width).
        hidden: widths of the hidden layers of the encoder, mirrored in the decoder.
        code: width of the code between them.

    Example:
        >>> AutoEncoderCritic((1, 8, 8), (16,), code=4)(torch.zeros(5, 1, 8, 8)).shape
        torch.Size([5])
    """

    def __init__(self, image_shape: tuple[int, int, int], hidden: tuple[int, ...] = (256,), code: int = 32) -> None:
        super().__init__()
        self.image_shape = check_shape(image_shape)
        widths = [math.prod(self.image_shape), *(check_count("hidden", width) for width in hidden)]
        widths.append(check_count("code", code))
        half = [part for a, b in pairwise(widths) for part in (nn.Linear(a, b), nn.LeakyReLU(0.2))]
        back = [part for a, b in pairwise(reversed(widths)) for part in (nn.Linear(a, b), nn.LeakyReLU(0.2))]
        self.encoder, self.decoder = nn.Sequential(nn.Flatten(), *half), nn.Sequential(*back[:-1])

    def features(self, x: Tensor) -> Tensor:
        """The code, `(n, code)`."""
        return self.encoder(x)

    def reconstruct(self, x: Tensor) -> Tensor:
        """What the auto-encoder makes of images."""
        return self.decoder(self.features(x)).unflatten(-1, self.image_shape)

    def forward(self, x: Tensor) -> Tensor:
        off = (self.reconstruct(x) - x).flatten(1)
        return (off.square().sum(-1) + 1e-12).sqrt()  # a gradient at 0

    if TYPE_CHECKING:
        __call__ = forward


def _linear(inputs: int, outputs: int, norm: Norm) -> nn.Module:
    layer = nn.Linear(inputs, outputs)
    return spectral_norm(layer) if norm == "spectral" else layer
