"""The order of the variables in a chain before any data are seen."""

from collections.abc import Sequence
from typing import Literal, get_args

import torch
from torch import Tensor

from pyro_priors.checks import check_permutation

OrderName = Literal["data", "random", "declared", "spread"]
Order = OrderName | Sequence[int]


def first_order(order: Order | Tensor | None, columns: int, latents: int = 0) -> Tensor | None:
    """A permutation of the columns; declared order where the data are to decide later, None where None is given.

    Args:
        order: its name, or itself; ``"spread"``: columns after the latents evenly among these.
        columns: their number.
        latents: how many of them, the first, are latents.

    Raises:
        ValueError: an unknown name, no permutation, nothing to spread or nothing to spread it among.
    """
    if order is None:
        return None
    if isinstance(order, str):
        if order not in get_args(OrderName):
            raise ValueError(f"order: expected 'data', 'random', 'declared', 'spread' or a permutation, got {order!r}")
        if order == "spread":
            if not 0 < latents < columns:
                raise ValueError("order: expected latents and attributes to spread among them, got 'spread' without")
            return torch.tensor(spread(range(latents, columns), latents))
        return torch.randperm(columns) if order == "random" else torch.arange(columns)
    return torch.tensor(check_permutation("order", order, columns))


def spread(others: Sequence[int], latents: int) -> list[int]:
    """Latents 0, 1, ... in their order, and others evenly among them, in theirs.

    Example:
        >>> spread([4, 6, 5], latents=4)
        [0, 4, 1, 6, 2, 5, 3]
    """
    count = latents + len(others)
    at = {int((place + 0.5) * count / len(others)): other for place, other in enumerate(others)}
    between = iter(range(latents))
    return [at[place] if place in at else next(between) for place in range(count)]
