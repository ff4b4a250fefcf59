"""Missing numbers of vectors drawn from the law, so that a step of a fit knows of no gaps in them."""

import torch
from torch import Tensor

from pyro_priors.modules.ttlp import TTLP

CHUNK = 4000  # rows at a time


@torch.no_grad()
def completed(prior: TTLP, rows: Tensor, width: int) -> Tensor:
    """Rows ``(n, W)`` with the gaps in the first `width` columns drawn given all that is known of their row.

    The gradient of the log-density of rows that were completed so is in the mean that of the rows as they are (Fisher's
    identity), and costs one product of matrices where gaps would cost a factor for each pattern of them.
    """
    missing = rows[:, :width].isnan()
    result = rows.clone()
    gaps = missing.any(1).nonzero()[:, 0]
    if not len(gaps):
        return result
    law = prior()
    together = gaps[patterns_of(missing[gaps]).argsort(stable=True)]  # each pattern has its price, once a chunk
    for part in together.split(CHUNK):
        result[part, :width] = law.impute(rows[part])[:, :width]
    return result


def patterns_of(missing: Tensor) -> Tensor:
    """Which pattern of gaps each row has, numbered: ``(n, k) -> (n,)``"""
    if not missing.shape[1]:
        return torch.zeros(len(missing), dtype=torch.long)
    return missing.unique(dim=0, return_inverse=True)[1]


@torch.no_grad()
def log_density(prior: TTLP, rows: Tensor) -> Tensor:
    """Of what is known of each row, ``(n, W) -> (n,)``."""
    law = prior()
    return torch.cat([law.log_prob(part) for part in rows.split(CHUNK)])


def hidden(codes: Tensor, chances: Tensor, share: float) -> Tensor:
    """Which known cells of rows to hide: those of a chance below the share, one at least and not all of a row.

    Shapes:
        ``codes (n, C)``, ``chances (n, C)`` uniform on [0, 1] -> booleans ``(n, C)``
    """
    known = ~codes.isnan()
    chances = torch.where(known, chances, torch.inf)
    gone = (chances < share) | (chances == chances.amin(1, keepdim=True))
    last = torch.where(known, chances, -1.0).argmax(1, keepdim=True)
    return (gone & known).scatter(1, last, False)
