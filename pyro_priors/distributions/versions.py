"""Whether the tensors that a law reads at every call are still those that it was built from."""

import functools
from typing import Any, cast

import torch
from torch import Tensor
from torch.optim.optimizer import register_optimizer_step_post_hook
from torch.utils.weak import WeakTensorKeyDictionary

_steps = WeakTensorKeyDictionary()  # parameters of laws -> [steps that optimizers have taken with them]


class Versions:
    """Tensors by name, and how often each had been written to when the law was built.

    A law computes with its parameters and with what it made of them once (a scale, the weights of what is given). After
    an optimizer step the two would belong to different laws: then `check` refuses. Seen are torch's own count of writes
    and the steps of all optimizers, since fused ones and Pyro's write past that count. Not seen are other writes
    through `.data`, and those to tensors of inference mode.

    Example:
        >>> loc = torch.zeros(2)
        >>> versions = Versions("Normal", loc=loc)
        >>> versions.check()
        >>> _ = loc.add_(1)
        >>> versions.check()
        Traceback (most recent call last):
        ValueError: Normal: expected loc as it was when the law was built, got other numbers (by an optimizer step or \
load_state_dict since?); build the law afresh: call the prior again
    """

    def __init__(self, law: str, **tensors: Any) -> None:
        self.law, self.tensors = law, {name: x for name, x in tensors.items() if isinstance(x, Tensor)}
        self._taken = [_watch(x) for x in self.tensors.values()]
        self._seen = self._now()

    def check(self) -> None:
        """`ValueError` where one of the tensors has been written to."""
        now = self._now()
        if now != self._seen:
            changed = [name for name, old, new in zip(self.tensors, self._seen, now, strict=True) if old != new]
            raise ValueError(
                f"{self.law}: expected {', '.join(changed)} as it was when the law was built, got other numbers (by an "
                "optimizer step or load_state_dict since?); build the law afresh: call the prior again"
            )

    def _now(self) -> list[int]:
        return [_version(x) + steps for x, (steps,) in zip(self.tensors.values(), self._taken, strict=True)]

    def __getstate__(self) -> dict[str, Any]:
        behind = [new - old for old, new in zip(self._seen, self._now(), strict=True)]
        return {"law": self.law, "tensors": self.tensors, "behind": behind}

    def __setstate__(self, state: dict[str, Any]) -> None:
        """Copies count for themselves: one of a law that was out of date stays so."""
        self.law, self.tensors = state["law"], state["tensors"]
        self._taken = [_watch(x) for x in self.tensors.values()]
        self._seen = [new - behind for new, behind in zip(self._now(), state["behind"], strict=True)]


def _version(x: Tensor) -> int:
    if torch.compiler.is_compiling():
        return 0
    try:
        return x._version
    except RuntimeError:  # a tensor of inference mode
        return 0


def _watch(x: Tensor) -> list[int]:
    """Where the steps that optimizers take with a tensor are counted."""
    if x.is_leaf and not torch.compiler.is_compiling():  # also one that is frozen now
        _count_steps()
        return cast("list[int]", _steps.setdefault(x, [0]))
    return [0]


@functools.cache
def _count_steps() -> None:
    """From the first law of parameters on, once in a process."""

    def count(optimizer: torch.optim.Optimizer, args: Any, kwargs: Any) -> None:
        for group in optimizer.param_groups:
            for parameter in group["params"]:
                if parameter.grad is not None and parameter in _steps:
                    _steps[parameter][0] += 1

    register_optimizer_step_post_hook(count)
