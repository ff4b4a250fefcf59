"""Train on images and attributes, some missing, under one prior over both (VAE-TTLP)."""

import dataclasses
from pathlib import Path
from typing import ClassVar, Literal

import pyro

from models.shared.attributes import Attributes, LabelTerm
from models.shared.autoencoder import BoundAutoencoder
from models.shared.network import StrongNetworks
from models.shared.runs import trained
from pyro_priors import programs, training
from pyro_priors.checks import UserError
from pyro_priors.data.attributes import kinds
from pyro_priors.modules.plugins import knob
from pyro_priors.training.checkpoints import has_checkpoint


def _some(value):
    return value is not None


@dataclasses.dataclass(frozen=True)
class Model(Attributes, BoundAutoencoder, StrongNetworks):
    """Train a joint VAE (VAE-TTLP): one prior over codes and attributes, any of which may be missing.

    Example:
        >>> from models import configure
        >>> configure("joint-vae", data="digits", missing=0.7).run_name
        'digits-joint-vae'
        >>> configure("joint-vae", missing=1.5)
        Traceback (most recent call last):
            ...
        pyro_priors.checks.UserError: missing: expected a share in [0, 1), got 1.5
    """

    binarize: Literal["dynamic", "none"] = "none"  # Draw 0/1 pixels afresh for every batch, or keep grey values.
    # Gated dense layers, 4x4 stride-2 convolutions (28, 32 or 64 pixels), or dense layers before a PixelCNN.
    network: Literal["mlp", "conv", "pixelcnn"] = "conv"
    likelihood: Literal["bernoulli", "gaussian", "squared-error"] = "squared-error"  # Law of the pixels, p(x given z).
    epochs: int = 20  # Passes over the training data, at most.
    particles: int = 10  # Importance samples of the reported IWAE bound.

    prior: str = "ttlp"  # Law of latents and attributes: its knobs are those of that prior.
    # At first, add so many times log p(y given z) to the bound; 0: the plain ELBO.
    label_weight: float = knob(0.0, trains=True)
    label_epochs: int | None = knob(None, label_weight=bool)  # Epochs over which that weight falls to 0; None: never.
    pretrained: Path | None = None  # Run of `train vae` whose networks to start from; the prior is first fitted alone.
    start_epochs: int | None = knob(None, pretrained=_some, trains=True)  # Passes of that first fit; None: 10.
    frozen: bool = knob(False, pretrained=_some)  # Leave it at that: the networks stay, the prior gets --epochs passes.

    model: ClassVar[str] = "joint-vae"
    least: ClassVar[dict[str, float]] = {
        **StrongNetworks.least,
        **BoundAutoencoder.least,
        **dict.fromkeys(("label_epochs", "start_epochs"), 1),
        "label_weight": 0,
    }

    @classmethod
    def takes(cls, knobs):
        return knobs.joint

    @property
    def trains(self):
        """Whether the networks are trained, and not the prior alone."""
        return not self.frozen

    @property
    def reinitializes(self):
        return super().reinitializes and self.pretrained is None

    def reinitialisation(self, program, images):
        return [] if self.pretrained is not None else super().reinitialisation(program, images)

    @property
    def run_name(self):
        return self.name or f"{self.data}-{self.model}"

    @property
    def title(self):
        return self.prior_kind.title

    def make(self, image_shape, attributes):
        encoder, decoder = self.networks(image_shape)
        prior = self.make_prior(image_shape, kinds(attributes))
        return programs.JointVAE(encoder, decoder, prior, self.make_likelihood(), label_weight=self.label_weight)

    def start(self, images):
        program = super().start(images)
        if self.pretrained is not None:
            _take_networks(program, trained(self.pretrained).model, self.pretrained)
            pyro.set_rng_seed(self.seed)  # reading the other run has set its seed
        return program

    def callbacks(self, program, images, objective, batches):
        callbacks = super().callbacks(program, images, objective, batches)
        if self.label_weight and self.label_epochs:
            fall = training.LinearWarmup(self.label_epochs * batches, start=self.label_weight, end=0.0)
            callbacks.insert(bool(self.warmup_epochs), training.Anneal(program, "label_weight", fall))
        elif self.label_weight:
            callbacks.append(LabelTerm(program))
        return callbacks

    def fit(self, program, images, run_dir, resume=False, callbacks=()):
        begun = resume and has_checkpoint(run_dir)
        if self.pretrained is not None and not begun:
            result = self.fit_prior(program, images, self.epochs if self.frozen else self.start_epochs or 10)
            if self.frozen:
                self.write(run_dir, program, result, "metrics.csv")
                return result
        return super().fit(program, images, run_dir, resume, callbacks)

    def evaluate(self, program, part, attributes, seed, particles=None):
        results = self.bounds(program, part, seed, particles)
        results["imputation"], probs = self.impute(program, part, attributes, seed)
        return results, probs

    def draw(self, folder, program, images, probs):
        super().draw(folder, program, images, probs)
        self.draw_attributes(folder, program, images, probs)


def _take_networks(program, pretrained, folder):
    try:
        for part in ("encoder", "decoder", "likelihood"):
            getattr(program, part).load_state_dict(getattr(pretrained, part).state_dict())
    except (AttributeError, RuntimeError) as error:
        raise UserError(
            f"pretrained: expected a VAE of the same network, latent_dim and likelihood in {folder}, got "
            f"another ({str(error).splitlines()[0]})"
        ) from error
