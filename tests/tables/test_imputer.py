"""The estimator on tables of every kind, and its answers."""

import datetime as dt
import pickle

import joblib
import numpy as np
import pytest
from sklearn.base import clone
from sklearn.linear_model import LinearRegression
from sklearn.model_selection import cross_val_score
from sklearn.pipeline import make_pipeline
from some_people import CELLS, NAMES, STEPS, as_pandas, as_polars, fitted_imputer, numbers, people

from pyro_priors.tables import TableImputer


@pytest.fixture
def fitted():
    return fitted_imputer()


def test_fills_the_gaps_alone(fitted):
    X = as_pandas()
    filled = fitted.transform(X)
    assert type(filled) is type(X)
    assert list(filled.columns) == NAMES
    assert filled.index.equals(X.index)
    assert (filled.dtypes == X.dtypes).all()
    assert filled.notna().all(axis=None)
    assert filled.where(X.notna()).equals(X.where(X.notna()))
    assert X.isna().sum().sum() > 100


def test_fills_well(fitted):
    tall = fitted.transform(as_pandas(np.array([[190.0, None, "male", "x"], [None, 65.0, None, "y"]], dtype=object)))
    assert tall["weight"].iloc[0] == pytest.approx(0.9 * 190 - 80, abs=4)
    assert tall["sex"].iloc[1] == "female"
    assert tall["height"].iloc[1] == pytest.approx(162, abs=4)


@pytest.mark.slow
@pytest.mark.parametrize("make", [as_polars, np.array])
def test_the_same_of_every_kind_of_table(fitted, make):
    X = make(CELLS)
    other = TableImputer(max_steps=STEPS, random_state=0).fit(X)
    filled = other.transform(X)
    assert type(filled) is type(X)
    np.testing.assert_allclose(numbers(filled), numbers(fitted.transform(as_pandas())), atol=1e-6)
    lower, upper = other.interval(X)
    np.testing.assert_allclose(numbers(lower), numbers(fitted.interval(as_pandas()).lower), atol=1e-6)
    assert type(upper) is type(X)
    drawn = other.sample(n=5)
    assert type(drawn) is type(X)
    assert numbers(drawn).shape == (5, 2)
    probabilities = np.asarray(other.proba(X, "x2" if make is np.array else "sex"))
    np.testing.assert_allclose(probabilities, np.asarray(fitted.proba(as_pandas(), "sex")), atol=1e-6)


def test_a_csv_file(fitted, tmp_path):
    path = tmp_path / "people.csv"
    as_pandas().to_csv(path, index=False)
    other = TableImputer(max_steps=STEPS, random_state=0).fit(path)
    text = other.transform(path)
    before, after = path.read_text().splitlines(), text.splitlines()
    assert before[0] == after[0]
    for row, (first, second) in enumerate(zip(before[1:], after[1:], strict=True)):
        for place, (cell, filled) in enumerate(zip(first.split(","), second.split(","), strict=True)):
            assert filled == cell or (cell == "" and CELLS[row, place] is None)
            assert filled != ""
    assert other.sample(n=3).splitlines()[0] == before[0]
    assert list(other.feature_names_in_) == NAMES
    (tmp_path / "filled.csv").write_text(text)
    again = pytest.importorskip("pandas").read_csv(tmp_path / "filled.csv")
    np.testing.assert_allclose(numbers(again), numbers(fitted.transform(as_pandas())), atol=0.06)


def test_a_row_alone_and_among_others(fitted):
    X = as_pandas()
    some = X.iloc[:12]
    filled, scores, ends = fitted.transform(X), fitted.score_samples(X), fitted.interval(X)
    for row in range(len(some)):
        alone = some.iloc[row : row + 1]
        np.testing.assert_allclose(numbers(fitted.transform(alone))[0], numbers(filled)[row], atol=1e-5)
        np.testing.assert_allclose(fitted.score_samples(alone), scores[row : row + 1], atol=1e-5)
        np.testing.assert_allclose(numbers(fitted.interval(alone).upper)[0], numbers(ends.upper)[row], atol=1e-5)


def test_a_fit_can_be_repeated_to_the_bit_whatever_the_order_of_rows(fitted):
    X = as_pandas()
    again = clone(fitted).fit(X.sample(frac=1, random_state=0))
    for name, tensor in fitted.laws_[0].state_dict().items():
        assert np.array_equal(tensor.numpy(), again.laws_[0].state_dict()[name].numpy(), equal_nan=True), name
    assert fitted.transform(X).equals(again.transform(X))


@pytest.mark.slow
@pytest.mark.parametrize("ensemble", [1, 2])
def test_steps_repeat_what_a_time_gave(ensemble):
    X = as_pandas(people(60))
    timed = TableImputer(budget=1, random_state=0, ensemble=ensemble).fit(X)
    steps = timed.records_[0]["max_steps"]
    again = TableImputer(max_steps=steps, random_state=0, ensemble=ensemble).fit(X)
    assert timed.transform(X).equals(again.transform(X))
    assert [record["max_steps"] for record in timed.records_] == [steps] * ensemble


@pytest.mark.slow
def test_another_seed_is_another_fit(fitted):
    other = clone(fitted).set_params(random_state=1).fit(as_pandas())
    assert not fitted.transform(as_pandas()).equals(other.transform(as_pandas()))


@pytest.mark.slow
def test_a_weight_is_a_number_of_rows():
    pd = pytest.importorskip("pandas")
    X = as_pandas().iloc[:120].drop(columns="note")
    weights = np.arange(120) % 3
    weighed = TableImputer(max_steps=STEPS, random_state=0).fit(X, sample_weight=weights)
    repeated = pd.concat([X.iloc[row : row + 1] for row in range(120) for _ in range(weights[row])])
    copied = TableImputer(max_steps=STEPS, random_state=0).fit(repeated)
    np.testing.assert_allclose(numbers(weighed.transform(X)), numbers(copied.transform(X)), rtol=1e-7)


def test_copies_differ_where_something_is_missing(fitted):
    X = as_pandas()
    copies = fitted.sample(X, 20)
    values = np.stack([numbers(copy) for copy in copies])
    known = ~np.isnan(numbers(X))
    assert (values[:, known] == numbers(X)[known]).all()
    assert (values[:, ~known].std(0) > 0.1).all()
    lower, upper = fitted.interval(X)
    inside = ((values >= numbers(lower)) & (values <= numbers(upper)))[:, ~known]
    assert 0.87 < inside.mean() < 0.93  # of 20 x 160 draws: five standard errors
    assert copies[0].equals(fitted.sample(X, 20, random_state=0)[0])
    assert not copies[0].equals(fitted.sample(X, 1, random_state=1)[0])


def test_new_rows_given_something(fitted):
    rows = fitted.sample(n=300, given={"sex": "female", "height": (170, None)})
    assert set(rows["sex"]) == {"female"}
    assert rows["height"].min() >= 170
    assert rows["note"].isna().all()
    either = fitted.sample(n=300, given={"sex": ["female", "male"], "weight": (None, 70.0)})
    assert set(either["sex"]) == {"female", "male"}
    assert either["weight"].max() <= 70


def test_a_range_beyond_what_was_seen_is_kept_to(fitted):
    given = {"height": (300, 400)}
    assert (numbers(fitted.sample(n=5, given=given))[:, 0] == 300).all()
    lower, upper = fitted.interval(as_pandas()[:3].assign(height=np.nan), 0.5, given=given)
    assert (numbers(lower)[:, 0] == 300).all()
    assert (numbers(upper)[:, 0] == 300).all()


def test_an_ordinal_of_many_categories():
    pd = pytest.importorskip("pandas")
    rng = np.random.default_rng(0)
    size, levels = rng.normal(size=60), [f"level {k:02}" for k in range(25)]
    places = np.clip(12 + 5 * size + rng.normal(size=60), 0, 24).astype(int)
    X = pd.DataFrame({"size": size, "level": pd.Categorical.from_codes(places, levels, ordered=True)})
    imputer = TableImputer(max_steps=2, random_state=0).fit(X)
    probs, given = imputer.proba(X[:2], "level"), {"level": [levels[10], levels[14]]}
    np.testing.assert_allclose(probs.sum(axis=1), 1)
    filled = imputer.transform(X[:2].assign(level=X["level"][:2].where([False, False])))
    assert list(filled["level"]) == list(probs.idxmax(axis=1))
    assert set(imputer.sample(n=50, given=given)["level"]) <= set(given["level"])


def test_probabilities_do_not_see_the_cell_itself(fitted):
    X = as_pandas(np.array([[190.0, 91.0, "female", "x"], [190.0, 91.0, None, "x"]], dtype=object))
    probabilities = fitted.proba(X, "sex")
    assert list(probabilities.columns) == ["female", "male"]
    assert probabilities.index.equals(X.index)
    np.testing.assert_allclose(probabilities.sum(axis=1), 1)
    np.testing.assert_allclose(probabilities.iloc[0], probabilities.iloc[1])
    assert probabilities["male"].iloc[0] > 0.9
    given = fitted.proba(
        as_pandas(np.array([[None, None, None, "x"]] * 2, dtype=object)), "sex", {"height": (185, 200)}
    )
    assert given["male"].iloc[0] > 0.9


def test_what_is_surprising(fitted):
    X = as_pandas(np.array([[180.0, 82.0, "male", "x"], [180.0, 40.0, "male", "x"], [180.0, None, None, "x"]], object))
    outliers = fitted.outliers(X)
    assert outliers.rows[1] > outliers.rows[0] + 5
    np.testing.assert_allclose(outliers.rows, -fitted.score_samples(X))
    assert fitted.score(X) == pytest.approx(-outliers.rows.mean())
    assert outliers.cells.shape == (3, 4)
    assert outliers.cells[1, 1] > outliers.cells[0, 1] + 5
    assert np.isnan(outliers.cells[:, 3]).all()
    assert np.isnan(outliers.cells[2, 1])
    nothing = as_pandas(np.array([[None, None, None, "x"]], object))
    assert fitted.score_samples(nothing) == pytest.approx([0])


def test_describes_itself(fitted):
    description = fitted.describe()
    assert [line.split(":")[0] for line in description.schema] == NAMES
    assert description.names == NAMES[:3]
    assert description.information.shape == (3, 3)
    assert description.information[0, 1] > 0.2
    text = str(description)
    assert "height and weight" in text
    assert "note: text" in text or "note: identifier" in text


def test_draws_for_arviz(fitted):
    pytest.importorskip("arviz")
    X = as_pandas().iloc[:30]
    exported = fitted.to_arviz(X, n=7)
    gaps = np.flatnonzero(X["height"].isna())
    drawn = exported["posterior"]["height_imputed"]
    assert drawn.shape == (1, 7, len(gaps))
    assert drawn.coords["height_gap"].values.tolist() == gaps.tolist()
    np.testing.assert_array_equal(exported["observed_data"]["height"], X["height"].dropna())
    assert exported["posterior"]["sex_imputed"].attrs["categories"] == ["female", "male"]
    assert exported["posterior"]["sex_imputed"].dtype.kind == "i"


@pytest.mark.slow
def test_in_a_pipeline_and_in_cross_validation():
    cells = people()
    X, y = cells[:, :2].astype(float), np.where(cells[:, 2] == "male", 1.0, 0.0)
    pipeline = make_pipeline(TableImputer(max_steps=STEPS, random_state=0), LinearRegression())
    assert cross_val_score(pipeline, X, y, cv=3).mean() > 0.3
    assert pipeline.fit(X, y)[0].transform(X).dtype == np.float64


@pytest.mark.parametrize("library", ["pandas", "polars"])
def test_output_of_another_kind(fitted, library):
    module = pytest.importorskip(library)
    imputer = pickle.loads(pickle.dumps(fitted)).set_output(transform=library)
    for X in (as_pandas(), as_polars()):
        filled = imputer.transform(X)
        assert isinstance(filled, module.DataFrame)
        assert list(filled.columns) == NAMES
        np.testing.assert_allclose(numbers(filled), numbers(fitted.transform(as_pandas())), atol=1e-6)


def test_dates_of_another_library_are_dates_of_pandas():
    pl, pd = pytest.importorskip("polars"), pytest.importorskip("pandas")
    days = [None if row % 7 == 0 else dt.date(2020, 1, 1) + dt.timedelta(days=row**2 % 97) for row in range(40)]
    X = pl.DataFrame({"day": days, "x": [row**3 % 31 / 10 for row in range(40)]})
    filled = TableImputer(max_steps=1, random_state=0).set_output(transform="pandas").fit_transform(X)
    assert isinstance(filled, pd.DataFrame)
    assert pd.api.types.is_datetime64_any_dtype(filled["day"])
    assert filled.notna().all(axis=None)


def test_pickles(fitted, tmp_path):
    joblib.dump(fitted, tmp_path / "fitted.joblib")
    assert joblib.load(tmp_path / "fitted.joblib").transform(as_pandas()).equals(fitted.transform(as_pandas()))
    again = pickle.loads(pickle.dumps(fitted))
    assert again.transform(as_pandas()).equals(fitted.transform(as_pandas()))
    assert again.sample(n=3).equals(fitted.sample(n=3))
