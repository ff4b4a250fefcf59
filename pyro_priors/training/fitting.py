"""One training loop for all models, on Lightning Fabric."""

import contextlib
import inspect
import os
from collections.abc import Iterable, Sequence
from pathlib import Path
from typing import Any, Literal, NamedTuple, get_args

import pyro
import torch
from torch import nn

from pyro_priors.checks import check_count
from pyro_priors.training.callbacks import Callback
from pyro_priors.training.checkpoints import CHECKPOINT, load_checkpoint, remove_checkpoints
from pyro_priors.training.data_checks import check_data
from pyro_priors.training.files import remove_unfinished
from pyro_priors.training.locks import held
from pyro_priors.training.loop import Files, FitResult, Loop, steady
from pyro_priors.training.modes import modes_restored
from pyro_priors.training.ranks import by_first
from pyro_priors.training.schedules import EarlyStopping
from pyro_priors.training.signals import noted_signals

__all__ = ["FitResult", "OptimizationStep", "fit"]


Precision = Literal["32-true", "64-true", "bf16-mixed", "16-mixed"]
SHORT = ("32", "64", "bf16", "16")  # for these


class OptimizationStep(NamedTuple):
    """One update: an objective (`loss, terms = objective(model, guide, *batch)`) and the optimizer it drives.

    It is made on every batch, or on every so many: a generator's `every=5` beside a critic's 1 gives five critic steps.
    """

    objective: Any
    optimizer: torch.optim.Optimizer
    every: int = 1


def fit(
    steps: OptimizationStep | Sequence[OptimizationStep],
    model: nn.Module,
    data: Iterable,
    *,
    epochs: int,
    validation: Iterable | None = None,
    callbacks: Sequence[Callback] = (),
    early_stopping: EarlyStopping | None = None,
    run_dir: str | Path | None = None,
    checkpoint_every: int | None = None,
    resume: bool = False,
    accelerator: str = "cpu",
    devices: int = 1,
    nodes: int = 1,
    precision: Precision = "32-true",
    clip_norm: float | None = None,
    accumulate: int = 1,
    progress: bool = True,
    seed: int | None = None,
) -> FitResult:
    """Train a model, and leave it with its best weights by the validation loss.

    These are its last, without validation data and with an objective that says that it is not `steady` (`FactorELBO`,
    and all that play against a critic).

    Every batch makes one update per step that is due, in order. The validation loss is that of the first step, with
    the same random numbers in every epoch. Pyro validates the programs during the first update of each step only: on
    every batch it would cost tens of synchronisations.

    With a folder, everything that decides how the training goes on is written there after every epoch, and a training
    that was cut off, at whatever moment, is resumed by the same call with `resume`: on one CPU it ends with the same
    numbers to the last bit. Ctrl-C and SIGTERM stop it after the batch under way with a checkpoint, on several devices
    after the same batch, whichever of them the signal reached; a second one stops it at once. The checkpoint before the
    last is kept too: where the last is damaged or lost, `resume` goes on from that, and warns.

    Note:
        To resume amid an epoch its first batches are read again, so that the rest comes in the same order: what draws
        it must draw from the generators of torch, numpy or python, or a loader's own, and at the beginning of the
        epoch. What persistent workers draw themselves, beside that order, is the exception: they begin anew. A
        callback whose state changes tells it by `state_dict`.

        What is handed in again, to another call that does not resume, behaves as the first time: callbacks, schedules
        and early stopping begin afresh, learning rates that a schedule has changed are put back, workers that stay are
        started anew. What is learned goes on: the model, and an optimizer's moments, which belong to its parameters (a
        new optimizer has none). So does the generator that a DataLoader was given: as in torch, it decides another
        order. A Python generator of batches runs only once, for one epoch.

        With several devices each takes a part of every batch, and gradients and reported means are averaged over them:
        where a loss is a mean over examples, that is one device with the joined batch. Objectives whose loss is none
        say what they are then. BatchNorm normalises every part by itself and keeps the running statistics of the first.
        Of data that do not divide evenly a few examples are read twice, in validation too.

        The module stays on the device it was trained on. The state of Pyro's validation and the modes of all modules
        within the model are as before the call, also after an error; `seed` sets the global seeds.

    Args:
        steps: one or several pairs of objective and optimizer; an objective may be a module with parameters.
        model: a module with `.model` and `.guide`, called with each batch.
        data: a DataLoader, or anything that yields batches every time it is iterated; a batch is a tensor or a tuple.
        epochs: at most so many passes over the data.
        validation: batches for the validation loss.
        callbacks: see `pyro_priors.training.callbacks`.
        early_stopping: when to stop, by the validation loss.
        run_dir: folder for metrics.csv, model.safetensors (the best weights so far), checkpoint.safetensors and
            checkpoint.previous.safetensors, all replaced atomically; of one training at a time.
        checkpoint_every: write a checkpoint after so many batches of an epoch too.
        resume: go on from the checkpoint in `run_dir`, if there is one; a training that had ended returns what it
            returned, and goes on where `epochs` is more now. The arguments must be as they were.
        accelerator, devices, precision: as in Lightning Fabric ("cpu", "gpu", "auto"; "32-true", "bf16-mixed", ...);
            so many devices of every node. In mixed precision networks alone are in half of it: batches, priors and
            losses stay as they are. In "64-true" the data must be of 64 bits too.
        nodes: machines, on each of which torchrun or SLURM has started the same program once a device.
        clip_norm: largest norm of a gradient.
        accumulate: update once in so many batches, and at the end of an epoch, on the mean of their gradients: for a
            loss that is a mean over examples, and batches of one size, that is one larger batch. Devices exchange
            gradients then only. Callbacks and schedules go on counting batches; checkpoints wait for the update. For a
            single step only: of several, each should see what those before it have changed.
        progress: show a progress bar.
        seed: seed of every random number generator, plus the rank, and of the order in which several devices share
            the data; None: they share the same order in every training.

    Raises:
        ValueError: no step, an optimizer that needs a closure (LBFGS), a first step that is not due on every batch,
            another that is never due, a number that is not positive, several nodes without a launcher, several steps or
            data without a length where gradients accumulate, early stopping without validation data or with an
            objective that is not steady, no batches, or fewer examples in one than an objective needs (`least_batch`),
            checkpoints without a folder.
        UnderWay: a ValueError: another training writes to the folder.
        CheckpointError: a ValueError: a checkpoint that is damaged, or of another training or version.
        OSError: a file cannot be written (a full disk, a read-only folder); the checkpoint before it stays.
        FloatingPointError: a loss or gradient is not finite; names epoch, batch, and site or parameters. The update is
            not made. Or weights after one, or a validation loss. What was written before stays.
    """
    steps = [steps] if isinstance(steps, OptimizationStep) else [OptimizationStep(*step) for step in steps]
    _check(steps, epochs, validation, early_stopping, clip_norm, accumulate)
    check_data(steps, data, validation, epochs, devices * nodes)
    _check_files(run_dir, checkpoint_every, resume)
    check_nodes(nodes)
    check_machine(accelerator, devices, precision)
    from lightning_fabric import Fabric  # here, so that the objectives and metrics do without it

    strategy = _strategy(devices * nodes, steps)
    fabric = Fabric(accelerator=accelerator, devices=devices, num_nodes=nodes, precision=precision, strategy=strategy)
    fabric.launch()
    if seed is not None:
        pyro.set_rng_seed(seed + fabric.global_rank)
    with contextlib.ExitStack() as stack:
        files, checkpoint = _files(fabric, run_dir, checkpoint_every, resume, stack)
        loop = Loop(
            fabric,
            steps,
            model,
            data,
            validation,
            callbacks=callbacks,
            early_stopping=early_stopping,
            files=files,
            clip_norm=clip_norm,
            accumulate=accumulate,
            scaled=precision.startswith("16-mixed"),
            seed=seed,
        )
        with pyro.validation_enabled(False), modes_restored(model):
            if checkpoint is not None:
                loop.progress = loop.restorable.restore(checkpoint, Path(run_dir or "") / CHECKPOINT)
            else:
                loop.begin()
            try:
                with loop.progress_bar(epochs, progress), noted_signals(files.written) as loop.signals:
                    return loop.run(epochs)
            finally:
                loop.end()


def _files(
    fabric: Any, run_dir: str | Path | None, every: int | None, resume: bool, stack: contextlib.ExitStack
) -> tuple[Files, dict | None]:
    """Where to write, which is held until the stack ends, and the state to resume from: the first device's work."""

    def read() -> tuple[bool, int | None, dict | None]:
        checkpoint = None
        if run_dir is not None:
            stack.enter_context(held(run_dir))
            remove_unfinished(run_dir)
            if resume:
                checkpoint = load_checkpoint(run_dir)
            else:  # otherwise a later call might resume what this one has replaced
                remove_checkpoints(run_dir)
        return run_dir is not None, every, checkpoint

    written, every, checkpoint = by_first(fabric, read)
    return Files(Path(run_dir) if run_dir is not None and fabric.is_global_zero else None, written, every), checkpoint


def _strategy(processes: int, steps: list) -> Any:
    """Several processes must be told that a step has no gradient for the parameters of another."""
    if processes == 1 or len(steps) == 1:
        return "auto"
    from lightning_fabric.strategies.ddp import DDPStrategy

    return DDPStrategy(find_unused_parameters=True)


def _check(steps: list, epochs: int, validation, early_stopping, clip_norm, accumulate) -> None:
    if not steps:
        raise ValueError("steps: expected at least one OptimizationStep, got none")
    check_count("epochs", epochs)
    for step in steps:
        check_count("every", step.every)
        _check_optimizer(step.optimizer)
    if steps[0].every != 1:
        raise ValueError(f"every: expected 1 for the first step, got {steps[0].every}")
    if check_count("accumulate", accumulate) > 1 and len(steps) > 1:
        raise ValueError(f"accumulate: expected 1 with several steps, got {accumulate}")
    if early_stopping is not None and validation is None:
        raise ValueError("early_stopping: expected validation data beside it, got validation=None")
    if early_stopping is not None and not steady(steps):
        raise ValueError(
            f"early_stopping: expected None with {type(steps[0].objective).__name__}, whose losses in different epochs "
            "do not compare"
        )
    if clip_norm is not None and not clip_norm > 0:
        raise ValueError(f"clip_norm: expected a positive number or None, got {clip_norm!r}")


def _check_optimizer(optimizer: Any) -> None:
    """`ValueError` for one that evaluates the loss itself, as LBFGS: an update has one gradient here."""
    if not isinstance(optimizer, torch.optim.Optimizer):
        raise ValueError(f"optimizer: expected one of torch.optim, got {type(optimizer).__name__}")
    closure = inspect.signature(type(optimizer).step).parameters.get("closure")
    if closure is not None and closure.default is inspect.Parameter.empty:
        raise ValueError(f"optimizer: expected one whose step takes no closure, got {type(optimizer).__name__}")


def most_at_once() -> int:
    """Processes, or threads, that this machine's cores can serve: four a core."""
    return 4 * (os.cpu_count() or 1)


def check_machine(accelerator: str, devices: int, precision: str, allowed: tuple[str, ...] = ()) -> None:
    """`ValueError` for more processes than cores can serve, or another precision than `Precision` or those allowed.

    Networks of half precision throughout (bf16-true) would take priors and losses along.
    """
    allowed = allowed or (*get_args(Precision), *SHORT)
    if precision not in allowed:
        listed = ", ".join(name for name in allowed if name not in SHORT)
        raise ValueError(f"precision: expected one of {listed}, got {precision!r}")
    most, graphics = most_at_once(), torch.cuda.is_available()
    if check_count("devices", devices) > most and (accelerator == "cpu" or (accelerator == "auto" and not graphics)):
        raise ValueError(f"devices: expected at most {most} on this machine (four a core), got {devices}")


def check_nodes(nodes: int) -> None:
    """`ValueError` where several machines are asked for, but nothing has told this process of the others."""
    check_count("nodes", nodes)
    if nodes == 1:
        return
    from lightning_fabric.plugins.environments.slurm import SLURMEnvironment
    from lightning_fabric.plugins.environments.torchelastic import TorchElasticEnvironment

    # Not what an interactive allocation of SLURM leaves in a shell's environment, nor an address alone.
    if not (TorchElasticEnvironment.detect() or SLURMEnvironment.detect()):
        raise ValueError(
            f"nodes: expected 1 in a program that neither torchrun nor srun has started, got {nodes} (srun counts in a "
            "job of another name than bash and interactive only)"
        )


def _check_files(run_dir: str | Path | None, checkpoint_every: int | None, resume: bool) -> None:
    if checkpoint_every is not None:
        check_count("checkpoint_every", checkpoint_every)
    if run_dir is None and (resume or checkpoint_every is not None):
        raise ValueError("run_dir: expected a folder where checkpoints lie, got None")
