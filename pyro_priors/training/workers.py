"""DataLoaders whose worker processes stay: begun without a draw, so that every pass over the data draws as much."""

from typing import Any

import torch

from pyro_priors.training.random_states import generators, random_states, set_random_states


def stays(source: Any) -> bool:
    """Whether it is a loader whose workers outlive a pass over the data."""
    return bool(getattr(source, "persistent_workers", False) and getattr(source, "num_workers", 0))


def forget_workers(source: Any) -> None:
    """Let a loader begin with new workers, as one that has not been read yet."""
    if stays(source):
        _inner(source)._iterator = None


def begin_workers(source: Any) -> None:
    """Start what workers a loader keeps, once: its first pass alone would draw a seed for them, before its order."""
    if not stays(source) or _inner(source)._iterator is not None:
        return
    cpu, own = torch.device("cpu"), generators(source)
    before, states = random_states(cpu), [generator.get_state() for generator in own]
    next(iter(_inner(source)), None)
    set_random_states(before, cpu)
    for generator, state in zip(own, states, strict=True):
        generator.set_state(state)


def _inner(loader: Any) -> Any:
    """Within Fabric's loader."""
    return getattr(loader, "_dataloader", loader)
