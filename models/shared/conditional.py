"""What conditional VAEs have: p(x given z, y) with N(0, I), and a predictor of the attributes."""

import dataclasses
from typing import ClassVar, Literal

from models.shared.attributes import Attributes
from models.shared.autoencoder import BoundAutoencoder
from models.shared.network import Networks, check_size
from pyro_priors import TTLP, StandardNormal, programs
from pyro_priors.data.attributes import kinds


@dataclasses.dataclass(frozen=True)
class Conditional(Attributes, BoundAutoencoder, Networks):
    """What conditional VAEs have; not a command itself."""

    binarize: Literal["dynamic", "none"] = "none"  # Draw 0/1 pixels afresh for every batch, or keep grey values.
    network: Literal["mlp", "conv"] = "conv"  # Gated dense layers, or 4x4 stride-2 convolutions (28, 32 or 64 pixels).
    likelihood: Literal["bernoulli", "gaussian", "squared-error"] = "squared-error"  # Law of the pixels, p(x given z).
    channels: int = 32  # Base channels of `conv`, and of the predictor.
    epochs: int = 20  # Passes over the training data, at most.
    particles: int = 10  # Importance samples of the reported IWAE bound.

    components: int = 10  # Gaussians per continuous attribute.
    rank: int = 20  # Size of the cores of p(y).

    program: ClassVar[type[programs.CVAE]]
    learns: ClassVar[bool] = False  # N(0, I); the law of the attributes learns as the networks do
    reinitializes: ClassVar[bool] = False
    least: ClassVar[dict[str, float]] = {**Networks.least, **BoundAutoencoder.least, "components": 1, "rank": 1}

    def make(self, image_shape, attributes):
        known = kinds(attributes, self.components)
        encoder, decoder = self.networks(image_shape, self.program.attribute_features(known))
        check_size(image_shape)
        predictor = programs.ConvClassifier(image_shape, known, self.channels)
        law = TTLP(0, known, self.components, self.rank, order="random", cores="full")
        prior = StandardNormal(self.latent_dim)
        return self.program(encoder, decoder, prior, law, predictor, self.make_likelihood())

    def evaluate(self, program, part, attributes, seed, particles=None):
        results = self.bounds(program, part, seed, particles)
        results["imputation"], probs = self.impute(program, part, attributes, seed)
        return results, probs

    def draw(self, folder, program, images, probs):
        self.draw_attributes(folder, program, images, probs)
