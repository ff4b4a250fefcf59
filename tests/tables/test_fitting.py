"""Fits of a table's law: what it learns, that they repeat, and tables of every shape."""

import json

import numpy as np
import pytest
import torch
from sklearn.datasets import load_iris

from pyro_priors.data.schema import Field
from pyro_priors.distributions.kinds import Continuous, Discrete
from pyro_priors.tables.answers.answers import Answers
from pyro_priors.tables.fits import candidates, descent, fitting
from pyro_priors.tables.fits.fitting import fit_table
from pyro_priors.tables.fits.leaf_forms import choose_leaves
from pyro_priors.tables.laws.groups import number_groups
from pyro_priors.tables.leaves.leaf_fitting import fit_leaf

NUMBER, PAIR = Field("x", "continuous"), Field("c", "categorical", categories=("a", "b"))
FIELDS = [NUMBER, NUMBER, PAIR]
FAST = {"max_steps": 12}


def table(rows=300, seed=0, gaps=0.2):
    """Two numbers that hang together, and the sign of their difference from it."""
    rng = np.random.default_rng(seed)
    x = rng.normal(size=rows)
    codes = np.stack([x, x + 0.3 * rng.normal(size=rows), x > 0], 1)
    codes[rng.random(codes.shape) < gaps] = np.nan
    return codes


def density(law, codes):
    return float(law.law().log_prob(law.rows(codes)).mean())


def same(one, other):
    return all(torch.equal(a, other.state_dict()[name]) for name, a in one.state_dict().items())


@pytest.fixture(scope="module")
def fitted():
    return fit_table(table(), FIELDS, max_steps=90)


def test_rows_that_were_never_seen_are_more_probable_than_column_by_column(fitted):
    fresh = table(seed=1, gaps=0.0)
    law, rows = fitted.law.law(), fitted.law.rows(fresh)
    alone = sum(float(law.marginal([c]).log_prob(rows[:, [c]]).mean()) for c in range(3))
    assert float(law.log_prob(rows).mean()) > alone + 1.0  # about 1.7 nats are to be had
    assert not any(parameter.requires_grad for parameter in fitted.law.parameters())
    assert all(x.dtype == torch.float64 for x in fitted.law.parameters())


def test_a_fit_within_a_time_is_repeated_by_its_number_of_steps(monkeypatch):
    monkeypatch.setattr(fitting, "TRIAL", 3)
    monkeypatch.setattr(fitting, "LEAST", 8)
    codes = table(40)
    fit = fit_table(codes, FIELDS, budget=0.1)
    again = fit_table(codes, FIELDS, max_steps=fit.record["max_steps"])
    assert same(fit.law, again.law)
    assert {**fit.record, "seconds": 0} == {**again.record, "seconds": 0}
    assert not same(fit.law, fit_table(codes, FIELDS, max_steps=fit.record["max_steps"], seed=1).law)


def test_numbers_that_say_all_of_each_other_are_answered_exactly():
    """Of b = 2 a + 1 + noise the law, beside a number that is not linear in a: intervals are as wide as it is."""
    rng = np.random.default_rng(0)
    a, noise = rng.normal(size=240), rng.normal(size=240)
    for deviation in (0.0, 1e-3):
        codes = np.stack([a, 2 * a + 1 + deviation * noise, a**2 + 0.1 * noise], 1)
        fit = fit_table(codes[:200], [NUMBER] * 3, max_steps=60)
        open_rows = np.where([False, True, True], np.nan, codes[200:])
        low, high = Answers([fit.law]).quantiles(open_rows, [0.05, 0.95])[:, :, 1]
        middle = np.abs(a[200:]) < 1.5  # beyond it the scores are straight lines of few rows
        width = np.median((high - low)[middle])
        assert width < (3e-3 if deviation == 0 else 2.5 * 3.29 * deviation)
        inside = (low <= codes[200:, 1]) & (codes[200:, 1] <= high)
        assert inside[middle].mean() > 0.7


def test_the_random_state_of_the_caller_is_left_alone():
    torch.manual_seed(3)
    expected = torch.rand(2)
    torch.manual_seed(3)
    fit_table(table(60), FIELDS, **FAST)
    assert torch.equal(torch.rand(2), expected)


def test_the_record_is_json_and_says_what_was_tried(fitted):
    record = json.loads(json.dumps(fitted.record))
    assert (record["rows"], record["held_out"], record["max_steps"]) == (300, 60, 90)
    assert len(record["candidates"]) > 1
    best = max(record["candidates"], key=lambda tried: tried["score"])
    assert record["chosen"]["rank"] == best["rank"]
    assert record["score"] >= best["score"]
    assert record["curve"][0] == [0, best["score"]]


def test_rows_of_weight_zero_are_as_if_they_were_not_there():
    codes, other = table(60), table(60, seed=5) + 100
    other[:, 2] = 1
    weight = np.r_[np.ones(60), np.zeros(60)]
    law = fit_table(np.r_[codes, other], FIELDS, sample_weight=weight, **FAST).law
    assert law.leaves[0].high < 50


def test_weights_say_how_often_a_row_counts():
    codes = table(gaps=0.0)
    weight = np.where(codes[:, 2] == 1, 9.0, 1.0)
    law = fit_table(codes, FIELDS, sample_weight=weight, max_steps=40).law
    share = float(law.law().marginal("c2").log_prob(torch.ones(1, 1, dtype=torch.float64)).exp())
    expected = weight[codes[:, 2] == 1].sum() / weight.sum()
    assert share == pytest.approx(expected, abs=0.05)
    assert expected > 0.85


def test_a_law_goes_on_from_an_earlier_one(fitted):
    first = fitted.law
    moved = table(seed=2, gaps=0.0)
    moved[:, 2] = 1 - moved[:, 2]
    before = {name: x.clone() for name, x in first.state_dict().items()}
    second = fit_table(moved, FIELDS, max_steps=100, law=first).law
    assert density(second, moved) > density(first, moved) + 0.3
    assert all(torch.equal(x, first.state_dict()[name]) for name, x in before.items())
    assert torch.equal(second.prior.order, first.prior.order)
    assert {**second.to_json(), "exemplars": None} == {**first.to_json(), "exemplars": None}


ROWS = 60
X = table(ROWS, gaps=0.0)[:, 0]
SHAPES = {
    "a number": (table(ROWS)[:, :1], [NUMBER]),
    "categories": (np.stack([X > 0, X > 1], 1), [PAIR, PAIR]),
    "numbers": (table(ROWS)[:, :2], [NUMBER, NUMBER]),
    "collinear numbers": (np.stack([X, 2 * X + 1, X - 3], 1), [NUMBER] * 3),
    "five rows": (np.array([[1.0, 0], [2, 1], [np.nan, 1], [4, np.nan], [5, 0]]), [NUMBER, PAIR]),
    "a row": (np.array([[1.0, 0.0]]), [NUMBER, PAIR]),
    "a constant": (np.stack([np.ones(ROWS), X], 1), [NUMBER, NUMBER]),
    "rows without cells": (np.r_[np.full((20, 3), np.nan), table(40)], FIELDS),
    "duplicates": (np.repeat([[1.0, 0], [2, 1], [3, 1]], 30, 0), [NUMBER, PAIR]),
    "zeros": (np.stack([np.where(X > 0, np.exp(X), 0), X], 1), [NUMBER, NUMBER]),
    "magnitudes": (np.stack([X * 1e12, 5 + X * 1e-9], 1), [NUMBER, NUMBER]),
}


QUICK = ("a number", "categories", "five rows", "zeros")


@pytest.mark.parametrize("name", [n if n in QUICK else pytest.param(n, marks=pytest.mark.slow) for n in SHAPES])
def test_tables_of_every_shape_have_a_law(name):
    codes, fields = SHAPES[name]
    law = fit_table(codes, fields, max_steps=8).law
    assert law.law().log_prob(law.rows(codes)).isfinite().all()
    torch.manual_seed(0)
    drawn = law.codes(law.law().sample((50,)))
    assert not drawn.isnan().any()
    ends = np.nanmin(codes, 0) - 1e-6, np.nanmax(codes, 0) + 1e-6
    numbers = [c for c, field in enumerate(fields) if field.categories is None]
    assert (drawn.numpy()[:, numbers] >= ends[0][numbers]).all()
    assert (drawn.numpy()[:, numbers] <= ends[1][numbers]).all()


def test_counts_take_the_form_that_predicts_them_better():
    rng = np.random.default_rng(0)
    x, letter = rng.normal(size=400), rng.integers(0, 2, 400)
    rising = np.round(20 + 8 * x + rng.normal(size=400)).clip(0, 40)
    parity = 2 * rng.integers(0, 5, 400) + letter
    fields = [Field("m", "count"), Field("n", "count"), NUMBER, PAIR]
    torch.manual_seed(0)
    leaves, said = choose_leaves(torch.from_numpy(np.stack([rising, parity, x, letter], 1).astype(float)), fields, None)
    assert said[0]["scores"] > said[0]["states"] + 1.0  # a law of 40 states knows little of how they are ordered
    assert list(said) == [0, 1]
    for column, scores in said.items():
        form = Discrete if scores["states"] > scores["scores"] else Continuous
        assert isinstance(leaves[column].kinds[-1], form)


def test_many_numbers_stand_in_vectors_of_neighbours():
    rng = np.random.default_rng(0)
    twins = torch.from_numpy(rng.normal(size=(100, 20)).repeat(2, 1) + 0.1 * rng.normal(size=(100, 40)))
    groups = number_groups([fit_leaf(NUMBER, x) for x in twins.unbind(1)], twins)
    assert sorted(c for group in groups for c in group) == list(range(40))
    first, second = ({c // 2 for c in group} for group in groups)
    assert len(first & second) <= 1


@pytest.mark.parametrize(
    ("change", "message"),
    [
        ({"codes": np.zeros((0, 3))}, "codes: expected shape"),
        ({"codes": np.zeros((5, 2))}, "codes: expected shape"),
        ({"budget": 0}, "budget: expected a positive number"),
        ({"max_steps": 0}, "max_steps: expected"),
        ({"sample_weight": np.zeros(300)}, "sample_weight: expected"),
        ({"sample_weight": np.ones(3)}, "sample_weight: expected"),
    ],
)
def test_what_cannot_be_is_said_before_any_work(change, message):
    given = {"codes": table(), "fields": FIELDS, **change}
    with pytest.raises(ValueError, match=message):
        fit_table(**given)


def test_a_law_of_other_columns_does_not_go_on(fitted):
    with pytest.raises(ValueError, match="law: expected one of 2 columns, got one of 3"):
        fit_table(table()[:, :2], FIELDS[:2], law=fitted.law)


def test_few_rows_have_clusters_enough_for_their_categories():
    flowers = load_iris()
    codes = np.concatenate([flowers.data, flowers.target[:, None]], 1)
    hidden = np.random.default_rng(0).random(len(codes)) < 0.3
    truth, codes[hidden, 4] = codes[hidden, 4].copy(), np.nan
    fields = [NUMBER] * 4 + [Field("kind", "categorical", categories=tuple(flowers.target_names))]
    law = fit_table(codes, fields, max_steps=60).law
    right = np.mean(Answers([law]).fill(codes)[hidden, 4] == truth)
    assert right > 0.85  # two thirds where all states share a cluster


@pytest.mark.parametrize("briefly", [0, 1000])
def test_the_rows_that_were_held_out_are_learned_in_the_end(monkeypatch, briefly):
    """The law goes on from what the others taught it or starts anew, with all rows, within its number of steps."""
    seen, steps = [], []

    class Spied(candidates.Candidates):
        def continued(self, law, index):
            seen.append(("continued", len(index)))
            training = super().continued(law, index)
            assert same(training.law, law)
            return training

        def begun(self, rank, index):
            seen.append(("begun", len(index)))
            return super().begun(rank, index)

    step = descent.Training.step
    monkeypatch.setattr(fitting, "Candidates", Spied)
    monkeypatch.setattr(fitting, "BRIEFLY", briefly)
    monkeypatch.setattr(descent.Training, "step", lambda self, share: steps.append(share) or step(self, share))
    record = fit_table(table(200), FIELDS, max_steps=120).record
    led = max(each["steps"] for each in record["candidates"]) + record["steps"]
    assert seen[-1] == (("begun", 200) if record["anew"] else ("continued", 200))
    assert record["anew"] == (0 < led < briefly or led == 0 < briefly)
    assert all(rows < 200 for _, rows in seen[:-1])
    assert len(steps) <= 120
