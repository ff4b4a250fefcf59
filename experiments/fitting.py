"""How a configuration is trained: objective, schedules, early stopping, and where the prior is fitted alone."""

import torch

from experiments import adversarial, build
from experiments.config import steps_per_epoch
from experiments.config_gan import CONFIGS as ADVERSARIAL
from experiments.config_gan import GANS, POINTS
from pyro_priors import metrics, objectives, training
from pyro_priors.data.images import loader


def fit(config, model, images, run_dir, resume=False, callbacks=()):
    """Train `model` in place; weights and metrics go to `run_dir`, or nowhere where it is None -> `FitResult`.

    With `resume` it goes on from the checkpoint in `run_dir`, if there is one. `callbacks` are further ones.
    """
    begun = resume and (run_dir / training.CHECKPOINT).is_file()
    if getattr(config, "pretrained", None) is not None and not begun:
        result = _fit_prior(config, model, images, config.epochs if config.frozen else config.start_epochs or 10)
        if config.frozen:
            _write(run_dir, model, result, "metrics.csv")
            return result
    result = _fit_all(config, model, images, run_dir, resume, callbacks)
    if getattr(config, "prior_epochs", 0) and build.count_parameters(model.prior):
        _write(run_dir, model, _fit_prior(config, model, images, config.prior_epochs), "prior.csv")
    return result


def _fit_all(config, model, images, run_dir, resume, more):
    """Everything that learns, by the model's own objective."""
    signed = config.model in GANS and config.data not in POINTS
    whole = config.model in ADVERSARIAL  # a critic may not be asked of a single example
    pin = build.on_gpu(config)
    batches = loader(images.train, config.batch_size, shuffle=True, signed=signed, whole=whole, pin=pin)
    per_epoch = steps_per_epoch(config, len(images.train), whole)
    if config.model in ADVERSARIAL:
        steps, callbacks = adversarial.steps(config, model, per_epoch)
        if config.model not in GANS:
            callbacks = callbacks + _reinitialisation(config, model, images)
    else:
        steps, callbacks = _steps(config, model, images, per_epoch)
    if config.decay:
        # Blind epochs end with steady codes, whose clusters can be told.
        cycles = [epochs for epochs in (getattr(config, "blind_epochs", 0),) if 0 < epochs < config.epochs]
        cycles.append(config.epochs - sum(cycles))
        callbacks.append(training.CosineDecay(*(epochs * per_epoch for epochs in cycles)))
    return training.fit(
        steps,
        model,
        batches,
        epochs=config.epochs,
        validation=None if config.model in GANS else loader(images.validation, 1000, pin=pin),
        callbacks=[*callbacks, *more],
        early_stopping=training.EarlyStopping(config.patience) if config.patience else None,
        run_dir=run_dir,
        checkpoint_every=None if run_dir is None else config.checkpoint_every,
        resume=resume,
        accelerator=config.accelerator,
        devices=config.devices,
        nodes=config.nodes,
        precision=config.precision,
        clip_norm=config.clip_norm,
        accumulate=config.accumulate,
        progress=config.progress,
        seed=config.seed,
    )


def _steps(config, model, images, batches):
    """The step of a bound or likelihood, with that of a discriminator where it has one, and callbacks."""
    if config.model == "classifier":
        objective, callbacks = objectives.LogLikelihood(), []
    else:
        objective = _bound(config, len(images.train))
        callbacks = _callbacks(config, model, images, objective, batches)
    steps = [training.OptimizationStep(objective, build.optimizer(config, model))]
    if isinstance(objective, objectives.FactorELBO):
        ratio = objectives.DensityRatio(objective.discriminator)
        optimizer = torch.optim.Adam(ratio.parameters(), lr=config.discriminator_lr, betas=(0.5, 0.9))
        steps.append(training.OptimizationStep(ratio, optimizer))
    return steps, callbacks


def _bound(config, data_size):
    """The ELBO; where there are categories, by enumeration if that is wanted, and their KL in full from the start."""
    if config.model == "cp-vae":
        unweighted = () if config.warm_categories else ("c",)
        return objectives.ELBO(unweighted=unweighted, enumerate=config.estimator == "enumerate")
    objective = getattr(config, "objective", "elbo")
    strength = getattr(config, "strength", None)
    if objective == "beta-h":
        return objectives.ELBO(kl_weight=strength or 5.0)
    if objective == "beta-b":
        return objectives.CapacityELBO(strength or 15.0, config.capacity)
    if objective == "beta-tc":
        return objectives.TotalCorrelationELBO(strength or 4.0, data_size)
    if objective == "factor":
        discriminator = objectives.Discriminator(config.latent_dim, config.discriminator_hidden)
        return objectives.FactorELBO(discriminator, strength or 1000.0)
    if objective == "info":
        return objectives.InfoELBO(lambda_=strength or 1000.0, kernel=config.kernel)
    return objectives.ELBO()


def _fit_prior(config, model, images, epochs):
    """Fit the prior alone to the codes of the training pictures."""
    z, scale, y = codes(model, images.train)
    labels = {"y": y} if config.model == "joint-vae" else {}
    patience = {"patience": config.patience} if config.patience else {}
    knobs = {"lr": config.prior_lr, "batch_size": config.batch_size, "progress": config.progress, "decay": True}
    return training.fit_prior(model.prior, z, scale=scale, epochs=epochs, **labels, **patience, **knobs)


def _write(run_dir, model, result, name):
    if run_dir is not None:
        training.save_weights(model, run_dir / "model.safetensors")
        training.write_table(result.history, run_dir / name)


def _callbacks(config, model, images, objective, steps):
    """KL warm-up, a label term or temperature that falls, a prior set from codes; an epoch has so many `steps`."""
    callbacks = []
    if config.warmup_epochs:
        schedule = training.LinearWarmup(config.warmup_epochs * steps, end=objective.kl_weight)
        callbacks.append(training.Anneal(objective, "kl_weight", schedule))
    if isinstance(objective, objectives.CapacityELBO):
        rise = training.LinearWarmup(config.epochs * steps, end=config.capacity)
        callbacks.append(training.Anneal(objective, "capacity", rise))
    if getattr(config, "label_epochs", None) and config.label_weight:
        fall = training.LinearWarmup(config.label_epochs * steps, start=config.label_weight, end=0.0)
        callbacks.append(training.Anneal(model, "label_weight", fall))
    if config.model == "cp-vae":
        return callbacks + _category_callbacks(config, model, images, steps)
    return callbacks + _reinitialisation(config, model, images)


def _reinitialisation(config, model, images):
    """A learnable prior is set from codes between epochs, where that is wanted."""
    fixed, pretrained = getattr(config, "fixed", False), getattr(config, "pretrained", None)
    if not config.reinit_first or fixed or pretrained is not None or not hasattr(model.prior, "reinitialize"):
        return []
    encoded = {"data": loader(images.train, 500, shuffle=True), "encode": model.encode}
    if config.reinit_samples:
        encoded["samples"] = config.reinit_samples
    return [training.Reinitialize(model.prior, first=config.reinit_first, every=config.reinit_every, **encoded)]


def _category_callbacks(config, model, images, steps):
    """The temperature falls, categories wait and are given up; how they are used goes to metrics.csv."""
    some = images.validation.first(1000)
    fall = training.LinearWarmup(config.temperature_epochs * steps, config.temperature, config.last_temperature)
    callbacks = [
        training.Anneal(model, "temperature", fall),
        metrics.CategoryMetrics(model, some, classes(images.validation, 1000)),
    ]
    blind = config.blind_epochs * steps
    if blind:
        callbacks.append(training.Anneal(model, "blind", training.Until(blind)))
        how = {"first": config.blind_epochs, "every": None, "samples": config.reinit_samples or 10_000}
        pictures = loader(images.train, 500, shuffle=True)
        callbacks.append(training.Reinitialize(model, pictures, encode=None, **how))
    if config.kept:
        fall = training.LinearWarmup(config.kept_epochs * steps, config.categories, config.kept, delay=blind)
        callbacks.append(training.Anneal(model, "kept", fall))
    return callbacks


def classes(images, count=None):
    """The one label of the first pictures, or all, which training has not seen; None where there is none."""
    return None if images.hidden is None else images.hidden[:count, 0]


@torch.no_grad()
def codes(model, images):
    """Mean and standard deviation of q(z given x) for each picture, `(n, d)` each, and the labels or None."""
    model.eval()
    device = next(model.parameters()).device
    pictures = (batch if images.labels is None else batch[0] for batch in loader(images, 500))
    laws = [model.encode(x.to(device)) for x in pictures]
    return torch.cat([q.mean for q in laws]), torch.cat([q.stddev for q in laws]), images.labels
