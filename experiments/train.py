"""`train MODEL`: data, model, fit, test results and pictures in one run folder."""

import time

import pyro
import torch

from experiments import adversarial, build, evaluate, figures, figures_attributes, fitting, runs
from experiments.config import TrainConfig, TrainingConfig
from experiments.config_attributes import ClassifierConfig, CVAEConfig, JointConfig
from experiments.config_gan import (
    CONFIGS,
    GANS,
    AaeConfig,
    EbGanConfig,
    GanConfig,
    InfoGanConfig,
    SnGanConfig,
    VaeGanConfig,
    WganConfig,
    WganGpConfig,
)
from experiments.config_two_level import CategoricalConfig, HierarchicalConfig
from pyro_priors import training
from pyro_priors.checks import UserError

__all__ = [
    "AaeConfig",
    "CVAEConfig",
    "CategoricalConfig",
    "ClassifierConfig",
    "EbGanConfig",
    "GanConfig",
    "HierarchicalConfig",
    "InfoGanConfig",
    "JointConfig",
    "SnGanConfig",
    "TrainConfig",
    "VaeGanConfig",
    "WganConfig",
    "WganGpConfig",
    "main",
    "train",
]


def main(config: TrainingConfig, begun=None):
    """Train, evaluate, draw, and say where the results lie; `begun` is a `Run` to go on with."""
    rank = build.engine(config).global_rank
    if config.threads:
        torch.set_num_threads(config.threads)
    images = build.load_data(config)
    if rank > 0:  # Lightning starts this command once per device; the first one writes, evaluates and draws
        shown = shows(config, None, images)
        fitting.fit(config, start(config, images), images, run_dir=None, callbacks=shown)
        return
    run, summary = train(config, images, begun=begun)
    print(evaluate.text(summary["test"]))
    print(run.folder)


def train(config, images, name=None, begun=None):
    """Train `config` on `images` (`ImageData`) -> its `Run` and what stands in `summary.json`.

    The run folder gets config.json, metrics.csv, model.safetensors (the best epoch by validation loss), summary.json
    and the pictures of `draw`; until all are there, a checkpoint. With `begun`, a `Run`, it goes on from that.
    """
    model = start(config, images)
    run = begun or runs.start(config, images.image_shape, images.attributes, name)
    with runs.held(run.folder) as ours:
        if not ours:
            raise UserError(f"run: expected a training that was cut off, got {run.folder}, which is under way")
        return run, _trained(config, images, model, run, begun is not None)


def _trained(config, images, model, run, resume):
    """Fill the folder of `train` -> what stands in `summary.json`."""
    began = time.perf_counter()
    result = fitting.fit(config, model, images, run.folder, resume, shows(config, run, images))
    # Of a training that was cut off the epochs before count too.
    seconds = max(time.perf_counter() - began, sum(row.get("seconds", 0.0) for row in result.history))
    trained = build.trained(run.folder).model
    found, probs = evaluate.results(run, trained, images.test, config.seed)
    summary = {
        "test": found,
        "best_epoch": result.best_epoch,
        "epochs": len(result.history),
        "seconds": round(seconds, 1),
        "parameters": {
            **({"prior": build.count_parameters(trained.prior)} if hasattr(trained, "prior") else {}),
            "all": build.count_parameters(trained),
        },
        "provenance": runs.provenance(),
    }
    if images.train.hidden is not None and getattr(config, "missing", 0) and config.model not in GANS:
        summary["hidden"], _ = evaluate.imputations(trained, images.train, images.attributes, config.seed)
    runs.write_json(run.folder / "summary.json", summary)
    pyro.set_rng_seed(config.seed)
    draw(run, trained, images, probs)
    training.remove_checkpoints(run.folder)
    return summary


def shows(config, run, images):
    """Callbacks that show the training while it runs; `run` is None on ranks that write nothing."""
    shown = [training.TensorBoard(run.folder / "tensorboard" if run else "tensorboard")] if config.tensorboard else []
    if config.figures_every:

        def drawn(model, epoch):
            folder = run.folder / "figures" / f"epoch-{epoch:04d}"
            folder.mkdir(parents=True, exist_ok=True)
            draw(run._replace(folder=folder), model, images, None)

        shown.append(training.Draw(drawn, config.figures_every))
    return shown


def start(config, images):
    """The model before training: fresh, or with the networks of a pretrained VAE.

    Pseudo-inputs start at pictures, the clusters of a conditional GAN's prior at labels.
    """
    if config.model in CONFIGS:
        adversarial.check(config, len(images.train))
    model = build.model(config, images.image_shape, images.attributes)
    if getattr(config, "prior", None) == "vamp":
        inputs = model.prior.pseudo_inputs
        if len(inputs) > len(images.train):
            raise UserError(f"pseudo_inputs: expected at most {len(images.train)}, one a picture, got {len(inputs)}")
        chosen = torch.randperm(len(images.train))[: len(inputs)]
        inputs.data.copy_(images.train.__getitems__(chosen))
    if getattr(config, "prior", None) == "ttlp" and config.init == "mixture":
        adversarial.tie(model.prior, images.train.labels)
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


def draw(run, model, images, probs):
    """samples.png, reconstructions.png, prior.png; for models with attributes those of `figures_attributes`.

    `probs` are the model's answers about the test pictures, as `evaluate.results` returns them.
    """
    if run.config.model in GANS:
        figures.draw_gan(run.folder, run.config.prior, model, images.test)
    elif run.config.model in (*build.UNLABELLED, "joint-vae"):
        title = {"vae": getattr(run.config, "prior", ""), "joint-vae": "ttlp"}.get(run.config.model, run.config.model)
        figures.draw(run.folder, {title: model}, images.test)
    if run.attributes and probs:
        pyro.set_rng_seed(run.config.seed)
        figures_attributes.draw(run.folder, model, images.test, run.attributes, probs)
