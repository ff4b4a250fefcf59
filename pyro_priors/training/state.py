"""What decides how a training goes on: captured for a checkpoint, put back to resume."""

import math
from collections.abc import Iterable, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import torch
from torch import Tensor, nn

from pyro_priors.modules.prior import Prior, renewed
from pyro_priors.ops import wide
from pyro_priors.training.callbacks import Callback, FitState
from pyro_priors.training.checkpoints import CheckpointError, differences, is_schema, load_into, shapes
from pyro_priors.training.random_states import generators, random_states, set_random_states


@dataclass
class Progress:
    """How far a training is.

    Args:
        epochs: whole ones; `batches` of the next one, on which `seconds` went; `totals` are its means so far.
        began: the random states where those batches began.
        best_weights: None where these are the last.
    """

    epochs: int = 0
    batches: int = 0
    seconds: float = 0.0
    totals: list = field(default_factory=list)
    began: dict | None = None
    history: list[dict[str, float]] = field(default_factory=list)
    best_epoch: int = 0
    best_loss: float = math.inf
    best_weights: dict[str, Tensor] | None = None
    stopped: bool = False


class Means:
    """Means of named scalars weighted by batch size, kept on their device until read."""

    def __init__(self, count: int = 0, totals: dict[str, Tensor] | None = None) -> None:
        self.count, self.totals = count, totals or {}

    def add(self, count: int, **values: Tensor) -> None:
        self.count += count
        for name, value in values.items():
            self.totals[name] = self.totals.get(name, 0.0) + count * wide(value)

    def read(self, fabric: Any, prefix: str) -> Iterable[tuple[str, float]]:
        """The means over all ranks, under `prefix_name`."""
        if self.count == 0:
            raise ValueError(f"{prefix} data: expected batches in every epoch, got none (a generator runs only once)")
        count = fabric.all_reduce(torch.tensor(float(self.count), device=fabric.device), reduce_op="sum")
        for name, total in self.totals.items():
            yield f"{prefix}_{name}", float(fabric.all_reduce(total, reduce_op="sum") / count)


class Restorable:
    """The parts of a training that hold state.

    Args:
        losses: objectives and model in one module.
        steps: `OptimizationStep`s.
        state: what callbacks see.
        early_stopping: or None.
        loaders: training and validation data.
        accumulate: batches of one update.
    """

    def __init__(
        self,
        losses: nn.Module,
        steps: Sequence,
        state: FitState,
        callbacks: Sequence[Callback],
        early_stopping,
        loaders,
        accumulate: int,
    ) -> None:
        self.losses, self.state, self.callbacks = losses, state, callbacks
        self.steps, self.early_stopping, self.loaders = steps, early_stopping, loaders
        self.accumulate = accumulate
        self.fabric, self.generators = state.fabric, generators(*loaders)

    def held(self) -> list[nn.Module]:
        """Modules of objectives that are no modules themselves, as a discriminator."""
        plain = [step.objective for step in self.steps if not isinstance(step.objective, nn.Module)]
        attributes = [value for objective in plain for value in getattr(objective, "__dict__", {}).values()]
        return [value for value in attributes if isinstance(value, nn.Module)]

    def made_of(self) -> dict[str, Any]:
        """What a checkpoint must agree with."""
        data = self.loaders[0]
        return {
            "steps": [
                (type(step.objective).__name__, type(step.optimizer).__name__, step.every, _sizes(step.optimizer))
                for step in self.steps
            ],
            "callbacks": [type(callback).__name__ for callback in self.callbacks],
            "early_stopping": self.early_stopping is not None,
            "batches of an epoch": len(data) if hasattr(data, "__len__") else None,
            "accumulate": self.accumulate,
            "devices": self.fabric.world_size,
            "weights": _shapes([self.losses, *self.held()]),
        }

    def began(self) -> dict[str, Any]:
        """The random states where the batches of an epoch begin; of every rank."""
        return {"random": self._random(), "generators": [generator.get_state() for generator in self.generators]}

    def capture(self, progress: Progress) -> dict[str, Any]:
        """All of it, as `save_state` takes it; every rank must call this."""
        keep: Any = {"keep_vars": True}  # the tensors themselves: one that is known by several names is written once
        return {
            "made_of": self.made_of(),
            "progress": {**vars(progress), "totals": self._everyones(progress.totals)},
            "step": self.state.step,
            "weights": self.losses.state_dict(**keep),
            "held": [module.state_dict(**keep) for module in self.held()],
            "modes": [module.training for module in self.losses.modules()],
            "optimizers": [optimizer.state_dict() for optimizer in self.state.optimizers],
            "callbacks": [callback.state_dict() for callback in self.callbacks],
            "early_stopping": None if self.early_stopping is None else self.early_stopping.state_dict(),
            "precision": self.fabric.strategy.precision.state_dict(),
            "now": self.began(),
        }

    def restore(self, captured: dict[str, Any], path: Path) -> Progress:
        """Put back what `capture` returned; nothing is changed on an error.

        Raises:
            CheckpointError: it is that of another training.
        """
        expected = self.made_of()
        weights, *held = (
            renewed(module, kept)
            for module, kept in zip([self.losses, *self.held()], [captured["weights"], *captured["held"]], strict=False)
        )
        for part, got in captured["made_of"].items():
            if part == "weights":
                got = {name: shape for name, shape in got.items() if not is_schema(name)}
                got |= {name: shape for name, shape in _numbered([weights, *held]).items() if name in got}
            if expected[part] != got:
                how = f"expected {expected[part]}, got {got}"
                how = differences(expected[part], got) if part == "weights" else how
                raise CheckpointError(f"path: {path} is the checkpoint of another training ({part}: {how})")
        own, saved = len(self.generators), len(captured["now"]["generators"])
        if own != saved:
            raise CheckpointError(
                f"path: {path} is the checkpoint of another training (generators of loaders and their samplers: "
                f"expected {own}, got {saved})"
            )
        try:
            load_into(self.losses, weights)
            for module, kept in zip(self.held(), held, strict=True):
                load_into(module, kept)
        except ValueError as error:  # a prior of other variables
            raise CheckpointError(f"path: {path} is the checkpoint of another training ({error})") from error
        for module, training in zip(self.losses.modules(), captured["modes"], strict=True):
            module.training = training
        for optimizer, state in zip(self.state.optimizers, captured["optimizers"], strict=True):
            load_optimizer(optimizer, state, [self.losses, *self.held()])
        for callback, state in zip(self.callbacks, captured["callbacks"], strict=True):
            callback.load_state_dict(state)
        if self.early_stopping is not None:
            self.early_stopping.load_state_dict(captured["early_stopping"])
        self.fabric.strategy.precision.load_state_dict(captured["precision"])
        self.state.step = captured["step"]
        progress = Progress(**captured["progress"])
        self.state.epoch = progress.epochs
        progress.totals = self.fabric.to_device(self._own(progress.totals))
        self.set_random(captured["now"])
        self.set_generators(captured["now"])
        return progress

    def set_random(self, began: dict[str, Any]) -> None:
        set_random_states(began["random"][self.fabric.global_rank], self.fabric.device)

    def set_generators(self, began: dict[str, Any]) -> None:
        for generator, state in zip(self.generators, began["generators"], strict=True):
            generator.set_state(state)

    def _everyones(self, totals: list) -> list:
        """Sums of every rank, in one tensor each; all have the same counts."""
        return [(count, self.fabric.all_gather(sums)) for count, sums in totals]

    def _own(self, totals: list) -> list:
        """What `_everyones` has gathered of this rank."""
        if self.fabric.world_size == 1:
            return totals
        rank = self.fabric.global_rank
        return [(count, {name: total[rank].clone() for name, total in sums.items()}) for count, sums in totals]

    def _random(self) -> list[dict[str, Tensor]]:
        """The states of all ranks."""
        own = random_states(self.fabric.device)
        if self.fabric.world_size == 1:
            return [own]
        everyones = self.fabric.all_gather({name: state.to(self.fabric.device) for name, state in own.items()})
        ranks = range(len(everyones["torch"]))
        # A copy each: a view into the tensor of all is off the bounds that torch allocates by; its generator crashes.
        return [{name: states[rank].cpu().clone() for name, states in everyones.items()} for rank in ranks]


def _shapes(modules: list[nn.Module]) -> dict[str, tuple[int, ...]]:
    """By name; modules after the first have a number before it."""
    return _numbered([module.state_dict() for module in modules])


def _numbered(states: list[dict[str, Any]]) -> dict[str, tuple[int, ...]]:
    prefixed = [(f"{index}." if index else "", state) for index, state in enumerate(states)]
    return {prefix + name: shape for prefix, state in prefixed for name, shape in shapes(state).items()}


def _sizes(optimizer: torch.optim.Optimizer) -> list[int]:
    return [len(group["params"]) for group in optimizer.param_groups]


def load_optimizer(optimizer: torch.optim.Optimizer, state: dict[str, Any], modules: Sequence[nn.Module] = ()) -> None:
    """Its own `load_state_dict`, and moments that lie in memory as their parameters do: fused kernels rely on it.

    Moments of priors below the modules may be those of a version that kept a parameter in another shape.
    """
    optimizer.load_state_dict(state)
    owners: dict[Tensor, tuple[Prior, str]] = {
        parameter: (part, name)
        for module in modules
        for part in module.modules()
        if isinstance(part, Prior)
        for name, parameter in part.named_parameters(recurse=False)
    }
    for parameter, moments in optimizer.state.items():
        if parameter in owners:
            part, owned = owners[parameter]
            moments |= {key: part.former(owned, x) for key, x in moments.items() if isinstance(x, Tensor)}
        for name, value in moments.items():
            if isinstance(value, Tensor) and value.shape == parameter.shape and value.stride() != parameter.stride():
                moments[name] = torch.empty_like(parameter, dtype=value.dtype).copy_(value)
