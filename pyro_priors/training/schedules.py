"""Schedules of the global step, and early stopping."""

import math


class LinearWarmup:
    """A straight line from `start` to `end` over `steps` global steps, then `end`. A pure function of the step.

    Before, it is `start` for `delay` steps.

    Example:
        >>> beta = LinearWarmup(steps=4)
        >>> [beta(step) for step in (0, 1, 4, 9)]
        [0.0, 0.25, 1.0, 1.0]
    """

    def __init__(self, steps: int, start: float = 0.0, end: float = 1.0, delay: int = 0) -> None:
        for name, count in (("steps", steps), ("delay", delay)):
            if count < 0:
                raise ValueError(f"{name}: expected at least 0, got {count!r}")
        self.steps, self.start, self.end, self.delay = steps, start, end, delay

    def __call__(self, step: int) -> float:
        step -= self.delay
        if step < 0:
            return self.start
        if step >= self.steps:
            return self.end
        return self.start + (self.end - self.start) * step / self.steps


class Until:
    """True for `steps` global steps, then False.

    Example:
        >>> [Until(steps=2)(step) for step in (0, 1, 2)]
        [True, True, False]
    """

    end = False

    def __init__(self, steps: int) -> None:
        self.steps = steps

    def __call__(self, step: int) -> bool:
        return step < self.steps


class EarlyStopping:
    """Stop when a loss has not fallen by more than `min_delta` for `patience` epochs in a row.

    Example:
        >>> stopping = EarlyStopping(patience=2)
        >>> [stopping.update(loss) for loss in (3.0, 2.0, 2.5, 2.2)]
        [False, False, False, True]
        >>> stopping.best
        2.0
    """

    def __init__(self, patience: int, min_delta: float = 0.0) -> None:
        if patience < 1:
            raise ValueError(f"patience: expected at least 1 epoch, got {patience!r}")
        if min_delta < 0:
            raise ValueError(f"min_delta: expected at least 0, got {min_delta!r}")
        self.patience, self.min_delta = patience, min_delta
        self.best, self.waited = math.inf, 0

    def on_fit_start(self, state: object = None) -> None:
        """Before a training that does not resume: no loss has come yet."""
        self.best, self.waited = math.inf, 0

    def update(self, loss: float) -> bool:
        """Note the loss of one epoch; whether to stop now."""
        if loss < self.best - self.min_delta:
            self.best, self.waited = loss, 0
        else:
            self.waited += 1
        return self.waited >= self.patience

    def state_dict(self) -> dict[str, float]:
        return {"best": self.best, "waited": self.waited}

    def load_state_dict(self, state: dict[str, float]) -> None:
        self.best, self.waited = state["best"], int(state["waited"])
