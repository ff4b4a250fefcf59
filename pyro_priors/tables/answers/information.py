"""How much columns of a table say about each other under a law."""

from collections.abc import Sequence
from typing import NamedTuple

import numpy as np
import torch
from torch import Tensor

from pyro_priors.tables.laws.wide_law import WideLaw

CHUNK = 2**22  # states of all variables of the rows that are worked on at once


class Information(NamedTuple):
    """Mutual information of every two columns, in nats; NaN of a column with itself."""

    nats: np.ndarray  # (C, C)
    standard_error: np.ndarray  # (C, C), of the draws and, of several laws, among these; 0 where it is exact


@torch.no_grad()
def mutual_information(wides: Sequence[WideLaw], draws: int = 2000, seed: int = 0) -> Information:
    """Of laws in the mean: exact for two columns of categories, an estimate from draws where a number takes part.

    I(x, y) = E[log p(y | x) / p(y)], with the law's own densities at draws of it; where y is a category the mean over y
    is taken exactly. Numbers are taken as they are before their column's resolution rounds them. An estimate is at
    least 0. Of a law that has exemplars it is that of its chain: each exemplar is one row, so that under them any two
    columns of many values seem to determine each other.

    Args:
        wides: the laws.
        draws: of each law.
        seed: of the draws.
    """
    parts = [_of_law(wide, draws, seed + member) for member, wide in enumerate(wides)]
    nats, errors = (np.stack(part) for part in zip(*parts, strict=True))
    count = len(wides)
    between = nats.var(0, ddof=1) / count if count > 1 else 0.0
    error = np.sqrt((errors**2).sum(0) / count**2 + between)
    return Information(nats.mean(0), error)


def _of_law(wide: WideLaw, count: int, seed: int) -> tuple[np.ndarray, np.ndarray]:
    size = len(wide.places)
    nats, errors = np.full((size, size), np.nan), np.full((size, size), np.nan)
    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(seed)
        rows = wide.law.sample((count,))
    for place in wide.places:
        if place.atoms:  # an atom has no score
            rows[rows[:, place.states] < place.atoms, place.score] = torch.nan
    nothing = torch.full((1, wide.width), torch.nan, dtype=torch.float64)
    alone = [_log_of(wide, wide.law.state_probs(nothing), rows, column) for column in range(size)]
    for x in range(size):
        if wide.places[x].score is None:
            _exact(wide, x, nats, errors)
    for x in range(size):
        if wide.places[x].score is not None:
            _sampled(wide, x, rows, alone, nats, errors)
    return nats, errors


def _exact(wide: WideLaw, x: int, nats: np.ndarray, errors: np.ndarray) -> None:
    """Of a category and every other."""
    place = wide.places[x]
    assert place.variable is not None
    count = wide.variables.num_states[place.variable]
    rows = torch.full((count + 1, wide.width), torch.nan, dtype=torch.float64)
    rows[:count, place.states] = torch.arange(count).double()
    probs = wide.law.state_probs(rows)  # given each category, and given nothing
    own = probs[-1, place.variable, :count]
    for y, other in enumerate(wide.places):
        if y != x and other.score is None:
            table = own.unsqueeze(-1) * probs[:count, other.variable]
            ratio = probs[:count, other.variable] / probs[-1, other.variable]
            nats[x, y] = nats[y, x] = max(0.0, torch.xlogy(table, ratio).nansum().item())
            errors[x, y] = errors[y, x] = 0.0


def _sampled(wide: WideLaw, x: int, rows: Tensor, alone: list[Tensor], nats: np.ndarray, errors: np.ndarray) -> None:
    """Of a number and every other column."""
    known = torch.full_like(rows, torch.nan)
    columns = list(wide.places[x].columns)
    known[:, columns] = rows[:, columns]
    probs = torch.cat([wide.law.state_probs(part) for part in known.split(max(1, CHUNK // wide.entries))])
    nothing = wide.law.state_probs(torch.full((1, wide.width), torch.nan, dtype=torch.float64))
    for y, other in enumerate(wide.places):
        if y == x or (other.score is not None and y < x):
            continue
        if other.score is None:
            given, own = probs[:, other.variable], nothing[:, other.variable]
            gains = torch.xlogy(given, given / own).nansum(-1)
        else:
            gains = _log_of(wide, probs, rows, y, known) - alone[y]
        nats[x, y] = nats[y, x] = max(0.0, gains.mean().item())
        errors[x, y] = errors[y, x] = gains.std().item() / len(rows) ** 0.5


def _log_of(wide: WideLaw, probs: Tensor, rows: Tensor, y: int, known: Tensor | None = None) -> Tensor:
    """log p(y | what is known) of rows, in scores: ``(n,)``

    `probs` are those of the states given what is known, of all rows or of one in which nothing is.
    """
    place = wide.places[y]
    known = torch.full_like(rows, torch.nan) if known is None else known
    if place.score is None:
        states = probs[:, place.variable].expand(len(rows), -1)
        return states.gather(-1, rows[:, place.states].long().unsqueeze(-1))[:, 0].log()
    if place.atoms:  # both parts of it together
        both = known.clone()
        both[:, list(place.columns)] = rows[:, list(place.columns)]
        return wide.law.log_joint(both) - wide.law.log_joint(known)
    assert place.vector is not None
    assert place.number is not None
    count = wide.variables.num_states[place.vector]
    gaussians, value = wide.gaussians(place.vector), wide.value(known, place.vector)
    index, states = torch.arange(len(rows)).repeat_interleave(count), torch.arange(count).repeat(len(rows))
    mean, variance = gaussians.conditional_moments(states, value[index])
    mean, scale = (part[:, place.number].view(-1, count) for part in (mean, variance.sqrt()))
    standard = (rows[:, place.score].unsqueeze(-1) - mean) / scale  # pyright: ignore[reportOptionalOperand]
    density = -0.5 * standard.square() - scale.log() - 0.5 * np.log(2 * np.pi)
    return (probs[:, place.vector, :count].log() + density).logsumexp(-1)
