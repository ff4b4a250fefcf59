"""What the columns of a table are, what a user says of them, and what is refused in training and later."""

import datetime as dt
import json

import numpy as np
import pytest
from some_columns import AGES, DECIMALS, NAMES

from pyro_priors.checks import UserError
from pyro_priors.tables.frames.frames import Frame
from pyro_priors.tables.frames.schema import Schema


def csv(folder, text, name="table.csv"):
    (folder / name).write_bytes(text if isinstance(text, bytes) else text.encode())
    return folder / name


def column(folder, *cells, name="x"):
    """A table of a column and another that is no text."""
    return Frame.of(csv(folder, f"other,{name}\n" + "".join(f"{row % 7}.5,{cell}\n" for row, cell in enumerate(cells))))


def found(folder, *cells, **how):
    return Schema.find(column(folder, *cells), **how).fields[1]


@pytest.mark.parametrize(
    ("cells", "kind", "reason"),
    [
        (AGES, "count", "54 different whole numbers from 18 to 90"),
        (DECIMALS, "continuous", "200 different numbers"),
        (NAMES, "identifier", "100 different texts in 100 cells, which hardly repeat"),
        (["3", "1", "2", "?"], "ordinal", "3 different whole numbers from 1 to 3, 1 of 4 cells missing"),
        (["", "NA", "null"], "constant", "all of 3 cells missing: it stays as it is"),
        (["5", "5", ""], "constant", "always the same, 1 of 3 cells missing"),
        ([f"2021-{m:02d}-{d:02d}" for m in (1, 2) for d in range(1, 29)], "continuous", "56 different dates from 2021"),
        ([f"2021-01-{d:02d}" for d in range(1, 21)], "ordinal", "20 different dates from 2021-01-01 to 2021-01-20"),
        (["2.1.2021", "1.12.2020"] * 3, "binary", "2 different dates from 1.12.2020 to 2.1.2021"),
        ([f"{h:02d}:{m:02d}" for h in (1, 2) for m in range(1, 29)], "continuous", "56 different times from 01:01 to"),
        ([f"1.{major}.{minor}" for major in range(9) for minor in range(9)] * 2, "categorical", "81 different texts"),
    ],
)
def test_what_a_column_is(tmp_path, cells, kind, reason):
    field = found(tmp_path, *cells)
    assert field.kind == kind
    assert field.reason.startswith(reason)


def test_dates_in_days_that_follow_are_no_numbers_of_rows(tmp_path):
    days = [str(np.datetime64("2020-01-01") + day) for day in range(400)]
    assert found(tmp_path, *days).kind == "continuous"
    assert Schema.find(Frame.of(np.array(days, "M8[D]")[:, None])).fields[0].kind == "continuous"


@pytest.mark.parametrize(
    ("cells", "kind"),
    [
        (AGES, "categorical"), (AGES, "continuous"), (AGES, "ordinal"), (AGES, "text"), (["1", "2"], "continuous"),
        (["1", "2", "3"], "count"), (NAMES, "categorical"), ([f"2021-01-{d:02d}" for d in range(1, 31)], "ordinal"),
        ([f"2021-01-{d:02d}" for d in range(1, 13)], "continuous"), (["2021-01-02", "2021-01-03"], "text"),
    ],
)  # fmt: skip
def test_what_somebody_says_goes(tmp_path, cells, kind):
    assert found(tmp_path, *cells, kinds={"x": kind}).kind == kind


@pytest.mark.parametrize(
    ("values", "kind"),
    [
        ([1.5, 2.5, 3.5], "categorical"),
        ([1.0, 2.0, 3.0], "continuous"),
        ([4.0, 9.0, 5.0], "count"),
        ([1.5, 7.25], "text"),
    ],
)
def test_what_somebody_says_of_numbers_goes(values, kind):
    frame = Frame.of(np.array(values * 3)[:, None])
    schema = Schema.find(frame, {"x0": kind})
    assert schema.fields[0].kind == kind
    again = schema.restore(frame, schema.encode(frame))
    assert np.array_equal(again, frame.native)


@pytest.mark.parametrize(
    ("how", "message"),
    [
        ({"kinds": {"y": "text"}}, "kinds: expected one of x0, x1, got 'y'"),
        ({"kinds": {"x0": "number"}}, "kinds: expected one of continuous, count, .*, got 'number' of x0"),
        ({"kinds": {"x0": "count"}}, "X row 1, column x0: expected a whole number, 0 or more, of a count, got 1.5"),
        ({"kinds": {"x1": "count"}}, "X row 0, column x1: expected a whole number, 0 or more, of a count, got -1"),
        ({"kinds": {"x0": "binary"}}, "X row 2, column x0: expected a binary column, got 3 different numbers"),
        ({"also_missing": "-1"}, "also_missing: expected a list of texts, got '-1'"),
    ],
)
def test_what_somebody_says_must_hold(how, message):
    frame = Frame.of(np.array([[1.0, -1.0], [1.5, 3.0], [2.0, 4.0]]))
    with pytest.raises(UserError, match=message):
        Schema.find(frame, **how)


def test_dates_are_no_counts():
    with pytest.raises(UserError, match="X row 0, column x0: expected a whole number, 0 or more, of a count, got 2021"):
        Schema.find(Frame.of(np.array([["2021-01-01"], ["2021-01-02"]], "M8[D]")), {"x0": "count"})


def test_numbers_of_more_than_32_bits_are_refused():
    with pytest.raises(UserError, match="X row 1, column x0: expected a finite number of 32 bits, got 1e\\+300"):
        Schema.find(Frame.of(np.array([[1.0], [1e300]])))


TABLE = (
    "id,age,size,color,day,when,level,same,none\n"
    + "".join(
        f"n{row},{20 + row * 7 % 50},{row * 37 % 100 / 10:.1f},{('red', 'blue')[row % 2]},"
        f"{row % 28 + 1}.{row % 12 + 1}.2021,2021-03-{row % 28 + 1:02d}T{row % 24:02d}:30,{row % 4},x,\n"
        for row in range(60)
    )
    + "n60,,,,,,,,\n"
)


@pytest.fixture
def table(tmp_path):
    frame = Frame.of(csv(tmp_path, TABLE))
    return frame, Schema.find(frame)


def test_a_schema_comes_back_from_json(table):
    frame, schema = table
    again = Schema.from_json(json.loads(json.dumps(schema.to_json())))
    assert again == schema
    assert again.active == (1, 2, 3, 4, 5, 6)
    assert [field.name for field in again.active_fields] == ["age", "size", "color", "day", "when", "level"]
    assert np.array_equal(again.encode(frame), schema.encode(frame), equal_nan=True)
    with pytest.raises(UserError, match=r"schema: expected what Schema.to_json wrote, got"):
        Schema.from_json({"fields": [{"name": "x"}]})


def test_a_schema_is_described(table):
    lines = table[1].describe()
    assert lines[0].startswith("id: identifier (left out), 61 different texts in 61 cells")
    assert lines[8] == "none: constant, all of 61 cells missing: it stays as it is"


def test_gaps_are_written_as_the_column_is(table):
    frame, schema = table
    codes = np.full((61, 6), np.nan)
    codes[60] = 33.4, 2.345, 0.0, 18693.2, 18691.98, 2.0
    assert schema.restore(frame, codes) == TABLE.replace(
        "n60,,,,,,,,", "n60,33,2.3,blue,7.3.2021,2021-03-05T23:31,2,x,"
    )
    assert schema.restore(frame, codes, ["color"]) == TABLE.replace("n60,,,,,,,,", "n60,,,blue,,,,,")


def test_a_new_file_is_made_of_codes_alone(table):
    frame, schema = table
    codes = np.array([[33.4, 2.345, 0.0, 18693.2, 18691.98, 2.0]])
    header = TABLE.split("\n")[0]
    assert schema.table(codes, frame) == f"{header}\n,33,2.3,blue,7.3.2021,2021-03-05T23:31,2,x,\n"
    with pytest.raises(ValueError, match="codes: expected a value for every cell, got NaN"):
        schema.table(codes * np.nan, frame)
    with pytest.raises(ValueError, match=r"codes: expected shape \(61, 6\), got \(1, 6\)"):
        schema.restore(frame, codes)


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("age,size\n1,2\n", "other.csv: expected the columns id, age, .*, got others: id, .* is missing"),
        (TABLE.replace("none\n", "none,more\n").replace(",\n", ",,\n"), "got others: more is not one of them"),
        (TABLE.replace("n3,", "n3,x", 1), "other.csv line 5, column age: expected a finite number, got 'x"),
        (TABLE.replace("blue", "green", 1), "other.csv line 3, column color: expected one of blue, red, got 'green'"),
        (TABLE.replace("4.4.2021", "31.4.2021", 1), "line 5, column day: expected a day of a month .*31.4.2021"),
        (TABLE.replace("4.4.2021", "soon", 1), "line 5, column day: expected a date or time as in training"),
        (TABLE.replace(",3,x,\n", ",inf,x,\n", 1), "line 5, column level: expected one of 0, 1, 2, 3, got 'inf'"),
    ],
)  # fmt: skip
def test_other_tables_must_be_alike(tmp_path, table, text, message):
    with pytest.raises(UserError, match=message):
        table[1].encode(Frame.of(csv(tmp_path, text, "other.csv")))


def test_ordered_numbers_that_were_never_seen_are_taken_as_the_nearest(tmp_path, table):
    frame, schema = table
    other = Frame.of(csv(tmp_path, TABLE.replace(",3,x,\n", ",9,x,\n", 1), "other.csv"))
    with pytest.warns(
        UserWarning, match="other.csv: column level: 9 was not seen in training, and is taken as the near"
    ):
        assert np.array_equal(schema.encode(other), schema.encode(frame), equal_nan=True)
    grades = Schema.find(Frame.of(np.array([[2.0], [4.0], [7.0], [np.nan]] * 9)))
    assert grades.fields[0].kind == "ordinal"
    with pytest.warns(UserWarning, match="X: column x0: 1 was not seen"):
        codes = grades.encode(Frame.of(np.array([[1.0], [5.0], [np.nan], [99.0]])))
    assert np.array_equal(codes[:, 0], [0, 1, np.nan, 2], equal_nan=True)


def test_columns_may_stand_in_another_order(tmp_path, table):
    frame, schema = table
    rows = [line.split(",")[::-1] for line in TABLE.splitlines()]
    other = Frame.of(csv(tmp_path, "".join(",".join(row) + "\n" for row in rows), "other.csv"))
    codes = schema.encode(other)
    assert np.array_equal(codes, schema.encode(frame), equal_nan=True)
    codes[60] = 33.4, 2.345, 0.0, 18693.2, 18691.98, 2.0
    assert schema.restore(other, codes).endswith(",x,2,2021-03-05T23:31,7.3.2021,blue,2.3,33,n60\n")


def test_arrays_must_have_as_many_columns():
    schema = Schema.find(Frame.of(np.random.default_rng(0).normal(size=(9, 3))))
    with pytest.raises(ValueError, match="X has 1 features, but TableImputer is expecting 3 features as input"):
        schema.encode(Frame.of(np.ones((2, 1))))
    with pytest.raises(ValueError, match="X row 1, column x0: expected one of 0, 1, got 3"):
        Schema.find(Frame.of(np.array([[0.0], [1.0]]))).encode(Frame.of(np.array([[1.0], [3.0]])))


def test_durations_are_as_fine_as_those_that_are_known():
    for unit, step in (("m", 60_000_000), ("ms", 1_000), ("D", 86_400_000_000)):
        column = (7 * np.arange(1, 31)).astype(f"m8[{unit}]")[:, None]
        frame = Frame.of(np.r_[column, np.array([[np.timedelta64("NaT")]], column.dtype)])
        schema = Schema.find(frame, kinds={"x0": "continuous"})
        again = Schema.from_json(json.loads(json.dumps(schema.to_json())))
        filled = again.restore(frame, np.full((31, 1), 1 / 7))[30, 0].astype("m8[us]").astype(int)
        assert filled == step * round(86_400_000_000 / 7 / step)


def test_other_columns_must_hold_the_same():
    minutes = (37 * np.arange(30)).astype("m8[m]")[:, None]
    columns = {
        "number": np.linspace(0, 1, 30)[:, None],
        "duration": minutes,
        "date": minutes + np.datetime64("2021-01-01T00:00"),
        "time": np.array([[(dt.datetime(2021, 1, 1) + cell).time()] for cell in minutes[:, 0].tolist()]),
    }
    for wanted, column in columns.items():
        schema = Schema.find(Frame.of(column))
        for got, other in columns.items():
            if got != wanted:
                with pytest.raises(
                    UserError, match=f"X row 0, column x0: expected a {wanted} as in training, got a {got}"
                ):
                    schema.encode(Frame.of(other))


def test_a_later_file_may_write_numbers_and_dates_in_its_own_way(tmp_path):
    text = "".join(f"{row}.5;2021-01-{row % 28 + 1:02d}\n" for row in range(40))
    schema = Schema.find(Frame.of(csv(tmp_path, f"size;day\n{text}")))
    other = Frame.of(csv(tmp_path, "size;day\n1.204,75;28.2.2021\n3,5;1.3.2021\n;\n", "other.csv"))
    codes = schema.encode(other)
    assert codes[:2].tolist() == [[1204.75, 18686.0], [3.5, 18687.0]]
    codes[2] = 12345.678, 18687.0
    assert schema.restore(other, codes) == "size;day\n1.204,75;28.2.2021\n3,5;1.3.2021\n12.345,68;1.3.2021\n"


@pytest.mark.parametrize(
    ("before", "after"),
    [
        ("a;b\n1,5;x\n;y\n2,25;x\n", "a;b\n1,5;x\n1,5;y\n2,25;x\n"),
        ('"a"\t"b"\r\n"1.5"\t"x"\r\n""\t"y"\r\n"2.5"\t"x"', '"a"\t"b"\r\n"1.5"\t"x"\r\n"1.5"\t"y"\r\n"2.5"\t"x"'),
        ('a,b\n1.5,"x, y"\n\n2.5,NA\n', 'a,b\n1.5,"x, y"\n\n2.5,"x, y"\n'),
        ('\ufeff"a, b"|c\n1.5|x\n? |y\n2.5|x\n', '\ufeff"a, b"|c\n1.5|x\n1.5|y\n2.5|x\n'),
        ("a,b\r1.5,x\r,y\r2.5,x\r", "a,b\r1.5,x\r1.5,y\r2.5,x\r"),
        ("a\n1.5\nNA\n2.5\n", "a\n1.5\n1.5\n2.5\n"),
        ('a\n1.5\n""\n2.5\n', 'a\n1.5\n"1.5"\n2.5\n'),
        ("a,b\n1.0,x\n,y\n12.0,x\n30.0,x\n4.0,y", "a,b\n1.0,x\n1.0,y\n12.0,x\n30.0,x\n4.0,y"),
        (",a\n0,1.5\n1,\n2,2.5\n", ",a\n0,1.5\n1,1.5\n2,2.5\n"),
        ("a, b\n1, 2.5\n0, NA\n1, 3.5\n", "a, b\n1, 2.5\n0,2.5\n1, 3.5\n"),
    ],
)
def test_the_bytes_of_a_file_are_kept(tmp_path, before, after):
    frame = Frame.of(csv(tmp_path, before))
    schema = Schema.find(frame)
    codes = schema.encode(frame)
    codes[:] = np.where(np.isnan(codes), codes[0], codes)
    assert schema.restore(frame, codes) == after


def test_numbers_that_may_mean_a_gap_are_pointed_at():
    frame = Frame.of(np.array([*np.linspace(0, 9, 46), *[-999.0] * 4])[:, None])
    said = "; -999 stands in 8.00% of them and may mean a gap (if so in every column: --also-missing -999, in Python "
    assert said in Schema.find(frame).fields[0].reason
    assert "may mean" not in Schema.find(frame, also_missing=("-999",)).fields[0].reason
