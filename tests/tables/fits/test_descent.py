"""What a step of a fit follows, and how its rate falls where held-out cells no longer gain."""

import copy

import pytest
import torch
from torch import nn

from pyro_priors.data.schema import Field
from pyro_priors.tables.fits import descent
from pyro_priors.tables.fits.descent import Descent, Judge, Training
from pyro_priors.tables.fits.widening import widen
from pyro_priors.tables.laws.law import TableLaw
from pyro_priors.tables.leaves.leaf_fitting import fit_leaf
from pyro_priors.tables.leaves.leaves import StateLeaf


def training(rows=64):
    """A law of two numbers and two categories, started."""
    torch.manual_seed(0)
    x = torch.randn(rows, 2, dtype=torch.float64)
    codes = torch.cat([x, (x.sum(1, keepdim=True) > 0).double(), torch.randint(0, 3, (rows, 1)).double()], 1)
    numbers = [fit_leaf(Field(f"x{c}", "continuous"), codes[:, c]) for c in range(2)]
    started = Training(TableLaw([*numbers, StateLeaf(2), StateLeaf(3)], rank=4, local=1), codes, None, 0.01, 1.0)
    started.start()
    return started


def test_a_step_follows_rows_and_what_their_cells_say_of_each_other(monkeypatch):
    """Against gradients of both parts by themselves."""
    steps, nan = training(), torch.nan
    rows = steps.batches.next()
    masked = rows.clone()
    masked[::2, 0], masked[1::2, 2] = nan, nan
    law, usual, pseudo = copy.deepcopy(steps.law.prior).double(), steps.usual, steps.pseudo
    whole, known = (law().log_prob(x.double()).sum() for x in (rows, masked))
    wanted = -whole / len(rows) - 2.0 * (whole - known) / len(rows) - pseudo * law.log_smoothness(*usual)
    expected = torch.autograd.grad(wanted, list(law.parameters()))
    monkeypatch.setattr(steps.batches, "next", lambda: rows)
    monkeypatch.setattr(steps, "_masked", lambda _: masked)
    steps.step()
    for parameter, gradient in zip(steps.law.prior.parameters(), expected, strict=True):
        torch.testing.assert_close(parameter.grad.double(), gradient, rtol=1e-5, atol=1e-7)


def test_masks_have_few_patterns_in_vectors_and_hide_a_quarter():
    """Of 2,000 rows: a share within five standard errors of 1 / 4, of patterns eight times fewer cells (1e-5)."""
    steps = training()
    rows = steps.batches.next().repeat(32, 1)[:2000]
    gone = steps._masked(rows).isnan()
    assert len(gone[:, :2].unique(dim=0)) <= min(4, descent.PATTERNS)
    assert float(gone[:, 2:].float().mean()) == pytest.approx(0.25, abs=5 * (0.1875 / 4000) ** 0.5)
    many = sum(float(steps._masked(rows[:8])[:, :2].isnan().float().mean()) for _ in range(500)) / 500
    assert many == pytest.approx(0.25, abs=5 * (0.1875 / 8000) ** 0.5)


class Counting:
    """A training whose law is how many steps it took, and what the rates were."""

    def __init__(self):
        self.law, self.rates = nn.Linear(1, 1, bias=False), []
        nn.init.zeros_(self.law.weight)

    def step(self, share):
        self.rates.append(share)
        with torch.no_grad():
            self.law.weight += 1


class Six:
    """A judge that likes the law of six steps best; `sure` of every difference, or of none."""

    def __init__(self, sure=True):
        self.sure = sure

    def __call__(self, law):
        return -abs(law.weight.item() - 6)

    def surely(self, law, state):
        return self.sure and self(law) > -abs(state["weight"].item() - 6)


def test_the_rate_falls_where_held_out_cells_gain_no_more():
    """The judge likes the law of six steps best; from there on every way leads down."""
    counting = Counting()
    fall = Descent(counting, [1.0] * 1000, Six(), every=2)
    fall.run()
    assert (fall.steps, fall.score, counting.law.weight.item()) == (6, 0.0, 6.0)
    expected = [1.0] * 10 + [0.4] * 4 + [0.4**2] * 4 + [0.4**3] * 4  # two looks of two steps each, then less
    assert counting.rates == pytest.approx(expected)


def test_the_first_law_is_left_for_none_that_is_better_by_chance():
    counting = Counting()
    fall = Descent(counting, [1.0] * 1000, Six(sure=False), every=2)
    fall.run()
    assert (fall.steps, fall.score, counting.law.weight.item()) == (0, -6.0, 0.0)


def test_a_judge_is_sure_of_what_is_more_than_its_error():
    """Against the gain of each row, by the density of the law itself; what twelve rows gain by little may be chance."""
    started = training(rows=400)
    law, codes = started.law, started.batches.rows[:, :4].double()
    worse = copy.deepcopy(law)
    widen(worse, 1.5)
    judge = Judge(codes, [0, 1], torch.Generator().manual_seed(0))
    masked = judge.codes.masked_fill(judge.hidden, torch.nan)
    gains = 0.0
    for sign, each in ((1, law), (-1, worse)):
        whole, known = (each.double().law().log_prob(each.rows(x)) for x in (judge.codes, masked))
        gains = gains + sign * (whole - known)
    error = float(gains.detach().std(correction=0)) * len(gains) ** 0.5
    assert float(gains.detach().sum()) > error
    assert judge.surely(law, worse.state_dict())
    assert not judge.surely(worse, law.state_dict())
    assert not judge.surely(law, law.state_dict())
    few = Judge(codes[:12], [0, 1], torch.Generator().manual_seed(1))
    slightly = copy.deepcopy(law)
    widen(slightly, 1.02)
    better, other = sorted((law, slightly), key=few, reverse=True)
    assert few(better) > few(other)
    assert not few.surely(better, other.state_dict())


def test_a_descent_that_an_earlier_version_interrupted_goes_on():
    part = Counting()
    state = Descent(part, [1.0] * 20, Six(), every=2).state_dict()
    del state["first"]
    fall = Descent(part, [1.0] * 20, Six(), every=2, state=state)
    fall.run()
    assert fall.steps == 6


def test_an_interrupted_descent_falls_on():
    whole, part, judge = Counting(), Counting(), Six()
    Descent(whole, [1.0] * 1000, judge, every=2).run()

    class Stopped(Exception):
        pass

    first = Descent(part, [1.0] * 1000, judge, every=2)

    def stop():
        if first.done == 13:
            raise Stopped

    with pytest.raises(Stopped):
        first.run(stop)
    Descent(part, [1.0] * 1000, judge, every=2, state=first.state_dict()).run()
    assert part.rates == pytest.approx(whole.rates)
