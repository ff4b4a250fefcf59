"""The loop of `fit`: batches, validation, files, and where it may be cut off and go on."""

import contextlib
import itertools
import math
import time
from collections.abc import Iterable, Iterator, Sequence
from pathlib import Path
from typing import Any, NamedTuple

import pyro
import torch
from torch import Tensor, nn

from inference.callbacks import Callback, FitState
from inference.checkpoints import save_checkpoint, save_weights, write_table
from inference.fit_state import Means, Progress, Restorable
from inference.schedules import EarlyStopping
from inference.signals import Signals, stop
from inference.traces import as_tuple, find_nonfinite


class FitResult(NamedTuple):
    """One dict per epoch, as in metrics.csv; the epoch (from 1) and loss of the weights the model is left with."""

    history: list[dict[str, float]]
    best_epoch: int
    best_loss: float
    stopped_early: bool


class Whole:
    """A batch that Fabric hands on as it is: in mixed precision it would round what the losses are of."""

    def __init__(self, batch: tuple) -> None:
        self.batch = batch


class Losses(nn.Module):
    """Objectives and model as one module whose forward is a loss, the form that Fabric's strategies wrap."""

    def __init__(self, objectives: list, model: nn.Module) -> None:
        super().__init__()
        self.objectives, self.model = objectives, model
        self.learned = nn.ModuleList(objective for objective in objectives if isinstance(objective, nn.Module))

    def forward(self, index: int, *batch: Any) -> tuple[Tensor, NamedTuple]:
        batch = batch[0].batch if isinstance(batch[0], Whole) else batch
        return self.objectives[index](self.model.model, self.model.guide, *batch)


class Files(NamedTuple):
    """Where a training is written (None on ranks other than 0), whether at all, and after how many batches too."""

    folder: Path | None
    kept: bool
    every: int | None


class Loop:
    """The state of one call of `fit`."""

    def __init__(
        self,
        fabric: Any,
        steps: list,
        model: nn.Module,
        data: Iterable,
        validation: Iterable | None,
        *,
        callbacks: Sequence[Callback],
        early_stopping: EarlyStopping | None,
        files: Files,
        clip_norm: float | None,
        accumulate: int,
        scaled: bool,
    ) -> None:
        self.fabric, self.model, self.callbacks, self.early_stopping = fabric, model, callbacks, early_stopping
        self.clip_norm = math.inf if clip_norm is None else clip_norm
        self.steady = steady(steps)
        self.accumulate, self.group = accumulate, 0  # batches whose gradients wait for the optimizer
        self.scaled = scaled  # a gradient scaler meets, and skips, infinite gradients
        optimizers, self.every = [step.optimizer for step in steps], [step.every for step in steps]
        losses = Losses([step.objective for step in steps], model)
        self.losses, *self.optimizers = fabric.setup(losses, *optimizers)
        self.data, self.validation = self._loader(data), None if validation is None else self._loader(validation)
        self.state, self.files = FitState(fabric, model, optimizers), files
        loaders = [self.data, self.validation]
        if accumulate > 1 and not hasattr(self.data, "__len__"):
            raise ValueError(f"data: expected a length where gradients accumulate, got {type(data).__name__}")
        self.restorable = Restorable(losses, steps, self.state, callbacks, early_stopping, loaders, accumulate)
        self.progress, self.signals, self.bar = Progress(), Signals(), None

    def run(self, epochs: int) -> FitResult:
        if hasattr(self.data, "__len__") and 0 < epochs * len(self.data) < max(self.every):
            batches = epochs * len(self.data)
            raise ValueError(f"every: expected at most the {batches} batches of the training, got {max(self.every)}")
        progress = self.progress
        while progress.epochs < epochs and not progress.stopped:
            self._epoch()
            loss, best = progress.history[-1], progress.best_loss
            loss = loss["train_loss" if self.validation is None else "validation_loss"]
            self.bar.set_postfix_str(f"epoch {progress.epochs}/{epochs}, loss {loss:.4g}, best {best:.4g}")
            self._checkpoint()
            self._stop(self._received())
        if progress.best_weights is not None:
            self.model.load_state_dict(progress.best_weights)
        changed = [callback.on_fit_end(self.state) for callback in self.callbacks]
        if any(changed):
            self._write(best=True)
        return FitResult(progress.history, progress.best_epoch, progress.best_loss, progress.stopped)

    def _epoch(self) -> None:
        """One epoch, or what is left of it."""
        progress, self.state.epoch = self.progress, self.progress.epochs + 1
        self.started = time.perf_counter() - progress.seconds
        if progress.batches == 0:
            self._call("on_epoch_start")
        row = {"epoch": self.state.epoch, **self._train()}
        self._check_weights()
        loss = row["train_loss"]
        if self.validation is not None:
            row |= self._validate()
            loss = row["validation_loss"]
        for callback in self.callbacks:
            row |= callback.on_epoch_end(self.state) or {}
        progress.history.append(row | {"step": self.state.step, "seconds": round(self._seconds(), 3)})
        for callback in self.callbacks:
            callback.on_row(self.state, dict(progress.history[-1]))
        best = self.validation is None or not self.steady or loss < progress.best_loss
        if best:
            progress.best_epoch, progress.best_loss = self.state.epoch, loss
        if best and self.validation is not None:
            progress.best_weights = {name: tensor.clone() for name, tensor in self.model.state_dict().items()}
        self._write(best)
        progress.stopped = self.early_stopping is not None and self.early_stopping.update(loss)
        progress.epochs, progress.batches, progress.began, progress.totals = self.state.epoch, 0, None, []

    def _train(self) -> dict[str, float]:
        self.losses.train()
        means = [Means(*total) for total in self.progress.totals] or [Means() for _ in self.optimizers]
        due = False
        for number, batch in self._batches():
            batch = self.fabric.to_device(as_tuple(batch))
            self._call("on_step_start")
            last = number % self.accumulate == 0 or number == len(self.data)
            for index, optimizer in enumerate(self.optimizers):
                if (self.state.step + 1) % self.every[index]:
                    continue
                with contextlib.nullcontext() if last else self.fabric.no_backward_sync(self.losses):
                    loss, terms = self._loss(index, batch, number)
                    self._backward(loss, optimizer)
                if last:
                    self._update(index, batch, number)
                means[index].add(len(batch[0]), loss=loss.detach(), **terms._asdict())
            self._call("on_step_end")
            self.state.step += 1
            self.bar.update()
            self.progress.batches = number
            due = due or bool(self.files.every and number % self.files.every == 0)
            if last and ((received := self._received()) or due):
                due = False
                self._check_weights()
                self.progress.totals = [(mean.count, mean.totals) for mean in means]
                self._checkpoint()
                self._stop(received)
        if self.group:
            raise ValueError(
                f"data: expected {len(self.data)} batches, as its length says, got {self.progress.batches}"
            )
        prefixes = ["train", *(f"train_{index}" for index in range(1, len(means)))]
        due = [(m, prefix) for m, prefix, n in zip(means, prefixes, self.every, strict=True) if m.count or n == 1]
        return {name: value for mean, prefix in due for name, value in mean.read(self.fabric, prefix)}

    def _batches(self) -> Iterator[tuple[int, Any]]:
        """The batches of the epoch that are left, numbered from 1; those before are read again, in the same order."""
        done, now = self.progress.batches, self.restorable.began() if self.progress.batches else None
        if done:
            self.restorable.set_random(self.progress.began)
            self.restorable.set_generators(self.progress.began)
        elif self.files.kept:
            self.progress.began = self.restorable.began()
        for loader in (self.data, self.validation):
            if "_num_iter_calls" in getattr(loader, "__dict__", {}):  # Fabric's count, by which ranks share an order
                loader._num_iter_calls = self.progress.epochs
        numbered = enumerate(self.data, start=1)
        if done:
            again = sum(1 for _ in itertools.islice(numbered, done))
            if again < done:
                raise ValueError(f"data: expected at least {done} batches, as before the interruption, got {again}")
            self.restorable.set_random(now)
        return numbered

    def _loss(self, index: int, batch: tuple, number: int) -> tuple[Tensor, NamedTuple]:
        """That of one step on a batch, with its terms."""
        first, mistake = self.state.step + 1 == self.every[index], None
        try:
            with pyro.validation_enabled(first):
                loss, terms = self.losses(index, *self._whole(batch))
        except ValueError as error:  # Pyro's validation speaks of a law's argument or support only
            if not first or (site := find_nonfinite(self.model.model, self.model.guide, batch)) is None:
                raise
            got, mistake = "an error", error
        else:
            if torch.isfinite(loss):
                return loss, terms
            got, site = loss.item(), find_nonfinite(self.model.model, self.model.guide, batch)
        raise FloatingPointError(
            f"loss: expected a finite number, got {got} in epoch {self.state.epoch}, batch {number}: "
            f"{site or 'every site has a finite log-density on a second pass'}{_unclean(batch[0])}"
        ) from mistake

    def _whole(self, batch: tuple) -> tuple:
        """What `losses` gets of a batch."""
        return (Whole(batch),) if self.fabric.strategy.precision.precision.endswith("-mixed") else batch

    def _backward(self, loss: Tensor, optimizer: Any) -> None:
        """Add the gradient of one batch to those that wait."""
        if self.group == 0:
            optimizer.zero_grad()
        self.fabric.backward(loss)
        self.group += self.accumulate > 1

    def _update(self, index: int, batch: tuple, number: int) -> None:
        """A step on the mean of the gradients that wait."""
        where, optimizer = f"epoch {self.state.epoch}, batch {number}", self.optimizers[index]
        if self.group > 1:
            where = f"epoch {self.state.epoch}, batches {number - self.group + 1} to {number}"
            for parameter in (p for group in optimizer.param_groups for p in group["params"] if p.grad is not None):
                parameter.grad /= self.group
        self.group = 0
        norm = self.fabric.clip_gradients(self.losses, optimizer, max_norm=self.clip_norm, error_if_nonfinite=False)
        if not self.scaled and not torch.isfinite(norm):
            told = self._bad_gradients(index, batch)
            raise FloatingPointError(f"gradient: expected a finite norm, got {float(norm)} in {where}: {told}")
        optimizer.step()

    def _bad_gradients(self, index: int, batch: tuple) -> str:
        """The parameters whose gradients are not finite on a second pass (clipping has spoilt all of the first)."""
        losses = self.restorable.losses
        named = {name: p for name, p in losses.named_parameters() if p.requires_grad}
        with self.fabric.autocast():
            loss, _ = losses(index, *batch)
        gradients = torch.autograd.grad(loss, list(named.values()), allow_unused=True)
        bad = [n for n, g in zip(named, gradients, strict=True) if g is not None and not g.isfinite().all()]
        return f"that of {_listed(bad)}" if bad else "those of a second pass are finite"

    def _check_weights(self) -> None:
        """Before they are written: an update may overflow."""
        bad = [name for name, p in self.restorable.losses.named_parameters() if not p.isfinite().all()]
        if bad:
            raise FloatingPointError(
                f"weights: expected finite numbers, got NaN or infinity in epoch {self.state.epoch}, "
                f"after batch {self.progress.batches}: in {_listed(bad)}"
            )

    @torch.no_grad()
    def _validate(self) -> dict[str, float]:
        self.losses.eval()
        self._call("on_validation_start")
        means, device = Means(), self.fabric.device
        with torch.random.fork_rng([device] if device.type == "cuda" else []):
            torch.manual_seed(self.fabric.global_rank)  # the same draws in every epoch
            for batch in self.validation:
                batch = self.fabric.to_device(as_tuple(batch))
                loss, terms = self.losses(0, *self._whole(batch))
                means.add(len(batch[0]), loss=loss, **terms._asdict())
        row = dict(means.read(self.fabric, "validation"))
        if not math.isfinite(loss := row["validation_loss"]):
            raise FloatingPointError(
                f"validation loss: expected a finite number, got {loss} in epoch {self.state.epoch}"
            )
        return row

    def _write(self, best: bool) -> None:
        if self.files.folder is None:
            return
        if best:
            save_weights(self.model, self.files.folder / "model.safetensors")
        write_table(self.progress.history, self.files.folder / "metrics.csv")

    def _checkpoint(self) -> None:
        if not self.files.kept:
            return
        self.progress.seconds = self._seconds() if self.progress.batches else 0.0
        captured = self.restorable.capture(self.progress)
        if self.files.folder is not None:
            save_checkpoint(captured, self.files.folder)

    def _received(self) -> int:
        """The signal that has come to any of the devices, 0 for none: they stop together, or wait for ever."""
        received = self.signals.received or 0
        if not self.files.kept or self.fabric.world_size == 1:
            return received
        return int(self.fabric.all_reduce(torch.tensor(float(received), device=self.fabric.device), reduce_op="max"))

    def _stop(self, received: int) -> None:
        if received:
            self.fabric.barrier()  # the checkpoint is written: a launcher kills what is left when the first one leaves
            stop(received, self._where(), first=self.fabric.is_global_zero)

    def _seconds(self) -> float:
        """Spent on this epoch."""
        return time.perf_counter() - self.started

    def _where(self) -> str:
        place = f"after batch {self.progress.batches} of epoch {self.state.epoch}"
        if not self.progress.batches:
            place = f"after epoch {self.state.epoch}"
        return (
            place if self.files.folder is None else f"{place}; to go on from its checkpoint, resume {self.files.folder}"
        )

    def _call(self, hook: str) -> None:
        for callback in self.callbacks:
            getattr(callback, hook)(self.state)

    def _loader(self, data: Iterable) -> Iterable:
        if isinstance(data, torch.utils.data.DataLoader):
            return self.fabric.setup_dataloaders(data)
        if self.fabric.world_size > 1:
            raise ValueError(f"data: expected a DataLoader, which several devices can share, got {type(data).__name__}")
        return data

    @contextlib.contextmanager
    def progress_bar(self, epochs: int, progress: bool) -> Iterator[None]:
        from tqdm import tqdm

        total = epochs * len(self.data) if hasattr(self.data, "__len__") else None
        hidden = not (progress and self.fabric.is_global_zero)
        with tqdm(total=total, initial=self.state.step, unit="batch", disable=hidden) as self.bar:
            yield


def steady(steps: list) -> bool:
    """Whether the validation losses of different epochs may be compared."""
    return getattr(steps[0].objective, "steady", True)


def _listed(names: list[str]) -> str:
    """The first of some parameters."""
    names = [name.removeprefix("model.") for name in names]
    return ", ".join(names[:3]) + (f" and {len(names) - 3} more" if len(names) > 3 else "")


def _unclean(x: Any) -> str:
    """What is wrong with the first tensor of a batch itself."""
    count = int((~x.isfinite()).sum()) if isinstance(x, Tensor) else 0
    return f" (the batch has {count} such values itself)" if count else ""
