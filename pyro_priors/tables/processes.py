"""The processes that fit one table together: those of the group that Fabric or torchrun made, else this one alone."""

from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from typing import Any, TypeVar

import torch
import torch.distributed as dist
from torch import Tensor

T = TypeVar("T")


def rank() -> int:
    """Which of the processes this is, from 0."""
    return dist.get_rank() if count() > 1 else 0


def count() -> int:
    """How many there are."""
    return dist.get_world_size() if dist.is_available() and dist.is_initialized() else 1


def own(rows: Tensor) -> Tensor:
    """Those of rows ``(n, ...)`` that are this process's share: all of them where it is alone."""
    return rows if count() == 1 else rows[rank() :: count()]


def gathered(value: T) -> list[T]:
    """What each process has, in their order."""
    if count() == 1:
        return [value]
    values: list[Any] = [None] * count()
    dist.all_gather_object(values, value)
    return values


def of_first(value: T) -> T:
    """What the first process has: a decision that all must share, though clocks differ."""
    if count() == 1:
        return value
    values = [value]
    dist.broadcast_object_list(values, src=0)
    return values[0]


def add_up(tensors: Sequence[Tensor]) -> None:
    """Sum each tensor over the processes, in place, in one message."""
    if count() == 1 or not tensors:
        return
    flat = torch.cat([tensor.reshape(-1) for tensor in tensors])
    dist.all_reduce(flat)
    for tensor, part in zip(tensors, flat.split([tensor.numel() for tensor in tensors]), strict=True):
        tensor.copy_(part.view_as(tensor))


@contextmanager
def together() -> Iterator[None]:
    """What a process raises within this, before they share any work, all raise: none waits for it.

    Raises:
        ValueError: another process raised something.
    """
    error: Exception | None = None
    try:
        yield
    except Exception as raised:  # whatever it is, the others must hear of it
        error = raised
    errors = gathered(None if error is None else f"{type(error).__name__}: {error}")
    if error is not None:
        raise error
    for number, message in enumerate(errors):
        if message is not None:
            raise ValueError(f"process {number} of {count()} cannot go on: {message}")


def check_alike(values: Mapping[str, Any]) -> None:
    """That all processes have the same; `ValueError` names what differs from the first one's."""
    first = of_first(dict(values))
    if differing := [name for name, value in values.items() if first.get(name) != value]:
        what = ", ".join(differing)
        raise ValueError(f"processes: expected what the first of {count()} has in each, got others ({what})")


@contextmanager
def linked() -> Iterator[None]:
    """An error within this ends the connections between the processes: those that wait for this one raise too."""
    try:
        yield
    except BaseException:
        if count() > 1:
            dist.destroy_process_group()
        raise
