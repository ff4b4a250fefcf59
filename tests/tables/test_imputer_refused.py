"""What the estimator of tables refuses, before any work."""

import warnings

import numpy as np
import pytest
from sklearn.exceptions import NotFittedError
from some_people import CELLS, NAMES, as_pandas, fitted_imputer

from pyro_priors.tables import TableImputer


@pytest.fixture
def fitted():
    return fitted_imputer()


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        ({"n": 0}, "n: expected an integer of at least 1"),
        ({"given": {"colour": "red"}}, "given: expected names of columns .*'height'.*got 'colour'"),
        ({"given": {"note": "x"}}, "given: expected columns that take part, got 'note'"),
        ({"given": {"sex": "robot"}}, "given: expected a value of 'sex', got 'robot'"),
        ({"given": {"sex": None}}, "given: expected a value of 'sex'"),
        ({"given": {"sex": ("female", "male")}}, "given: expected one value of 'sex'"),
        ({"given": {"sex": []}}, "given: expected at least one category of 'sex'"),
        ({"given": {"height": (180, 170)}}, "given: expected a range .*the lower end first"),
        ({"given": {"height": (170, 175, 180)}}, r"given: expected a range \(low, high\)"),
        ({"given": {"height": [170, 180]}}, "given: expected a value or a range"),
        ({"given": {"height": "tall"}}, "given: expected a value of 'height', got 'tall'"),
        ({"given": ["height"]}, "given: expected a mapping"),
        ({"given": {"height": np.inf}}, "given: expected a value of 'height', got inf"),
    ],
)
def test_samples_that_cannot_be(fitted, arguments, message):
    with pytest.raises(ValueError, match=message):
        fitted.sample(**arguments)


def test_what_is_given_must_agree_with_the_rows(fitted):
    X = as_pandas(np.array([[180.0, None, None, "x"], [None, None, "male", "x"]], dtype=object))
    with pytest.raises(ValueError, match=r"given: expected what the rows of X know, got another 'sex' in row 1"):
        fitted.sample(X, given={"sex": "female"})
    with pytest.raises(ValueError, match=r"got another 'height' in row 0"):
        fitted.sample(X, given={"height": (150, 170)})
    assert fitted.sample(X, given={"height": (170, 190)})[0]["height"].iloc[0] == 180


@pytest.mark.parametrize(
    ("settings", "message"),
    [
        ({"budget": 0}, "budget: expected seconds above 0"),
        ({"budget": "long"}, "budget"),
        ({"max_steps": 0}, "max_steps: expected an integer of at least 1"),
        ({"ensemble": 0}, "ensemble: expected an integer of at least 1"),
        ({"kinds": {"size": "count"}}, "size"),
        ({"kinds": {"height": "long"}}, "long"),
        ({"kinds": "height=count"}, "kinds: expected a mapping"),
        ({"also_missing": "none"}, "also_missing: expected a list"),
        ({"also_missing": None}, "also_missing: expected a list"),
    ],
)
def test_settings_that_cannot_be(settings, message):
    with pytest.raises(ValueError, match=message):
        TableImputer(**settings).fit(as_pandas())


@pytest.mark.parametrize(
    ("weights", "message"),
    [
        (np.ones(3), r"sample_weight: expected shape \(300,\)"),
        (-np.ones(300), "sample_weight: expected finite numbers of at least 0"),
        (np.full(300, np.nan), "sample_weight: expected finite numbers"),
        (np.zeros(300), "sample_weight: expected a weight above 0"),
        (["x"] * 300, "sample_weight: expected a number"),
    ],
)
def test_weights_that_cannot_be(weights, message):
    with pytest.raises(ValueError, match=message):
        TableImputer(max_steps=2).fit(as_pandas(), sample_weight=weights)


def test_other_columns_than_in_the_fit(fitted):
    X = as_pandas()
    with pytest.raises(ValueError, match="Feature names unseen at fit time:\n- size"):
        fitted.transform(X.rename(columns={"height": "size"}))
    with pytest.raises(ValueError, match="must be in the same order"):
        fitted.transform(X[NAMES[::-1]])
    with pytest.raises(ValueError, match="X"):
        fitted.transform(X.iloc[:0])
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", UserWarning)
        with pytest.raises(ValueError, match="X has 2 features, but TableImputer is expecting 4"):
            fitted.transform(CELLS[:, :2])
    with pytest.raises(ValueError, match="robot"):
        fitted.transform(X.assign(sex="robot"))
    for ask in (fitted.proba,):
        with pytest.raises(ValueError, match="column: expected one of 'height', 'weight', 'sex', got 'note'"):
            ask(X, "note")
        with pytest.raises(ValueError, match="column: expected a column of categories, got 'height'"):
            ask(X, "height")
    with pytest.raises(ValueError, match="level: expected a number between 0 and 1"):
        fitted.interval(X, 90)
    with pytest.raises(ValueError, match="X: expected a table with gaps"):
        fitted.to_arviz(fitted.transform(X))


@pytest.mark.parametrize("ask", ["transform", "sample", "interval", "score", "score_samples", "outliers", "to_arviz"])
def test_nothing_is_answered_before_a_fit(ask):
    with pytest.raises(NotFittedError):
        getattr(TableImputer(), ask)(as_pandas())


def test_nothing_is_described_or_saved_before_a_fit(tmp_path):
    with pytest.raises(NotFittedError):
        TableImputer().describe()
    with pytest.raises(NotFittedError):
        TableImputer().save(tmp_path)
    with pytest.raises(NotFittedError):
        TableImputer().proba(as_pandas(), "sex")
    assert not list(tmp_path.iterdir())
