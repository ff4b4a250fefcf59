"""From a configuration to the model, its prior and the optimizer."""

from typing import NamedTuple

import pyro
import torch
from torch import nn

import pyro_priors as pp
from experiments import adversarial, runs
from experiments.config_gan import GANS
from pyro_priors import networks, programs, training
from pyro_priors.checks import UserError
from pyro_priors.data.attributes import kinds as kinds_of
from pyro_priors.data.loading import load, without_labels
from pyro_priors.data.streaming import Streaming
from pyro_priors.training.fitting import check_nodes

UNLABELLED = ("vae", "cp-vae", "hierarchical-vae", "aae", "vae-gan")
CLASSED = ("digits", "mnist", "fashion-mnist", "cifar10", "svhn")  # data with one label, which clusters may match


class Trained(NamedTuple):
    """A model read back from its run."""

    run: runs.Run
    model: nn.Module


def model(config, image_shape, attributes=()):
    """A fresh model as `config` says; the same seed gives the same encoder and decoder under every prior.

    Args:
        config: a configuration of one of `runs.CONFIGS`.
        image_shape: (channels, height, width).
        attributes: of the data, `pyro_priors.data.attributes.Attribute` each.
    """
    pyro.set_rng_seed(config.seed)
    if config.model in UNLABELLED:
        return _unlabelled(config, image_shape)
    if config.model in GANS:
        if config.network == "conv":
            _check_size(image_shape)
        return adversarial.gan(config, image_shape, _prior(config, image_shape, attributes), attributes)
    kinds = kinds_of(attributes, config.components)
    if config.model == "classifier":
        _check_size(image_shape)
        return programs.ConvClassifier(image_shape, kinds, config.channels)
    features = programs.CVAE.attribute_features(kinds) if config.model == "cvae" else 0
    encoder, decoder = _networks(config, image_shape, features)
    if config.model == "joint-vae":
        prior = pp.TTLP(
            config.latent_dim,
            kinds,
            config.components,
            config.rank,
            config.boundary,
            config.order,
            config.init,
            local=config.local or 1,
        )
        return programs.JointVAE(encoder, decoder, prior, _likelihood(config), label_weight=config.label_weight)
    _check_size(image_shape)
    predictor = programs.ConvClassifier(image_shape, kinds, config.channels)
    prior, law = pp.StandardNormal(config.latent_dim), pp.TTLP(0, kinds, config.components, config.rank)
    return programs.CVAE(encoder, decoder, prior, law, predictor, _likelihood(config))


def _unlabelled(config, image_shape):
    """A model that is trained on pictures alone."""
    shape, latent_dim, hidden = image_shape, config.latent_dim, config.hidden
    if config.model in ("vae", "aae", "vae-gan"):
        return programs.VAE(*_networks(config, shape), _prior(config, shape), _likelihood(config))
    if config.model == "cp-vae":
        encoder = networks.GatedMLPCategoricalEncoder(shape, config.categories, latent_dim, hidden, config.told)
        decoder = networks.GatedMLPDecoder(latent_dim + config.categories, shape, hidden[::-1])
        prior = pp.CategoricalGaussian(config.categories, latent_dim, spread=config.spread)
        how = {"estimator": config.estimator, "temperature": config.temperature, "kept": config.kept}
        return programs.CategoricalVAE(encoder, decoder, prior, _likelihood(config), **how)
    return programs.HierarchicalVAE(
        networks.GatedMLPEncoder(shape, latent_dim, hidden),
        networks.GatedMLPJointEncoder(shape, latent_dim, config.lower_dim, hidden[0]),
        networks.GatedMLPGaussian(latent_dim, config.lower_dim, hidden),
        networks.GatedMLPJointDecoder(config.lower_dim, latent_dim, shape, hidden[0]),
        _prior(config, shape),
        _likelihood(config),
    )


def _likelihood(config):
    """p(x given z): its name, or the one that has a knob."""
    if config.likelihood == "gaussian":
        return programs.GaussianLikelihood(config.noise)
    if config.likelihood == "squared-error":
        return programs.SquaredErrorLikelihood(config.error_weight)
    return config.likelihood


def unlabelled(config):
    """Whether a model is trained on pictures alone."""
    return config.model in UNLABELLED or (config.model in GANS and config.prior != "ttlp")


def _prior(config, image_shape, attributes=()):
    """The prior p(z), or p(z, y), that `config` names, seeded by torch's global generator."""
    if config.prior == "normal":
        return pp.StandardNormal(config.latent_dim)
    if config.prior == "gmm":
        weights = "equal" if config.gmm_equal else "learned"
        return pp.GaussianMixture(config.latent_dim, config.gmm_components, weights, fixed=config.fixed)
    if config.prior == "vamp":
        bounds = (0.0, 1.0) if config.likelihood == "bernoulli" else None
        fixed = getattr(config, "fixed", False)  # that of two levels always learns
        return pp.VampPrior(torch.rand(config.pseudo_inputs or 500, *image_shape), bounds, fixed=fixed)
    if config.prior == "flow":
        base = _trip(config) if config.flow_base == "trip" else None
        how = {"base": base, "fixed": config.fixed}
        return pp.FlowNormal(config.latent_dim, config.layers, config.flow_hidden, config.transform, **how)
    if config.prior == "ttlp":
        kinds = kinds_of(attributes, config.components)
        return pp.TTLP(config.latent_dim, kinds, config.components, config.rank, config.boundary, init=config.init)
    return _trip(config)


def _trip(config):
    how = {"boundary": config.boundary, "init": config.init, "fixed": config.fixed}
    return pp.TRIP(config.latent_dim, components=config.components, rank=config.rank, **how)


def _networks(config, image_shape, features=0):
    """Encoder and decoder; `features` numbers beside the image and beside the latents."""
    seen, latents = (image_shape[0] + features, *image_shape[1:]), config.latent_dim + features
    if config.network == "mlp":
        encoder = networks.GatedMLPEncoder(seen, config.latent_dim, config.hidden)
        return encoder, networks.GatedMLPDecoder(latents, image_shape, config.hidden[::-1])
    _check_size(image_shape)
    encoder = networks.ConvEncoder(seen, config.latent_dim, config.channels)
    return encoder, networks.ConvDecoder(latents, image_shape, config.channels)


def _check_size(image_shape):
    if image_shape[1:] not in ((28, 28), (32, 32), (64, 64)):
        raise UserError(
            f"network: conv expected pictures of 28, 32 or 64 pixels, got {image_shape} (pass --network mlp)"
        )


def optimizer(config, model):
    """Adam; the parameters of the prior have a learning rate of their own."""
    of_prior = list(model.prior.parameters()) if hasattr(model, "prior") else []
    ids = {id(parameter) for parameter in of_prior}
    others = [parameter for parameter in model.parameters() if id(parameter) not in ids]
    groups = [{"params": others, "lr": config.lr}]
    if of_prior:
        groups.append({"params": of_prior, "lr": config.prior_lr})
    # One kernel a step instead of a dozen; elsewhere torch's own choice (mixed precision and clipping refuse it).
    return torch.optim.Adam(groups, fused=True if config.accelerator == "cpu" else None)


def load_data(config):
    """The data of a run, with labels where its model has attributes; a likelihood that they do not fit is an error."""
    labelled = {}
    if not unlabelled(config):
        labelled = {"attributes": config.attributes, "missing": config.missing}
    elif config.data == "shapes" or (config.model in ("cp-vae", "info-gan") and config.data in CLASSED):
        labelled = {"attributes": ()}  # for comparison only
    loaded = load(
        config.data,
        config.data_root,
        image_size=config.image_size,
        crop=config.crop,
        binarize=config.binarize,
        seed=config.seed,
        stream=Streaming(config.workers) if config.stream else None,
        **labelled,
    )
    if unlabelled(config):
        loaded = without_labels(loaded)
    pixels = loaded.train.pixels
    likelihood = getattr(config, "likelihood", None)
    if likelihood == "bernoulli" and pixels.is_floating_point() and not (pixels.min() >= 0 and pixels.max() <= 1):
        raise UserError(
            f"likelihood: bernoulli expected values in [0, 1], got {pixels.min():.3g} to {pixels.max():.3g} "
            f"in {config.data} (pass --likelihood gaussian --binarize none)"
        )
    return loaded


def on_gpu(config):
    """Whether it trains on a GPU, to which batches go faster from pinned memory."""
    return config.accelerator in ("cuda", "gpu", "auto") and torch.cuda.is_available()


def engine(config):
    """Lightning Fabric as `config` wants it, not launched: what this machine cannot do is an error."""
    from lightning_fabric import Fabric  # here, since it is slow to import and `evaluate` and `sample` do without it

    try:
        check_nodes(config.nodes)
        machines = {"devices": config.devices, "num_nodes": config.nodes}
        return Fabric(accelerator=config.accelerator, precision=config.precision, **machines)
    except Exception as error:  # of five kinds, by what is wrong
        raise UserError(
            "accelerator, devices, nodes, precision: expected what Lightning Fabric can do on this machine, got "
            f"{config.accelerator}, {config.devices}, {config.nodes}, {config.precision} ({str(error).splitlines()[0]})"
        ) from error


def trained(folder):
    """The model of a run folder, with the weights that training kept.

    Raises:
        UserError: no run there, one of another version, or a damaged one.
    """
    run = runs.read(folder)
    try:
        fresh = model(run.config, run.image_shape, run.attributes)
        training.load_weights(fresh, run.folder / "model.safetensors")
    except ValueError as error:
        raise UserError(f"run: expected what `train` wrote in {run.folder.absolute()}, got {error}") from error
    return Trained(run, fresh.eval())


def count_parameters(module: nn.Module):
    """How many numbers are learned."""
    return sum(parameter.numel() for parameter in module.parameters() if parameter.requires_grad)
