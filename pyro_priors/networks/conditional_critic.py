"""A critic that sees attributes beside the image."""

from collections.abc import Mapping
from typing import TYPE_CHECKING, Any

import torch
from torch import Tensor

from pyro_priors.distributions.kinds import Kind
from pyro_priors.networks.attribute_numbers import attribute_features, attribute_numbers
from pyro_priors.recorded import Recorded


class ConditionalCritic(Recorded):
    """A critic of images and attributes: they join the image as constant planes, values and which are known.

    Args:
        critic: of images of shape `ConditionalCritic.planes(image_shape, attributes)`.
        attributes: name -> `Discrete` or `Continuous`.

    Raises:
        ValueError: a critic of fewer planes than the attributes make.
    """

    def __init__(self, critic: Any, attributes: Mapping[str, Kind]) -> None:
        super().__init__()
        channels, *size = critic.image_shape
        self.image_shape = (channels - attribute_features(attributes, known=True), *size)
        if self.image_shape[0] < 1:
            raise ValueError(f"critic: expected more than {channels - self.image_shape[0]} channels, got {channels}")
        self.critic, self.attributes = critic, attributes

    @staticmethod
    def planes(image_shape: tuple[int, int, int], attributes: Mapping[str, Kind]) -> tuple[int, int, int]:
        """The shape of images with the planes of the attributes."""
        return (image_shape[0] + attribute_features(attributes, known=True), *image_shape[1:])

    def forward(self, x: Tensor, y: Tensor) -> Tensor:
        return self.critic(self._joined(x, y))

    if TYPE_CHECKING:
        __call__ = forward

    def features(self, x: Tensor, y: Tensor) -> Tensor:
        """What the last layer sees, `(n, width)`."""
        return self.critic.features(self._joined(x, y))

    def _joined(self, x: Tensor, y: Tensor) -> Tensor:
        numbers = attribute_numbers(y, self.attributes, known=True)
        return torch.cat([x, numbers[..., None, None].expand(-1, -1, *x.shape[-2:])], -3)
