"""From a configuration of an adversarial model to its networks, and to the steps that train it."""

import torch

import inference
import models
from experiments.config import UserError, steps_per_epoch
from experiments.config_gan import POINTS
from experiments.data.attributes import kinds as kinds_of
from experiments.data.filling import filled
from models.attribute_numbers import attribute_numbers
from pyro_priors import Discrete


def gan(config, image_shape, prior, attributes=()):
    """A fresh model of `train gan` and its kin; conditional where the prior knows attributes."""
    inputs = config.latent_dim + getattr(config, "categories", 0)
    signed = config.data not in POINTS
    if config.network == "conv":
        generator = models.ConvGenerator(inputs, image_shape, config.channels)
    else:
        output = "tanh" if signed else "linear"
        generator = models.MLPGenerator(inputs, image_shape, config.hidden[::-1], output, config.slope)
    if config.prior == "ttlp":
        kinds = kinds_of(attributes, config.components)
        planes = models.ConditionalCritic.planes(image_shape, kinds)
        critic = models.ConditionalCritic(_critic(config, planes), kinds)
        return models.ConditionalGAN(generator, prior, critic, signed=signed)
    if config.model == "eb-gan":
        critic = models.AutoEncoderCritic(image_shape, config.hidden, config.code)
        return models.GAN(generator, prior, critic, signed=signed)
    critic = _critic(config, image_shape)
    if config.model == "info-gan":
        recogniser = models.Recogniser(_critic(config, image_shape, "none"), config.categories)
        return models.InfoGAN(generator, prior, critic, recogniser, config.categories, signed=signed)
    return models.GAN(generator, prior, critic, signed=signed)


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
        return models.ConvCritic(image_shape, config.channels, norm, config.minibatch, scale)
    return models.MLPCritic(image_shape, config.hidden, norm, config.minibatch, scale)


def steps(config, model, batches):
    """The `OptimizationStep`s of an adversarial model, and callbacks; an epoch has so many `batches`."""
    if config.model == "aae":
        return _aae_steps(config, model), []
    if config.model == "vae-gan":
        return _vae_gan_steps(config, model), []
    estimator = inference.make_estimator(config.estimator, normalize=config.normalize)
    how = {"real_label": config.real_label, "margin": getattr(config, "margin", 10.0)}
    shared = {"noise": config.noise, **how}
    penalty = getattr(config, "penalty", 0.0)
    critic = inference.CriticLoss(model.critic, config.kind, penalty=penalty, mismatched=config.mismatched, **shared)
    told = {"matching": config.matching, "information": getattr(config, "information", 0.0)}
    generator = inference.GeneratorLoss(model.critic, config.kind, estimator, **told, **shared)
    callbacks = []
    if config.noise and config.noise_epochs:
        fall = inference.LinearWarmup(config.noise_epochs * batches, config.noise, 0.0)
        callbacks = [inference.Anneal(player, "noise", fall) for player in (critic, generator)]
    if config.average is not None:
        callbacks.append(inference.ExponentialAverage(model.generator, config.average, config.critic_steps))
    optimizer = _adam(config, [(model.critic, config.critic_lr or config.lr)])
    if clip := getattr(config, "clip", None):
        inference.clip_weights(optimizer, clip)
    networks = [(model.generator, config.lr), (model.prior, config.prior_lr)]
    if config.model == "info-gan":
        networks.append((model.recogniser, config.lr))
    players = [critic, generator]
    if config.consensus:
        players = [inference.Consensus(player, model.generator, config.consensus) for player in players]
    return [
        inference.OptimizationStep(players[0], optimizer),
        inference.OptimizationStep(players[1], _adam(config, networks), every=config.critic_steps),
    ], callbacks


def _aae_steps(config, model):
    """The autoencoder's, judged in validation too, and the critic's."""
    critic = models.MLPCritic((1, 1, config.latent_dim), config.critic_hidden)
    learns = any(parameter.requires_grad for parameter in model.prior.parameters())
    estimator = inference.make_estimator(config.estimator) if learns else None
    autoencoder = inference.AdversarialELBO(critic, weight=config.weight, estimator=estimator)
    networks = [(part, config.lr) for part in (model.encoder, model.decoder, model.likelihood)]
    return [
        inference.OptimizationStep(autoencoder, _adam(config, [*networks, (model.prior, config.prior_lr)])),
        inference.OptimizationStep(inference.CodeCriticLoss(critic), _adam(config, [(critic, config.critic_lr)])),
    ]


def _vae_gan_steps(config, model):
    """Encoder and prior, decoder, critic."""
    shape = model.image_shape
    if config.network == "conv":
        critic = models.ConvCritic(shape, config.channels, "batch")
    else:
        critic = models.MLPCritic(shape, config.critic_hidden)
    encoder, decoder = (inference.SimilarityLoss(critic, part, gamma=config.gamma) for part in ("encoder", "decoder"))
    return [
        inference.OptimizationStep(
            encoder, _adam(config, [(model.encoder, config.lr), (model.prior, config.prior_lr)])
        ),
        inference.OptimizationStep(decoder, _adam(config, [(model.decoder, config.lr)])),
        inference.OptimizationStep(inference.SimilarityCriticLoss(critic), _adam(config, [(critic, config.critic_lr)])),
    ]


def _adam(config, parts):
    """Adam over modules with a learning rate each; what does not learn is left out."""
    groups = [{"params": [p for p in module.parameters() if p.requires_grad], "lr": lr} for module, lr in parts]
    betas = getattr(config, "beta1", 0.5), 0.9
    fused = True if config.accelerator == "cpu" else None  # one kernel a step instead of a dozen
    return torch.optim.Adam([group for group in groups if group["params"]], betas=betas, fused=fused)
