"""A fit's account of its time, by a clock that only the fit's own work moves."""

import numpy as np
import pytest
import torch

from pyro_priors.data.schema import Field
from pyro_priors.tables.fits import accounting, descent, fitting, kernel_learning, remembering
from pyro_priors.tables.fits.accounting import Effort, Prices
from pyro_priors.tables.fits.fitting import fit_table

FIELDS = [Field("x", "continuous"), Field("y", "continuous"), Field("c", "categorical", categories=("a", "b"))]
STEP, KERNEL_STEP, ANSWER = 0.2, 0.05, 0.01  # seconds of a step of either kind, and of answers for a row


class Clock:
    """Stands still but for what is said to take time."""

    now = 0.0

    def perf_counter(self):
        return self.now

    def charge(self, monkeypatch, owner, name, seconds):
        """Have a function take time, by its arguments."""
        work = getattr(owner, name)

        def timed(*args, **kwargs):
            self.now += seconds(*args)
            return work(*args, **kwargs)

        monkeypatch.setattr(owner, name, timed)


@pytest.fixture
def clock(monkeypatch):
    clock = Clock()
    for module in (fitting, accounting):
        monkeypatch.setattr(module, "time", clock)
        clock.charge(monkeypatch, module, "hold_out", lambda answers, fields, codes, hidden: ANSWER * len(codes))
    clock.charge(monkeypatch, descent.Training, "step", lambda *_: STEP)
    clock.charge(monkeypatch, kernel_learning.KernelTraining, "step", lambda *_: KERNEL_STEP)
    monkeypatch.setattr(fitting, "TRIAL", 8)
    return clock


def expecting(clock, monkeypatch, seconds):
    """What a chain expects of a row takes so long."""
    for module in (accounting, remembering):
        clock.charge(monkeypatch, module, "expected", lambda wide, rows: seconds * len(rows))


@pytest.fixture(scope="module")
def codes():
    rng = np.random.default_rng(0)
    x = np.repeat(rng.normal(size=150), 2)
    codes = np.stack([x, x + 0.3 * rng.normal(size=300), x > 0], 1)
    codes[rng.random(codes.shape) < 0.2] = np.nan
    return codes


def test_a_fit_ends_within_its_budget_with_exemplars_learned(clock, monkeypatch, codes):
    """Exemplars and answers take nine seconds of it, as many as 45 steps."""
    expecting(clock, monkeypatch, 0.01)
    fit = fit_table(codes, FIELDS, budget=35.0)
    assert clock.now <= 35.0
    assert fit.record["max_steps"] > 110
    record, effort = fit.record["exemplars"], Effort.of(fit.record["max_steps"], 5000)
    assert (record["rows"], record["steps"]) == (240, effort.steps)
    again = fit_table(codes, FIELDS, max_steps=fit.record["max_steps"])
    assert {**again.record, "seconds": 0} == {**fit.record, "seconds": 0}
    for name, x in fit.law.state_dict().items():
        torch.testing.assert_close(x, again.law.state_dict()[name], rtol=0, atol=0, equal_nan=True)


def test_exemplars_that_would_take_too_long_are_not_tried(clock, monkeypatch, codes):
    expecting(clock, monkeypatch, 0.2)
    record = fit_table(codes, FIELDS, budget=35.0).record
    assert record["exemplars"] is None
    assert record["max_steps"] == fitting.EARLIEST - 1
    assert clock.now <= 35.0


def test_what_is_spent_on_exemplars_grows_with_the_steps():
    efforts = [Effort.of(steps, 5000) for steps in (100, 200, 399, 400, 4000)]
    assert efforts == sorted(efforts)
    assert efforts[-1] == efforts[-2] == Effort(5000, 80)
    assert efforts[-3] < efforts[-2]
    assert Effort.of(100, 300).rows == 300
    price = Prices(1.0, 0.01, 0.5, answer_beside=1e-5, expect=0.001, chain=0.001, beside=1e-6, step=0.1)
    assert price.always(100) == pytest.approx(1 + 1 + 4 * 0.5)
    by_hand = 0.001 * (5000 + 5000) + 2 * 2000 * 0.001 + 80 * 0.1 + 200 * (0.001 + 0.005) + 100 * 5000 * 1e-5
    assert price.exemplars(Effort(5000, 80), 6000, 5400, 100) == pytest.approx(by_hand)
