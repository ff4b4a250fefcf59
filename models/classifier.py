"""Train a classifier of the attributes, to judge the images of others."""

import dataclasses
from typing import ClassVar, Literal

from models.shared.attributes import Attributes
from models.shared.network import check_size
from pyro_priors import objectives, programs, training
from pyro_priors.data.attributes import kinds


@dataclasses.dataclass(frozen=True)
class Model(Attributes):
    """Train a convolutional classifier of the attributes: the reader of generated images, apart from every model."""

    binarize: Literal["dynamic", "none"] = "none"  # Draw 0/1 pixels afresh for every batch, or keep grey values.
    channels: int = 32  # Base channels of the convolutions.
    epochs: int = 8  # Passes over the training data, at most.
    decay: bool = True  # Let the learning rates fall to 0 along a cosine.
    accumulate: int = 1  # Batches per step of the optimizer, on the mean of their gradients.
    patience: int | None = None  # Stop after so many epochs without a better validation loss; None: never.
    components: int = 10  # Gaussians per continuous attribute.

    model: ClassVar[str] = "classifier"
    generates: ClassVar[bool] = False
    classifies: ClassVar[bool] = True
    least: ClassVar[dict[str, float]] = {
        **Attributes.least,
        **dict.fromkeys(("channels", "accumulate", "patience", "components"), 1),
    }

    def make(self, image_shape, attributes):
        check_size(image_shape)
        return programs.ConvClassifier(image_shape, kinds(attributes, self.components), self.channels)

    def steps(self, program, images, batches):
        optimizer = self.adam([(program, self.lr)])
        return [training.OptimizationStep(objectives.LogLikelihood(), optimizer)], []

    def evaluate(self, program, part, attributes, seed, particles=None):
        results, probs = self.impute(program, part, attributes, seed)
        return {"imputation": results}, probs

    def draw(self, folder, program, images, probs):
        self.draw_attributes(folder, program, images, probs)
