"""The order of the variables in a chain before any data are seen."""

from collections.abc import Sequence
from typing import Literal

import torch
from torch import Tensor

from pyro_priors.checks import check_permutation

OrderName = Literal["data", "random", "declared"]
Order = OrderName | Sequence[int]


def first_order(order: Order | Tensor | None, columns: int) -> Tensor | None:
    """A permutation of the columns; declared order where the data are to decide later, None where None is given.

    Raises:
        ValueError: an unknown name, no permutation.
    """
    if order is None:
        return None
    if isinstance(order, str):
        if order not in ("data", "random", "declared"):
            raise ValueError(f"order: expected 'data', 'random', 'declared' or a permutation, got {order!r}")
        return torch.randperm(columns) if order == "random" else torch.arange(columns)
    return torch.tensor(check_permutation("order", order, columns))
