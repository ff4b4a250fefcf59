"""What a training shows while it runs: curves for TensorBoard, images."""

import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import torch
from torch import nn

from pyro_priors.checks import check_count
from pyro_priors.training.callbacks import Callback, FitState
from pyro_priors.training.modes import evaluating
from pyro_priors.training.random_states import random_states, set_random_states


class TensorBoard(Callback):
    """Write every row of metrics.csv for TensorBoard too: `tensorboard --logdir FOLDER`.

    A resumed training goes on in the same folder, another one writes files of its own there.

    Args:
        folder: where its event files go.

    Raises:
        ModuleNotFoundError: neither tensorboard nor tensorboardX is installed.
    """

    def __init__(self, folder: str | Path) -> None:
        self.folder = folder
        self.logger = self._opened()

    def _opened(self) -> Any:
        from lightning_fabric.loggers.tensorboard import TensorBoardLogger

        # Its files are named by the second: a training that is resumed within one must not write over them.
        return TensorBoardLogger(self.folder, name="", version="", filename_suffix=f".{time.time_ns()}")

    def on_fit_start(self, state: FitState) -> None:
        self.logger = self._opened()

    def on_row(self, state: FitState, row: dict[str, float]) -> None:
        if state.fabric.is_global_zero:
            self.logger.log_metrics({name: value for name, value in row.items() if name != "epoch"}, int(row["epoch"]))
            self.logger.save()

    def on_fit_end(self, state: FitState) -> bool:
        self.logger.finalize("success")
        return False


class Draw(Callback):
    """Call `draw(model, epoch)` after every so many epochs, on rank 0, to save images of a model in training.

    Meanwhile the model is on the CPU, in evaluation mode and without gradients. The training's random numbers are as if
    nothing had been drawn.

    Args:
        draw: what draws and saves.
        every: epochs between drawings.
    """

    def __init__(self, draw: Callable[[nn.Module, int], Any], every: int = 1) -> None:
        self.draw, self.every = draw, check_count("every", every)

    @torch.no_grad()
    def on_row(self, state: FitState, row: dict[str, float]) -> None:
        if state.epoch % self.every or not state.fabric.is_global_zero:
            return
        before = random_states(state.fabric.device)
        with evaluating(state.model):
            try:
                self.draw(state.model.cpu(), state.epoch)
            finally:
                state.model.to(state.fabric.device)
                set_random_states(before, state.fabric.device)
