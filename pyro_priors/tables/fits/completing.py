"""Missing numbers of vectors drawn from the law, so that a step of a fit knows of no gaps in them."""

from collections.abc import Sequence

import torch
from torch import Tensor

from pyro_priors.distributions.full_gaussians import FullGaussians
from pyro_priors.modules.ttlp import TTLP
from pyro_priors.ops.gaussians import eye_like, gap_patterns, inverse_factors

CHUNK = 4000  # rows at a time
ROUGHLY, TURNS = 5000, 8  # rows of which a Gaussian is made to complete all, and how often
MANY = 0.05  # patterns of gaps for each row
RIDGE = 1e-4  # variance that a score has beside that of the Gaussian


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
    # Each pattern has its price, once a chunk; flipped, they come in the order of their first columns.
    together = gaps[gap_patterns(missing[gaps].flip(-1))[1].argsort(stable=True)]
    for part in together.split(CHUNK):
        result[part, :width] = law.impute(rows[part])[:, :width]
    return result


@torch.no_grad()
def roughly_completed(rows: Tensor, vectors: Sequence[Sequence[int]]) -> Tensor:
    """Rows ``(n, W)`` with the gaps of each vector drawn as if its numbers were jointly Gaussian.

    Where an EM may start that knows of no gaps: draws and moments take turns, in a few thousand of the rows.
    """
    result = rows.clone()
    for places in map(list, vectors):
        value = rows[:, places].double()
        if not value.isnan().any():
            continue
        some = value[torch.randperm(len(value))[:ROUGHLY]]
        loc = some.nanmean(0).nan_to_num(0.0)
        covariance = torch.diag((some - loc).square().nanmean(0).nan_to_num(1.0).clamp(min=RIDGE))
        for _ in range(TURNS):
            drawn = _gaussian(loc, covariance, some)
            loc, moved = drawn.mean(0), drawn - drawn.mean(0)
            covariance = moved.mT @ moved / len(moved) + RIDGE * eye_like(covariance)
        result[:, places] = torch.cat([_gaussian(loc, covariance, part) for part in value.split(CHUNK)]).to(rows)
    return result


def _gaussian(loc: Tensor, covariance: Tensor, value: Tensor) -> Tensor:
    law = FullGaussians(loc.unsqueeze(0), inverse_factors(covariance).unsqueeze(0))
    return law.draw(torch.zeros(len(value), dtype=torch.long), value)


def many_patterns(missing: Tensor) -> bool:
    """Whether many rows have a pattern of gaps of their own."""
    return len(gap_patterns(missing)[0]) > MANY * len(missing)


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
