"""What models have that learn from attributes, some of them missing."""

import dataclasses

import pyro
import torch

from models.shared import answers
from models.shared.model import Model
from pyro_priors.checks import UserError
from pyro_priors.data.images import Images


@dataclasses.dataclass(frozen=True)
class Attributes(Model):
    """Which attributes, and how many of their labels are hidden; not a command itself."""

    attributes: tuple[str, ...] = ()  # Columns to use, () = all; `name=a|!b` is 1 where a is 1 or b is 0.
    missing: float = 0.0  # Share of the known labels of training and validation that is hidden, at random.

    def __post_init__(self):
        super().__post_init__()
        if not 0 <= self.missing < 1:
            raise UserError(f"missing: expected a share in [0, 1), got {self.missing}")

    @property
    def label_options(self):
        return {"attributes": self.attributes, "missing": self.missing}

    def impute(self, program, part, attributes, seed):
        """All labels against the answers to the images alone -> results, probabilities."""
        hidden = Images(part.pixels, part.binarize, torch.full_like(part.labels, torch.nan), part.labels)
        return answers.imputations(program, hidden, attributes, seed)

    def describe_hidden(self, program, images):
        if not self.missing:
            return {}
        return {"hidden": answers.imputations(program, images.train, images.attributes, self.seed)[0]}

    def draw_attributes(self, folder, program, images, probs):
        """Figures of the answers, where there are some."""
        if probs:
            from models.shared import figures_attributes  # here, since matplotlib is slow to import

            pyro.set_rng_seed(self.seed)
            figures_attributes.draw(folder, program, images.test, images.attributes, probs)
