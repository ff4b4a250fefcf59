"""A table in files against the same table in memory."""

import numpy as np
import pytest
from big_tables import in_files, patients

from pyro_priors.tables import TableImputer
from pyro_priors.tables.frames.frames import Frame
from pyro_priors.tables.frames.schema import Schema
from pyro_priors.tables.pieces import columns, csv_source, pieces, reading, survey
from pyro_priors.tables.pieces.pieces import Pieces

pd = pytest.importorskip("pandas")
pa = pytest.importorskip("pyarrow")
pytest.importorskip("pyarrow.dataset")
pytest.importorskip("pyarrow.parquet")

STEPS = 4


@pytest.fixture(autouse=True)
def _small_pieces(monkeypatch):
    """A hundred rows at a time, and bytes that are fewer than a file's."""
    monkeypatch.setattr(pieces, "ROWS", 100)
    monkeypatch.setattr(csv_source, "BLOCK", 3000)


@pytest.fixture(scope="module")
def table():
    return patients()


@pytest.fixture(scope="module")
def whole(table, tmp_path_factory):
    """The table as a file, and what is learned of that."""
    path = tmp_path_factory.mktemp("whole") / "patients.csv"
    table.to_csv(path, index=False)
    return path, TableImputer(max_steps=STEPS, random_state=0).fit(path)


def drawn_of(path, seed=0, kinds=None, rows=survey.ROWS):
    table = Pieces.of(path)
    looked = survey.survey(table, kinds, (), seed, rows)
    return reading.read(table, looked.schema, seed, looked)


@pytest.mark.parametrize("kind", ["csv", "parquet"])
def test_files_are_fitted_and_filled_as_the_table_is(tmp_path, table, whole, kind):
    path, before = whole
    imputer = TableImputer(max_steps=STEPS, random_state=0).fit(in_files(tmp_path / "t", table, kind))
    assert imputer.records_[0]["score"] == before.records_[0]["score"]
    assert {name: imputer.records_[0]["table"][name] for name in ("rows", "drawn")} == {"rows": 900, "drawn": 900}
    kinds = [(field.name, field.kind, field.categories) for field in imputer.schema_.fields]
    assert kinds == [(field.name, field.kind, field.categories) for field in before.schema_.fields]
    np.testing.assert_allclose(imputer.score_samples(tmp_path / "t"), before.score_samples(path), rtol=1e-12)
    files = imputer.fill_files(tmp_path / "t", tmp_path / "out" / "filled")
    assert [file.name for file in files] == [f"part-{place}.{kind}" for place in range(3)]
    assert sorted(files) == sorted((tmp_path / "out" / "filled").iterdir())
    if kind == "csv":
        for file in files:
            assert file.read_bytes() == before.transform(tmp_path / "t" / file.name).encode()
    else:
        filled = pd.concat(map(pd.read_parquet, files))
        assert (filled.dtypes == pd.read_parquet(tmp_path / "t").dtypes).all()
        again = TableImputer(max_steps=STEPS, random_state=0).fit(table).transform(table)
        pd.testing.assert_frame_equal(filled.reset_index(drop=True), again.astype(filled.dtypes.to_dict()))


@pytest.mark.slow
def test_a_file_alone_and_a_data_set(tmp_path, table, whole):
    in_files(tmp_path / "t", table, "parquet", 1)
    file = tmp_path / "t" / "part-0.parquet"
    of_file = TableImputer(max_steps=STEPS, random_state=0).fit(str(file))
    data = pa.dataset.dataset(tmp_path / "t", format="parquet")
    of_data = TableImputer(max_steps=STEPS, random_state=0).fit(data)
    scores = whole[1].score_samples(whole[0])
    np.testing.assert_allclose(of_file.score_samples(file), scores, rtol=1e-12)
    np.testing.assert_allclose(of_data.score_samples(data), scores, rtol=1e-12)
    assert of_file.fill_files(file, tmp_path / "filled.parquet") == [tmp_path / "filled.parquet"]
    with pytest.raises(ValueError, match="X: expected a folder or a file, which are written as they are, got a data"):
        of_file.fill_files(data, tmp_path / "other")
    with pytest.raises(ValueError, match=r"X: expected a table in memory.*fill_files"):
        of_file.transform(file)
    with pytest.raises(ValueError, match="sample_weight: expected none for a table in pieces"):
        of_file.fit(file, sample_weight=np.ones(900))


@pytest.mark.slow
def test_a_fit_goes_on_with_files(tmp_path, table, whole):
    path, _ = whole
    of_file, of_folder = (TableImputer(max_steps=STEPS, random_state=0, warm_start=True) for _ in range(2))
    first = of_file.fit(path).fit(path)
    second = of_folder.fit(in_files(tmp_path / "t", table)).fit(tmp_path / "t")
    assert first.records_[0]["score"] == second.records_[0]["score"]


def test_what_occurs_once_is_known(tmp_path):
    """A category, a fraction among whole numbers, a greatest number: none of them among the rows that are drawn."""
    count = 5000
    rng = np.random.default_rng(0)
    table = pd.DataFrame({"x": rng.integers(0, 900, count).astype(float), "n": rng.integers(0, 900, count)})
    table["k"], table["one"] = rng.choice(["a", "b"], count), "always"
    table.loc[4321, ["x", "k", "one"]] = [3.5, "once", "never"]
    table.loc[2222, "n"] = 77_000
    in_files(tmp_path / "t", table)
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(reading, "ROWS", 200)
        patch.setattr(columns, "MOST", 500)  # there are more different numbers
        drawn = drawn_of(tmp_path / "t", rows=200)
        kinds = {field.name: field for field in drawn.schema.fields}
        assert kinds["k"].categories == ("a", "b", "once")
        assert kinds["one"].categories == ("always", "never")
        assert kinds["x"].kind == "continuous"
        assert not kinds["x"].form.whole
        assert kinds["n"].kind == "count"
        assert 200 < len(drawn.codes) < 210
        assert drawn.codes[:, 1].max() == 77_000
        assert drawn.rows == count
        imputer = TableImputer(max_steps=STEPS, random_state=0).fit(tmp_path / "t")
    assert len(imputer.fill_files(tmp_path / "t", tmp_path / "out")) == 3
    frame = Frame.of(tmp_path / "t" / "part-2.csv")
    assert np.isfinite(imputer.score_samples(tmp_path / "t")).all()
    assert imputer.schema_.encode(frame)[:, 2].max() == 2


def test_row_numbers_are_known_by_all_rows(tmp_path):
    count = 4000
    table = pd.DataFrame({"row": np.arange(count), "x": np.random.default_rng(0).normal(size=count)})
    table["even"] = 2 * table["row"]
    in_files(tmp_path / "t", table)
    kinds = [field.kind for field in drawn_of(tmp_path / "t", rows=300).schema.fields]
    assert kinds == ["identifier", "continuous", "count"]  # of 4,000 different numbers each is known
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(columns, "MOST", 1000)
        drawn = drawn_of(tmp_path / "t", rows=300)
        assert [field.kind for field in drawn.schema.fields] == ["identifier", "continuous", "count"]
        assert drawn.codes.shape == (count, 2)
        said = drawn_of(tmp_path / "t", kinds={"row": "count"}, rows=300)
    assert said.schema.fields[0].kind == "count"
    assert [field.kind for field in Schema.find(Frame.of(table)).fields] == ["identifier", "continuous", "count"]


def test_parquet_types_survive(tmp_path):
    """Those that pandas has no word for too, and what a user has written beside them."""
    count = 250
    rng = np.random.default_rng(0)
    gone = rng.random(count) < 0.2
    words = pa.DictionaryArray.from_arrays(
        pa.array(rng.integers(0, 3, count), mask=gone), ["low", "middle", "high"], ordered=True
    )
    cells = {
        "level": words,
        "small": pa.array(rng.integers(0, 100, count), pa.int16(), mask=gone),
        "price": pa.array(rng.normal(size=count).round(2), mask=gone).cast(pa.decimal128(9, 2)),
        "at": pa.array(rng.integers(0, 10**18, count), pa.timestamp("ns", "UTC"), mask=gone),
        "day": pa.array(rng.integers(0, 9000, count).astype(np.int32), pa.date32(), mask=gone),
        "yes": pa.array(rng.random(count) < 0.5, mask=gone),
        "text": pa.array(np.where(gone, None, rng.choice(["a", "b"], count)).tolist(), pa.large_string()),
        "x": pa.array(rng.normal(size=count), pa.float32(), mask=gone),
    }
    table = pa.table(cells).replace_schema_metadata({"who": "a user"})
    (tmp_path / "t").mkdir()
    pa.parquet.write_table(table, tmp_path / "t" / "1.parquet", compression="zstd")
    pa.parquet.write_table(table.slice(0, 150), tmp_path / "t" / "2.parquet")
    imputer = TableImputer(max_steps=STEPS, random_state=0).fit(tmp_path / "t")
    assert imputer.schema_.fields[0].kind == "ordinal"
    first, second = imputer.fill_files(tmp_path / "t", tmp_path / "out")
    filled = pa.parquet.read_table(first)
    before = pa.parquet.read_table(tmp_path / "t" / "1.parquet")
    assert filled.schema.equals(before.schema, check_metadata=True)
    assert pa.parquet.read_table(second).num_rows == 150
    assert pa.parquet.ParquetFile(first).metadata.row_group(0).column(0).compression == "ZSTD"
    known = pa.array(~gone)
    for name in table.column_names:
        assert filled[name].null_count == 0
        assert filled[name].filter(known).to_pylist() == table[name].filter(known).to_pylist() or name == "at"
    assert filled["at"].filter(known).cast(pa.int64()).equals(table["at"].filter(known).cast(pa.int64()))


def test_parquet_columns_without_a_type_or_a_compression(tmp_path, table):
    """A column of nothing stays one; in a file where only others know its cells it gets their type, and is filled."""
    cells = pa.Table.from_pandas(table[["height", "weight", "sport"]].iloc[:300], preserve_index=False)
    cells = cells.append_column("none", pa.nulls(300))
    if int(pa.__version__.split(".")[0]) >= 18:  # from which on texts become views of them
        cells = cells.append_column("views", cells["sport"].cast(pa.string_view()))
    (tmp_path / "t").mkdir()
    first = cells.slice(0, 130).set_column(0, "height", pa.nulls(130))
    pa.parquet.write_table(first, tmp_path / "t" / "1.parquet", compression="none")
    pa.parquet.write_table(cells.slice(130), tmp_path / "t" / "2.parquet")
    pa.parquet.write_table(cells.slice(0, 0), tmp_path / "t" / "3.parquet")
    imputer = TableImputer(max_steps=STEPS, random_state=0).fit(tmp_path / "t")
    files = imputer.fill_files(tmp_path / "t", tmp_path / "out")
    assert pa.parquet.ParquetFile(files[0]).metadata.row_group(0).column(0).compression == "UNCOMPRESSED"
    alone = imputer.fill_files(tmp_path / "t" / "1.parquet", tmp_path / "alone.parquet")
    for file, rows in zip([*files, *alone], [130, 170, 0, 130], strict=True):
        filled = pa.parquet.read_table(file)
        assert filled.schema.types == cells.schema.types
        assert [column.null_count for column in filled.columns] == [0, 0, 0, rows, 0][: filled.num_columns]


def test_a_folder_without_a_column_that_takes_part(tmp_path):
    drawn = drawn_of(in_files(tmp_path / "t", pd.DataFrame({"same": ["a"] * 60, "row": range(60)})))
    assert drawn.codes.shape == (60, 0)
