"""A fit's account of its time, by a clock that only the fit's own work moves."""

import numpy as np
import pytest
import torch

from pyro_priors.data.schema import Field
from pyro_priors.tables.fits import descent, fitting, kernel_learning
from pyro_priors.tables.fits.effort import Effort
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
    monkeypatch.setattr(fitting, "time", clock)
    clock.charge(monkeypatch, fitting, "hold_out", lambda answers, fields, codes, hidden: ANSWER * len(codes))
    clock.charge(monkeypatch, descent.Training, "step", lambda *_: STEP)
    clock.charge(monkeypatch, kernel_learning.KernelTraining, "step", lambda *_: KERNEL_STEP)
    monkeypatch.setattr(fitting, "TRIAL", 8)
    return clock


@pytest.fixture(scope="module")
def codes():
    rng = np.random.default_rng(0)
    x = np.repeat(rng.normal(size=150), 2)
    codes = np.stack([x, x + 0.3 * rng.normal(size=300), x > 0], 1)
    codes[rng.random(codes.shape) < 0.2] = np.nan
    return codes


def test_a_fit_ends_within_its_budget_with_exemplars_learned(clock, codes):
    """They and answers take five seconds of it, as many as 25 steps; its number of steps repeats all of it."""
    fit = fit_table(codes, FIELDS, budget=35.0)
    assert 25.0 < clock.now <= 35.0
    assert fit.record["max_steps"] > 110
    record, effort = fit.record["exemplars"], Effort.of(fit.record["max_steps"], 5000)
    assert (record["rows"], record["steps"]) == (240, effort.steps)
    again = fit_table(codes, FIELDS, max_steps=fit.record["max_steps"])
    assert {**again.record, "seconds": 0} == {**fit.record, "seconds": 0}
    for name, x in fit.law.state_dict().items():
        torch.testing.assert_close(x, again.law.state_dict()[name], rtol=0, atol=0, equal_nan=True)


def test_steps_have_all_of_the_budget_where_nothing_is_remembered(clock, codes):
    few, many = (fit_table(codes, FIELDS, budget=35.0, exemplars=most).record["max_steps"] for most in (5000, 0))
    assert many > few
    assert clock.now <= 70.0


def test_what_is_spent_on_exemplars_grows_with_the_steps():
    efforts = [Effort.of(steps, 5000) for steps in (100, 200, 399, 400, 4000)]
    assert efforts == sorted(efforts)
    assert efforts[-1] == efforts[-2] == Effort(5000, 80)
    assert efforts[-3] < efforts[-2]
    assert Effort.of(100, 300).rows == 300
    assert [Effort.of(steps, 20_000).rows for steps in (200, 3000)] == [10_000, 20_000]
    assert [Effort(5000, steps).answered(900) for steps in (80, 40)] == [900, 450]
    assert Effort(1000, 40).answered(150) == 150
