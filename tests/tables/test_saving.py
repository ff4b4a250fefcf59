"""Fitted estimators in files: the same answers, and no damaged file is read."""

import json
import pickle
import subprocess
import sys

import numpy as np
import pytest
import torch

from pyro_priors.tables import TableImputer
from pyro_priors.tables.frames.frames import Frame
from pyro_priors.tables.frames.schema import Schema
from pyro_priors.tables.frames.templates import from_json, template, to_json
from pyro_priors.tables.saving import IMPUTER
from pyro_priors.training.described import WEIGHTS


def table(rows=60, seed=0):
    rng = np.random.default_rng(seed)
    cells = np.empty((rows, 3), dtype=object)
    cells[:, 0] = rng.normal(size=rows)
    cells[:, 1] = cells[:, 0].astype(float) + rng.normal(size=rows)
    cells[:, 2] = np.where(cells[:, 1].astype(float) > 0, "high", "low")
    cells[rng.random((rows, 3)) < 0.2] = None
    return cells


X = table()


@pytest.fixture(scope="module")
def fitted():
    return TableImputer(max_steps=3, random_state=4, kinds={"x0": "continuous"}, also_missing=["."]).fit(X)


@pytest.fixture
def saved(fitted, tmp_path):
    fitted.save(tmp_path / "model")
    return tmp_path / "model"


def test_the_same_answers(fitted, saved):
    state = torch.get_rng_state()
    again = TableImputer.load(saved)
    assert torch.equal(torch.get_rng_state(), state)
    assert again.get_params() == {**fitted.get_params(), "also_missing": (".",)}
    np.testing.assert_array_equal(again.transform(X), fitted.transform(X))
    np.testing.assert_array_equal(again.score_samples(X), fitted.score_samples(X))
    np.testing.assert_array_equal(again.proba(X, "x2"), fitted.proba(X, "x2"))
    np.testing.assert_array_equal(again.sample(n=4, given={"x2": "low"}), fitted.sample(n=4, given={"x2": "low"}))
    assert str(again.describe()) == str(fitted.describe())
    assert again.n_features_in_ == 3
    assert not hasattr(again, "feature_names_in_")


@pytest.mark.slow
def test_an_ensemble(tmp_path):
    fitted = TableImputer(max_steps=3, random_state=4, ensemble=2).fit(X)
    fitted.save(tmp_path)
    np.testing.assert_array_equal(TableImputer.load(tmp_path).transform(X), fitted.transform(X))


@pytest.mark.slow
def test_goes_on_from_a_file(fitted, saved):
    again = TableImputer.load(saved).partial_fit(X)
    np.testing.assert_array_equal(again.transform(X), pickle.loads(pickle.dumps(fitted)).partial_fit(X).transform(X))


@pytest.mark.slow
def test_names_and_kind_come_back(tmp_path):
    pd = pytest.importorskip("pandas")
    frame = pd.DataFrame(X, columns=["a", "b", "c"]).astype({"a": float, "b": float})
    fitted = TableImputer(max_steps=2, random_state=0).fit(frame)
    fitted.save(tmp_path / "model")
    again = TableImputer.load(tmp_path / "model")
    assert list(again.feature_names_in_) == ["a", "b", "c"]
    pd.testing.assert_frame_equal(again.sample(n=3), fitted.sample(n=3))


@pytest.mark.slow
def test_loads_in_another_process(saved, fitted):
    code = (
        "from pyro_priors.tables import TableImputer\n"
        f"imputer = TableImputer.load({str(saved)!r})\n"
        f"print(imputer.score_samples({X[:3].tolist()!r}).tolist())"
    )
    out = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    np.testing.assert_allclose(json.loads(out.stdout), fitted.score_samples(X[:3]))


@pytest.mark.slow
def test_over_an_older_one(fitted, saved):
    TableImputer(max_steps=2).fit(X[:, :2]).save(saved)
    assert TableImputer.load(saved).n_features_in_ == 2
    assert sorted(path.name for path in saved.iterdir()) == [IMPUTER, WEIGHTS]


@pytest.mark.parametrize("name", [IMPUTER, WEIGHTS])
@pytest.mark.parametrize("damage", ["lost", "cut", "changed"])
def test_damaged_files(saved, name, damage):
    path = saved / name
    source = bytearray(path.read_bytes())
    if damage == "lost":
        path.unlink()
    elif damage == "cut":
        path.write_bytes(source[: len(source) // 2])
    elif name == WEIGHTS:
        source[-5] ^= 1
        path.write_bytes(source)
    else:
        path.write_bytes(bytes(source).replace(b'"high"', b'"tall"'))
    with pytest.raises(ValueError, match="path"):
        TableImputer.load(saved)


def test_other_folders(saved, tmp_path):
    with pytest.raises(ValueError, match="path: expected a saved TableImputer"):
        TableImputer.load(tmp_path)
    made = json.loads((saved / IMPUTER).read_text())
    (saved / IMPUTER).write_text(json.dumps({**made, "format": 99}))
    with pytest.raises(ValueError, match="format 99"):
        TableImputer.load(saved)
    (saved / IMPUTER).write_text("[]")
    with pytest.raises(ValueError, match="damaged"):
        TableImputer.load(saved)


@pytest.mark.slow
def test_weights_of_another_estimator(saved, tmp_path):
    TableImputer(max_steps=2).fit(X[:, :2]).save(tmp_path / "other")
    (saved / WEIGHTS).write_bytes((tmp_path / "other" / WEIGHTS).read_bytes())
    with pytest.raises(ValueError, match="as they were saved together"):
        TableImputer.load(saved)


def test_a_file_that_cannot_be_written(fitted, tmp_path):
    (tmp_path / "file").write_text("x")
    with pytest.raises(OSError, match="file"):
        fitted.save(tmp_path / "file")
    assert (tmp_path / "file").read_text() == "x"


@pytest.mark.parametrize("library", ["pandas", "polars", "pyarrow"])
def test_tables_without_rows_come_back_from_json(library):
    module, pd = pytest.importorskip(library), pytest.importorskip("pandas")
    grades = pd.Categorical(["low", "high", "mid"], categories=["low", "mid", "high"], ordered=True)
    days = pd.to_datetime(["2024-01-01", "2024-01-03", None])
    frame = pd.DataFrame(
        {"grade": grades, "day": days, "n": [1, 2, 3], "yes": [True, False, True], "text": list("abc")}
    )
    table = {"pandas": lambda: frame, "polars": lambda: module.from_pandas(frame)}.get(
        library, lambda: module.Table.from_pandas(frame)
    )()
    read = Frame.of(table)
    schema = Schema.find(read, {"grade": "ordinal", "n": "count", "yes": "binary", "text": "categorical"})
    empty = template(schema, read)
    again = from_json(json.loads(json.dumps(to_json(empty))), schema)
    codes = np.nan_to_num(schema.encode(read), nan=19_725.0)
    made, remade = schema.table(codes, like=empty), schema.table(codes, like=again)
    assert type(made) is type(table)
    assert len(empty) == len(again) == 0
    assert made.equals(remade)


def test_categories_that_no_row_has_come_back_from_json():
    """Those of pandas and polars, in their order."""
    pd, pl = pytest.importorskip("pandas"), pytest.importorskip("polars")
    cells = ["low", "high", None] * 20
    of_pandas = pd.DataFrame({"c": pd.Categorical(cells, ["low", "middle", "high"], ordered=True)})
    of_polars = pl.DataFrame({"c": cells}, schema={"c": pl.Enum(["low", "middle", "high"])})
    for native in (of_pandas, of_polars):
        schema = Schema.find(Frame.of(native))
        kept = from_json(json.loads(json.dumps(to_json(template(schema, Frame.of(native))))), schema)
        assert list(kept.native["c"].dtype.categories) == ["low", "middle", "high"]


@pytest.mark.parametrize("X", [np.array([[1.0, 2.0], [2.5, 4.0]]), [["a", 1], ["b", 2]]])
def test_arrays_and_lists_without_rows_come_back_from_json(X):
    schema = Schema.find(Frame.of(X), {"x1": "count"})
    again = from_json(json.loads(json.dumps(to_json(template(schema, Frame.of(X))))), schema)
    made = schema.table(schema.encode(Frame.of(X)), like=again)
    assert type(made) is type(X)
    assert np.array_equal(np.array(made, dtype=object), np.array(X, dtype=object))
