"""Train an adversarial autoencoder, whose critic of codes stands for a KL."""

import dataclasses
from typing import ClassVar, Literal

import torch

from models.shared.critical import Critical
from pyro_priors import metrics, networks, objectives, training
from pyro_priors.checks import UserError
from pyro_priors.modules.plugins import knob


@dataclasses.dataclass(frozen=True)
class Model(Critical):
    """Train an adversarial autoencoder: a critic of codes instead of a KL; a learnable prior goes to meet the codes."""

    binarize: Literal["dynamic", "none"] = "none"  # Draw 0/1 pixels afresh for every batch, or keep grey values.
    likelihood: Literal["bernoulli", "gaussian", "squared-error"] = "squared-error"  # Law of the pixels, p(x given z).
    latent_dim: int = 8  # Number of latent dimensions, the size of z.
    critic_hidden: tuple[int, ...] = (256, 256)  # Widths of the hidden layers of the critic.
    critic_lr: float = 1e-3  # Adam's learning rate of the critic.
    weight: float = 1.0  # Of the critic's verdict on the codes.
    estimator: Literal["pathwise", "reinforce", "rloo"] = knob(
        "pathwise", learns=True
    )  # How gradients reach the prior.

    model: ClassVar[str] = "aae"
    title: ClassVar[str] = "AAE"
    positive: ClassVar[tuple[str, ...]] = (*Critical.positive, "weight")

    def __post_init__(self):
        super().__post_init__()
        if self.estimator != "pathwise" and self.batch_size < 2:
            raise UserError(f"batch_size: expected at least 2 with a score function, got {self.batch_size}")

    def steps(self, program, images, batches):
        """The autoencoder's, judged in validation too, and the critic's."""
        critic = networks.MLPCritic((1, 1, self.latent_dim), self.critic_hidden)
        learns = any(parameter.requires_grad for parameter in program.prior.parameters())
        estimator = objectives.make_estimator(self.estimator) if learns else None
        autoencoder = objectives.AdversarialELBO(critic, weight=self.weight, estimator=estimator)
        parts = [(part, self.lr) for part in (program.encoder, program.decoder, program.likelihood)]
        betas = 0.5, 0.9
        steps = [
            training.OptimizationStep(autoencoder, self.adam([*parts, (program.prior, self.prior_lr)], betas)),
            training.OptimizationStep(objectives.CodeCriticLoss(critic), self.adam([(critic, self.critic_lr)], betas)),
        ]
        return steps, self.reinitialisation(program, images)

    @torch.no_grad()
    def evaluate(self, program, part, attributes, seed, particles=None, count=5000):
        """Bounds, and how well the prior fits the codes: sKL, and, for codes of hardly any width, the MMD."""
        results = self.bounds(program, part, seed, particles)
        posterior = metrics.aggregated_posterior(program.encode, self.loader(part, 1000))
        prior = program.prior_law()
        divergence = metrics.symmetric_kl(prior, posterior, min(count, len(part)))
        mmd = objectives.squared_mmd(posterior.sample((count,)), prior.sample((count,)))
        numbers = {"skl": divergence.value, "skl_se": divergence.standard_error, "squared_mmd": mmd.item()}
        return {**results, **numbers}, {}
