"""A decoder whose pixels depend on each other: a small PixelCNN, given planes that are made of the latents."""

from typing import TYPE_CHECKING, Any

import torch
from torch import Tensor, nn
from torch.nn.functional import linear

from pyro_priors.checks import check_count
from pyro_priors.networks.autoencoders import GatedMLPDecoder, check_shape
from pyro_priors.recorded import Recorded

FIRST, OTHERS = 7, 3  # sides of the masked convolutions
CHUNK = 500  # images that are drawn at a time


class PixelCNNDecoder(Recorded):
    """Masked convolutions over the pixels before one, and planes made of z: p(x given z) = prod_i p(x_i given x_<i, z).

    Pixels come row by row; the channels of one are independent given those before. Gated dense layers make `planes`
    planes of z, which each gated masked convolution sees at its own place. `forward` gives the planes, `raw` what the
    likelihood reads of every pixel given those before it, all at once; programs make the law of the image of both
    (`programs.AutoregressivePixels`), for any likelihood of independent pixels.

    Cost: `raw` is a pass of `layers` convolutions; `draw` visits the pixels in turn, each layer at that place alone, so
    that all its visits together cost one pass, in H W times as many operations.

    Note:
        Of the pixels before, those far up to the right are not seen (the blind spot of single masked convolutions).

    References:
        van den Oord, Kalchbrenner, Kavukcuoglu, "Pixel recurrent neural networks", 2016, section 3.4 (masks A and B),
        arXiv:1601.06759; van den Oord et al., "Conditional image generation with PixelCNN decoders", 2016, eq. 2 and 4,
        arXiv:1606.05328; with a VAE: Gulrajani et al. (PixelVAE), 2016, arXiv:1611.05013.

    Args:
        latent_dim: number of latents.
        image_shape: (channels, height, width).
        channels: of every masked convolution.
        layers: masked convolutions, the first of 7x7, the others of 3x3.
        hidden: widths of the dense layers between latents and planes.
        planes: how many.

    Example:
        >>> decoder = PixelCNNDecoder(5, (1, 8, 8), channels=4, layers=2, hidden=(16,))
        >>> decoder.raw(torch.zeros(3, 1, 8, 8), decoder(torch.zeros(3, 5))).shape
        torch.Size([3, 1, 8, 8])
    """

    autoregressive = True
    convolutions: Any  # `MaskedConvolution`s
    conditions: Any

    def __init__(
        self,
        latent_dim: int,
        image_shape: tuple[int, int, int],
        channels: int = 32,
        layers: int = 5,
        hidden: tuple[int, ...] = (300, 300),
        planes: int = 4,
    ) -> None:
        super().__init__()
        self.image_shape, self.latent_dim = check_shape(image_shape), check_count("latent_dim", latent_dim)
        colours, height, width = self.image_shape
        check_count("channels", channels)
        self.planes = GatedMLPDecoder(latent_dim, (check_count("planes", planes), height, width), hidden)
        others = [MaskedConvolution(channels, 2 * channels, OTHERS) for _ in range(check_count("layers", layers) - 1)]
        self.convolutions = nn.ModuleList([MaskedConvolution(colours, 2 * channels, FIRST, itself=False), *others])
        self.conditions = nn.ModuleList(nn.Conv2d(planes, 2 * channels, 1, bias=False) for _ in self.convolutions)
        mixing = nn.Conv2d(channels, channels, 1)
        self.head = nn.Sequential(nn.LeakyReLU(0.2), mixing, nn.LeakyReLU(0.2), nn.Conv2d(channels, colours, 1))

    def forward(self, z: Tensor) -> Tensor:
        """The planes of latents `(*, latent_dim)`: `(*, planes, H, W)`."""
        return self.planes(z)

    if TYPE_CHECKING:
        __call__ = forward

    def raw(self, x: Tensor, planes: Tensor) -> Tensor:
        """What a likelihood reads of each pixel given those before it, `(n, C, H, W)`, of images and planes."""
        h = x
        for layer, (convolution, condition) in enumerate(zip(self.convolutions, self.conditions, strict=True)):
            gated = _gated(convolution(h) + condition(planes))
            h = h + gated if layer else gated
        return self.head(h)

    @torch.no_grad()
    def draw(self, planes: Tensor, likelihood: Any) -> tuple[Tensor, Tensor]:
        """Images pixel by pixel, exactly, and what was read of each: both `(n, C, H, W)`, of `(n, planes, H, W)`.

        `likelihood` makes the law of independent pixels of raw tensors `(n, C, 1, 1)`.
        """
        parts = [self._drawn(part, likelihood) for part in planes.split(CHUNK)]
        return torch.cat([x for x, _ in parts]), torch.cat([raw for _, raw in parts])

    def _drawn(self, planes: Tensor, likelihood: Any) -> tuple[Tensor, Tensor]:
        n, (_, height, width) = len(planes), self.image_shape
        raw = planes.new_zeros(n, *self.image_shape)
        seen = [c.padded(planes, height, width) for c in self.convolutions]  # what each convolution has been shown
        conditions = [condition(planes) for condition in self.conditions]
        weights = [convolution.before() for convolution in self.convolutions]
        for i in range(height):
            for j in range(width):
                raw[..., i : i + 1, j : j + 1] = here = self._at(i, j, seen, conditions, weights)
                self.convolutions[0].show(seen[0], i, j, likelihood(here).sample())
        edge = FIRST // 2
        return seen[0][..., edge:, edge : edge + width].clone(), raw

    def _at(self, i: int, j: int, seen: list, conditions: list, weights: list) -> Tensor:
        """What `raw` gives at a place, `(n, C, 1, 1)`, of what the convolutions have been shown up to there."""
        h: Any = None
        for layer, convolution in enumerate(self.convolutions):
            if layer:
                convolution.show(seen[layer], i, j, h)
            both = convolution.at(seen[layer], i, j, weights[layer]) + conditions[layer][..., i : i + 1, j : j + 1]
            h = h + _gated(both) if layer else _gated(both)
        return self.head(h)


class MaskedConvolution(nn.Conv2d):
    """A convolution of an odd side that sees the pixels before one, row by row, and with `itself` that one too.

    Without (mask A) it takes images, with (mask B) what was computed of them.
    """

    mask: Tensor

    def __init__(self, inputs: int, outputs: int, side: int, *, itself: bool = True) -> None:
        super().__init__(inputs, outputs, side, padding=side // 2)
        mask = torch.zeros(side, side)
        mask.flatten()[: side**2 // 2 + itself] = 1
        self.register_buffer("mask", mask, persistent=False)

    def forward(self, input: Tensor) -> Tensor:
        return self._conv_forward(input, self.weight * self.mask, self.bias)

    def padded(self, like: Tensor, height: int, width: int) -> Tensor:
        """Zeros that images are put into, with the edges that the convolution sees above and beside them."""
        edge = self.kernel_size[0] // 2
        return like.new_zeros(len(like), self.in_channels, height + edge, width + 2 * edge)

    def show(self, seen: Tensor, i: int, j: int, values: Tensor) -> None:
        """Put values `(n, C, 1, 1)` at their place."""
        edge = self.kernel_size[0] // 2
        seen[..., i + edge : i + edge + 1, j + edge : j + edge + 1] = values

    def before(self) -> Tensor:
        """The weights of the rows up to the middle one, which alone count: `(outputs, numbers that are seen)`."""
        return (self.weight * self.mask)[:, :, : self.kernel_size[0] // 2 + 1].flatten(1)

    def at(self, seen: Tensor, i: int, j: int, before: Tensor) -> Tensor:
        """What `forward` gives at a place, `(n, outputs, 1, 1)`, of what has been shown up to there."""
        side = self.kernel_size[0]
        window = seen[..., i : i + side // 2 + 1, j : j + side].flatten(1)
        return linear(window, before, self.bias)[..., None, None]


def _gated(both: Tensor) -> Tensor:
    value, gate = both.chunk(2, -3)
    return value.tanh() * gate.sigmoid()
