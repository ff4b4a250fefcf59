"""One training loop for all models, on Lightning Fabric."""

import contextlib
import math
import time
from collections.abc import Iterable, Iterator, Sequence
from pathlib import Path
from typing import Any, NamedTuple

import pyro
import torch
from torch import Tensor, nn

from inference.callbacks import Callback, FitState
from inference.checkpoints import save_weights, write_table
from inference.schedules import EarlyStopping
from inference.traces import as_tuple, find_nonfinite
from pyro_priors.checks import check_count
from pyro_priors.ops import wide


class OptimizationStep(NamedTuple):
    """One update: an objective (`loss, terms = objective(model, guide, *batch)`) and the optimizer it drives.

    It is made on every batch, or on every so many: a generator's `every=5` beside a critic's 1 gives five critic steps.
    """

    objective: Any
    optimizer: torch.optim.Optimizer
    every: int = 1


class FitResult(NamedTuple):
    """One dict per epoch, as in metrics.csv; the epoch (from 1) and loss of the weights the model is left with."""

    history: list[dict[str, float]]
    best_epoch: int
    best_loss: float
    stopped_early: bool


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
    accelerator: str = "cpu",
    devices: int = 1,
    precision: str = "32-true",
    clip_norm: float | None = None,
    progress: bool = True,
    seed: int | None = None,
) -> FitResult:
    """Train a model, and leave it with its best weights by the validation loss.

    These are its last, without validation data and with an objective that says that it is not `steady` (`FactorELBO`,
    and all that play against a critic).

    Every batch makes one update per step that is due, in order. The validation loss is that of the first step, with
    the same random numbers in every epoch. Pyro validates the programs during the first update of each step only: on
    every batch it would cost tens of synchronisations.

    Note:
        The module stays on the device it was trained on. The state of Pyro's validation and the module's training
        mode are as before the call, also after an error; `seed` sets the global seeds.

    Args:
        steps: one or several pairs of objective and optimizer; an objective may be a module with parameters.
        model: a module with `.model` and `.guide`, called with each batch.
        data: a DataLoader, or anything that yields batches every time it is iterated; a batch is a tensor or a tuple.
        epochs: at most so many passes over the data.
        validation: batches for the validation loss.
        callbacks: see `inference.callbacks`.
        early_stopping: when to stop, by the validation loss.
        run_dir: folder for metrics.csv and model.safetensors (the best weights so far), both replaced atomically.
        accelerator, devices, precision: as in Lightning Fabric ("cpu", "gpu", "auto"; "32-true", "bf16-mixed", ...).
        clip_norm: largest norm of a gradient.
        progress: show a progress bar.
        seed: seed of every random number generator, plus the rank.

    Raises:
        ValueError: no step, a first step that is not due on every batch, another that is never due, epochs or clip_norm
            not positive, early stopping without validation data or with an objective that is not steady, no batches.
        FloatingPointError: a loss or gradient is not finite; names epoch, batch and site. The update is not made. Or
            a validation loss is not finite; names the epoch. What earlier epochs wrote stays.
    """
    steps = [steps] if isinstance(steps, OptimizationStep) else [OptimizationStep(*step) for step in steps]
    _check(steps, epochs, validation, early_stopping, clip_norm)
    from lightning_fabric import Fabric  # here, so that the objectives and metrics do without it

    fabric = Fabric(accelerator=accelerator, devices=devices, precision=precision, strategy=_strategy(devices, steps))
    fabric.launch()
    if seed is not None:
        pyro.set_rng_seed(seed + fabric.global_rank)
    loop = _Loop(fabric, steps, model, callbacks, clip_norm, precision)
    data, validation = loop.loader(data), None if validation is None else loop.loader(validation)
    with pyro.validation_enabled(False), _mode_restored(model), loop.progress_bar(data, epochs, progress):
        return loop.run(data, validation, epochs, early_stopping, run_dir)


class _Losses(nn.Module):
    """Objectives and model as one module whose forward is a loss, the form that Fabric's strategies wrap."""

    def __init__(self, objectives: list, model: nn.Module) -> None:
        super().__init__()
        self.objectives, self.model = objectives, model
        self.learned = nn.ModuleList(objective for objective in objectives if isinstance(objective, nn.Module))

    def forward(self, index: int, *batch: Any) -> tuple[Tensor, NamedTuple]:
        return self.objectives[index](self.model.model, self.model.guide, *batch)


class _Loop:
    """The state of one call of `fit`."""

    def __init__(self, fabric: Any, steps: list, model: nn.Module, callbacks: Sequence, clip_norm: float, precision):
        self.fabric, self.model, self.callbacks = fabric, model, callbacks
        self.clip_norm = math.inf if clip_norm is None else clip_norm
        self.steady = _steady(steps)
        self.scaled = precision.startswith("16-mixed")  # its gradient scaler meets, and skips, infinite gradients
        optimizers, self.every = [step.optimizer for step in steps], [step.every for step in steps]
        losses = _Losses([step.objective for step in steps], model)
        self.losses, *self.optimizers = fabric.setup(losses, *optimizers)
        self.state = FitState(fabric, model, optimizers)
        self.bar = None

    def run(self, data, validation, epochs: int, early_stopping: EarlyStopping | None, run_dir) -> FitResult:
        if hasattr(data, "__len__") and 0 < epochs * len(data) < max(self.every):
            batches = epochs * len(data)
            raise ValueError(f"every: expected at most the {batches} batches of the training, got {max(self.every)}")
        history, best_epoch, best_loss, best_weights, stop = [], 0, math.inf, None, False
        for epoch in range(1, epochs + 1):
            self.state.epoch, start = epoch, time.perf_counter()
            self._call("on_epoch_start")
            row = {"epoch": epoch, **self._train(data)}
            loss = row["train_loss"]
            if validation is not None:
                row |= self._validate(validation)
                loss = row["validation_loss"]
            for callback in self.callbacks:
                row |= callback.on_epoch_end(self.state) or {}
            history.append(row | {"step": self.state.step, "seconds": round(time.perf_counter() - start, 3)})
            best = validation is None or not self.steady or loss < best_loss
            if best:
                best_epoch, best_loss = epoch, loss
            if best and validation is not None:
                best_weights = {name: tensor.clone() for name, tensor in self.model.state_dict().items()}
            if run_dir is not None and self.fabric.is_global_zero:
                self._write(Path(run_dir), history, best)
            self.bar.set_postfix_str(f"epoch {epoch}/{epochs}, loss {loss:.4g}, best {best_loss:.4g}")
            stop = early_stopping is not None and early_stopping.update(loss)
            if stop:
                break
        if best_weights is not None:
            self.model.load_state_dict(best_weights)
        changed = [callback.on_fit_end(self.state) for callback in self.callbacks]
        if any(changed) and run_dir is not None and self.fabric.is_global_zero:
            self._write(Path(run_dir), history, best=True)
        return FitResult(history, best_epoch, best_loss, stop)

    def _train(self, data: Iterable) -> dict[str, float]:
        self.losses.train()
        means = [_Means() for _ in self.optimizers]
        for number, batch in enumerate(data, start=1):
            batch = self.fabric.to_device(as_tuple(batch))
            self._call("on_step_start")
            for index, optimizer in enumerate(self.optimizers):
                if (self.state.step + 1) % self.every[index]:
                    continue
                with pyro.validation_enabled(self.state.step + 1 == self.every[index]):
                    loss, terms = self.losses(index, *batch)
                self._update(loss, optimizer, batch, number)
                means[index].add(len(batch[0]), loss=loss.detach(), **terms._asdict())
            self._call("on_step_end")
            self.state.step += 1
            self.bar.update()
        prefixes = ["train", *(f"train_{index}" for index in range(1, len(means)))]
        due = [(m, prefix) for m, prefix, n in zip(means, prefixes, self.every, strict=True) if m.count or n == 1]
        return {name: value for mean, prefix in due for name, value in mean.read(self.fabric, prefix)}

    def _update(self, loss: Tensor, optimizer: Any, batch: tuple, number: int) -> None:
        where = f"epoch {self.state.epoch}, batch {number}"
        if not torch.isfinite(loss):
            site = find_nonfinite(self.model.model, self.model.guide, batch)
            raise FloatingPointError(
                f"loss: expected a finite number, got {loss.item()} in {where}: "
                f"{site or 'every site has a finite log-density on a second pass'}"
            )
        optimizer.zero_grad()
        self.fabric.backward(loss)
        norm = self.fabric.clip_gradients(self.losses, optimizer, max_norm=self.clip_norm, error_if_nonfinite=False)
        if not self.scaled and not torch.isfinite(norm):
            raise FloatingPointError(f"gradient: expected a finite norm, got {float(norm)} in {where}")
        optimizer.step()

    @torch.no_grad()
    def _validate(self, validation: Iterable) -> dict[str, float]:
        self.losses.eval()
        self._call("on_validation_start")
        means, device = _Means(), self.fabric.device
        with torch.random.fork_rng([device] if device.type == "cuda" else []):
            torch.manual_seed(self.fabric.global_rank)  # the same draws in every epoch
            for batch in validation:
                batch = self.fabric.to_device(as_tuple(batch))
                loss, terms = self.losses(0, *batch)
                means.add(len(batch[0]), loss=loss, **terms._asdict())
        row = dict(means.read(self.fabric, "validation"))
        if not math.isfinite(loss := row["validation_loss"]):
            raise FloatingPointError(
                f"validation loss: expected a finite number, got {loss} in epoch {self.state.epoch}"
            )
        return row

    def _write(self, run_dir: Path, history: list[dict], best: bool) -> None:
        if best:
            save_weights(self.model, run_dir / "model.safetensors")
        write_table(history, run_dir / "metrics.csv")

    def _call(self, hook: str) -> None:
        for callback in self.callbacks:
            getattr(callback, hook)(self.state)

    def loader(self, data: Iterable) -> Iterable:
        if isinstance(data, torch.utils.data.DataLoader):
            return self.fabric.setup_dataloaders(data)
        if self.fabric.world_size > 1:
            raise ValueError(f"data: expected a DataLoader, which several devices can share, got {type(data).__name__}")
        return data

    @contextlib.contextmanager
    def progress_bar(self, data: Iterable, epochs: int, progress: bool) -> Iterator[None]:
        from tqdm import tqdm

        total = epochs * len(data) if hasattr(data, "__len__") else None
        with tqdm(total=total, unit="batch", disable=not (progress and self.fabric.is_global_zero)) as self.bar:
            yield


class _Means:
    """Means of named scalars weighted by batch size, kept on their device until read."""

    def __init__(self) -> None:
        self.count, self.totals = 0, {}

    def add(self, count: int, **values: Tensor) -> None:
        self.count += count
        for name, value in values.items():
            self.totals[name] = self.totals.get(name, 0.0) + count * wide(value)

    def read(self, fabric: Any, prefix: str) -> Iterator[tuple[str, float]]:
        """The means over all ranks, under `prefix_name`."""
        if self.count == 0:
            raise ValueError(f"{prefix} data: expected batches in every epoch, got none (a generator runs only once)")
        count = fabric.all_reduce(torch.tensor(float(self.count), device=fabric.device), reduce_op="sum")
        for name, total in self.totals.items():
            yield f"{prefix}_{name}", float(fabric.all_reduce(total, reduce_op="sum") / count)


@contextlib.contextmanager
def _mode_restored(model: nn.Module) -> Iterator[None]:
    training = model.training
    try:
        yield
    finally:
        model.train(training)


def _strategy(devices: int, steps: list) -> Any:
    """Several processes must be told that a step has no gradient for the parameters of another."""
    if devices == 1 or len(steps) == 1:
        return "auto"
    from lightning_fabric.strategies import DDPStrategy

    return DDPStrategy(find_unused_parameters=True)


def _steady(steps: list) -> bool:
    """Whether the validation losses of different epochs may be compared."""
    return getattr(steps[0].objective, "steady", True)


def _check(steps: list, epochs: int, validation, early_stopping, clip_norm: float | None) -> None:
    if not steps:
        raise ValueError("steps: expected at least one OptimizationStep, got none")
    check_count("epochs", epochs)
    for step in steps:
        check_count("every", step.every)
    if steps[0].every != 1:
        raise ValueError(f"every: expected 1 for the first step, got {steps[0].every}")
    if early_stopping is not None and validation is None:
        raise ValueError("early_stopping: expected validation data beside it, got validation=None")
    if early_stopping is not None and not _steady(steps):
        raise ValueError(
            f"early_stopping: expected None with {type(steps[0].objective).__name__}, whose losses in different epochs "
            "do not compare"
        )
    if clip_norm is not None and not clip_norm > 0:
        raise ValueError(f"clip_norm: expected a positive number or None, got {clip_norm!r}")
