"""A training of a table's law by gradients, which can be gone on with, and what held-out cells say of it."""

import copy
import math
from collections.abc import Callable, Mapping, Sequence
from typing import Any

import torch
from torch import Tensor

from pyro_priors.tables import processes
from pyro_priors.tables.fits.batches import Batches
from pyro_priors.tables.fits.completing import (
    Moments,
    hidden,
    joint_moments,
    log_density,
    many_patterns,
    roughly_completed,
)
from pyro_priors.tables.laws.law import TableLaw

BETAS = (0.9, 0.99)  # of Adam, whose rate falls along half a cosine
LAST = 0.02  # of the rate at the end
NARROWEST = 0.01  # of what a number has left where those before it are given, in all rows: what is left in a state
PATIENCE, FALL, LOWEST = 2, 0.4, 0.05  # looks without a better law after which the rate falls, by what, and how far
HIDDEN = 0.25  # share of cells that are predicted from the others, held-out ones and those of a step
PATTERNS = 8  # of gaps in vectors, in the rows of a step
GUESSED = 2.0  # weight of log p(some cells | the others of their row), beside log p(row)
JUDGES, FEWER = 2000, 500  # rows that they stand in, at most, and where many have a pattern of gaps of their own


class Training:
    """Adam on the log-likelihood of rows of a table, and of some cells of each given the others.

    A law of few states cannot be right in all respects: the second part, with masks that are drawn for every step, has
    it spend its states on what cells say of each other, as a table's gaps ask for. Processes that fit it together share
    the rows of each step.

    Gradients are of float64 until they are added up, so that a step is the same whoever has which rows: differences of
    a last digit would grow from step to step.

    Args:
        law: trained in place, in float32.
        codes: rows ``(n, C)``, NaN = missing.
        weight: how often each row is drawn, in relation, ``(n,)``; None: each equally.
        rate: of Adam at first.
        pseudo: rows that each state of a bond has seen beside those that there are.
        moments: of the scores of each vector: steps are taken along them, so that they are as good for numbers that are
            nearly collinear. None: as the scores stand.
    """

    def __init__(
        self,
        law: TableLaw,
        codes: Tensor,
        weight: Tensor | None,
        rate: float,
        pseudo: float,
        moments: Sequence[Moments] | None = None,
    ):
        self.moments = moments
        for leaf, (centre, covariance) in zip(law.prior.vectors, moments or (), strict=moments is not None):
            leaf.lean(centre, torch.linalg.cholesky(covariance))
        self.law, self.rate, self.pseudo = law.float().requires_grad_(True), rate, pseudo / len(codes)
        self.batches = Batches(law, codes, weight)
        self.adam = torch.optim.Adam(law.prior.parameters(), lr=rate, betas=BETAS)

    def start(self) -> None:
        """Lay the chain along the rows, and set its tables and Gaussians by EM."""
        prior, vectors = self.law.prior, self.law.vectors
        rows = self.batches.spread(self.batches.drawn())
        rows = roughly_completed(rows, vectors, self.moments or joint_moments(rows, vectors)).float()
        prior.lay(rows)
        bases = [(leaf.centre, leaf.basis) for leaf in prior.vectors]
        for leaf, places in zip(prior.vectors, map(list, vectors), strict=True):
            rows[:, places] = leaf.along(rows[:, places])
            leaf.centre = leaf.basis = None  # the EM is one of rows along the basis
        prior.reinitialize(None, rows, force=True)
        for leaf, (centre, basis) in zip(prior.vectors, bases, strict=True):
            leaf.centre, leaf.basis = centre, basis
        self.go_on()

    def go_on(self) -> None:
        """From what the law is."""
        self.usual = self.law.prior.usual_states()
        self.wide = copy.deepcopy(self.law.prior).double()

    def step(self, share: float = 1.0) -> None:
        """One step at a share of the rate."""
        for group in self.adam.param_groups:
            group["lr"] = share * self.rate
        rows, parameters, wide = self.batches.next(), list(self.law.prior.parameters()), list(self.wide.parameters())
        with torch.no_grad():
            for x, precise in zip(parameters, wide, strict=True):
                precise.copy_(x)
        both = torch.stack([rows, self._masked(rows)], 1)
        whole, known = self.wide().log_prob(processes.own(both).double()).sum(0)
        loss = -(whole + GUESSED * (whole - known)) / len(rows)
        loss = loss - self.pseudo / processes.count() * self.wide.log_smoothness(*self.usual)
        gradients = torch.autograd.grad(loss, wide)
        processes.add_up(gradients)
        for x, gradient in zip(parameters, gradients, strict=True):
            x.grad = gradient.to(x)
        self.adam.step()
        with torch.no_grad():
            for leaf in self.law.prior.vectors:
                leaf.log_scale.clamp_(min=math.log(NARROWEST))

    def _masked(self, rows: Tensor) -> Tensor:
        """Rows without some of their cells, in vectors by a few patterns, each of which has its price."""
        gone = torch.rand(rows.shape) < HIDDEN
        patterns = torch.rand(PATTERNS, self.batches.scores) < HIDDEN
        gone[:, : self.batches.scores] = patterns[torch.arange(len(rows)) % PATTERNS]
        return rows.masked_fill(gone, torch.nan)

    def finished(self) -> TableLaw:
        """The law in float64, without gradients."""
        law = self.law.double().requires_grad_(False)
        for leaf in law.prior.vectors:
            leaf.lean(None, None)
        return law

    def state_dict(self) -> dict[str, Any]:
        """All but the rows."""
        parts = {"law": self.law, "adam": self.adam, "batches": self.batches}
        return {"usual": self.usual, **{name: part.state_dict() for name, part in parts.items()}}

    def load_state_dict(self, state: dict[str, Any]) -> None:
        self.law.load_state_dict(state["law"])
        self.go_on()
        self.usual = state["usual"]
        self.adam.load_state_dict(state["adam"])
        self.batches.load_state_dict(state["batches"])


class Judge:
    """How well laws predict some cells of held-out rows from the others; processes share the rows.

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
        total = self._of_own(law).sum()
        processes.add_up([total])
        return float(total / self.hidden.sum().clamp(min=1))

    def surely(self, law: TableLaw, state: Mapping[str, Tensor]) -> bool:
        """Whether the law is better than one with this state by more than the standard error of their difference."""
        before = copy.deepcopy(law)
        before.load_state_dict(state)
        gain = self._of_own(law) - self._of_own(before)
        sums = [gain.sum(), gain.square().sum()]
        processes.add_up(sums)
        total, squares = map(float, sums)
        return total > math.sqrt(max(squares - total**2 / len(self.codes), 0.0))

    def _of_own(self, law: TableLaw) -> Tensor:
        """Log-probability of the hidden cells of each row that this process has."""
        codes, gone = processes.own(self.codes), processes.own(self.hidden)
        masked = torch.where(gone, torch.nan, codes)
        dtype = next(law.parameters()).dtype
        both = torch.cat([law.rows(codes), law.rows(masked)]).to(dtype)
        whole, known = log_density(law.prior, both).double().chunk(2)
        return whole - known


def cosine(done: float) -> float:
    """Share of the rate after a share of the steps."""
    return LAST + (1 - LAST) * 0.5 * (1 + math.cos(math.pi * min(done, 1.0)))


class Descent:
    """A training that goes through its steps, and is left at the best law that the judge saw, the first included.

    Where two looks of the judge show nothing better it goes back to the best law, with a smaller rate, and ends after
    some of these; without a judge after the last step.

    Args:
        training: under way.
        shares: of the rate, one a step.
        judge: looks at the law before the first step, after `every` so many, and after the last.
        state: of a descent that was interrupted, as `state_dict` has it; the training is as it was then.
        wary: whether the first is left only for one that is surely better: where few cells are hidden, the best of many
            looks would be chance.

    Attributes:
        done: number of steps; `steps` of them led to the best law, of which the judge said `score`.
        curve: number of steps and what the judge said, of each look.
    """

    def __init__(
        self,
        training: Training,
        shares: Sequence[float],
        judge: Judge | None = None,
        every: int = 1,
        state: dict[str, Any] | None = None,
        *,
        wary: bool = True,
    ):
        self.training, self.shares, self.judge, self.every = training, shares, judge, every
        self.done, self.steps, self.score, self.curve = 0, 0, -math.inf, []
        self.fallen, self.waited = 1.0, 0
        self.best: dict[str, Any] = {}
        self.first: dict[str, Any] = {}
        if state is not None:
            vars(self).update(state)
        elif judge is not None:
            self._look(judge)
            self.first = {"law": self.best, "score": self.score} if wary else {}

    def run(self, after: Callable[[], object] = lambda: None) -> None:
        """Take the steps that are left, and call `after` each of them."""
        while self.done < len(self.shares) and self.fallen > LOWEST:
            self.training.step(self.fallen * self.shares[self.done])
            self.done += 1
            if self.judge is None:
                self.steps = self.done
            elif self.done % self.every == 0 or self.done == len(self.shares):
                self._look(self.judge)
            after()
        if self.best:
            self.training.law.load_state_dict(self.best)
        first, judge = self.first, self.judge
        if self.steps and judge is not None and first and not judge.surely(self.training.law, first["law"]):
            self.training.law.load_state_dict(first["law"])
            self.steps, self.score = 0, first["score"]

    def _look(self, judge: Judge) -> None:
        score = judge(self.training.law)
        self.curve.append((self.done, score))
        if score > self.score or not self.best:
            self.steps, self.score, self.best = self.done, score, copy.deepcopy(self.training.law.state_dict())
            self.waited = 0
            return
        self.waited += 1
        if self.waited == PATIENCE:
            self.training.law.load_state_dict(self.best)
            self.fallen, self.waited = FALL * self.fallen, 0

    def state_dict(self) -> dict[str, Any]:
        names = ("done", "steps", "score", "curve", "first", "best", "fallen", "waited")
        return {name: getattr(self, name) for name in names}
