"""The knobs of networks, and the networks that they name."""

import dataclasses
from typing import ClassVar, Literal

from models.shared.model import Model
from pyro_priors import networks
from pyro_priors.checks import UserError
from pyro_priors.modules.plugins import knob


@dataclasses.dataclass(frozen=True)
class Networks(Model):
    """Dense layers or convolutions; not a command itself."""

    network: Literal["mlp", "conv"] = "mlp"  # Gated dense layers, or 4x4 stride-2 convolutions (28, 32 or 64 pixels).
    hidden: tuple[int, ...] = knob((300, 300), network="mlp")  # Widths of the hidden layers of `mlp`.
    channels: int = knob(32, network="conv")  # Base channels of `conv`.

    least: ClassVar[dict[str, float]] = {**Model.least, "channels": 1}
    widths: ClassVar[tuple[str, ...]] = ("hidden",)

    def networks(self, image_shape, features=0):
        """Encoder and decoder; `features` numbers beside the image and beside the latents."""
        seen, latents = (image_shape[0] + features, *image_shape[1:]), self.latent_dim + features
        if self.network == "mlp":
            encoder = networks.GatedMLPEncoder(seen, self.latent_dim, self.hidden)
            return encoder, networks.GatedMLPDecoder(latents, image_shape, self.hidden[::-1])
        check_size(image_shape)
        encoder = networks.ConvEncoder(seen, self.latent_dim, self.channels)
        return encoder, networks.ConvDecoder(latents, image_shape, self.channels)


@dataclasses.dataclass(frozen=True)
class StrongNetworks(Networks):
    """The same, or a decoder whose pixels depend on each other given the latents; not a command itself."""

    # Gated dense layers, 4x4 stride-2 convolutions (28, 32 or 64 pixels), or dense layers before a PixelCNN.
    network: Literal["mlp", "conv", "pixelcnn"] = "mlp"
    hidden: tuple[int, ...] = knob((300, 300), network=("mlp", "pixelcnn"))  # Widths of the hidden dense layers.
    channels: int = knob(32, network=("conv", "pixelcnn"))  # Base channels of `conv`, of every layer of `pixelcnn`.
    pixel_layers: int = knob(5, network="pixelcnn")  # Masked convolutions, the first of 7x7, the others of 3x3.

    least: ClassVar[dict[str, float]] = {**Networks.least, "pixel_layers": 1}

    def __post_init__(self):
        super().__post_init__()
        if self.network == "pixelcnn" and (self.likelihood, self.binarize) != ("bernoulli", "dynamic"):
            raise UserError(
                "network: pixelcnn expected --likelihood bernoulli and --binarize dynamic, since it draws pixels of 0 "
                f"and 1, got {self.likelihood} and {self.binarize}"
            )

    def networks(self, image_shape, features=0):
        if self.network != "pixelcnn":
            return super().networks(image_shape, features)
        encoder = networks.GatedMLPEncoder((image_shape[0] + features, *image_shape[1:]), self.latent_dim, self.hidden)
        sizes = self.channels, self.pixel_layers, self.hidden[::-1]
        return encoder, networks.PixelCNNDecoder(self.latent_dim + features, image_shape, *sizes)


def check_size(image_shape):
    """`UserError` where convolutions cannot take images of this size."""
    if image_shape[1:] not in ((28, 28), (32, 32), (64, 64)):
        raise UserError(f"network: conv expected images of 28, 32 or 64 pixels, got {image_shape} (pass --network mlp)")
