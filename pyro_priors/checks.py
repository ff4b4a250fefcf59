"""Checks of arguments that distributions and modules share: `ValueError` with what was expected and what came."""

from collections.abc import Iterable, Sequence
from numbers import Integral

import torch


def check_count(name: str, count: int, least: int = 1) -> int:
    if not isinstance(count, Integral) or isinstance(count, bool) or count < least:
        raise ValueError(f"{name}: expected an integer of at least {least}, got {count!r}")
    return int(count)


def check_choice(name: str, choice: str, choices: tuple[str, ...]):
    if choice not in choices:
        raise ValueError(f"{name}: expected one of {', '.join(map(repr, choices))}, got {choice!r}")


def check_permutation(name: str, order: Iterable[int] | torch.Tensor, count: int) -> tuple[int, ...]:
    entries = _numbers(order) if isinstance(order, torch.Tensor) else order
    entries = tuple(entries) if isinstance(entries, Iterable) else (entries,)
    if not all(isinstance(k, Integral) for k in entries) or sorted(entries) != list(range(count)):
        raise ValueError(f"{name}: expected a permutation of 0..{count - 1}, got {entries}")
    return tuple(map(int, entries))


def _numbers(x: torch.Tensor) -> list:
    try:
        return x.tolist()
    except RuntimeError:  # under `torch.func.grad`, before torch 2.7
        return [entry.item() for entry in x]


def check_broadcast(name: str, *shapes: Sequence[int]) -> torch.Size:
    try:
        return torch.broadcast_shapes(*shapes)
    except RuntimeError:
        listed = " and ".join(str(tuple(shape)) for shape in shapes)
        raise ValueError(f"{name}: expected batch shapes that fit each other, got {listed}") from None


class UserError(ValueError):
    """A mistake of the caller; the command line shows its message without a traceback."""


def check_seed(seed):
    """A seed of 31 bits: numpy takes 32, and every device adds its number."""
    if not 0 <= seed < 2**31:
        raise UserError(f"seed: expected 0 to {2**31 - 1}, got {seed}")
