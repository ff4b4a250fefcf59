"""A training of a table's law by gradients, which can be gone on with, and what held-out cells say of it."""

import copy
import math
from collections.abc import Callable, Iterator, Sequence
from typing import Any, NamedTuple

import torch
from torch import Tensor

from pyro_priors.tables.fits.completing import completed, hidden, log_density, many_patterns, roughly_completed
from pyro_priors.tables.laws.law import TableLaw
from pyro_priors.tables.leaves.leaves import NumberLeaf

BETAS = (0.9, 0.99)  # of Adam, whose rate falls along half a cosine
LAST = 0.02  # of the rate at the end
BATCH = 256
ROUND = 48  # steps between two completions of what is missing
REUSED = 3  # times that completed rows serve where many rows have a pattern of gaps of their own
LASTING = 8  # steps that they serve at least, where there are few rows
NARROWEST = 0.01  # score that a number has left where those before it are given: nearly collinear ones are not exact
WIDER, WIDEST = 1.04, 1.5  # a step of `widened`, and no further than this
PATIENCE = 6  # looks without a better law after which a training ends
HIDDEN = 0.25  # share of held-out cells that are predicted from the others
JUDGES, FEWER = 2000, 500  # rows that they stand in, at most, and where many have a pattern of gaps of their own


class Training:
    """Adam on the log-likelihood of rows of a table, gaps in vectors completed from the law as it is.

    Numbers with ties are spread over the interval that their values stand for, each time anew: or densities would pile
    up on the values.

    Args:
        law: trained in place, in float32.
        codes: rows ``(n, C)``, NaN = missing.
        weight: how often each row is drawn, in relation, ``(n,)``; None: each equally.
        rate: of Adam at first.
        pseudo: rows that each state of a bond has seen beside those that there are.
    """

    def __init__(self, law: TableLaw, codes: Tensor, weight: Tensor | None, rate: float, pseudo: float):
        self.law, self.codes, self.weight = law.float().requires_grad_(True), codes, weight
        self.rate, self.pseudo = rate, pseudo
        self.scores = sum(len(group) for group in law.vectors)
        self.rows = law.rows(codes)
        gaps = self.rows[:, : self.scores].isnan()
        many = many_patterns(gaps)
        self.batch = min(BATCH, len(codes))
        self.reused = max(REUSED if many else 1, -(-LASTING * self.batch // len(codes)))
        self.adam = torch.optim.Adam(law.prior.parameters(), lr=rate, betas=BETAS)
        self.batches = self._batches()

    def start(self) -> None:
        """Lay the chain along the rows, and set its tables and Gaussians by EM."""
        rows = roughly_completed(self.spread(self._drawn(len(self.codes))), self.law.vectors)
        self.law.prior.reinitialize(None, rows.float(), force=True)
        self.usual = self.law.prior.usual_states()

    def go_on(self) -> None:
        """From what the law is."""
        self.usual = self.law.prior.usual_states()

    def step(self, share: float = 1.0) -> None:
        """One step at a share of the rate."""
        for group in self.adam.param_groups:
            group["lr"] = share * self.rate
        prior = self.law.prior
        loss = -prior().log_prob(next(self.batches)).mean()
        loss = loss - self.pseudo / len(self.codes) * prior.log_smoothness(*self.usual)
        self.adam.zero_grad()
        loss.backward()
        self.adam.step()
        with torch.no_grad():
            for leaf in prior.vectors:
                leaf.log_scale.clamp_(min=math.log(NARROWEST))

    def spread(self, index: Tensor) -> Tensor:
        """Rows of the law, numbers with ties somewhere in the intervals that they stand for."""
        rows, codes = self.rows[index], self.codes[index]
        for leaf, places, column in zip(self.law.leaves, self.law.columns, codes.unbind(1), strict=True):
            if isinstance(leaf, NumberLeaf) and leaf.resolution is not None:
                score, cell = rows[:, places[-1]], leaf.cell(column)
                between = cell.low + (cell.high - cell.low) * torch.rand_like(score)
                rows[:, places[-1]] = torch.where(score.isnan(), score, between)
        return rows

    def _drawn(self, count: int) -> Tensor:
        if self.weight is not None:
            return torch.multinomial(self.weight, count, replacement=True)
        return torch.randperm(len(self.codes))[:count]

    def _batches(self) -> Iterator[Tensor]:
        size = min(len(self.codes), max(1, ROUND // self.reused) * self.batch)
        waiting = torch.empty(0, dtype=torch.long)
        while True:
            while len(waiting) < size:
                waiting = torch.cat([waiting, self._drawn(len(self.codes))])
            index, waiting = waiting[:size], waiting[size:]
            rows = completed(self.law.prior, self.spread(index).float(), self.scores)
            for _ in range(self.reused):
                parts = rows[torch.randperm(size)].split(self.batch)
                yield from (part for part in parts if len(part) == self.batch)


class Judge:
    """How well laws predict some cells of held-out rows from the others.

    Args:
        codes: the rows.
        numbers: which columns may stand in vectors, whose patterns of gaps have a price each.
        generator: which draws the rows and their cells.
    """

    def __init__(self, codes: Tensor, numbers: Sequence[int], generator: torch.Generator):
        codes = codes[torch.randperm(len(codes), generator=generator)[:JUDGES]]
        self.codes = codes[: FEWER if many_patterns(codes[:, list(numbers)].isnan()) else JUDGES]
        self.hidden = hidden(self.codes, torch.rand(self.codes.shape, generator=generator), HIDDEN)

    def __call__(self, law: TableLaw) -> float:
        """Mean log-probability of a hidden cell, in nats, up to what is the same for all laws with these leaves."""
        gone = self.hidden
        masked = torch.where(gone, torch.nan, self.codes)
        dtype = next(law.parameters()).dtype
        both = torch.cat([law.rows(self.codes), law.rows(masked)]).to(dtype)
        whole, known = log_density(law.prior, both).double().chunk(2)
        return float((whole - known).sum() / gone.sum().clamp(min=1))


def cosine(done: float) -> float:
    """Share of the rate after a share of the steps."""
    return LAST + (1 - LAST) * 0.5 * (1 + math.cos(math.pi * min(done, 1.0)))


class Descent(NamedTuple):
    """What a training came to: how many `steps` led to its best law, what the judge said of that and on the way."""

    steps: int
    score: float
    curve: list[tuple[int, float]]


def descend(
    training: Training,
    judge: Judge,
    steps: int,
    every: int,
    share: Callable[[float], float] = cosine,
    tell: Callable[[], Any] = lambda: None,
) -> Descent:
    """Train for so many steps; the law is left at the best of its states, that of before included.

    It ends where several looks of the judge, `every` so many steps, have seen nothing better.
    """
    score = judge(training.law)
    best, state, curve = (0, score), copy.deepcopy(training.law.state_dict()), [(0, score)]
    for done in range(1, steps + 1):
        training.step(share(done / steps))
        tell()
        if done % every and done != steps:
            continue
        score = judge(training.law)
        curve.append((done, score))
        if score > best[1]:
            best, state = (done, score), copy.deepcopy(training.law.state_dict())
        elif done - best[0] >= PATIENCE * every:
            break
    training.law.load_state_dict(state)
    return Descent(*best, curve)


@torch.no_grad()
def widened(law: TableLaw, judge: Judge) -> tuple[float, float]:
    """Widen the Gaussians of all states while that explains the hidden cells better: they were chosen to fit others.

    Returns:
        by what factor, and what the judge says of the law that is left
    """
    factor, score = 1.0, judge(law)
    while law.vectors and factor < WIDEST:
        widen(law, WIDER)
        now = judge(law)
        if not now > score:
            widen(law, 1 / WIDER)
            break
        factor, score = factor * WIDER, now
    return factor, score


@torch.no_grad()
def widen(law: TableLaw, factor: float) -> None:
    """Multiply the standard deviations of the Gaussians of all states."""
    for leaf in law.prior.vectors:
        leaf.log_scale.add_(math.log(factor))
