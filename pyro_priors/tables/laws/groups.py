"""Which columns of numbers share a vector."""

from collections.abc import Sequence

import numpy as np
import torch
from torch import Tensor

from pyro_priors.distributions.kinds import Continuous
from pyro_priors.modules.dependence import data_order
from pyro_priors.tables.leaves.leaves import Leaf

WIDEST = 32  # numbers of a vector: all of them, where there are no more


def number_groups(leaves: Sequence[Leaf], codes: Tensor) -> list[list[int]]:
    """Columns of numbers in groups of at most 32: all in one, or neighbours on a path along their correlation.

    Shapes:
        ``codes (n, C)`` -> places of columns among the C, each that has a score in one group
    """
    numbers = [c for c, leaf in enumerate(leaves) if any(isinstance(kind, Continuous) for kind in leaf.kinds)]
    if len(numbers) <= WIDEST:
        return [numbers] if numbers else []
    scores = torch.stack([leaves[c].encode(codes[:, c])[:, -1] for c in numbers], 1)
    known = ~scores.isnan()
    moved = torch.where(known, scores - scores.nanmean(0), 0.0)
    weight = known.to(moved)
    squares = moved.square().mT @ weight  # of each column, where the other is known too
    correlation = (moved.mT @ moved) / (squares * squares.mT).sqrt().clamp(min=1e-30)
    information = -0.5 * (1 - correlation.square().clamp(max=1 - 1e-6)).log()  # of two Gaussians
    path = data_order((information + information.mT) / 2)
    parts = np.array_split(np.array(path), -(-len(path) // WIDEST))
    return [sorted(numbers[place] for place in part) for part in parts]
