"""The updates of `fit`: losses, gradients that wait or are clipped, and what is told where one is not finite."""

import contextlib
from typing import Any, NamedTuple, cast

import pyro
import torch
from torch import Tensor, nn

from pyro_priors.training.callbacks import FitState
from pyro_priors.training.nonfinite import listed, nonfinite_weights, reasons


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


class Updates:
    """Makes the updates of one training.

    Args:
        state: what callbacks see.
        steps: `OptimizationStep`s.
        clip_norm: largest norm of a gradient, or None.
        accumulate: batches of one update.
        scaled: whether there is a gradient scaler, which meets, and skips, infinite gradients.
    """

    def __init__(self, state: FitState, steps: list, *, clip_norm: float | None, accumulate: int, scaled: bool) -> None:
        self.state, self.fabric, self.model = state, state.fabric, state.model
        self.every, self.scaled = [step.every for step in steps], scaled
        self.clip_norm = clip_norm
        self.accumulate, self.group = accumulate, 0  # batches whose gradients wait for the optimizer
        self.plain = Losses([step.objective for step in steps], self.model)
        self.losses, *self.optimizers = self.fabric.setup(self.plain, *state.optimizers)
        self.mixed = self.fabric.strategy.precision.precision.endswith("-mixed")

    def __call__(self, index: int, batch: tuple) -> tuple[Tensor, NamedTuple]:
        """The loss of a step on a batch, and its terms."""
        return self.losses(index, *((Whole(batch),) if self.mixed else batch))

    def make(self, index: int, batch: tuple, number: int, last: bool) -> tuple[Tensor, NamedTuple]:
        """Add the gradient of a batch, the `last` or another of those before an update -> its loss and terms.

        Raises:
            FloatingPointError: the loss, of any device, or the norm of the gradient, is not finite.
        """
        first = self.state.step + 1 == self.every[index]
        with contextlib.nullcontext() if last else self.fabric.no_backward_sync(self.losses):
            with pyro.validation_enabled(first):
                loss, terms = self._finite(index, batch, f"batch {number}")
            self._backward(loss, self.optimizers[index])
        if last:
            self._update(self.optimizers[index], number)
        return loss.detach(), terms

    def validate(self, batch: tuple, number: int) -> tuple[Tensor, NamedTuple]:
        """The first step's loss on a batch of the validation data, and its terms.

        Raises:
            FloatingPointError: it is not finite, on any device.
        """
        return self._finite(0, batch, f"batch {number} of the validation")

    def _finite(self, index: int, batch: tuple, where: str) -> tuple[Tensor, NamedTuple]:
        """A loss and its terms. All devices stop where one meets a loss that is not finite, or none at all."""
        loss, terms, mistake = None, None, None
        try:
            loss, terms = self(index, batch)
        except torch.OutOfMemoryError:
            raise
        except (ValueError, RuntimeError) as error:  # a law that Pyro refuses, or that torch cannot draw from
            mistake = self._mistake(f"an error ({str(error).partition(chr(10))[0]})", where, batch, after_error=True)
            if mistake is None:
                raise
            mistake.__cause__ = error
        else:
            if not torch.isfinite(loss):
                mistake = self._mistake(loss.item(), where, batch)
        if self.fabric.world_size > 1:
            flag = torch.tensor(float(mistake is not None), device=self.fabric.device)
            if self.fabric.all_reduce(flag, reduce_op="max") and mistake is None:
                mistake = FloatingPointError(self._message("another of the devices got none", where))
        if mistake is not None:
            raise mistake
        return cast(Tensor, loss), cast(NamedTuple, terms)

    def _mistake(self, got: Any, where: str, batch: tuple, after_error: bool = False) -> FloatingPointError | None:
        """What to raise; after an error, None where no number has caused it."""
        with self.fabric.autocast():
            why = reasons(self.model, self.plain, batch, data_alone=not after_error)
        if why is None and after_error:
            return None
        return FloatingPointError(self._message(f"got {got}", where) + f": {why or 'all is finite on a second pass'}")

    def _message(self, what: str, where: str) -> str:
        return f"loss: expected a finite number, {what} in epoch {self.state.epoch}, {where}"

    def _backward(self, loss: Tensor, optimizer: Any) -> None:
        """Add the gradient of one batch to those that wait."""
        if self.group == 0:
            optimizer.zero_grad()
        self.fabric.backward(loss)
        self.group += self.accumulate > 1

    def _update(self, optimizer: Any, number: int) -> None:
        """A step on the mean of the gradients that wait."""
        where = f"epoch {self.state.epoch}, batch {number}"
        learned = [p for group in optimizer.param_groups for p in group["params"] if p.grad is not None]
        if self.group > 1:
            where = f"epoch {self.state.epoch}, batches {number - self.group + 1} to {number}"
            for parameter in learned:
                parameter.grad /= self.group
        self.group = 0
        if self.scaled:
            if self.clip_norm is not None:
                self.fabric.clip_gradients(self.losses, optimizer, max_norm=self.clip_norm, error_if_nonfinite=False)
        else:
            self._check_and_clip(learned, where)
        optimizer.step()

    def _check_and_clip(self, learned: list, where: str) -> None:
        norm = nn.utils.get_total_norm([parameter.grad for parameter in learned])
        if not torch.isfinite(norm):
            names = {parameter: name for name, parameter in self.plain.named_parameters()}
            bad = [names.get(p, f"one of shape {tuple(p.shape)}") for p in learned if not p.grad.isfinite().all()]
            which = f"that of {listed(bad)}" if bad else "all are finite, their squares too large"
            raise FloatingPointError(f"gradient: expected a finite norm, got {float(norm)} in {where}: {which}")
        if self.clip_norm is not None:
            nn.utils.clip_grads_with_norm_(learned, self.clip_norm, norm)

    def check_weights(self, batches: int) -> None:
        """Before they are written: an update may overflow."""
        if bad := nonfinite_weights(self.plain):
            raise FloatingPointError(
                f"weights: expected finite numbers, got NaN or infinity in epoch {self.state.epoch}, "
                f"after batch {batches}: in {listed(bad)}"
            )
