"""The states of random number generators, as tensors."""

import math
import random
from typing import Any

import numpy as np
import torch
from torch import Tensor


def random_states(device: torch.device) -> dict[str, Tensor]:
    """Those of python, numpy and torch, and torch's on a CUDA device.

    Example:
        >>> device = torch.device("cpu")
        >>> states = random_states(device)
        >>> first = torch.rand(2)
        >>> set_random_states(states, device)
        >>> torch.equal(torch.rand(2), first)
        True
    """
    _, words, gauss = random.getstate()
    state: Any = np.random.get_state()  # noqa: NPY002 (the global one is what others draw from)
    _, keys, position, has_gauss, cached = state
    states = {
        "torch": torch.get_rng_state(),
        "python": torch.tensor(words),
        "python_gauss": torch.tensor(math.nan if gauss is None else gauss, dtype=torch.float64),
        "numpy": torch.tensor([*keys.tolist(), position, has_gauss]),
        "numpy_gauss": torch.tensor(cached, dtype=torch.float64),
    }
    return states | ({"cuda": torch.cuda.get_rng_state(device)} if device.type == "cuda" else {})


def set_random_states(states: dict[str, Tensor], device: torch.device) -> None:
    """Go on as when `random_states` returned these."""
    torch.set_rng_state(states["torch"].cpu())
    gauss = states["python_gauss"].item()
    random.setstate((3, tuple(states["python"].tolist()), None if math.isnan(gauss) else gauss))
    *keys, position, has_gauss = states["numpy"].tolist()
    cached = states["numpy_gauss"].item()
    np.random.set_state(("MT19937", np.array(keys, np.uint32), position, has_gauss, cached))  # noqa: NPY002
    if "cuda" in states and device.type == "cuda":
        torch.cuda.set_rng_state(states["cuda"].cpu(), device)


def generators(*sources: Any) -> list[torch.Generator]:
    """The generators that DataLoaders and their samplers were given, each once; other sources have none.

    Example:
        >>> from torch.utils.data import BatchSampler, DataLoader, RandomSampler
        >>> own = torch.Generator()
        >>> batches = BatchSampler(RandomSampler(range(9), generator=own), 3, drop_last=False)
        >>> generators(DataLoader(range(9), batch_sampler=batches)) == [own]
        True
    """
    samplers = [getattr(loader, name, None) for loader in sources for name in ("sampler", "batch_sampler")]
    parts = [*sources, *samplers, *(getattr(sampler, "sampler", None) for sampler in samplers)]
    distinct = dict.fromkeys(getattr(part, "generator", None) for part in parts)
    return [generator for generator in distinct if isinstance(generator, torch.Generator)]
