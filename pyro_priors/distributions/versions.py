"""Whether the tensors that a law reads at every call are still those that it was built from."""

from typing import Any

import torch
from torch import Tensor


class Versions:
    """Tensors by name, and how often each had been written to when the law was built.

    A law computes with its parameters and with what it made of them once (a scale, the weights of what is given, a
    normaliser). After an optimizer step the two would belong to different laws: then `check` refuses. What cannot be
    seen is let through: tensors of inference mode have no version, nor is there one while `torch.compile` traces, and
    writing through `.data` leaves none.

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
        return [_version(x) for x in self.tensors.values()]

    def __getstate__(self) -> dict[str, Any]:
        behind = [new - old for old, new in zip(self._seen, self._now(), strict=True)]
        return {"law": self.law, "tensors": self.tensors, "behind": behind}

    def __setstate__(self, state: dict[str, Any]) -> None:
        """Copies count from 0: a copy of a law that was out of date stays so."""
        self.law, self.tensors = state["law"], state["tensors"]
        self._seen = [new - behind for new, behind in zip(self._now(), state["behind"], strict=True)]


def _version(x: Tensor) -> int:
    if torch.compiler.is_compiling():
        return 0
    try:
        return x._version
    except RuntimeError:  # a tensor of inference mode
        return 0
