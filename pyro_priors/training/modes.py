"""Training and evaluation mode of modules, restored after something else is done."""

import contextlib
from collections.abc import Iterator
from typing import Any

from torch import nn


@contextlib.contextmanager
def modes_restored(*modules: nn.Module) -> Iterator[None]:
    """Afterwards every module within these is in the mode that it was in."""
    modes = [(part, part.training) for module in modules for part in module.modules()]
    try:
        yield
    finally:
        for part, training in modes:
            part.training = training


@contextlib.contextmanager
def evaluating(*programs: Any) -> Iterator[None]:
    """Within it the modules that these programs are, or are methods of, are in evaluation mode."""
    owners = [getattr(program, "__self__", program) for program in programs]
    modules = [owner for owner in owners if isinstance(owner, nn.Module)]
    with modes_restored(*modules):
        for module in modules:
            module.eval()
        yield
