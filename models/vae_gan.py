"""Train a VAE whose images a critic compares (VAE/GAN)."""

import dataclasses
from typing import ClassVar, Literal

from models.shared.critical import Critical
from pyro_priors import networks, objectives, training
from pyro_priors.modules.plugins import knob


@dataclasses.dataclass(frozen=True)
class Model(Critical):
    """Train a VAE/GAN: images are alike where the features of a critic are."""

    binarize: Literal["dynamic", "none"] = "none"  # Draw 0/1 pixels afresh for every batch, or keep grey values.
    likelihood: Literal["bernoulli", "squared-error"] = "bernoulli"  # Law of the pixels, of which the mean is used.
    critic_hidden: tuple[int, ...] = knob((256, 256), network="mlp")  # Widths of the hidden layers of the critic.
    critic_lr: float = 1e-4  # Adam's learning rate of the critic.
    gamma: float = 1.0  # Weight of the distance of features in the decoder's loss.

    model: ClassVar[str] = "vae-gan"
    title: ClassVar[str] = "VAE/GAN"
    positive: ClassVar[tuple[str, ...]] = (*Critical.positive, "gamma")

    def steps(self, program, images, batches):
        """Encoder and prior, decoder, critic."""
        if self.network == "conv":
            critic = networks.ConvCritic(program.image_shape, self.channels, "batch")
        else:
            critic = networks.MLPCritic(program.image_shape, self.critic_hidden)
        losses = [objectives.SimilarityLoss(critic, part, gamma=self.gamma) for part in ("encoder", "decoder")]
        losses.append(objectives.SimilarityCriticLoss(critic))
        parts = [[(program.encoder, self.lr), (program.prior, self.prior_lr)]]
        parts += [[(program.decoder, self.lr)], [(critic, self.critic_lr)]]
        steps = [
            training.OptimizationStep(loss, self.adam(part, (0.5, 0.9)))
            for loss, part in zip(losses, parts, strict=True)
        ]
        return steps, self.reinitialisation(program, images)
