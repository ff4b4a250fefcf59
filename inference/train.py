"""`train MODEL`: data, model, fit, test results and figures in one run folder."""

import time

import pyro
import torch

from models.shared import run_data, runs
from models.shared.answers import count_parameters
from pyro_priors import training
from pyro_priors.checks import UserError
from pyro_priors.data.digest import notes
from pyro_priors.data.schema import describe
from pyro_priors.training import locks, manifest
from pyro_priors.training.fitting import check_machine, check_nodes, most_at_once

PRECISIONS = ("32-true", "bf16-mixed", "16-mixed", "32", "bf16", "16")  # the images are of 32 bits


def main(config, begun=None):
    """Train, evaluate, draw, and say where the results lie; `begun` is a `Run` to go on with."""
    rank = engine(config).global_rank
    if config.threads:
        if config.threads > (most := most_at_once()):  # the system ends a process that wants too many
            raise UserError(f"threads: expected at most {most} on this machine (four a core), got {config.threads}")
        torch.set_num_threads(config.threads)
    images = config.load_data() if begun is None else run_data.of(begun)
    if begun is not None:
        run_data.check(begun, images)
    if rank > 0:  # Lightning starts this command once per device; the first one writes, evaluates and draws
        shown = shows(config, None, images)
        config.fit(config.start(images), images, run_dir=None, callbacks=shown)
        return
    for line in [*notes(images), *describe(images.schema)]:
        print(line, flush=True)
    run, summary = train(config, images, begun=begun)
    print("\n".join(config.report(summary["test"])))
    print(run.folder)


def engine(config):
    """Lightning Fabric as `config` wants it, not launched: what this machine cannot do is an error."""
    from lightning_fabric import Fabric  # here, since it is slow to import and --help does without it

    try:
        check_nodes(config.nodes)
        check_machine(config.accelerator, config.devices, config.precision, PRECISIONS)
        machines = {"devices": config.devices, "num_nodes": config.nodes}
        return Fabric(accelerator=config.accelerator, precision=config.precision, **machines)
    except Exception as error:  # of five kinds, by what is wrong
        raise UserError(
            "accelerator, devices, nodes, precision: expected what Lightning Fabric can do on this machine, got "
            f"{config.accelerator}, {config.devices}, {config.nodes}, {config.precision} ({str(error).splitlines()[0]})"
        ) from error


def train(config, images, name=None, begun=None):
    """Train `config` on `images` (`ImageData`) -> its `Run` and what stands in `summary.json`.

    The run folder gets config.json, metrics.csv, model.safetensors (the best epoch by validation loss), summary.json
    and figures; until all are there, a checkpoint. With `begun`, a `Run`, it goes on from that.
    """
    program = config.start(images)
    run = begun or runs.start(config, images.image_shape, images.attributes, name, images)
    with locks.held(run.folder):
        return run, _trained(config, images, program, run, begun is not None)


def _trained(config, images, program, run, resume):
    """Fill the folder of `train` -> what stands in `summary.json`."""
    began = time.perf_counter()
    if manifest.listed(run.folder):
        manifest.bind(run.folder, runs.BEGUN)  # what else there is will be replaced
    result = config.fit(program, images, run.folder, resume, shows(config, run, images))
    # Of a training that was cut off the epochs before count too.
    seconds = max(time.perf_counter() - began, sum(row.get("seconds", 0.0) for row in result.history))
    trained = runs.trained(run.folder).model
    _save(trained, run.folder)
    results, probs = config.evaluate(trained, images.test, images.attributes, config.seed)
    summary = {
        "test": results,
        "best_epoch": result.best_epoch,
        "epochs": len(result.history),
        "seconds": round(seconds, 1),
        "parameters": {
            **({"prior": count_parameters(trained.prior)} if hasattr(trained, "prior") else {}),
            "all": count_parameters(trained),
        },
        "provenance": runs.provenance(),
        **config.describe_hidden(trained, images),
    }
    runs.write_json(run.folder / "summary.json", summary)
    pyro.set_rng_seed(config.seed)
    config.draw(run.folder, trained, images, probs)
    manifest.bind(run.folder, runs.ENDED)
    training.remove_checkpoints(run.folder)
    return summary


def _save(program, folder):
    """Keep the program so that `training.load` rebuilds it without the checkout, where it is all the library's."""
    try:
        training.save(program, folder)
    except ValueError as error:
        print(f"The run can be used from the checkout only: {error}")


def shows(config, run, images):
    """Callbacks that show the training while it runs; `run` is None on ranks that write nothing."""
    shown = [training.TensorBoard(run.folder / "tensorboard" if run else "tensorboard")] if config.tensorboard else []
    if config.figures_every:

        def drawn(program, epoch):
            folder = run.folder / "figures" / f"epoch-{epoch:04d}"
            folder.mkdir(parents=True, exist_ok=True)
            config.draw(folder, program, images, None)

        shown.append(training.Draw(drawn, config.figures_every))
    return shown
