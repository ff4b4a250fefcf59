"""Fits that remember rows: when they do, what for, and what becomes of it."""

import pickle

import numpy as np
import pytest
import torch
from hand_law import NAN, hand_law, hand_leaves

from pyro_priors.tables import TableImputer
from pyro_priors.tables.answers.beliefs import Belief, Evidence
from pyro_priors.tables.fits import effort
from pyro_priors.tables.fits.expecting import expected
from pyro_priors.tables.laws.exemplars import find
from pyro_priors.tables.laws.wide_law import WideLaw

ROWS = np.array([[5.3, 1, 1.0, 20, 0], [5.3, NAN, 0, 20, NAN], [NAN, 2, 3.0, NAN, 1], [1.0, 0, NAN, 7, 1], [NAN] * 5])


def test_what_the_chain_expects_is_what_it_believes_of_each_cell_alone():
    law = hand_law(0, hand_leaves(whole=None))
    wide = WideLaw(law)
    rows = wide.rows(ROWS)
    found = expected(wide, rows)
    for column, place in enumerate(wide.places):
        evidence = Evidence(wide.without(rows, place.columns), None, {}, torch.ones(len(rows), dtype=torch.bool))
        belief = Belief(wide, evidence)
        if place.states is not None:
            torch.testing.assert_close(found.probs[place.states], belief.states(column), rtol=0, atol=1e-10)
            belief = belief.given((place.states,), float(place.atoms))
        if place.score is not None:
            mixture = belief.score(column, torch.arange(len(rows)))
            mean = mixture.total(mixture.mean, len(rows))
            square = mixture.total(mixture.mean.square() + mixture.scale.square(), len(rows))
            torch.testing.assert_close(found.mean[:, place.score], mean, rtol=0, atol=1e-6)
            torch.testing.assert_close(found.scale[:, place.score], (square - mean.square()).sqrt(), rtol=0, atol=1e-6)


def households(seed=0):
    """Five rows each of 80 households, of which a town and an income are the same and a rest is noise."""
    rng = np.random.default_rng(seed)
    town, income, size = rng.integers(6, size=80), rng.normal(50, 15, 80).round(2), rng.integers(4, size=80)
    who = np.repeat(np.arange(80), 5)
    table = np.stack([town[who], income[who], size[who], rng.normal(0, 1, 400)], 1).astype(object)
    table[:, 0] = np.array([f"town {k}" for k in town[who]])
    table[:, 2] = np.array([f"size {k}" for k in size[who]])
    return table[rng.permutation(400)]


def with_gaps(table, seed=1, share=0.25):
    given = table.copy()
    given[np.random.default_rng(seed).random(table.shape) < share] = None
    return given


def errors(imputer, table, given):
    """Share of hidden towns and sizes that are wrong."""
    gaps = np.equal(given, None)
    return np.mean([(imputer.transform(given)[gaps[:, c], c] != table[gaps[:, c], c]).mean() for c in (0, 2)])


@pytest.fixture(scope="module")
def table():
    return households()


@pytest.fixture(scope="module")
def given(table):
    return with_gaps(table)


@pytest.fixture(scope="module")
def fitted(given):
    return TableImputer(max_steps=100, random_state=0).fit(given)


def test_rows_that_come_again_are_remembered(table, given, fitted):
    without = TableImputer(max_steps=100, random_state=0, exemplars=0).fit(given)
    record = fitted.records_[0]["exemplars"]
    assert record["gain"] > 2 * record["error"]
    assert len(fitted.laws_[0].exemplars) == 400
    assert without.records_[0]["exemplars"] is None
    assert without.laws_[0].exemplars is None
    assert errors(fitted, table, given) < 0.7 * errors(without, table, given)


def test_there_are_no_more_than_asked_for(given):
    few = TableImputer(max_steps=100, random_state=0, exemplars=150).fit(given)
    assert len(few.laws_[0].exemplars) == 150
    with pytest.raises(ValueError, match="exemplars: expected an integer of at least 0, got -1"):
        TableImputer(exemplars=-1).fit(given)


def test_a_short_further_fit_forgets_no_row(given, fitted, monkeypatch):
    """Fewer steps learn kernels from fewer rows, but as many may be remembered."""
    monkeypatch.setattr(effort, "LEAST_ROWS", 100)
    again = pickle.loads(pickle.dumps(fitted)).set_params(max_steps=20, exemplars=500)
    again.partial_fit(given[:30])
    assert len(again.laws_[0].exemplars) > 380  # of 400, less those that are given again


def test_exact_twins_of_held_out_rows_count():
    """They are of the table like any other row, while a row that is remembered is no twin of itself."""
    rng = np.random.default_rng(0)
    x = np.repeat(rng.normal(size=(150, 4)).round(3), 2, 0)[rng.permutation(300)]
    imputer = TableImputer(max_steps=100, random_state=0).fit(x)
    record = imputer.records_[0]["exemplars"]
    assert record["gain"] > 1
    assert len(imputer.laws_[0].exemplars) == imputer.records_[0]["remembered"] == 300
    assert "300 rows are remembered; a hidden cell gains" in str(imputer.describe())


def test_rows_without_likeness_are_forgotten():
    rng = np.random.default_rng(0)
    x = rng.normal(size=(300, 3)) @ rng.normal(size=(3, 3))
    record = TableImputer(max_steps=100, random_state=0).fit(x).records_[0]["exemplars"]
    assert record["kernels"] is None
    assert record["gain"] < record["error"] + 0.05


def test_saved_and_pickled(tmp_path, given, fitted):
    fitted.save(tmp_path / "model")
    for again in (TableImputer.load(tmp_path / "model"), pickle.loads(pickle.dumps(fitted))):
        assert np.array_equal(again.transform(given), fitted.transform(given))
        np.testing.assert_array_equal(again.score_samples(given), fitted.score_samples(given))


def test_the_same_steps_give_the_same_law(given, fitted):
    again = TableImputer(max_steps=100, random_state=0).fit(given)
    for name, x in fitted.laws_[0].state_dict().items():
        torch.testing.assert_close(x, again.laws_[0].state_dict()[name], rtol=0, atol=0, equal_nan=True)


def test_a_further_fit_remembers_the_rows_of_before(given, fitted):
    new = with_gaps(households(seed=5))[:60]
    more = pickle.loads(pickle.dumps(fitted)).set_params(max_steps=30).partial_fit(new)
    law, before = more.laws_[0], fitted.laws_[0].exemplars
    assert len(law.exemplars) == 460
    assert (find(before.rows, law.exemplars.rows) >= 0).all()
    law = pickle.loads(pickle.dumps(fitted)).partial_fit(new).laws_[0]  # at 100 steps, of which new rows gain nothing
    assert len(law.exemplars) == 460
    twice = pickle.loads(pickle.dumps(fitted)).set_params(max_steps=30).partial_fit(given)
    assert len(twice.laws_[0].exemplars) == 400
