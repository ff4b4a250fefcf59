"""Tables of every kind are read alike, and come back with their own types, only the gaps filled."""

import datetime
import decimal
import math
import sys

import numpy as np
import pytest

from pyro_priors.tables.frames.frames import Frame
from pyro_priors.tables.frames.schema import Schema

pd = pytest.importorskip("pandas")
pl = pytest.importorskip("polars")
pa = pytest.importorskip("pyarrow")

BERLIN = "Europe/Berlin"


def gappy(cells, every=5):
    """Cells with gaps, of which the first is none."""
    return [None if place % every == every - 1 else cell for place, cell in enumerate(cells)]


DRAW = np.random.default_rng(0)
DAYS = [datetime.date(2020, 1, 1) + datetime.timedelta(days=int(day)) for day in DRAW.integers(0, 900, 50)]
MOMENTS = [datetime.datetime(2020, 1, 1, 12) + datetime.timedelta(minutes=int(m)) for m in DRAW.integers(0, 9e5, 50)]
CELLS = {
    "measure": gappy(DRAW.normal(size=50).round(3).tolist()),
    "count": gappy([*range(30, 55), *DRAW.integers(0, 300, 25).tolist()]),
    "level": gappy([3, 1, 2, 3, 1] * 10),
    "flag": gappy([True, False, True, True, False, False] * 9)[:50],
    "color": gappy(["red", "blue", "green", "blue"] * 13)[:50],
    "day": gappy(DAYS),
    "moment": gappy(MOMENTS),
    "clock": gappy([moment.time() for moment in MOMENTS]),
    "duration": gappy([datetime.timedelta(minutes=int(m)) for m in DRAW.integers(0, 9000, 50)]),
    "price": gappy([round(decimal.Decimal(int(cents)) / 100, 2) for cents in DRAW.integers(100, 9999, 50)]),
    "name": [f"name-{place}" for place in range(50)],
    "same": gappy([5] * 50),
    "nothing": [None] * 50,
}
KINDS = {
    "measure": "continuous", "count": "count", "level": "ordinal", "flag": "binary", "color": "categorical",
    "day": "continuous", "moment": "continuous", "clock": "continuous", "duration": "continuous",
    "price": "continuous", "name": "identifier", "same": "constant", "nothing": "constant",
}  # fmt: skip
GAPS = {name: [place for place, cell in enumerate(cells) if cell is None] for name, cells in CELLS.items()}


def of_pandas():
    frame = pd.DataFrame(CELLS, index=[f"row {place}" for place in range(50)])
    frame["count"] = pd.array(CELLS["count"], dtype="Int64")
    frame["flag"] = pd.array(CELLS["flag"], dtype="boolean")
    frame["color"] = pd.Categorical(CELLS["color"], categories=["red", "green", "blue", "white"])
    frame["moment"] = pd.to_datetime(frame["moment"]).dt.tz_localize("UTC").dt.tz_convert(BERLIN)
    return frame


def of_polars():
    moment = pl.col("moment").dt.replace_time_zone("UTC").dt.convert_time_zone(BERLIN)
    price = pl.col("price").cast(pl.Decimal(10, 2))
    return pl.DataFrame(CELLS).with_columns(pl.col("color").cast(pl.Categorical), moment, price)


def of_arrow():
    table = pa.table(CELLS)
    color = pa.array(CELLS["color"]).dictionary_encode()
    return table.set_column(table.column_names.index("color"), "color", color)


def of_lists():
    return [list(row) for row in zip(*CELLS.values(), strict=True)]


def of_objects():
    table = np.empty((50, len(CELLS)), object)
    table[:] = of_lists()
    return table


HOLDERS = {"pandas": of_pandas, "polars": of_polars, "arrow": of_arrow, "lists": of_lists, "objects": of_objects}


def listed(table, place):
    """The cells of a column, missing ones None."""
    if hasattr(table, "iloc"):
        cells = [None if pd.isna(cell) else cell for cell in table.iloc[:, place].tolist()]
    elif hasattr(table, "to_pylist"):
        cells = table.column(place).to_pylist()
    elif hasattr(table, "get_columns"):
        cells = table[:, place].to_list()
    else:
        cells = [row[place] for row in table]
    return [None if isinstance(cell, float) and math.isnan(cell) else cell for cell in cells]


def filled(table, names=None):
    """A table whose gaps are filled with what stands in the row before."""
    frame = Frame.of(table, None if hasattr(table, "columns") else list(CELLS))
    schema = Schema.find(frame)
    codes = schema.encode(frame)
    gaps = np.isnan(codes)
    codes[1:][gaps[1:]] = codes[:-1][gaps[1:]]
    return frame, schema, codes, schema.restore(frame, codes, names)


@pytest.mark.parametrize("holder", HOLDERS)
def test_only_the_gaps_of_a_table_are_filled(holder):
    table = HOLDERS[holder]()
    before = [listed(table, place) for place in range(len(CELLS))]
    frame, schema, codes, after = filled(table)
    assert frame.names == tuple(CELLS)
    assert len(frame) == 50
    assert {field.name: field.kind for field in schema.fields} == KINDS
    assert type(after) is type(table)
    for place, name in enumerate(CELLS):
        cells = listed(after, place)
        wanted = list(before[place])
        for row in GAPS[name] if name != "nothing" else ():
            wanted[row] = wanted[row - 1]
        assert cells == wanted, name
        assert list(map(type, cells)) == list(map(type, wanted)) or holder == "pandas", name
        assert listed(table, place) == before[place], "the user's table is no other"
    for types in ("dtypes", "schema"):
        if not isinstance(table, list | np.ndarray) and hasattr(table, types):
            assert str(getattr(after, types)) == str(getattr(table, types))
    if holder == "pandas":
        assert (after.index == table.index).all()
    assert np.array_equal(schema.encode(Frame.of(after)), codes)


@pytest.mark.parametrize("holder", HOLDERS)
def test_a_new_table_is_made_of_codes_alone(holder):
    table = HOLDERS[holder]()
    frame, schema, codes, _ = filled(table)
    new = schema.table(codes[:7], frame)
    assert type(new) is type(table)
    assert np.allclose(schema.encode(Frame.of(new)), codes[:7], rtol=0, atol=1e-9)
    assert listed(new, list(CELLS).index("name")) == [None] * 7
    assert listed(new, list(CELLS).index("same")) == [5] * 7


@pytest.mark.parametrize("type_", ["string_view", "duration"])
def test_cells_that_arrow_cannot_replace_are_filled(type_):
    """Of views of texts it takes none; durations of nanoseconds are no objects of Python."""
    if int(pa.__version__.split(".")[0]) < 18:
        pytest.skip("pyarrow before 18, which casts no views of texts")
    wide = pa.string_view() if type_ == "string_view" else pa.duration("ns")
    cells = CELLS["color"] if type_ == "string_view" else gappy([10**9 * k + k % 7 for k in [3, 1, 4, 1, 5] * 10])
    cells = pa.chunked_array([pa.array(cells[:20], wide), pa.array(cells[20:], wide)])
    _, _, _, after = filled(pa.table({"cells": cells, "measure": CELLS["measure"]}))
    assert after.schema.field("cells").type == wide
    assert after["cells"].null_count == 0
    known = cells.is_valid()
    plain = pa.string() if type_ == "string_view" else pa.int64()
    assert after["cells"].cast(plain).filter(known).equals(cells.cast(plain).drop_null())


def test_some_columns_alone_are_filled():
    _, _, _, after = filled(of_pandas(), ["measure"])
    assert after["measure"].notna().all()
    assert after["level"].isna().sum() == 10


def test_tables_say_the_same_whatever_holds_them():
    codes = [filled(HOLDERS[holder]())[2] for holder in HOLDERS]
    for other in codes[1:]:
        assert np.allclose(other, codes[0], rtol=0, atol=1e-9)


def test_arrays_of_numbers_keep_their_type():
    for dtype in (np.float32, np.float64):
        array = DRAW.normal(size=(40, 3)).astype(dtype)
        array[3, 1] = np.nan
        _, _, _, after = filled_array(array)
        assert after.dtype == dtype
        assert after[3, 1] == array[2, 1]
        after[3, 1] = np.nan
        assert np.array_equal(after, array, equal_nan=True)


def filled_array(array):
    frame = Frame.of(array)
    schema = Schema.find(frame)
    codes = schema.encode(frame)
    gaps = np.isnan(codes)
    codes[1:][gaps[1:]] = codes[:-1][gaps[1:]]
    return frame, schema, codes, schema.restore(frame, codes)


def test_arrays_of_texts_and_of_dates():
    texts = np.array([["red", "1.50"], ["", "2.25"], ["blue", "NA"], ["red", "3.75"]])
    assert filled_array(texts)[3].tolist() == [["red", "1.50"], ["red", "2.25"], ["blue", "2.25"], ["red", "3.75"]]
    days = np.array([["2021-03-04", "2020-01-01"], ["NaT", "2020-01-02"]] * 20, "M8[D]")
    days[::2, 0] += np.arange(20)
    after = filled_array(days)[3]
    assert after.dtype == days.dtype
    assert (after[1::2, 0] == days[::2, 0]).all()


def test_whole_numbers_come_back_whole():
    frame = pd.DataFrame({"x": [*map(float, range(40, 0, -1)), 41.0, None], "y": [0.5] * 41 + [1.5]})
    schema = Schema.find(read := Frame.of(frame), {"x": "count"})
    codes = schema.encode(read)
    codes[41, 0] = 17.4
    assert schema.restore(read, codes)["x"].iloc[41] == 17.0


def test_an_order_of_categories_is_an_ordinal_one():
    sizes = pd.Categorical(["mid", "low", "high", None] * 5, categories=["low", "mid", "high"], ordered=True)
    field = Schema.find(Frame.of(pd.DataFrame({"x": sizes}))).fields[0]
    assert (field.kind, field.categories) == ("ordinal", ("low", "mid", "high"))
    numbers = pd.Categorical([3, 1, 2, None] * 5)
    field = Schema.find(Frame.of(pd.DataFrame({"x": numbers}))).fields[0]
    assert (field.kind, field.categories) == ("categorical", ("1", "2", "3"))
    after = filled(pd.DataFrame({"x": numbers}))[3]
    assert after["x"].tolist() == [3, 1, 2, 2] * 5


def test_a_category_that_the_type_of_a_column_lacks_is_added():
    train = pd.DataFrame({"x": pd.Categorical(["a", "b", "c"] * 4)})
    schema = Schema.find(Frame.of(train))
    test = pd.DataFrame({"x": pd.Categorical(["a", None], categories=["a"])})
    assert schema.restore(Frame.of(test), np.array([[0.0], [2.0]]))["x"].tolist() == ["a", "c"]


@pytest.mark.parametrize(
    ("X", "message"),
    [
        (np.zeros(3), "Reshape your data"),
        ([1, 2], "X row 0: expected a list of cells, got int. Reshape your data"),
        ([[1, 2], [3]], "X row 1: expected 2 cells as in the first row, got 1"),
        (np.zeros((12, 0)), r"0 feature\(s\) \(shape=\(12, 0\)\) while a minimum of 1 is required"),
        (np.zeros((0, 3)), r"expected rows, got 0 sample\(s\) \(shape=\(0, 3\)\)"),
        (np.zeros((2, 2), complex), "Complex data not supported"),
        (np.array([[1.0, np.inf]]), "X row 0, column x1: expected a finite number, got inf"),
        ([[1.0], [-math.inf]], "X row 1, column x0: expected a finite number, got -inf"),
        ([[1.0], ["a"], [math.inf]], "X row 2, column x0: expected a finite number, got inf"),
        (np.ma.masked_less(np.eye(2), 1), r"got a masked one \(X.filled\(np.nan\)\)"),
        (np.array([[b"a"]]), "column x0: expected numbers, texts or dates, got"),
        ([[1], [[2]]], r"X row 1, column x0: expected numbers, texts or dates, got \[2\] \(list\) beside int"),
        ([[datetime.date(2021, 1, 1)], [datetime.datetime(2021, 1, 1)]], "X row 0, column x0: expected numbers, texts"),
        ([[datetime.date(2021, 1, 1)], ["soon"]], "X row 0, column x0: expected numbers, texts or dates, got"),
        (
            [[datetime.datetime(2021, 1, 1)], [datetime.datetime(2021, 1, 1, tzinfo=datetime.UTC)]],
            "column x0: expected times that all have a zone or none",
        ),
        ({"a": [1]}, "expected a data frame, a 2D array, a list of rows or the path of a CSV file, got dict"),
        (pd.DataFrame([[1, 2]], columns=["a", "a"]), "expected each column once, got 'a' twice"),
        (pd.DataFrame([[1, 2]], columns=["1", 1]), "expected each column once, got '1' twice"),
        (pd.DataFrame({"a": []}), "expected rows"),
        (pd.DataFrame(index=[1, 2]), "expected columns"),
        (pd.DataFrame({"a": [b"x"]}), "X row 0, column a: expected numbers, texts or dates"),
        (pd.DataFrame({"a": pd.period_range("2021", periods=3, freq="M")}), "column a: expected numbers, texts or"),
        (pl.DataFrame({"a": [[1], [2]]}), "X row 0, column a: expected numbers, texts or dates"),
        (pl.DataFrame({"a": [1]}).lazy(), r"got a lazy frame \(collect it\)"),
        (pd.DataFrame({"a": [1.0, math.inf]}), "X row 1, column a: expected a finite number, got inf"),
    ],
)
def test_what_is_no_table_is_refused(X, message):
    with pytest.raises(ValueError, match=message):
        Frame.of(X)


def test_sparse_data_are_refused():
    sparse = pytest.importorskip("scipy.sparse").csr_matrix(np.eye(3))
    with pytest.raises(TypeError, match="sparse data is not supported"):
        Frame.of(sparse)


def test_names_of_arrays():
    with pytest.raises(ValueError, match="feature_names: expected 2 names, as X has columns, got 1"):
        Frame.of(np.zeros((1, 2)), ["a"])


def test_large_whole_numbers_are_no_floats():
    codes = [2**60 + step % 3 for step in range(12)]
    for table in (pd.DataFrame({"x": codes}), pl.DataFrame({"x": [*codes, None]}), [[code] for code in codes]):
        schema = Schema.find(frame := Frame.of(table))
        assert schema.fields[0].categories == tuple(str(2**60 + step) for step in range(3))
        assert schema.encode(frame)[:12, 0].tolist() == [0.0, 1.0, 2.0] * 4
    after = schema.restore(Frame.of([*([code] for code in codes), [None]]), np.full((13, 1), 2.0))
    assert after[12] == [2**60 + 2]


def test_arrays_and_lists_need_no_narwhals(monkeypatch):
    for module in ("narwhals", "narwhals.stable", "narwhals.stable.v2"):
        monkeypatch.setitem(sys.modules, module, None)
    assert len(Frame.of(np.eye(2))) == len(Frame.of([["a"], ["b"]])) == 2
    with pytest.raises(ImportError, match=r"data frames need narwhals: pip install 'pyro-priors\[tables\]'"):
        Frame.of(pd.DataFrame({"a": [1]}))
