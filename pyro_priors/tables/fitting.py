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
from pyro_priors.tables.descent import RATE, Judge, Training, cosine, descend
from pyro_priors.tables.groups import number_groups
from pyro_priors.tables.law import TableLaw
from pyro_priors.tables.leaf_fitting import fit_leaf

HELD = 0.1  # of the rows, or twice as much of few
FEW, SMALL = 20, 5000  # rows below which none are held out; below which all are fitted again in the end
LOOKS, LOOK = 20, 20  # at held-out cells on the way, and steps between two at least
TRIAL = 48  # steps of each candidate
LEAST, MOST = 200, 3000  # steps of the last training
SIZES = (
    (1, 0, 300),
    (4, 0, 1000),
    (16, 100, 5000),
    (64, 1000, torch.inf),
)  # states of a bond, from so many rows to so many
PASSES = 20  # over the rows after which more steps gain nothing


class Fit(NamedTuple):
    """A law, and a record of how it came about, as JSON has it."""

    law: TableLaw
    record: dict[str, Any]


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
) -> Fit:
    """Fit the law of a table.

    A part of the rows is held out, some of their cells are hidden, and how probable these are given the others decides
    what is chosen: how many states, and after how many steps to stop. Few rows are then fitted again, all of them.

    Args:
        codes: rows ``(n, C)``, NaN = missing.
        fields: what the columns are.
        sample_weight: how much each row counts, ``(n,)``.
        budget: seconds to take, about; they become a number of steps.
        max_steps: that number, from ``record["max_steps"]`` of another fit: the same law, however long it takes.
        seed: of all that is drawn.
        progress: show a progress bar.
        law: an earlier one to go on from, with its leaves and its order.

    Returns:
        the law in float64, and ``record``: `max_steps`, `rows`, `held_out`, `candidates` with their scores (mean
        log-probability of a hidden cell), `chosen`, `curve`, `seconds`.

    Raises:
        ValueError: shapes that do not fit, no rows, weights that are none.
    """
    codes, weight = _checked(codes, fields, sample_weight)
    if max_steps is not None:
        check_count("max_steps", max_steps)
    elif not budget > 0:
        raise ValueError(f"budget: expected a positive number of seconds, got {budget!r}")
    if weight is not None:
        codes, weight = codes[weight > 0], weight[weight > 0]
    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(seed)
        return _Fitting(codes, fields, weight, budget, max_steps, seed, progress, law).fit()


class _Fitting:
    """The steps of `fit_table`."""

    def __init__(self, codes, fields, weight, budget, max_steps, seed, progress, law):
        self.began, self.budget, self.max_steps, self.progress = time.perf_counter(), budget, max_steps, progress
        self.codes, self.weight, self.before = codes, weight, law
        generator = torch.Generator().manual_seed(seed)
        order = torch.randperm(len(codes), generator=generator)
        count = 0 if len(codes) < FEW else int(len(codes) * HELD * (2 if len(codes) < SMALL else 1))
        self.held, self.train = order[:count], order[count:]
        self.judge = Judge(codes[self.held if count else self.train], generator)
        self.leaves = self._leaves(fields)
        self.record: dict[str, Any] = {"rows": len(codes), "held_out": count, "seed": seed}

    def _leaves(self, fields):
        if self.before is not None:
            return self.before.leaves
        return [fit_leaf(field, x, self.weight) for field, x in zip(fields, self.codes.unbind(1), strict=True)]

    def fit(self) -> Fit:
        trainings = [self._begun(size, self.train) for size in self._sizes()]
        trial = TRIAL if self.max_steps is None else min(TRIAL, self.max_steps // (2 * len(trainings)))
        spent = time.perf_counter()
        for training in trainings:
            for _ in range(trial):
                training.step()
        a_step = (time.perf_counter() - spent) / max(len(trainings) * trial, 1)
        spent = time.perf_counter()
        scores = [self.judge(training.law) for training in trainings]
        a_look = (time.perf_counter() - spent) / len(trainings)
        best = max(range(len(scores)), key=scores.__getitem__)
        training, again = trainings[best], self.before is None and len(self.held) > 0 and len(self.codes) < SMALL
        trials = trial * len(trainings)
        total = self.max_steps or trials + max(trials, self._affordable(a_step, a_look, again))
        steps = max(1, (total - trials) // (2 if again else 1))
        law, curve = self._descended(training, steps, again)
        tried = [{"rank": t.law.rank, "score": s} for t, s in zip(trainings, scores, strict=True)]
        self.record |= {"max_steps": total, "candidates": tried, "chosen": {"rank": law.rank, "groups": law.groups}}
        self.record |= {"curve": curve, "seconds": time.perf_counter() - self.began}
        return Fit(law.double().requires_grad_(False), self.record)

    def _descended(self, training: Training, steps: int, again: bool) -> tuple[TableLaw, list]:
        from tqdm import tqdm

        hide = None if self.progress else True
        with tqdm(total=steps * (2 if again else 1), unit="step", desc="fit", disable=hide) as bar:
            first = training.taken
            step, score, curve = descend(training, self.judge, steps, max(LOOK, steps // LOOKS), bar.update)
            self.record |= {"steps": step, "score": score}
            if again:
                fresh = self._begun(training.law.rank, slice(None))
                for _ in range(min(first, step)):
                    fresh.step()
                    bar.update()
                for done in range(1, step - first + 1):
                    fresh.step(cosine(done / steps))
                    bar.update()
                return fresh.law, curve
        return training.law, curve

    def _sizes(self) -> list[int]:
        if self.before is not None:
            return [self.before.rank]
        rows = len(self.train)
        return [rank for rank, least, most in SIZES if least <= rows < most]

    def _begun(self, rank: int, index: Any) -> Training:
        """A training that has been started, of some of the rows."""
        codes, weight = self.codes[index], None if self.weight is None else self.weight[index]
        if self.before is not None:
            training = Training(copy.deepcopy(self.before), codes, weight, RATE / 4)
            training.go_on()
            return training
        law = TableLaw(self.leaves, number_groups(self.leaves, codes), rank)
        training = Training(law, codes, weight)
        training.start()
        return training

    def _affordable(self, a_step: float, a_look: float, again: bool) -> int:
        """Steps of the training that is left in what is left of the time."""
        left = self.budget - (time.perf_counter() - self.began) - LOOKS * a_look
        useful = min(MOST, max(LEAST, PASSES * len(self.train) // 256)) * (2 if again else 1)
        return int(min(max(left / max(a_step, 1e-9), LEAST / 4), useful))


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
