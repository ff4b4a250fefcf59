"""The updates of `fit`: losses, gradients that wait or are clipped, and what is told where one is not finite."""

import contextlib
import math
from typing import Any, NamedTuple

import pyro
import torch
from torch import Tensor, nn

from inference.callbacks import FitState
from inference.traces import find_nonfinite


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
        self.clip_norm = math.inf if clip_norm is None else clip_norm
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
            FloatingPointError: the loss, or the norm of the gradient, is not finite.
        """
        with contextlib.nullcontext() if last else self.fabric.no_backward_sync(self.losses):
            loss, terms = self._loss(index, batch, number)
            self._backward(loss, self.optimizers[index])
        if last:
            self._update(index, batch, number)
        return loss.detach(), terms

    def _loss(self, index: int, batch: tuple, number: int) -> tuple[Tensor, NamedTuple]:
        """That of one step on a batch, with its terms."""
        first, mistake = self.state.step + 1 == self.every[index], None
        try:
            with pyro.validation_enabled(first):
                loss, terms = self(index, batch)
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
        named = {name: p for name, p in self.plain.named_parameters() if p.requires_grad}
        with self.fabric.autocast():
            loss, _ = self.plain(index, *batch)
        gradients = torch.autograd.grad(loss, list(named.values()), allow_unused=True)
        bad = [n for n, g in zip(named, gradients, strict=True) if g is not None and not g.isfinite().all()]
        return f"that of {_listed(bad)}" if bad else "those of a second pass are finite"

    def check_weights(self, batches: int) -> None:
        """Before they are written: an update may overflow."""
        bad = [name for name, p in self.plain.named_parameters() if not p.isfinite().all()]
        if bad:
            raise FloatingPointError(
                f"weights: expected finite numbers, got NaN or infinity in epoch {self.state.epoch}, "
                f"after batch {batches}: in {_listed(bad)}"
            )


def _listed(names: list[str]) -> str:
    """The first of some parameters."""
    names = [name.removeprefix("model.") for name in names]
    return ", ".join(names[:3]) + (f" and {len(names) - 3} more" if len(names) > 3 else "")


def _unclean(x: Any) -> str:
    """What is wrong with the first tensor of a batch itself."""
    count = int((~x.isfinite()).sum()) if isinstance(x, Tensor) else 0
    return f" (the batch has {count} such values itself)" if count else ""
