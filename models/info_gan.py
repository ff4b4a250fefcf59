"""Train an InfoGAN, whose code a network recognises."""

import dataclasses
from typing import ClassVar

from models.shared.adversarial import Adversarial
from models.shared.network import check_size
from models.shared.smoothed import Smoothed
from pyro_priors import metrics, networks, programs
from pyro_priors.data.names import CLASSED


@dataclasses.dataclass(frozen=True)
class Model(Smoothed, Adversarial):
    """Train an InfoGAN: a categorical code beside the latents, which a network must recognise in the image.

    Its critic has spectral normalisation: without, its generator soon gives up.
    """

    categories: int = 10  # Of the code.
    information: float = 1.0  # Weight of -log q(c given x).
    matching: ClassVar[bool] = False  # its critic has no say beside the recogniser's

    model: ClassVar[str] = "info-gan"
    norm: ClassVar[str] = "spectral"
    counts_categories: ClassVar[bool] = True
    least: ClassVar[dict[str, float]] = {**Adversarial.least, "categories": 2}
    positive: ClassVar[tuple[str, ...]] = (*Adversarial.positive, "information")

    @classmethod
    def takes(cls, knobs):
        return not (knobs.takes_encoder or knobs.joint)

    @property
    def hidden_labels(self):
        return {"attributes": (), "missing": 0.0} if self.data in (*CLASSED, "shapes") else {}

    def make(self, image_shape, attributes):
        if self.network == "conv":
            check_size(image_shape)
        prior = self.make_prior(image_shape)
        generator = self.generator(self.latent_dim + self.categories, image_shape)
        critic = self.critic(image_shape)
        recogniser = networks.Recogniser(self.critic(image_shape, "none"), self.categories)
        return programs.InfoGAN(generator, prior, critic, recogniser, self.categories, signed=self.signed)

    @property
    def generator_terms(self):
        """Of the generator's loss."""
        return {"information": self.information}

    def generator_parts(self, program):
        return [*super().generator_parts(program), (program.recogniser, self.lr)]

    def matched(self, program, x, labels):
        return {} if labels is None else {"clusters": metrics.clusters(program.classify(x), labels)._asdict()}
