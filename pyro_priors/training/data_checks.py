"""What can be said of data before a training reads them: whether they run once, and how small a batch gets."""

import types
from collections.abc import Iterable
from typing import Any

from torch.utils.data import BatchSampler, DataLoader

from pyro_priors.objectives.traces import as_tuple

ONCE = types.GeneratorType, map, zip, filter


def check_data(steps: list, data: Iterable, validation: Iterable | None, epochs: int, processes: int) -> None:
    """`ValueError` for data that run once, where several epochs read them, and batches smaller than a loss needs."""
    parts: list[tuple[str, Any, list]] = [("data", data, steps)]
    if getattr(steps[0].objective, "steady", True):  # the others need a batch for their gradients' baseline alone
        parts.append(("validation", validation, steps[:1]))
    for name, source in (("data", data), ("validation", validation)):
        if epochs > 1 and isinstance(source, ONCE):
            raise ValueError(
                f"{name}: expected batches for each of {epochs} epochs, got a {type(source).__name__}, which runs only "
                "once (a list or a DataLoader can be read again)"
            )
    for name, source, judged in parts:
        smallest = _smallest(source, processes)
        for objective in (step.objective for step in judged):
            least = getattr(objective, "least_batch", 1)
            if smallest is not None and smallest < least:
                raise ValueError(
                    f"{name}: expected at least {least} {'example' if least == 1 else 'examples'} in every batch, as "
                    f"{type(objective).__name__} needs, got a batch of {smallest} (drop_last=True of a DataLoader "
                    "leaves out a smaller last one)"
                )


def _smallest(source: Any, processes: int) -> int | None:
    """Examples in the smallest batch of an epoch; None where that cannot be known before."""
    if isinstance(source, list | tuple):
        sizes = [len(as_tuple(batch)[0]) for batch in source if hasattr(as_tuple(batch)[0], "__len__")]
        return min(sizes, default=None)
    batches = source.batch_sampler if isinstance(source, DataLoader) else None
    if type(batches) is not BatchSampler or not hasattr(batches.sampler, "__len__"):
        return None
    examples = -(-len(batches.sampler) // processes)  # pyright: ignore[reportArgumentType] (it has a length)
    if batches.drop_last:
        return batches.batch_size
    return examples % batches.batch_size or batches.batch_size
