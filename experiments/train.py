"""`train vae`: data, model, fit, test bounds and pictures in one run folder."""

import time

import pyro
import torch

import inference
from experiments import build, figures, runs
from experiments.config import TrainConfig
from experiments.evaluate import bounds_of
from experiments.images import loader


def main(config: TrainConfig):
    """Train, evaluate, draw, and say where the results lie."""
    rank = build.engine(config).global_rank
    if config.threads:
        torch.set_num_threads(config.threads)
    images = build.load_data(config)
    if rank > 0:  # Lightning starts this command once per device; the first one writes, evaluates and draws
        fit(config, build.vae(config, images.image_shape), images, run_dir=None)
        return
    run, summary = train(config, images)
    print(f"{run.folder}: test ELBO {summary['test']['elbo']:.2f}, IWAE {summary['test']['iwae']:.2f} nats")


def train(config, images, name=None):
    """Train `config` on `images` (`ImageData`) -> its `Run` and what stands in `summary.json`.

    The run folder gets config.json, metrics.csv, model.safetensors (the best epoch by validation loss), summary.json
    and samples.png, reconstructions.png, prior.png.
    """
    model = build.vae(config, images.image_shape)
    run = runs.start(config, images.image_shape, name)
    began = time.perf_counter()
    result = fit(config, model, images, run.folder)
    seconds = round(time.perf_counter() - began, 1)
    trained = build.trained(run.folder).model
    summary = {
        "test": bounds_of(trained, images.test, config.particles, config.seed),
        "best_epoch": result.best_epoch,
        "epochs": len(result.history),
        "seconds": seconds,
        "parameters": {
            "prior": build.count_parameters(trained.prior),
            "all": build.count_parameters(trained),
        },
        "provenance": runs.provenance(),
    }
    runs.write_json(run.folder / "summary.json", summary)
    pyro.set_rng_seed(config.seed)
    figures.draw(run.folder, {config.prior: trained}, images.test)
    return run, summary


def fit(config, model, images, run_dir):
    """Run `inference.fit` as `config` says."""
    objective = inference.ELBO()
    batches = loader(images.train, config.batch_size, shuffle=True)
    callbacks = []
    if config.warmup_epochs:
        schedule = inference.LinearWarmup(config.warmup_epochs * len(batches))
        callbacks.append(inference.Anneal(objective, "kl_weight", schedule))
    if config.reinit_first and not config.fixed and hasattr(model.prior, "reinitialize"):
        encoded = {"data": loader(images.train, 500, shuffle=True), "encode": model.encode}
        callbacks.append(
            inference.Reinitialize(model.prior, first=config.reinit_first, every=config.reinit_every, **encoded)
        )
    return inference.fit(
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
