"""A table's law fitted to its rows: what is chosen on held-out cells, within a time that becomes a number of steps."""

import copy
import time
from collections.abc import Sequence
from typing import Any, NamedTuple

import numpy as np
import torch
from torch import Tensor

from pyro_priors.checks import check_count
from pyro_priors.data.schema import Field
from pyro_priors.tables import processes
from pyro_priors.tables.answers.answers import Answers
from pyro_priors.tables.fits.batches import BATCH
from pyro_priors.tables.fits.calibration import hold_out, to_record
from pyro_priors.tables.fits.candidates import Candidates
from pyro_priors.tables.fits.checkpoint import Checkpoint
from pyro_priors.tables.fits.descent import Descent, Judge, Training, cosine
from pyro_priors.tables.fits.effort import EXEMPLARS, SHARE, Effort
from pyro_priors.tables.fits.remembering import Memory
from pyro_priors.tables.fits.shrinking import shrink, shrinkage
from pyro_priors.tables.fits.widening import expected_widening, widen, widened
from pyro_priors.tables.laws.law import TableLaw

HELD, FEW = 0.1, 2000  # of the rows are held out, or twice as much of so few
LEAST_ROWS, SMALL = 20, 10_000  # below which none are held out; below which these are learned too in the end
AGAIN = 0.25  # steps for that, beside those before
BRIEFLY = 50  # steps below which a law is hardly more than its start, which is made anew then
LOOKS, LOOK = 20, 20  # at held-out cells on the way, and steps between two at least
TRIAL, SHORTEST = 48, 8  # steps of each candidate, and where there is little time
EARLIEST = 100  # steps of a fit from which on it is worth while to learn exemplars
BRIEF = 20.0  # seconds below which there is little
LEAST, MOST = 200, 3000  # steps of the last training that are useful
PASSES = 60  # over the rows after which more steps gain nothing


class Fit(NamedTuple):
    """A law, and a record of how it came about, as JSON has it."""

    law: TableLaw
    record: dict[str, Any]


class Plan(NamedTuple):
    """What the trials lead to: the rank of the law, steps of its trial's best, and steps that follow at most."""

    rank: int
    before: int
    steps: int


def fit_table(
    codes: np.ndarray | Tensor,
    fields: Sequence[Field],
    *,
    sample_weight: np.ndarray | Tensor | None = None,
    budget: float = 60.0,
    max_steps: int | None = None,
    seed: int = 0,
    progress: bool = False,
    law: TableLaw | None = None,
    exemplars: int = EXEMPLARS,
    checkpoint: Checkpoint | None = None,
) -> Fit:
    """Fit the law of a table.

    A part of the rows is held out, some of their cells are hidden, and how probable these are given the others decides
    what is chosen: how many states, and after how many steps to stop. Where rows are few the law then learns from all.

    Args:
        codes: rows ``(n, C)``, NaN = missing.
        fields: what the columns are.
        sample_weight: how much each row counts, ``(n,)``.
        budget: seconds to take, about; they become a number of steps, which leaves time for all that follows these.
        max_steps: that number, from ``record["max_steps"]`` of another fit: the same law, however long it takes.
        seed: of all that is drawn.
        progress: show a progress bar.
        law: an earlier one to go on from, with its leaves and its order; its exemplars join the rows.
        exemplars: rows that the law may remember, where this predicts cells better: a part of these in fits of few
            steps, as `effort.Effort` has it, none in those of fewer than 100.
        checkpoint: to which the fit offers its state, and from which it goes on.

    Returns:
        the law in float64, and ``record``: `max_steps`, `rows`, `held_out`, `candidates` with their scores (mean
        log-probability of a hidden cell in nats), `forms` of counts likewise, `chosen`, `steps` that led there,
        `anew` (of few rows: whether all of them began anew), `widened` (a factor of all standard deviations), `shrunk`
        (shares of the usual in columns of categories), `score`,
        `exemplars` (nats that a hidden cell gains by them, their error, kernels if they are kept, and how many rows and
        steps were spent on that, which follows from `max_steps`; None: not tried),
        `remembered`, how many there are, `answers` for the cells that were hidden (as `calibration.to_record` has
        them), `curve` on the way, `seconds`.

    Raises:
        ValueError: shapes that do not fit, no rows, weights that are none, a law of other columns.

    Example:
        >>> codes = torch.stack([torch.arange(40.0), (torch.arange(40) > 20).double()], 1)
        >>> fields = [Field("x", "continuous"), Field("late", "binary", categories=("no", "yes"))]
        >>> fit = fit_table(codes, fields, max_steps=10)
        >>> fit.law.columns, fit.record["max_steps"]
        (((0,), (1,)), 10)
    """
    codes, weight = _checked(codes, fields, sample_weight)
    if law is not None and len(law.leaves) != len(fields):
        raise ValueError(f"law: expected one of {len(fields)} columns, got one of {len(law.leaves)}")
    if max_steps is not None:
        check_count("max_steps", max_steps)
    elif not budget > 0:
        raise ValueError(f"budget: expected a positive number of seconds, got {budget!r}")
    if weight is not None:
        codes, weight = codes[weight > 0], weight[weight > 0]
    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(seed)
        checkpoint = checkpoint or Checkpoint()
        return _Fitting(codes, fields, weight, budget, max_steps, seed, progress, law, exemplars, checkpoint).fit()


class _Fitting:
    """The steps of `fit_table`: trials, a descent of the best of them, and where rows are few some more on all rows."""

    def __init__(self, codes, fields, weight, budget, max_steps, seed, progress, law, exemplars, checkpoint):
        self.checkpoint, self.saved = checkpoint, checkpoint.under_way
        self.began = time.perf_counter() - (self.saved["seconds"] if self.saved else 0.0)
        self.codes, self.fields, self.budget, self.max_steps, self.progress = codes, fields, budget, max_steps, progress
        generator = torch.Generator().manual_seed(seed)
        order = torch.randperm(len(codes), generator=generator)
        count = 0 if len(codes) < LEAST_ROWS else int(len(codes) * HELD * (2 if len(codes) < FEW else 1))
        held, self.train = order[:count], order[count:]
        self.fresh = law is None  # an earlier one is of rows whose number nothing says: wide enough, and to be moved
        self.again = AGAIN if self.fresh and count > 0 and len(codes) < SMALL else 0.0
        self.candidates = Candidates(codes, fields, weight, law, self.saved and self.saved["candidates"])
        self.memory, self.exemplars = Memory(codes, weight, self.train, law and law.exemplars, seed), exemplars
        self.judge = Judge(codes[held if count else self.train], self.candidates.numbers, generator)
        self.record: dict[str, Any] = {"rows": len(codes), "held_out": count, "seed": seed}
        self.taken = 0  # steps, all candidates' together

    def fit(self) -> Fit:
        plan, training = self._planned() if self.saved is None else self._restored(self.saved)
        if "steps" not in self.record:
            self._follow(plan, training)
            if self.again:
                training = self._of_all(plan, training.law)
        if self.again:
            self._learn_all(plan, training)
        self.record["chosen"] = {"rank": plan.rank, "groups": training.law.groups}
        law = self.memory.joined(self._softened(training.finished()), self.record["exemplars"], self.exemplars)
        self.record["remembered"] = 0 if law.exemplars is None else len(law.exemplars)
        self.record["seconds"] = time.perf_counter() - self.began
        return Fit(law, self.record)

    def _planned(self) -> tuple[Plan, Training]:
        """What the trials of all candidates lead to, and the best of them."""
        sizes = self.candidates.sizes(len(self.train))
        trial = self._trial(len(sizes))
        trials = [self._tried(size, trial) for size in sizes]
        training, tried, seconds = max(trials, key=lambda each: each[1].score)
        spent = trial * len(sizes)
        self.taken = spent
        total = self.max_steps or spent + max(spent, processes.of_first(self._affordable(seconds, trial)))
        if trial < TRIAL and self.max_steps is None:
            total = min(total, 2 * spent + 2 * len(sizes) - 1)  # of which the trials are as long again
        self.record["max_steps"] = total
        self.record["candidates"] = [{"rank": t.law.rank, "steps": d.steps, "score": d.score} for t, d, _ in trials]
        self.record["forms"] = {str(column): scores for column, scores in self.candidates.forms.items()}
        steps = max(1, int((total - spent - self.again * tried.steps) / (1 + self.again)))
        return Plan(training.law.rank, tried.steps, steps), training

    def _trial(self, count: int) -> int:
        """Steps of each of so many candidates: all together at most half of all steps."""
        if self.max_steps is not None:
            return min(TRIAL, self.max_steps // (2 * count))
        return min(TRIAL, max(SHORTEST, int(TRIAL * self.budget / BRIEF)))

    def _tried(self, rank: int, steps: int) -> tuple[Training, Descent, float]:
        """A training of a candidate, what came of its first steps, and the seconds of these."""
        training = self.candidates.begun(rank, self.train)
        begun = time.perf_counter()
        descent = Descent(training, [1.0] * steps, self.judge, max(steps, 1), wary=self.fresh)
        descent.run()
        return training, descent, time.perf_counter() - begun

    def _affordable(self, seconds: float, count: int) -> int:
        """Steps that are useful and that what is left of the time is enough for, by what a trial took.

        A trial looks at the held-out cells up to four times: more often than its share of all.
        """
        left = self.budget * (1 - SHARE * bool(self.exemplars)) - (time.perf_counter() - self.began)
        useful = min(MOST, max(LEAST, PASSES * len(self.train) // BATCH))
        return int(min(max(left * count / seconds, LEAST / 2), useful * (1 + self.again)))

    def _effort(self) -> Effort:
        return Effort.of(self.record["max_steps"], self.exemplars)

    def _follow(self, plan: Plan, training: Training) -> None:
        """Go on with the best of the trials, for as long as held-out cells gain by it."""
        shares = [cosine(done / plan.steps) for done in range(1, plan.steps + 1)]
        descent = self._run(plan, training, shares, self.judge, max(LOOK, plan.steps // LOOKS))
        self.taken += descent.done
        law = copy.deepcopy(training.law)
        expected = expected_widening(law, self.codes[self.train]) if self.fresh else None
        factor, score = widened(law, self.judge, expected)
        shrunk = shrinkage(law, self.judge.codes) if self.fresh and self.record["held_out"] else {}
        shrunk = processes.of_first(shrunk)
        self.record |= {"steps": descent.steps, "curve": descent.curve, "widened": factor, "score": score}
        self.record |= {"shrunk": shrunk, "exemplars": None}
        shrink(law, shrunk)
        if self.record["held_out"]:
            if self.record["max_steps"] >= EARLIEST:
                law, self.record["exemplars"] = self.memory.tried(law, self.judge, self._effort())
            self.record["answers"] = self._answers(law)

    def _of_all(self, plan: Plan, law: TableLaw) -> Training:
        """A training on all rows: it goes on from the law, or starts anew where few steps led to that."""
        led, every = plan.before + self.record["steps"], torch.arange(len(self.codes))
        self.record["anew"] = led < BRIEFLY and self.record["max_steps"] - self.taken >= led
        if self.record["anew"]:
            return self.candidates.begun(plan.rank, every)
        return self.candidates.continued(law, every)

    def _learn_all(self, plan: Plan, training: Training) -> None:
        """The same steps once more, or some at a rate that falls from its half."""
        if self.record["anew"]:
            falling = [cosine(done / plan.steps) for done in range(1, self.record["steps"] + 1)]
            shares = [1.0] * plan.before + falling
        else:
            count = int(self.again * (plan.before + self.record["steps"]))
            shares = [cosine(0.5 + 0.5 * done / count) for done in range(1, count + 1)]
        self._run(plan, training, shares)

    def _softened(self, law: TableLaw) -> TableLaw:
        """As wide and as near to what is usual as held-out cells asked for."""
        widen(law, self.record["widened"])
        shrink(law, self.record["shrunk"])
        return law

    def _run(self, plan: Plan, training: Training, shares: list[float], judge: Any = None, every: int = 1) -> Descent:
        """Let a training go through the shares of its rate, from where it was interrupted if it was."""
        from tqdm import tqdm

        descent = Descent(training, shares, judge, every, self.saved and self.saved["descent"], wary=self.fresh)
        self.saved = None

        def after() -> None:
            bar.update()
            self.checkpoint.offer(lambda: self._state(plan, training, descent))

        hide = None if self.progress and processes.rank() == 0 else True
        with tqdm(total=len(shares), initial=descent.done, unit="step", desc="fit", disable=hide) as bar:
            descent.run(after)
        return descent

    def _state(self, plan: Plan, training: Training, descent: Descent) -> dict[str, Any]:
        """All that decides how the fit goes on, but for its arguments."""
        parts = {"candidates": self.candidates, "training": training, "descent": descent}
        return {
            "plan": tuple(plan),
            "record": self.record,
            "taken": self.taken,
            "seconds": time.perf_counter() - self.began,
            "random": torch.get_rng_state(),
            **{name: part.state_dict() for name, part in parts.items()},
        }

    def _restored(self, saved: dict[str, Any]) -> tuple[Plan, Training]:
        """The plan and the training of a fit that was interrupted; random numbers are those that it had drawn."""
        plan, self.record, self.taken = Plan(*saved["plan"]), saved["record"], saved["taken"]
        second = "steps" in self.record
        training = self.candidates.blank(plan.rank, torch.arange(len(self.codes)) if second else self.train)
        training.load_state_dict(saved["training"])
        torch.set_rng_state(saved["random"])
        return plan, training

    def _answers(self, law: TableLaw) -> dict[str, Any]:
        """How well hidden cells of rows that a law has not seen are answered."""
        codes, gone = self.judge.codes, self.judge.hidden
        count = len(codes) if law.exemplars is None else self._effort().answered(len(codes))
        return to_record(hold_out(Answers([law]), self.fields, codes[:count].numpy(), gone[:count].numpy()))


def _checked(codes: Any, fields: Sequence[Field], weight: Any) -> tuple[Tensor, Tensor | None]:
    codes = torch.as_tensor(codes, dtype=torch.float64)
    if codes.dim() != 2 or codes.shape[1] != len(fields) or 0 in codes.shape:
        raise ValueError(f"codes: expected shape (n, {len(fields)}) with n >= 1, got {tuple(codes.shape)}")
    if weight is None:
        return codes, None
    weight = torch.as_tensor(weight, dtype=torch.float64)
    if weight.shape != codes.shape[:1] or not bool((weight.isfinite() & (weight >= 0)).all() and (weight > 0).any()):
        raise ValueError(f"sample_weight: expected {len(codes)} finite weights of at least 0, not all 0, got {weight}")
    return codes, weight
