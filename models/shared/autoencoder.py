"""What every variational autoencoder has: latents, a likelihood, a bound, a prior that is set from encoded data."""

import dataclasses
import math
from typing import ClassVar, Literal

import pyro
import torch

from models.shared import answers
from models.shared.model import Model
from pyro_priors import metrics, objectives, programs, training
from pyro_priors.checks import UserError
from pyro_priors.modules.plugins import knob


@dataclasses.dataclass(frozen=True)
class Autoencoder(Model):
    """What every autoencoder has; not a command itself."""

    latent_dim: int = 32  # Number of latent dimensions, the size of z.
    likelihood: Literal["bernoulli", "gaussian", "squared-error"] = "bernoulli"  # Law of the pixels, p(x given z).
    noise: float = knob(0.3, likelihood="gaussian")  # Standard deviation of a pixel at the start; it is learned.
    error_weight: float = knob(1.0, likelihood="squared-error")  # Weight of the squared error.
    binarize: Literal["dynamic", "none"] = "dynamic"  # Draw 0/1 pixels afresh for every batch, or keep grey values.
    prior_lr: float = knob(1e-2, learns=True)  # Adam's learning rate of a learnable prior.
    reinit_first: int | None = knob(1, reinitializes=True)  # Epoch after which it is set from codes; None: never.
    reinit_every: int | None = knob(5, reinit_first=bool)  # Again every so many epochs (noise forgets); None: once.
    reinit_samples: int | None = knob(
        None, reinit_first=bool
    )  # Encoded examples that it is set from; None: 2,000, of vectors 20,000.
    prior_epochs: int = knob(
        0, refits=True, trains=True
    )  # Passes over the training codes that fit the prior alone, at the end.
    particles: int = 100  # Importance samples of the reported IWAE bound.

    least: ClassVar[dict[str, float]] = {
        **Model.least,
        **dict.fromkeys(("latent_dim", "particles", "reinit_first", "reinit_every", "reinit_samples"), 1),
        "prior_epochs": 0,
    }
    positive: ClassVar[tuple[str, ...]] = (*Model.positive, "prior_lr", "noise", "error_weight")

    def __post_init__(self):
        super().__post_init__()
        if self.prior_epochs and self.devices * self.nodes > 1:
            raise UserError(f"prior_epochs: expected 0 with several devices, got {self.prior_epochs}")
        if self.binarize == "dynamic" and self.likelihood != "bernoulli":
            raise UserError(
                f"binarize: expected 'none' with likelihood {self.likelihood!r}, got 'dynamic' (use --binarize none)"
            )

    @property
    def reconstructs(self):
        """Whether it encodes images, of which it knows no attributes."""
        return not self.labelled

    @property
    def refits(self):
        """Whether the prior can be fitted to codes alone."""
        return self.learns and not self.prior_knobs.takes_encoder

    def check_data(self, images):
        pixels = images.train.pixels
        if self.likelihood == "bernoulli" and pixels.is_floating_point() and not 0 <= pixels.min() <= pixels.max() <= 1:
            raise UserError(
                f"likelihood: bernoulli expected values in [0, 1], got {pixels.min():.3g} to {pixels.max():.3g} "
                f"in {self.data} (pass --likelihood gaussian --binarize none)"
            )

    # ---- the program

    def make_likelihood(self):
        """p(x given z): its name, or the one that has a knob."""
        if self.likelihood == "gaussian":
            return programs.GaussianLikelihood(self.noise)
        if self.likelihood == "squared-error":
            return programs.SquaredErrorLikelihood(self.error_weight)
        return self.likelihood

    # ---- training

    def optimizer(self, program):
        """Adam; the parameters of the prior have a learning rate of their own."""
        of_prior = list(program.prior.parameters())
        ids = {id(parameter) for parameter in of_prior}
        groups = [{"params": [p for p in program.parameters() if id(p) not in ids], "lr": self.lr}]
        if of_prior:
            groups.append({"params": of_prior, "lr": self.prior_lr})
        # One kernel a step instead of a dozen; elsewhere torch's own choice (mixed precision and clipping refuse it).
        return torch.optim.Adam(groups, fused=True if self.accelerator == "cpu" else None)

    def reinitialisation(self, program, images):
        """A learnable prior is set from codes between epochs, where that is wanted."""
        # A flow over N(0, I), of which nothing can be set, is shown codes too: the numbers of before need their draws.
        if not (self.learns and self.reinit_first and hasattr(program.prior, "reinitialize")):
            return []
        encoded = {"data": self.loader(images.train, 500, shuffle=True), "encode": program.encode}
        if self.reinit_samples:
            encoded["samples"] = self.reinit_samples
        return [training.Reinitialize(program.prior, first=self.reinit_first, every=self.reinit_every, **encoded)]

    def fit(self, program, images, run_dir, resume=False, callbacks=()):
        result = super().fit(program, images, run_dir, resume, callbacks)
        if self.prior_epochs and answers.count_parameters(program.prior):
            self.write(run_dir, program, self.fit_prior(program, images, self.prior_epochs), "prior.csv")
        return result

    def fit_prior(self, program, images, epochs):
        """Fit the prior alone to the codes of the training images."""
        z, scale, y = answers.codes(program, images.train)
        labels = {"y": y} if self.prior_knobs.joint else {}
        patience = {"patience": self.patience} if getattr(self, "patience", None) else {}
        how = {"lr": self.prior_lr, "batch_size": self.batch_size, "progress": self.progress, "decay": True}
        return training.fit_prior(program.prior, z, scale=scale, epochs=epochs, **labels, **patience, **how)

    @staticmethod
    def write(run_dir, program, result, name):
        """The weights as they are now, and what a fit of the prior went through."""
        if run_dir is not None:
            training.save_weights(program, run_dir / "model.safetensors")
            training.write_table(result.history, run_dir / name)

    # ---- what it is worth

    def evaluate(self, program, part, attributes, seed, particles=None):
        return self.bounds(program, part, seed, particles), {}

    def bounds(self, program, part, seed, particles=None, batch_size=100):
        """`metrics.evaluate_bounds` with a seed -> dict of numbers, None where there is none."""
        pyro.set_rng_seed(seed)
        count = particles or self.particles
        batches = self.loader(part, batch_size)
        try:
            bounds = metrics.evaluate_bounds(program.model, program.guide, batches, num_particles=count)
        except ValueError as error:  # a law that Pyro refuses
            reason = " ".join(str(error).split())[:200]
            raise FloatingPointError(f"bounds: expected finite numbers of {len(part)} images, got {reason}") from error
        if not (math.isfinite(bounds.elbo) and math.isfinite(bounds.iwae)):
            got = f"{bounds.elbo} (ELBO) and {bounds.iwae} (IWAE)"
            raise FloatingPointError(f"bounds: expected finite numbers of {len(part)} images, got {got}")
        return {**answers.numbers(bounds), "particles": count}

    def draw(self, folder, program, images, probs):
        from models.shared import figures  # here, since matplotlib is slow to import

        figures.draw(folder, {self.title: program}, images.test)


@dataclasses.dataclass(frozen=True)
class BoundAutoencoder(Autoencoder):
    """What every autoencoder has that one optimizer trains by a bound; not a command itself."""

    accumulate: int = knob(1, trains=True)  # Batches per step of the optimizer, on the mean of their gradients.
    patience: int | None = None  # Stop after so many epochs without a better validation loss; None: never.
    warmup_epochs: int = knob(0, trains=True)  # Epochs over which the weight of the KL term rises from 0.

    least: ClassVar[dict[str, float]] = {**Autoencoder.least, "accumulate": 1, "patience": 1, "warmup_epochs": 0}

    def bound(self, images):
        """The objective."""
        return objectives.ELBO()

    def steps(self, program, images, batches):
        objective = self.bound(images)
        callbacks = self.callbacks(program, images, objective, batches)
        return [training.OptimizationStep(objective, self.optimizer(program))], callbacks

    def callbacks(self, program, images, objective, batches):
        """KL warm-up, and a prior set from codes; an epoch has so many `batches`."""
        callbacks = []
        if self.warmup_epochs:
            schedule = training.LinearWarmup(self.warmup_epochs * batches, end=objective.kl_weight)
            callbacks.append(training.Anneal(objective, "kl_weight", schedule))
        return callbacks + self.reinitialisation(program, images)
