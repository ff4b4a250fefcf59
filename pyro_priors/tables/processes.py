"""The processes that fit one table together: those of the group that Fabric or torchrun made, else this one alone."""

from collections.abc import Sequence
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
