"""Checks of values that a transform hides."""

from collections.abc import Callable
from typing import TypeVar

from torch import Tensor

from pyro_priors.ops import transformed

T = TypeVar("T")


def where_seen(build: Callable[[bool | None], T], validate_args: bool | None) -> T:
    """A law with its checks of parameters; without, where `torch.func.vmap` hides them (from torch before 2.7)."""
    try:
        return build(validate_args)
    except RuntimeError:
        if not transformed():
            raise
        return build(False)


def if_seen(check: Callable[[Tensor], object], value: Tensor) -> None:
    """A law's check of a value; likewise."""
    try:
        check(value)
    except RuntimeError:
        if not transformed():
            raise
