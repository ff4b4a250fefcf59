"""Train a variational autoencoder with a prior of your choice, by a bound or a regularised one (dpVAE)."""

import dataclasses
from typing import ClassVar, Literal

import torch

from models.shared.autoencoder import BoundAutoencoder
from models.shared.network import StrongNetworks
from pyro_priors import networks, objectives, programs, training
from pyro_priors.modules.plugins import knob

ONE_OPTIMIZER = ("elbo", "beta-h", "beta-b", "beta-tc", "info")  # objectives whose losses say when to stop
DIVERGENCES = {"mmd": 1000.0, "stein": 100.0, "adversarial": 10.0}  # strengths of info, by its divergence
STRENGTHS = {"beta-h": 5.0, "beta-b": 15.0, "beta-tc": 4.0, "factor": 1000.0, "info": DIVERGENCES["mmd"]}


@dataclasses.dataclass(frozen=True)
class Model(BoundAutoencoder, StrongNetworks):
    """Train a variational autoencoder with the prior of your choice and evaluate it on the test set.

    Example:
        >>> from models import configure
        >>> configure("vae", prior="normal", epochs=5).epochs
        5
        >>> configure("vae", rank=0)
        Traceback (most recent call last):
            ...
        pyro_priors.checks.UserError: rank: expected at least 1, got 0
    """

    prior: str = "trip"  # Law of the latents: its knobs are those of that prior.
    objective: Literal["elbo", "beta-h", "beta-b", "beta-tc", "factor", "info"] = "elbo"  # The bound, or regularised.
    # None: 5, 15 (beta-b), 4 (beta-tc), 1000; of info 100 (stein) and 10 (adversarial).
    strength: float | None = knob(None, objective=tuple(STRENGTHS))
    capacity: float = knob(25.0, objective="beta-b")  # Nats to which the capacity rises along the training.
    discriminator_hidden: tuple[int, ...] = knob((1000,) * 5, objective="factor")  # Widths of its hidden layers.
    discriminator_lr: float = knob(1e-4, objective="factor")  # Adam's learning rate of the discriminator.
    # How far codes are from the prior: of draws by a kernel, by the prior's score, or by a critic that learns beside.
    divergence: Literal["mmd", "stein", "adversarial"] = knob("mmd", objective="info")
    # Kernel of the first two: blind to what is far away, or not (multiquadratic).
    kernel: Literal["rbf", "imq"] = knob("rbf", divergence=("mmd", "stein"))
    critic_hidden: tuple[int, ...] = knob((256, 256), divergence="adversarial")  # Widths of the critic's hidden layers.
    critic_lr: float = knob(1e-3, divergence="adversarial")  # Adam's learning rate of the critic.
    # Batches per step, on the mean of their gradients.
    accumulate: int = knob(1, objective=ONE_OPTIMIZER, alone=True)
    # Stop after so many epochs without a better one.
    patience: int | None = knob(None, objective=ONE_OPTIMIZER, alone=True)

    model: ClassVar[str] = "vae"
    positive: ClassVar[tuple[str, ...]] = (*BoundAutoencoder.positive, "strength", "discriminator_lr", "critic_lr")
    least: ClassVar[dict[str, float]] = {**StrongNetworks.least, **BoundAutoencoder.least, "capacity": 0}
    widths: ClassVar[tuple[str, ...]] = (*StrongNetworks.widths, "discriminator_hidden", "critic_hidden")

    @property
    def least_batch(self):
        return objectives.InfoELBO.least_batch if self.objective == "info" else 1

    @property
    def alone(self):
        """Whether no critic learns beside it."""
        return self.divergence != "adversarial"

    @property
    def run_name(self):
        return self.name or f"{self.data}-{self.prior}"

    @property
    def title(self):
        return self.prior_kind.title

    def make(self, image_shape, attributes):
        return programs.VAE(*self.networks(image_shape), self.make_prior(image_shape), self.make_likelihood())

    def bound(self, images):
        """The bound, or the regularised one."""
        strength = self.strength or STRENGTHS.get(self.objective)
        if self.objective == "info":
            return self.info()
        if self.objective == "beta-h":
            return objectives.ELBO(kl_weight=strength)
        if self.objective == "beta-b":
            return objectives.CapacityELBO(strength, self.capacity)
        if self.objective == "beta-tc":
            return objectives.TotalCorrelationELBO(strength, len(images.train))
        if self.objective == "factor":
            return objectives.FactorELBO(objectives.Discriminator(self.latent_dim, self.discriminator_hidden), strength)
        return objectives.ELBO()

    def info(self):
        """InfoVAE's bound, with its divergence."""
        how = {"lambda_": self.strength or DIVERGENCES[self.divergence], "divergence": self.divergence}
        if self.alone:
            return objectives.InfoELBO(**how, kernel=self.kernel)
        return objectives.InfoELBO(**how, critic=networks.MLPCritic((1, 1, self.latent_dim), self.critic_hidden))

    def steps(self, program, images, batches):
        steps, callbacks = super().steps(program, images, batches)
        if self.objective == "factor":
            ratio = objectives.DensityRatio(steps[0].objective.discriminator)
            optimizer = torch.optim.Adam(ratio.parameters(), lr=self.discriminator_lr, betas=(0.5, 0.9))
            steps.append(training.OptimizationStep(ratio, optimizer))
        if not self.alone:
            critic = steps[0].objective.critic
            optimizer = self.adam([(critic, self.critic_lr)], betas=(0.5, 0.9))
            steps.append(training.OptimizationStep(objectives.CodeCriticLoss(critic), optimizer))
        return steps, callbacks

    def callbacks(self, program, images, objective, batches):
        callbacks = super().callbacks(program, images, objective, batches)
        if self.objective == "beta-b":
            rise = training.LinearWarmup(self.epochs * batches, end=self.capacity)
            callbacks.insert(bool(self.warmup_epochs), training.Anneal(objective, "capacity", rise))
        return callbacks
