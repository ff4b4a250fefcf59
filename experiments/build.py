"""From a configuration to the model, its prior and the optimizer."""

from typing import NamedTuple

import pyro
import torch
from torch import nn

import inference
import models
import pyro_priors as pp
from experiments import data, runs
from experiments.config import UserError


class Trained(NamedTuple):
    """A model read back from its run."""

    run: runs.Run
    model: models.VAE


def prior(config):
    """The prior p(z) that `config` names, seeded by torch's global generator."""
    if config.prior == "normal":
        return pp.StandardNormal(config.latent_dim)
    if config.prior == "gmm":
        return pp.GaussianMixture(config.latent_dim, config.gmm_components, fixed=config.fixed)
    return pp.TRIP(
        config.latent_dim,
        components=config.components,
        rank=config.rank,
        boundary=config.boundary,
        init=config.init,
        fixed=config.fixed,
    )


def vae(config, image_shape):
    """A fresh `VAE`; the same seed gives the same encoder and decoder under every prior."""
    pyro.set_rng_seed(config.seed)
    if config.network == "mlp":
        encoder = models.GatedMLPEncoder(image_shape, config.latent_dim, config.hidden)
        decoder = models.GatedMLPDecoder(config.latent_dim, image_shape, config.hidden[::-1])
    else:
        if image_shape[1:] not in ((28, 28), (32, 32), (64, 64)):
            raise UserError(
                f"network: conv expected pictures of 28, 32 or 64 pixels, got {image_shape} (pass --network mlp)"
            )
        encoder = models.ConvEncoder(image_shape, config.latent_dim, config.channels)
        decoder = models.ConvDecoder(config.latent_dim, image_shape, config.channels)
    return models.VAE(encoder, decoder, prior(config), config.likelihood)


def optimizer(config, model):
    """Adam; the parameters of the prior have a learning rate of their own."""
    of_prior = list(model.prior.parameters())
    ids = {id(parameter) for parameter in of_prior}
    others = [parameter for parameter in model.parameters() if id(parameter) not in ids]
    groups = [{"params": others, "lr": config.lr}, {"params": of_prior, "lr": config.prior_lr}]
    return torch.optim.Adam([group for group in groups if group["params"]])


def load_data(config):
    """The data of a run; a likelihood that they do not fit is an error."""
    loaded = data.load(config.data, config.data_root, image_size=config.image_size, binarize=config.binarize)
    pixels = loaded.train.pixels
    if config.likelihood == "bernoulli" and pixels.is_floating_point() and (pixels.min() < 0 or pixels.max() > 1):
        raise UserError(
            f"likelihood: bernoulli expected values in [0, 1], got {pixels.min():.3g} to {pixels.max():.3g} "
            f"in {config.data} (pass --likelihood gaussian --binarize none)"
        )
    return loaded


def engine(config):
    """Lightning Fabric as `config` wants it, not launched: what this machine cannot do is an error."""
    from lightning_fabric import Fabric  # here, since it is slow to import and `evaluate` and `sample` do without it

    try:
        return Fabric(accelerator=config.accelerator, devices=config.devices, precision=config.precision)
    except Exception as error:  # of five kinds, by what is wrong
        raise UserError(
            "accelerator, devices, precision: expected what Lightning Fabric can do on this machine, got "
            f"{config.accelerator}, {config.devices}, {config.precision} ({str(error).splitlines()[0]})"
        ) from error


def trained(folder):
    """The model of a run folder, with the weights that training kept.

    Raises:
        UserError: no run there, one of another version, or a damaged one.
    """
    run = runs.read(folder)
    try:
        model = vae(run.config, run.image_shape)
        inference.load_weights(model, run.folder / "model.safetensors")
    except ValueError as error:
        raise UserError(f"run: expected what `train` wrote in {run.folder.absolute()}, got {error}") from error
    return Trained(run, model.eval())


def count_parameters(module: nn.Module):
    """How many numbers are learned."""
    return sum(parameter.numel() for parameter in module.parameters() if parameter.requires_grad)
