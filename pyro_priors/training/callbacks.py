"""What may happen between the steps of `fit`."""

import importlib
import math
import random
import warnings
from collections.abc import Callable, Iterable
from dataclasses import dataclass
from typing import Any

import torch
from torch import Tensor, nn

from pyro_priors.checks import check_count
from pyro_priors.modules.prior import Fitting
from pyro_priors.objectives.traces import as_tuple
from pyro_priors.training.random_states import generators
from pyro_priors.training.ranks import by_first
from pyro_priors.training.workers import begin_workers, forget_workers


@dataclass
class FitState:
    """What a callback sees: the Fabric engine, the model, the optimizers, and where the run is.

    `epoch` counts from 1, `step` (batches so far) from 0.
    """

    fabric: Any
    model: nn.Module
    optimizers: list[torch.optim.Optimizer]
    epoch: int = 0
    step: int = 0


class Callback:
    """Does nothing at every hook; override what you need.

    One that remembers anything forgets it in `on_fit_start`, so that it may be handed in again, and gives it to
    `state_dict`, so that a training may resume.
    """

    def on_fit_start(self, state: FitState) -> None:
        """Before a training that does not resume: forget what an earlier one has left."""

    def on_fit_exit(self, state: FitState) -> None:
        """However a training ended, by an error too: put back what was changed for its time."""

    def on_epoch_start(self, state: FitState) -> None: ...

    def on_step_start(self, state: FitState) -> None: ...

    def on_step_end(self, state: FitState) -> None: ...

    def on_validation_start(self, state: FitState) -> None: ...

    def on_validation_end(self, state: FitState) -> None: ...

    def on_fit_end(self, state: FitState) -> bool:
        """After the last epoch, the model having its best weights. Returns whether it has others now, to be kept."""
        return False

    def on_epoch_end(self, state: FitState) -> dict[str, float] | None:
        """Further columns of the epoch's row in metrics.csv."""

    def on_row(self, state: FitState, row: dict[str, float]) -> None:
        """After every epoch, when its row of metrics.csv is known."""

    def state_dict(self) -> dict[str, Any]:
        """What a resumed training must know: dicts, lists and tuples of tensors, numbers, strings and None."""
        return {}

    def load_state_dict(self, state: dict[str, Any]) -> None:
        """Go on from what `state_dict` returned."""


class Anneal(Callback):
    """Set `target.attribute` to `schedule(step)` before every step, and to `schedule.end` for validation.

    It has the value of step 0 from the start of the training, and keeps the last one after its end. Validation under
    the final value keeps the losses of different epochs comparable.

    Raises:
        ValueError: the target has no such attribute, the schedule no `end`.

    Example:
        >>> from pyro_priors.objectives import ELBO
        >>> from pyro_priors.training import LinearWarmup
        >>> objective = ELBO()
        >>> warmup = Anneal(objective, "kl_weight", LinearWarmup(steps=100))
    """

    def __init__(self, target: Any, attribute: str, schedule: Callable[[int], float]) -> None:
        if not hasattr(target, attribute):
            raise ValueError(f"attribute: expected one of {type(target).__name__}, got {attribute!r}")
        if not hasattr(schedule, "end"):
            raise ValueError(f"schedule: expected one with an `end`, such as LinearWarmup, got {schedule!r}")
        self.target, self.attribute = target, attribute
        self.schedule: Any = schedule  # with its `end`

    def on_fit_start(self, state: FitState) -> None:
        setattr(self.target, self.attribute, self.schedule(0))

    def on_step_start(self, state: FitState) -> None:
        setattr(self.target, self.attribute, self.schedule(state.step))

    def on_validation_start(self, state: FitState) -> None:
        setattr(self.target, self.attribute, self.schedule.end)

    def state_dict(self) -> dict[str, Any]:
        return {"value": getattr(self.target, self.attribute)}  # the last stays until the next step

    def load_state_dict(self, state: dict[str, Any]) -> None:
        setattr(self.target, self.attribute, state["value"])


class CosineDecay(Callback):
    """Let the learning rates of all optimizers fall from what they are to 0 over `steps` steps, along half a cosine.

    With several counts of steps they start anew after each but the last (warm restarts). When the training ends, by an
    error too, the optimizers have the rates of before it.

    References:
        Loshchilov, Hutter, "SGDR: stochastic gradient descent with warm restarts", arXiv:1608.03983, eq. 5.

    Example:
        >>> from pyro_priors.training import FitState
        >>> optimizer = torch.optim.SGD([torch.zeros(1, requires_grad=True)], lr=0.5)
        >>> decay, rates = CosineDecay(4), []
        >>> for step in range(5):
        ...     decay.on_step_start(FitState(None, None, [optimizer], step=step))
        ...     rates.append(round(optimizer.param_groups[0]["lr"], 3))
        >>> rates
        [0.5, 0.427, 0.25, 0.073, 0.0]
    """

    def __init__(self, *steps: int) -> None:
        if not steps:
            raise ValueError("steps: expected at least one count, got none")
        self.steps, self._start = [check_count("steps", count) for count in steps], None

    def on_fit_start(self, state: FitState) -> None:
        self._start = None

    def on_fit_exit(self, state: FitState) -> None:
        for group, start in zip(_groups(state), self._start or [], strict=False):  # none before the first step
            group["lr"] = start

    def on_step_start(self, state: FitState) -> None:
        groups = _groups(state)
        if self._start is None:
            self._start = [group["lr"] for group in groups]
        step, cycle = state.step, self.steps[0]
        for longer in self.steps[1:]:
            if step < cycle:
                break
            step, cycle = step - cycle, longer
        share = (1 + math.cos(math.pi * min(step / cycle, 1))) / 2
        for group, start in zip(groups, self._start, strict=True):
            group["lr"] = share * start

    def state_dict(self) -> dict[str, Any]:
        return {"start": self._start}

    def load_state_dict(self, state: dict[str, Any]) -> None:
        self._start = state["start"]


def _groups(state: FitState) -> list[dict[str, Any]]:
    return [group for optimizer in state.optimizers for group in optimizer.param_groups]


def _rows_of(prior: Any) -> int:
    """How many rows it wants to be set from."""
    return (prior.fitting() if hasattr(prior, "fitting") else Fitting()).rows


def _import_clusters() -> None:
    """What priors are set by: in some versions its first import draws from python's generator, as no later one does."""
    before = random.getstate()
    importlib.import_module("sklearn.cluster")
    random.setstate(before)


class Reinitialize(Callback):
    """Reinitialise a learnable prior from encoded data between epochs: after `first`, then every `every` epochs.

    The optimizers forget what they kept for its parameters (Adam's moments belong to the old ones). Rank 0 encodes and
    fits, all others take its parameters. Nothing happens after the last epoch: no training would follow.

    References:
        Kuznetsov et al., arXiv:1910.13148, section 3.1: a mixture fitted to encoded data, after epoch 1, then every 5.

    Args:
        prior: a module with `reinitialize(z)`, which may return False where it left its parameters alone.
        data: training data, one tensor `(n, ...)` or an iterable of batches: first what `encode` takes, second (where
            the prior has attributes) the attributes, NaN = missing.
        encode: from a batch to the distribution of its latents, as `vae.encode`; None where `prior` is a model whose
            `reinitialize` takes the data themselves, as that of `programs.CategoricalVAE`.
        first: the epoch after which it happens first.
        every: epochs between later ones; None for no later ones.
        samples: how many examples to encode; None: what the prior needs, 2,000, of chains with vectors 20,000.

    Raises:
        ValueError: the prior cannot be reinitialised, or a count < 1.
        FloatingPointError: during training, codes that are not finite.
    """

    def __init__(
        self,
        prior: nn.Module,
        data: Tensor | Iterable,
        *,
        encode: Callable[[Tensor], Any] | None,
        first: int = 1,
        every: int | None = 5,
        samples: int | None = None,
    ) -> None:
        if not hasattr(prior, "reinitialize"):
            raise ValueError(f"prior: expected one with a method reinitialize, got {type(prior).__name__}")
        samples = _rows_of(prior) if samples is None else samples
        for name, value in (("first", first), ("every", 1 if every is None else every), ("samples", samples)):
            if value < 1:
                raise ValueError(f"{name}: expected at least 1, got {value!r}")
        self.prior: Any = prior
        self.data, self.encode = data, encode
        self.first, self.every, self.samples = first, every, samples

    def on_fit_start(self, state: FitState) -> None:
        forget_workers(self.data)
        if hasattr(self.prior, "expect_rows"):
            self.prior.expect_rows()

    def on_epoch_start(self, state: FitState) -> None:
        since = state.epoch - 1 - self.first
        if since != 0 and (self.every is None or since < 0 or since % self.every):
            return
        # Rank 0 alone: every rank would draw other codes, and fit or keep other parameters.
        fresh = by_first(state.fabric, lambda: self._fresh(state))
        if fresh is None:
            return
        self.prior.load_state_dict(fresh)
        for optimizer in state.optimizers:
            for parameter in self.prior.parameters():
                optimizer.state.pop(parameter, None)

    def state_dict(self) -> dict[str, Any]:
        return {"generators": [generator.get_state() for generator in generators(self.data)]}

    def load_state_dict(self, state: dict[str, Any]) -> None:
        for generator, saved in zip(generators(self.data), state["generators"], strict=True):
            generator.set_state(saved)

    def _fresh(self, state: FitState) -> dict[str, Tensor] | None:
        """The prior's parameters and buffers once reinitialised, None where it found its present ones better."""
        _import_clusters()
        z, *labels = self._encoded(state.fabric.device)
        if not z.isfinite().all():
            raise FloatingPointError(
                f"codes: expected finite numbers, got NaN or infinity after epoch {state.epoch - 1}"
            )
        with warnings.catch_warnings():  # these are draws, however narrow
            warnings.filterwarnings("ignore", "z: expected draws of q")
            changed = self.prior.reinitialize(z, *labels)
        return None if changed is False else self.prior.state_dict()

    @torch.no_grad()
    def _encoded(self, device: torch.device) -> list[Tensor]:
        """One draw of q(z given x) for each of `samples` examples, and their attributes if the prior has some."""
        if isinstance(self.data, Tensor):
            batches = ((x,) for x in self.data[torch.randperm(len(self.data))[: self.samples]].split(500))
        else:
            batches = self._batches()
        rows = [(self._code(x.to(device)), *(y.to(device) for y in labels)) for x, *labels in batches]
        return [torch.cat(part) for part in zip(*rows, strict=True)]

    def _code(self, x: Tensor) -> Tensor:
        return x if self.encode is None else self.encode(x).sample()

    def _batches(self) -> Iterable[tuple[Tensor, ...]]:
        """As many batches as hold `samples` examples."""
        left, parts = self.samples, 2 if getattr(self.prior, "attributes", None) else 1
        begin_workers(self.data)
        for batch in self.data:
            batch = tuple(part[:left] for part in as_tuple(batch)[:parts])
            left -= len(batch[0])
            yield batch
            if left == 0:
                return
        if left == self.samples:
            raise ValueError("data: expected batches every time, got none (a generator runs only once)")
