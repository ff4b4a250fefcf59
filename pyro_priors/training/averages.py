"""Moving averages of weights."""

from typing import Any

from torch import nn
from torch.optim.swa_utils import AveragedModel, get_ema_multi_avg_fn

from pyro_priors.checks import check_count
from pyro_priors.training.callbacks import Callback, FitState
from pyro_priors.training.checkpoints import load_into


class ExponentialAverage(Callback):
    """Average a module's weights and buffers over the steps of `fit`, and leave it with the average at the end.

    Another training begins another average.

    References:
        Yazici et al., "The unusual effectiveness of averaging in GAN training", 2019, arXiv:1806.04498.

    Args:
        module: such as a generator.
        decay: weight of the past, in [0, 1).
        every: batches between its steps, as that of its `OptimizationStep`.

    Raises:
        ValueError: a decay outside [0, 1), every < 1.
    """

    def __init__(self, module: nn.Module, decay: float = 0.999, every: int = 1) -> None:
        if not 0 <= decay < 1:
            raise ValueError(f"decay: expected a number in [0, 1), got {decay}")
        self.module, self.decay, self.every = module, decay, check_count("every", every)
        self.average: AveragedModel | None = None

    def on_fit_start(self, state: FitState) -> None:
        self.average = None

    def on_step_end(self, state: FitState) -> None:
        if (state.step + 1) % self.every:
            return
        if self.average is None:
            self.average = self._start()
        self.average.update_parameters(self.module)

    def _start(self) -> AveragedModel:
        return AveragedModel(self.module, multi_avg_fn=get_ema_multi_avg_fn(self.decay), use_buffers=True)

    def state_dict(self) -> dict[str, Any]:
        return {"average": None if self.average is None else self.average.state_dict()}

    def load_state_dict(self, state: dict[str, Any]) -> None:
        self.average = None
        if state["average"] is not None:
            self.average = self._start()
            load_into(self.average, state["average"])

    def on_fit_end(self, state: FitState) -> bool:
        if self.average is None:
            return False
        self.module.load_state_dict(self.average.module.state_dict())
        return True
