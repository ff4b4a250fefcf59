"""The loop of `fit`: batches, validation, files, and where it may be cut off and go on."""

import contextlib
import itertools
import time
from collections.abc import Iterable, Iterator, Sequence
from pathlib import Path
from typing import Any, NamedTuple, cast

import torch
from torch import nn
from torch.utils.data.distributed import DistributedSampler

from pyro_priors.objectives.traces import as_tuple
from pyro_priors.training.callbacks import Callback, FitState
from pyro_priors.training.checkpoints import load_into, save_checkpoint, save_weights
from pyro_priors.training.files import write_table
from pyro_priors.training.ranks import by_first
from pyro_priors.training.schedules import EarlyStopping
from pyro_priors.training.signals import Signals, stop
from pyro_priors.training.state import Means, Progress, Restorable
from pyro_priors.training.update import Updates
from pyro_priors.training.workers import begin_workers, forget_workers


class FitResult(NamedTuple):
    """One dict per epoch, as in metrics.csv; the epoch (from 1) and loss of the weights the model is left with."""

    history: list[dict[str, float]]
    best_epoch: int
    best_loss: float
    stopped_early: bool


class Files(NamedTuple):
    """Where a training is written (None on ranks other than 0), whether at all, and after how many batches too."""

    folder: Path | None
    written: bool
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
        seed: int | None,
    ) -> None:
        self.fabric, self.model, self.callbacks, self.early_stopping = fabric, model, callbacks, early_stopping
        self.steady, self.every, self.accumulate = steady(steps), [step.every for step in steps], accumulate
        self.state, self.files = FitState(fabric, model, [step.optimizer for step in steps]), files
        self.updates = Updates(self.state, steps, clip_norm=clip_norm, accumulate=accumulate, scaled=scaled)
        self.data: Any = self._loader(data, seed)
        self.validation: Any = None if validation is None else self._loader(validation, seed)
        loaders = [self.data, self.validation]
        if accumulate > 1 and not hasattr(self.data, "__len__"):
            raise ValueError(f"data: expected a length where gradients accumulate, got {type(data).__name__}")
        self.restorable = Restorable(
            self.updates.plain, steps, self.state, callbacks, early_stopping, loaders, accumulate
        )
        self.progress, self.signals = Progress(), Signals()
        self.bar: Any = None  # within `progress_bar`

    def begin(self) -> None:
        """Nothing of an earlier training: what is handed in again behaves as the first time."""
        for part in filter(None, (*self.callbacks, self.early_stopping)):
            part.on_fit_start(self.state)

    def end(self) -> None:
        """However it ended."""
        for callback in reversed(self.callbacks):
            callback.on_fit_exit(self.state)

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
            load_into(self.model, progress.best_weights)
        changed = [callback.on_fit_end(self.state) for callback in self.callbacks]
        if any(changed):
            self._write(best=True)
        self._stop(self._received())  # one that came since the last epoch: what follows in the program must not start
        return FitResult(progress.history, progress.best_epoch, progress.best_loss, progress.stopped)

    def _epoch(self) -> None:
        """One epoch, or what is left of it."""
        progress, self.state.epoch = self.progress, self.progress.epochs + 1
        self.started = time.perf_counter() - progress.seconds
        if progress.batches == 0:
            self._call("on_epoch_start")
        row = {"epoch": self.state.epoch, **self._train()}
        self.updates.check_weights(self.progress.batches)
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
        self.updates.losses.train()
        means = [Means(*total) for total in self.progress.totals] or [Means() for _ in self.every]
        wanted = False
        for number, batch in self._batches():
            batch = self.fabric.to_device(as_tuple(batch))
            self._call("on_step_start")
            last = number % self.accumulate == 0 or number == len(self.data)
            for index, every in enumerate(self.every):
                if (self.state.step + 1) % every == 0:
                    loss, terms = self.updates.make(index, batch, number, last)
                    means[index].add(len(batch[0]), loss=loss, **terms._asdict())
            self._call("on_step_end")
            self.state.step += 1
            self.bar.update()
            self.progress.batches = number
            wanted = wanted or bool(self.files.every and number % self.files.every == 0)
            if last and ((received := self._received()) or wanted):
                wanted = False
                self.updates.check_weights(self.progress.batches)
                self.progress.totals = [(mean.count, mean.totals) for mean in means]
                self._checkpoint()
                self._stop(received)
        if self.updates.group:
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
            began = cast(dict, self.progress.began)
            self.restorable.set_random(began)
            self.restorable.set_generators(began)
        elif self.files.written:
            self.progress.began = self.restorable.began()
        for loader in (self.data, self.validation):
            if "_num_iter_calls" in getattr(loader, "__dict__", {}):  # Fabric's count, by which ranks share an order
                loader._num_iter_calls = self.progress.epochs
        if self.progress.epochs:  # resumed: the first epoch has drawn the seed of workers that stay
            begin_workers(self.data)
        numbered = enumerate(self.data, start=1)
        if done:
            again = sum(1 for _ in itertools.islice(numbered, done))
            if again < done:
                raise ValueError(f"data: expected at least {done} batches, as before the interruption, got {again}")
            self.restorable.set_random(cast(dict, now))
        return numbered

    @torch.no_grad()
    def _validate(self) -> dict[str, float]:
        self.updates.losses.eval()
        self._call("on_validation_start")
        begin_workers(self.validation)
        means, device = Means(), self.fabric.device
        with torch.random.fork_rng([device] if device.type == "cuda" else []):
            torch.manual_seed(self.fabric.global_rank)  # the same draws in every epoch
            for number, batch in enumerate(self.validation, start=1):
                batch = self.fabric.to_device(as_tuple(batch))
                loss, terms = self.updates.validate(batch, number)
                means.add(len(batch[0]), loss=loss, **terms._asdict())
        self._call("on_validation_end")
        return dict(means.read(self.fabric, "validation"))

    def _write(self, best: bool) -> None:
        def write() -> None:
            folder = cast(Path, self.files.folder)  # only the first device writes
            if best:
                save_weights(self.model, folder / "model.safetensors")
            write_table(self.progress.history, folder / "metrics.csv")

        if self.files.written:
            by_first(self.fabric, write)

    def _checkpoint(self) -> None:
        if not self.files.written:
            return
        self.progress.seconds = self._seconds() if self.progress.batches else 0.0
        captured = self.restorable.capture(self.progress)
        by_first(self.fabric, lambda: save_checkpoint(captured, cast(Path, self.files.folder)))

    def _received(self) -> int:
        """The signal that has come to any of the devices, 0 for none: they stop together, or wait for ever."""
        received = self.signals.received or 0
        if not self.files.written or self.fabric.world_size == 1:
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

    def _loader(self, data: Iterable, seed: int | None) -> Iterable:
        if isinstance(data, torch.utils.data.DataLoader):
            forget_workers(data)
            loader = self.fabric.setup_dataloaders(data)
            if isinstance(loader.sampler, DistributedSampler) and seed is not None:
                loader.sampler.seed = seed  # which all ranks share
            return loader
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
