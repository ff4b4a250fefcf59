"""`train MODEL`: data, model, fit, test results and pictures in one run folder."""

import time

import pyro
import torch

import inference
from experiments import build, evaluate, figures, figures_attributes, runs
from experiments.config import TrainConfig, TrainingConfig, UserError
from experiments.config_attributes import ClassifierConfig, CVAEConfig, JointConfig
from experiments.data.images import loader

__all__ = ["CVAEConfig", "ClassifierConfig", "JointConfig", "TrainConfig", "main", "train"]


def main(config: TrainingConfig):
    """Train, evaluate, draw, and say where the results lie."""
    rank = build.engine(config).global_rank
    if config.threads:
        torch.set_num_threads(config.threads)
    images = build.load_data(config)
    if rank > 0:  # Lightning starts this command once per device; the first one writes, evaluates and draws
        fit(config, start(config, images), images, run_dir=None)
        return
    run, summary = train(config, images)
    print(evaluate.text(summary["test"]))
    print(run.folder)


def train(config, images, name=None):
    """Train `config` on `images` (`ImageData`) -> its `Run` and what stands in `summary.json`.

    The run folder gets config.json, metrics.csv, model.safetensors (the best epoch by validation loss), summary.json
    and the pictures of `draw`.
    """
    model = start(config, images)
    run = runs.start(config, images.image_shape, images.attributes, name)
    began = time.perf_counter()
    result = fit(config, model, images, run.folder)
    seconds = round(time.perf_counter() - began, 1)
    trained = build.trained(run.folder).model
    found, probs = evaluate.results(run, trained, images.test, config.seed)
    summary = {
        "test": found,
        "best_epoch": result.best_epoch,
        "epochs": len(result.history),
        "seconds": seconds,
        "parameters": {
            **({"prior": build.count_parameters(trained.prior)} if hasattr(trained, "prior") else {}),
            "all": build.count_parameters(trained),
        },
        "provenance": runs.provenance(),
    }
    if images.train.hidden is not None and config.missing:
        summary["hidden"], _ = evaluate.imputations(trained, images.train, images.attributes, config.seed)
    runs.write_json(run.folder / "summary.json", summary)
    pyro.set_rng_seed(config.seed)
    draw(run, trained, images, probs)
    return run, summary


def start(config, images):
    """The model before training: fresh, or with the networks of a pretrained VAE."""
    model = build.model(config, images.image_shape, images.attributes)
    if getattr(config, "pretrained", None) is None:
        return model
    pretrained = build.trained(config.pretrained).model
    try:
        for part in ("encoder", "decoder", "likelihood"):
            getattr(model, part).load_state_dict(getattr(pretrained, part).state_dict())
    except (AttributeError, RuntimeError) as error:
        raise UserError(
            f"pretrained: expected a VAE of the same network, latent_dim and likelihood in {config.pretrained}, got "
            f"another ({str(error).splitlines()[0]})"
        ) from error
    pyro.set_rng_seed(config.seed)  # reading the other run has set its seed
    return model


def fit(config, model, images, run_dir):
    """Run `inference.fit` as `config` says."""
    batches = loader(images.train, config.batch_size, shuffle=True)
    if config.model == "classifier":
        objective, callbacks = inference.LogLikelihood(), []
    else:
        objective = inference.ELBO()
        callbacks = _callbacks(config, model, images, objective, len(batches))
    if getattr(config, "decay", False):
        callbacks.append(inference.CosineDecay(config.epochs * len(batches)))
    if getattr(config, "pretrained", None) is not None:
        result = _fit_prior(config, model, images, config.epochs if config.frozen else config.prior_epochs or 10)
        if config.frozen:
            if run_dir is not None:
                inference.save_weights(model, run_dir / "model.safetensors")
                inference.write_table(result.history, run_dir / "metrics.csv")
            return result
    result = inference.fit(
        inference.OptimizationStep(objective, build.optimizer(config, model)),
        model,
        batches,
        epochs=config.epochs,
        validation=loader(images.validation, 1000),
        callbacks=callbacks,
        early_stopping=inference.EarlyStopping(config.patience) if config.patience else None,
        run_dir=run_dir,
        accelerator=config.accelerator,
        devices=config.devices,
        precision=config.precision,
        clip_norm=config.clip_norm,
        progress=config.progress,
        seed=config.seed,
    )
    if getattr(config, "prior_epochs", 0) and build.count_parameters(model.prior):
        last = _fit_prior(config, model, images, config.prior_epochs)
        inference.save_weights(model, run_dir / "model.safetensors")
        inference.write_table(last.history, run_dir / "prior.csv")
    return result


def _fit_prior(config, model, images, epochs):
    """Fit the prior alone to the codes of the training pictures."""
    z, scale, y = codes(model, images.train)
    labels = {"y": y} if config.model == "joint-vae" else {}
    patience = {"patience": config.patience} if config.patience else {}
    knobs = {"lr": config.prior_lr, "batch_size": config.batch_size, "progress": config.progress, "decay": True}
    return inference.fit_prior(model.prior, z, scale=scale, epochs=epochs, **labels, **patience, **knobs)


def _callbacks(config, model, images, objective, steps):
    """KL warm-up, a label term that falls, reinitialisation of the prior; an epoch has so many `steps`."""
    callbacks = []
    if config.warmup_epochs:
        schedule = inference.LinearWarmup(config.warmup_epochs * steps)
        callbacks.append(inference.Anneal(objective, "kl_weight", schedule))
    if getattr(config, "label_epochs", None) and config.label_weight:
        fall = inference.LinearWarmup(config.label_epochs * steps, start=config.label_weight, end=0.0)
        callbacks.append(inference.Anneal(model, "label_weight", fall))
    fixed, pretrained = getattr(config, "fixed", False), getattr(config, "pretrained", None)
    if config.reinit_first and not fixed and pretrained is None and hasattr(model.prior, "reinitialize"):
        encoded = {"data": loader(images.train, 500, shuffle=True), "encode": model.encode}
        if config.reinit_samples:
            encoded["samples"] = config.reinit_samples
        callbacks.append(
            inference.Reinitialize(model.prior, first=config.reinit_first, every=config.reinit_every, **encoded)
        )
    return callbacks


@torch.no_grad()
def codes(model, images):
    """Mean and standard deviation of q(z given x) for each picture, `(n, d)` each, and the labels or None."""
    model.eval()
    batches = loader(images, 500)
    laws = [model.encode(batch if images.labels is None else batch[0]) for batch in batches]
    return torch.cat([q.mean for q in laws]), torch.cat([q.stddev for q in laws]), images.labels


def draw(run, model, images, probs):
    """samples.png, reconstructions.png, prior.png; for models with attributes those of `figures_attributes`.

    `probs` are the model's answers about the test pictures, as `evaluate.results` returns them.
    """
    if run.config.model in ("vae", "joint-vae"):
        title = run.config.prior if run.config.model == "vae" else "ttlp"
        figures.draw(run.folder, {title: model}, images.test)
    if run.attributes:
        pyro.set_rng_seed(run.config.seed)
        figures_attributes.draw(run.folder, model, images.test, run.attributes, probs)
