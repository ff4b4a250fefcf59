"""Modules that remember what they were made with, so that a file can say it (`pyro_priors.training.save`)."""

import functools
import inspect
from collections.abc import Callable, Mapping
from typing import Any, NamedTuple

import torch
from torch import Tensor, nn


class OfShape(NamedTuple):
    """Stands for a tensor among the arguments: its values are the module's weights by now."""

    shape: tuple[int, ...]
    dtype: torch.dtype


class Recorded(nn.Module):
    """Base of networks, priors and programs that can be made again from their constructor's arguments.

    Example:
        >>> class Scaled(Recorded):
        ...     def __init__(self, size: int, factor: float = 2.0) -> None:
        ...         super().__init__()
        ...         self.factor = factor
        >>> arguments_of(Scaled(3))
        {'size': 3, 'factor': 2.0}
    """

    def __init_subclass__(cls, **kwargs: Any) -> None:
        super().__init_subclass__(**kwargs)
        if "__init__" in cls.__dict__:
            cls.__init__ = _recording(cls.__init__)


def _recording(init: Callable[..., None]) -> Callable[..., None]:
    signature = inspect.signature(init)
    various = inspect.Parameter.VAR_POSITIONAL, inspect.Parameter.VAR_KEYWORD
    variadic = any(part.kind in various for part in signature.parameters.values())

    @functools.wraps(init)
    def __init__(self: nn.Module, *args: Any, **kwargs: Any) -> None:
        if "_arguments" not in self.__dict__:  # the outermost of its class and those above
            try:
                bound = signature.bind(self, *args, **kwargs)
            except TypeError:
                bound = None  # the call below says what is wrong with it
            if bound is not None:
                bound.apply_defaults()
                values = {name: _copied(value) for name, value in list(bound.arguments.items())[1:]}
                # No attribute yet: nn.Module is not set up. None: it cannot be made again from what a file can say.
                self.__dict__["_arguments"] = None if variadic else values
        init(self, *args, **kwargs)

    return __init__


def _copied(value: Any) -> Any:
    """What a caller may change afterwards as it is now, and numbers that become weights as their shape."""
    if isinstance(value, Tensor):
        return OfShape(tuple(value.shape), value.dtype) if value.is_floating_point() else value.detach().cpu().clone()
    if isinstance(value, Mapping):
        return dict(value)
    return list(value) if isinstance(value, list) else value


def arguments_of(module: nn.Module) -> dict[str, Any] | None:
    """The arguments that make a module like this one; None where it has not recorded any.

    Where the module has an attribute of an argument's name, that is what it is now: a schedule may have set it, or
    another part may have been put in the place of the first.
    """
    recorded = module.__dict__.get("_arguments", {} if isinstance(module, Recorded) else None)
    if recorded is None:
        return None
    return {name: _now(getattr(module, name, value), value) for name, value in recorded.items()}


def _now(present: Any, recorded: Any) -> Any:
    simple = bool | int | float | str | None
    if isinstance(present, nn.Module):  # in the place of another, or of a word or None that stood for it
        return present if isinstance(recorded, nn.Module | str | None) else recorded
    return present if isinstance(present, simple) and isinstance(recorded, simple) else recorded
