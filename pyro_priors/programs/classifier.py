"""A convolutional classifier of the attributes of an image."""

from collections.abc import Mapping
from typing import TYPE_CHECKING

import pyro
import torch
from torch import Tensor, nn

from pyro_priors import TTLP, Discrete
from pyro_priors.distributions import ChainLaw
from pyro_priors.distributions.kinds import Kind, check_scalars, states_of
from pyro_priors.networks.autoencoders import ConvFeatures
from pyro_priors.ops import full_precision
from pyro_priors.recorded import Recorded


class ConvClassifier(Recorded):
    """p(y given x): a softmax per discrete attribute, a mixture of Gaussians per continuous one, independent given x.

    The law is a tensor ring of rank 1 whose states the network weighs, so that missing attributes are NaN here too. As
    a program it has a model and a guide without latents: train it with `training.fit` under `objectives.LogLikelihood`.

    Args:
        image_shape: (channels, side, side) of 28, 32 or 64 pixels.
        attributes: name -> `Discrete` or `Continuous`.
        channels: channels after the first convolution.
        hidden: width of the dense layer that `features` returns.

    Raises:
        ValueError: no attribute, or sizes out of range.

    Example:
        >>> import pyro_priors as pp
        >>> classifier = ConvClassifier((1, 28, 28), {"digit": pp.Discrete(10)}, channels=4, hidden=8)
        >>> classifier.log_probs(torch.rand(3, 1, 28, 28))["digit"].shape
        torch.Size([3, 10])
    """

    def __init__(
        self, image_shape: tuple[int, int, int], attributes: Mapping[str, Kind], channels: int = 32, hidden: int = 256
    ) -> None:
        super().__init__()
        if not attributes:
            raise ValueError("attributes: expected at least one, got none")
        check_scalars(attributes)
        self.law = TTLP(0, attributes, rank=1, order="declared", cores="full")
        self.attributes, self.image_shape = self.law.attributes, tuple(image_shape)
        self.features = ConvFeatures(image_shape, channels, hidden)
        columns, states = len(self.attributes), max(map(states_of, self.attributes.values()))
        self.head = nn.Linear(hidden, columns * states)
        self._sizes = (columns, states)

    def forward(self, x: Tensor) -> ChainLaw:
        """The law of the attributes given images `(*, C, H, W)`: batch `(*)`, event `(n_attributes,)`."""
        log_weights = full_precision(self.head(self.features(x)))
        return self.law().weigh(log_weights.unflatten(-1, self._sizes))

    if TYPE_CHECKING:
        __call__ = forward

    def log_probs(self, x: Tensor) -> dict[str, Tensor]:
        """log p(attribute given x) of every discrete attribute, `(*, categories)` each."""
        probs = self(x).state_probs(x.new_full((len(self.attributes),), torch.nan))
        return {
            name: probs[..., column, : kind.categories].log()
            for column, (name, kind) in enumerate(self.attributes.items())
            if isinstance(kind, Discrete)
        }

    def attribute_law(self, x: Tensor, draws: int = 1) -> ChainLaw:
        """The law of the attributes given x, `draws` times the same: batch `(draws, batch)`."""
        return self(x).expand((draws, len(x)))

    def model(self, x: Tensor, y: Tensor) -> Tensor:
        """Site "y", attributes `(batch, n_attributes)` with NaN = missing, in the plate "data"."""
        if len(x) == 0:
            raise ValueError("x: expected at least one image, got an empty batch")
        with pyro.plate("data", len(x)):
            return pyro.sample("y", self(x), obs=y)

    def guide(self, x: Tensor, y: Tensor) -> None:
        """Nothing is latent."""
