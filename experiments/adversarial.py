"""From a configuration of an adversarial model to its networks, and to the steps that train it."""

import torch

from experiments.config import steps_per_epoch
from experiments.config_gan import POINTS
from pyro_priors import Discrete, networks, objectives, programs, training
from pyro_priors.checks import UserError
from pyro_priors.data.attributes import kinds as kinds_of
from pyro_priors.data.filling import filled
from pyro_priors.networks.attribute_numbers import attribute_numbers


def gan(config, image_shape, prior, attributes=()):
    """A fresh model of `train gan` and its kin; conditional where the prior knows attributes."""
    inputs = config.latent_dim + getattr(config, "categories", 0)
    signed = config.data not in POINTS
    if config.network == "conv":
        generator = networks.ConvGenerator(inputs, image_shape, config.channels)
    else:
        output = "tanh" if signed else "linear"
        generator = networks.MLPGenerator(inputs, image_shape, config.hidden[::-1], output, config.slope)
    if config.prior == "ttlp":
        kinds = kinds_of(attributes, config.components)
        planes = networks.ConditionalCritic.planes(image_shape, kinds)
        critic = networks.ConditionalCritic(_critic(config, planes), kinds)
        return programs.ConditionalGAN(generator, prior, critic, signed=signed)
    if config.model == "eb-gan":
        critic = networks.AutoEncoderCritic(image_shape, config.hidden, config.code)
        return programs.GAN(generator, prior, critic, signed=signed)
    critic = _critic(config, image_shape)
    if config.model == "info-gan":
        recogniser = networks.Recogniser(_critic(config, image_shape, "none"), config.categories)
        return programs.InfoGAN(generator, prior, critic, recogniser, config.categories, signed=signed)
    return programs.GAN(generator, prior, critic, signed=signed)


def check(config, examples):
    """`UserError` where so many examples make no batch, or too few for a step of the generator."""
    if config.batch_size > examples:
        raise UserError(f"batch_size: expected at most the {examples} examples, got {config.batch_size}")
    batches, every = config.epochs * steps_per_epoch(config, examples, whole=True), getattr(config, "critic_steps", 1)
    if batches < every:
        raise UserError(f"critic_steps: expected at most the {batches} batches of the training, got {every}")


@torch.no_grad()
def tie(prior, y, count=2000):
    """Start a joint prior with latents that tell the labels y `(n, n_attributes)`, as those of a trained encoder do.

    Latents of a GAN mean nothing yet: rows with the same labels get codes around a point of their own, at random.
    Missing labels are taken from other rows: rows without would have a code of their own, which tells nothing.
    """
    y = filled(y[:count], [isinstance(kind, Discrete) for kind in prior.attributes.values()])
    numbers = attribute_numbers(y, prior.attributes, known=True)
    z = numbers @ torch.randn(numbers.shape[1], prior.latent_dim)
    z = (z - z.mean(0)) / z.std(0).clamp(min=1e-6)
    prior.reinitialize(0.9 * z + 0.45 * torch.randn_like(z), y, force=True)


def _critic(config, image_shape, norm=None):
    norm = norm or config.norm
    scale = getattr(config, "lipschitz", 1.0)
    if config.network == "conv":
        return networks.ConvCritic(image_shape, config.channels, norm, config.minibatch, scale)
    return networks.MLPCritic(image_shape, config.hidden, norm, config.minibatch, scale)


def steps(config, model, batches):
    """The `OptimizationStep`s of an adversarial model, and callbacks; an epoch has so many `batches`."""
    if config.model == "aae":
        return _aae_steps(config, model), []
    if config.model == "vae-gan":
        return _vae_gan_steps(config, model), []
    estimator = objectives.make_estimator(config.estimator, normalize=config.normalize)
    how = {"real_label": config.real_label, "margin": getattr(config, "margin", 10.0)}
    shared = {"noise": config.noise, **how}
    penalty = getattr(config, "penalty", 0.0)
    critic = objectives.CriticLoss(model.critic, config.kind, penalty=penalty, mismatched=config.mismatched, **shared)
    told = {"matching": config.matching, "information": getattr(config, "information", 0.0)}
    generator = objectives.GeneratorLoss(model.critic, config.kind, estimator, **told, **shared)
    callbacks = []
    if config.noise and config.noise_epochs:
        fall = training.LinearWarmup(config.noise_epochs * batches, config.noise, 0.0)
        callbacks = [training.Anneal(player, "noise", fall) for player in (critic, generator)]
    if config.average is not None:
        callbacks.append(training.ExponentialAverage(model.generator, config.average, config.critic_steps))
    optimizer = _adam(config, [(model.critic, config.critic_lr or config.lr)])
    if clip := getattr(config, "clip", None):
        objectives.clip_weights(optimizer, clip)
    of_generator = [(model.generator, config.lr), (model.prior, config.prior_lr)]
    if config.model == "info-gan":
        of_generator.append((model.recogniser, config.lr))
    players = [critic, generator]
    if config.consensus:
        players = [objectives.Consensus(player, model.generator, config.consensus) for player in players]
    return [
        training.OptimizationStep(players[0], optimizer),
        training.OptimizationStep(players[1], _adam(config, of_generator), every=config.critic_steps),
    ], callbacks


def _aae_steps(config, model):
    """The autoencoder's, judged in validation too, and the critic's."""
    critic = networks.MLPCritic((1, 1, config.latent_dim), config.critic_hidden)
    learns = any(parameter.requires_grad for parameter in model.prior.parameters())
    estimator = objectives.make_estimator(config.estimator) if learns else None
    autoencoder = objectives.AdversarialELBO(critic, weight=config.weight, estimator=estimator)
    parts = [(part, config.lr) for part in (model.encoder, model.decoder, model.likelihood)]
    return [
        training.OptimizationStep(autoencoder, _adam(config, [*parts, (model.prior, config.prior_lr)])),
        training.OptimizationStep(objectives.CodeCriticLoss(critic), _adam(config, [(critic, config.critic_lr)])),
    ]


def _vae_gan_steps(config, model):
    """Encoder and prior, decoder, critic."""
    shape = model.image_shape
    if config.network == "conv":
        critic = networks.ConvCritic(shape, config.channels, "batch")
    else:
        critic = networks.MLPCritic(shape, config.critic_hidden)
    encoder, decoder = (objectives.SimilarityLoss(critic, part, gamma=config.gamma) for part in ("encoder", "decoder"))
    return [
        training.OptimizationStep(encoder, _adam(config, [(model.encoder, config.lr), (model.prior, config.prior_lr)])),
        training.OptimizationStep(decoder, _adam(config, [(model.decoder, config.lr)])),
        training.OptimizationStep(objectives.SimilarityCriticLoss(critic), _adam(config, [(critic, config.critic_lr)])),
    ]


def _adam(config, parts):
    """Adam over modules with a learning rate each; what does not learn is left out."""
    groups = [{"params": [p for p in module.parameters() if p.requires_grad], "lr": lr} for module, lr in parts]
    betas = getattr(config, "beta1", 0.5), 0.9
    fused = True if config.accelerator == "cpu" else None  # one kernel a step instead of a dozen
    return torch.optim.Adam([group for group in groups if group["params"]], betas=betas, fused=fused)
