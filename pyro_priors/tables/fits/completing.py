"""Missing numbers of vectors drawn from the law, so that a step of a fit knows of no gaps in them."""

from collections.abc import Sequence
from typing import NamedTuple

import torch
from torch import Tensor

from pyro_priors.distributions.full_gaussians import FullGaussians
from pyro_priors.modules.ttlp import TTLP
from pyro_priors.ops import wide
from pyro_priors.ops.gaussians import eye_like, gap_patterns, inverse_factors, inverse_lower

CHUNK = 4000  # rows at a time
ROUGHLY, TURNS = 5000, 8  # rows of which a Gaussian is made to complete all, and how often
MANY = 0.05  # patterns of gaps for each row
RIDGE = 1e-8  # variance that a score has beside that of the rows
ENOUGH = 5  # rows without gaps for each number, from which on the moments start from these


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


class Moments(NamedTuple):
    """Mean ``(n,)`` and covariance ``(n, n)`` of the numbers of a vector, in float64."""

    loc: Tensor
    covariance: Tensor


@torch.no_grad()
def joint_moments(rows: Tensor, vectors: Sequence[Sequence[int]]) -> list[Moments]:
    """Those of each vector, from a few thousand of the rows ``(n, W)``.

    What is missing is drawn as if the numbers were jointly Gaussian: draws and moments take turns.
    """
    every = []
    for places in map(list, vectors):
        some = rows[torch.randperm(len(rows))[:ROUGHLY]][:, places].double()
        missing, whole = some.isnan(), some[~some.isnan().any(1)]
        if len(whole) >= ENOUGH * len(places):
            moments = _moments(whole)
        else:
            loc = some.nanmean(0).nan_to_num(0.0)
            moments = Moments(loc, torch.diag((some - loc).square().nanmean(0).nan_to_num(1.0) + RIDGE))
        for _ in range(TURNS if bool(missing.any()) else 0):
            moments = _moments(_drawn(moments, some))
        every.append(moments)
    return every


@torch.no_grad()
def roughly_completed(rows: Tensor, vectors: Sequence[Sequence[int]], moments: Sequence[Moments]) -> Tensor:
    """Rows ``(n, W)`` with the gaps of each vector drawn as if its numbers were jointly Gaussian with these moments.

    Where an EM may start that knows of no gaps.
    """
    result = rows.clone()
    for places, of_vector in zip(map(list, vectors), moments, strict=True):
        value = rows[:, places].double()
        if bool(value.isnan().any()):
            result[:, places] = torch.cat([_drawn(of_vector, part) for part in value.split(CHUNK)]).to(rows)
    return result


@torch.no_grad()
def law_moments(prior: TTLP) -> list[Moments]:
    """Those of each vector by a law."""
    law, every = prior(), []
    shares = law.state_probs(prior.vectors[0].loc.new_full(law.event_shape, torch.nan)) if prior.vectors else None
    for v, leaf in zip(law.variables.vectors, prior.vectors, strict=True):
        gaussians = leaf()
        assert isinstance(gaussians, FullGaussians)
        assert shares is not None
        share, loc = wide(shares[v, : len(gaussians)]), wide(gaussians.loc)
        centre, root = share @ loc, inverse_lower(wide(gaussians.factor))
        moved = loc - centre
        covariance = (share[:, None, None] * (root @ root.mT)).sum(0) + (share * moved.mT) @ moved
        every.append(Moments(centre, covariance + RIDGE * eye_like(covariance)))
    return every


def _moments(value: Tensor) -> Moments:
    loc = value.mean(0)
    moved = value - loc
    covariance = moved.mT @ moved / len(moved)
    return Moments(loc, covariance + RIDGE * eye_like(covariance))


def _drawn(moments: Moments, value: Tensor) -> Tensor:
    law = FullGaussians(moments.loc.unsqueeze(0), inverse_factors(moments.covariance).unsqueeze(0))
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
