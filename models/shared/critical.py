"""What autoencoders have beside which a critic learns."""

import dataclasses
from typing import ClassVar

from models.shared.adversarial import check_steps
from models.shared.autoencoder import Autoencoder
from models.shared.network import Networks
from pyro_priors import programs
from pyro_priors.modules.plugins import knob


@dataclasses.dataclass(frozen=True)
class Critical(Autoencoder, Networks):
    """An autoencoder with a critic; not a command itself."""

    prior: str = "trip"  # Law of the latents: its knobs are those of that prior.
    reinit_first: int | None = knob(None, reinitializes=True)  # Epoch after which it is set from codes; None: never.
    reinit_every: int | None = knob(5, reinit_first=bool)  # Again every so many epochs (noise forgets); None: once.
    reinit_samples: int | None = knob(
        None, reinit_first=bool
    )  # Codes that it is set from; None: 2,000, of vectors 20,000.
    prior_lr: float = knob(1e-3, learns=True)  # Adam's learning rate of a learnable prior.

    whole: ClassVar[bool] = True  # a critic may not be asked of a single example
    least: ClassVar[dict[str, float]] = {**Networks.least, **Autoencoder.least}
    widths: ClassVar[tuple[str, ...]] = (*Networks.widths, "critic_hidden")
    positive: ClassVar[tuple[str, ...]] = (*Autoencoder.positive, "critic_lr")

    @classmethod
    def takes(cls, knobs):
        return not (knobs.takes_encoder or knobs.joint)

    def make(self, image_shape, attributes):
        return programs.VAE(*self.networks(image_shape), self.make_prior(image_shape), self.make_likelihood())

    def start(self, images):
        check_steps(self, len(images.train))
        return super().start(images)
