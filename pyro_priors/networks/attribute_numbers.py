"""Attributes as numbers that a network takes."""

from collections.abc import Mapping

import torch
from torch import Tensor
from torch.nn.functional import one_hot

from pyro_priors import Discrete
from pyro_priors.distributions.kinds import Kind, check_scalars


def attribute_features(attributes: Mapping[str, Kind], *, known: bool = False) -> int:
    """How many numbers `attribute_numbers` makes of a row."""
    check_scalars(attributes)
    numbers = sum(kind.categories - 1 if isinstance(kind, Discrete) else 1 for kind in attributes.values())
    return numbers + known * len(attributes)


def attribute_numbers(y: Tensor, attributes: Mapping[str, Kind], *, known: bool = False) -> Tensor:
    """A discrete attribute of K categories as K - 1 indicators, category 0 being all zeros, a continuous one as it is.

    Args:
        y: `(*, n_attributes)`, floats, integers or booleans, without NaN unless `known`.
        attributes: the kind of each column.
        known: missing entries (NaN) are zeros, and an indicator a column says which are there.

    Returns:
        `(*, F)` for F = `attribute_features(attributes, known=known)`

    Example:
        >>> from pyro_priors import Continuous
        >>> attribute_numbers(torch.tensor([[2.0, 0.5]]), {"digit": Discrete(3), "age": Continuous(4)})
        tensor([[0.0000, 1.0000, 0.5000]])
        >>> attribute_numbers(torch.tensor([[torch.nan], [2.0]]), {"digit": Discrete(3)}, known=True)
        tensor([[0., 0., 0.],
                [0., 1., 1.]])
    """
    check_scalars(attributes)
    y = y if y.is_floating_point() else y.float()
    there = ~y.isnan()
    y = y.nan_to_num(0.0) if known else y
    columns = [
        one_hot(column.long(), kind.categories)[..., 1:].to(y) if isinstance(kind, Discrete) else column[..., None]
        for column, kind in zip(y.unbind(-1), attributes.values(), strict=True)
    ]
    return torch.cat([*columns, there.to(y)] if known else columns, -1)
