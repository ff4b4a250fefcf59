"""Learning rates that fall where the validation loss no longer does, until they are spent."""

from typing import Any

import torch

from pyro_priors.training.callbacks import Callback, FitState, _groups
from pyro_priors.training.schedules import EarlyStopping


class Plateau(Callback):
    """Where an epoch has not lowered the validation loss: back to the best weights and moments, with smaller rates.

    How long a training takes is then up to the data. `stopping` ends it where the rates have fallen below a share of
    what they were; hand both to `fit`. When the training ends, by an error too, the optimizers have the rates of before
    it.

    Args:
        factor: what rates are multiplied with, between 0 and 1.
        least: share of the first rates below which training ends.

    Raises:
        ValueError: a number out of range.

    Example:
        >>> from pyro_priors.training import FitState
        >>> model = torch.nn.Linear(1, 1)
        >>> plateau = Plateau(factor=0.5, least=0.3)
        >>> state = FitState(None, model, [torch.optim.SGD(model.parameters(), lr=1.0)])
        >>> for loss in (3.0, 2.0, 2.5, 2.1):
        ...     plateau.on_row(state, {"validation_loss": loss})
        ...     print(state.optimizers[0].param_groups[0]["lr"], plateau.stopping.update(loss))
        1.0 False
        1.0 False
        0.5 False
        0.25 True
    """

    def __init__(self, factor: float = 0.4, least: float = 0.02) -> None:
        for name, value in (("factor", factor), ("least", least)):
            if not (isinstance(value, float) and 0 < value < 1):
                raise ValueError(f"{name}: expected a number between 0 and 1, got {value!r}")
        self.factor, self.least = factor, least
        self.stopping = _Spent(self)
        self._forget()

    def _forget(self) -> None:
        self.share, self.best, self._at_best, self._first = 1.0, float("inf"), None, None

    def on_fit_start(self, state: FitState) -> None:
        self._forget()

    def on_fit_exit(self, state: FitState) -> None:
        self._set_rates(state, 1.0)

    def on_row(self, state: FitState, row: dict[str, float]) -> None:
        if self._first is None:
            self._first = [group["lr"] for group in _groups(state)]
        if "validation_loss" not in row:
            raise ValueError("validation: expected data beside a Plateau, got None")
        if row["validation_loss"] < self.best:
            self.best = row["validation_loss"]
            weights = {name: tensor.clone() for name, tensor in state.model.state_dict().items()}
            self._at_best = {"weights": weights, "moments": [_moments(optimizer) for optimizer in state.optimizers]}
            return
        if self._at_best is not None:
            state.model.load_state_dict(self._at_best["weights"])
            for optimizer, moments in zip(state.optimizers, self._at_best["moments"], strict=True):
                _put_back(optimizer, moments)
        self.share *= self.factor
        self._set_rates(state, self.share)

    def _set_rates(self, state: FitState, share: float) -> None:
        for group, first in zip(
            _groups(state), self._first or [], strict=False
        ):  # none before the first epoch has ended
            group["lr"] = share * first

    def state_dict(self) -> dict[str, Any]:
        return {"share": self.share, "best": self.best, "first": self._first, "at_best": self._at_best}

    def load_state_dict(self, state: dict[str, Any]) -> None:
        self.share, self.best, self._first, self._at_best = (
            state[name] for name in ("share", "best", "first", "at_best")
        )


class _Spent(EarlyStopping):
    """Stops where the rates of a `Plateau` are spent."""

    def __init__(self, plateau: Plateau) -> None:
        super().__init__(1)
        self.plateau = plateau

    def update(self, loss: float) -> bool:
        return self.plateau.share < self.plateau.least


def _moments(optimizer: Any) -> list[dict[str, Any]]:
    """What an optimizer keeps of each parameter, copied."""
    return [_copied(optimizer.state.get(parameter, {})) for parameter in _parameters(optimizer)]


def _put_back(optimizer: Any, moments: list[dict[str, Any]]) -> None:
    for parameter, held in zip(_parameters(optimizer), moments, strict=True):
        optimizer.state[parameter] = _copied(held)


def _parameters(optimizer: Any) -> list[torch.Tensor]:
    return [parameter for group in optimizer.param_groups for parameter in group["params"]]


def _copied(held: dict[str, Any]) -> dict[str, Any]:
    return {name: value.clone() if isinstance(value, torch.Tensor) else value for name, value in held.items()}
