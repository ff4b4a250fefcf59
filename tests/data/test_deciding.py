"""What a column is taken for, with which reason, and what is refused at its line."""

import random
import re

import pytest

from pyro_priors.checks import UserError
from pyro_priors.data import deciding, schema
from pyro_priors.data.attribute_table import read_csv
from pyro_priors.data.deciding import Cells, decide
from pyro_priors.data.numerals import PLAIN, STYLES, NotAlike, Style, number, style_of
from pyro_priors.data.schema import Field

DRAW = random.Random(0)
AGES = [str(DRAW.randint(18, 90)) for _ in range(100)]
DECIMALS = [f"{DRAW.random():.6f}" for _ in range(200)]
NAMES = [f"face-{DRAW.getrandbits(60):x}" for _ in range(100)]


def column(*texts, **how):
    return decide(Cells("f.csv", "x", range(2, len(texts) + 2), texts), **how)


@pytest.mark.parametrize(
    ("texts", "kind", "reason"),
    [
        (AGES, "count", "54 different whole numbers from 18 to 90"),
        ([*AGES, "NA"], "count", "54 different whole numbers from 18 to 90, 1 of 101 cells missing"),
        ([*AGES, "?", "null", "-", "#N/A", "None", "n/a", "nan", ""], "count", "54 .*, 8 of 108 cells missing"),
        ([*AGES, "31.5"], "continuous", "55 different numbers from 18 to 90"),
        ([f"-{age}" for age in AGES], "continuous", "54 different whole numbers from -90 to -18"),
        (list(map(str, range(18, 91))), "count", "73 different"),  # ages, each once
        (DECIMALS, "continuous", "200 different numbers"),  # all different, and yet no names
        ([str(1_700_000_000 + 3 * step) for step in range(99)], "count", "99 different"),
        (["0", "1", "NA"] * 5, "binary", "2 different whole numbers from 0 to 1, 5 of 15 cells missing"),
        (["1.0", "0.0", ""], "binary", "2 different whole numbers"),
        (["3", "1", "2", "?"], "ordinal", "3 different whole numbers from 1 to 3, 1 of 4"),
        (["yes", "no", "", "NA", "null"], "binary", "2 different texts, 3 of 5 cells missing"),
        (["None", "some", "?", "-"], "categorical", "4 different texts$"),
        (["Na", "K", "Li"], "categorical", "3 different texts$"),  # sodium
        (["1", "2", "a", "b"], "categorical", "4 different texts"),
        (["１", "２", "٣"], "categorical", "3 different texts"),
        (["007", "07", "7", "?"], "categorical", "3 different codes, 1 of 4 cells missing"),
        (["007", "K1A"], "binary", "2 different codes"),
        (["9007199254740993", "9007199254740992"], "binary", "2 different codes"),
        (["3"] * 5, "constant", "always the same"),
        (["0.1", "0.1", "NA"], "constant", "always the same, 1 of 3 cells missing"),
        (["x"], "constant", "always the same"),
        (NAMES, "identifier", "100 different texts in 100 cells, which hardly repeat"),
        ([*NAMES[:90], *NAMES[:10]], "identifier", "90 different texts in 100 cells"),
        (NAMES[:20], "categorical", "20 different texts"),  # so few may be anything
        ([NAMES[i % 50] for i in range(100)], "categorical", "50 different texts"),
        (list(map(str, range(100))), "identifier", "100 different whole numbers from 0 to 99, each once"),
        (list(map(str, range(1900, 2050))), "count", "150 different"),  # years, each once
        (list(map(str, range(5000, 5200))), "identifier", "200 different whole .*, each once: they count the rows"),
        ([str(2**60 + step) for step in range(50)], "identifier", "50 different codes in 50 cells"),
        ([f"a {name} in words" for name in NAMES], "text", "100 different texts in 100 cells, of several words"),
        ([f"2021-{m:02d}-{d:02d}" for m in (1, 2) for d in range(1, 29)] * 3, "text", "56 different texts, dates"),
        ([f"{d}.{m}.2021" for m in (1, 2) for d in range(1, 29)], "text", ".*dates or times"),
        ([f"{h:02d}:{m:02d}" for h in (1, 2) for m in range(1, 29)], "text", ".*dates or times"),
        ([f"2021-01-{d:02d}T08:00:00Z" for d in range(1, 29)], "text", ".*dates or times"),
        (["2021-01-01", "2021-01-02"] * 30, "binary", "2 different texts"),
        ([f"1.{major}.{minor}" for major in range(9) for minor in range(9)] * 2, "categorical", "81 different texts$"),
    ],
)  # fmt: skip
def test_what_a_column_is(texts, kind, reason):
    field = column(*texts)
    assert field.kind == kind
    assert re.match(reason, field.reason)
    assert field.example == next(text for text in texts if text not in ("", "NA"))


@pytest.mark.parametrize(
    ("texts", "line", "message"),
    [
        ([*AGES, "abc"], 102, "expected a number as in the other cells, or a spelling of a missing one, got 'abc'"),
        (["1", "2", "3", "$4", "5"], 5, r"got '\$4' .*--also-missing '\$4', --kind x=categorical, in Python kinds="),
        ([*DECIMALS, *["low"] * 90], 202, "got 'low'"),  # many cells, but one of 201 different ones
        (["1", "2", "3.5", "inf"], 5, "expected a finite number of 32 bits, got 'inf'"),
        (["1", "2", "3.5", "1e400"], 5, "got '1e400'"),
        (["1", "2", "3.5", "4", "１２"], 6, "got '１２'"),
        (["1.5", "3,14", "2.5"], 3, "expected numbers that are all written alike, got '3,14' beside '1.5'"),
        (
            ["950", "1,204"],
            3,
            r"expected numbers that can be read in one way, got '1,204' \(write 1.204 or 1204, or say",
        ),
        ([f"{step}.5%" for step in range(30)], 2, "expected numbers without a unit, got '0.5%'"),
        ([f"{step} kg" for step in range(30)], 2, "expected numbers without a unit, got '0 kg'"),
    ],
)
def test_what_is_refused_at_its_line(texts, line, message):
    with pytest.raises(UserError, match=f"^f.csv line {line}, column x: .*{message}"):
        column(*texts)


@pytest.mark.parametrize(
    ("texts", "kind", "categories"),
    [
        (AGES, "continuous", None),
        (["1", "2", "3"], "continuous", None),
        (["007", "012"], "continuous", None),
        (["3", "?", "3"], "count", None),
        (["950", "1,204"], "count", None),  # whole in one way only
        (["02134", "2134", "NA"], "categorical", ("02134", "2134")),
        (["10", "9", "9.0", "?"], "categorical", ("9", "10")),  # equal numbers are one, as it is written first
        (["9.0", "10", "9"], "ordinal", ("9.0", "10")),
        (["1", "2", "many", "NA"], "categorical", ("1", "2", "many")),
        (["0,5", "0,7"], "binary", ("0,5", "0,7")),
        (["2.5", "2,5"], "categorical", ("2,5", "2.5")),
        (NAMES, "categorical", tuple(sorted(NAMES))),
        (["a"], "constant", ("a",)),
    ],
)
def test_what_somebody_says_goes(texts, kind, categories):
    field = column(*texts, kind=kind)
    assert (field.kind, field.categories) == (kind, categories)
    assert column(*texts, kind="text").aside
    assert column(*texts, kind="identifier").aside


@pytest.mark.parametrize(
    ("texts", "kind", "message"),
    [
        (["1", "x"], "continuous", "f.csv line 3, column x: expected a number as in the other cells"),
        (["-"], "continuous", "f.csv line 2, column x: expected a number"),
        (["1", "1.5"], "count", "f.csv line 3, column x: expected a whole number, 0 or more, of a count, got '1.5'"),
        (["1", "-1"], "count", "f.csv line 3, column x: expected a whole number"),
        (["b", "c", "b", "a"], "binary", "f.csv line 5, column x: expected a binary column, got 3 different .*'a'"),
        (["2", "2.0", "1"], "constant", "f.csv line 4, column x: expected a constant column, got 2 different numbers"),
        (["1"], "number", "f.csv: column x: expected one of continuous, count, .*, got 'number'"),
        (["", "NA"], None, "f.csv: column x: expected a cell that says something, got empty ones"),
        (["", "NA"], "text", "f.csv: column x: expected a cell that says something, got empty ones"),
    ],
)  # fmt: skip
def test_what_somebody_says_must_hold(texts, kind, message):
    with pytest.raises(UserError, match=message):
        column(*texts, kind=kind)


def test_categories_are_as_many_as_memory_holds(monkeypatch):
    monkeypatch.setattr(deciding, "MOST_BYTES", 16_000_000)
    assert len(column(*[f"c{step % 2500}" for step in range(7500)]).categories) == 2500
    texts = [f"c{step % 2501}" for step in range(7503)]
    for kind in (None, "categorical"):
        with pytest.raises(
            UserError, match=r"column x: .* at most 0.0 GB of memory, got 2501, which take 1.0 million par"
        ):
            column(*texts, kind=kind)
    assert column(*texts, kind="text").aside


def test_a_number_is_one_category_as_it_is_written_first():
    assert column("1.0", "0", "1", "0.0", "1e0").categories == ("0", "1.0")
    assert column("2", "1.0", "2.00", "1").categories == ("1.0", "2")


def test_further_spellings_of_a_missing_cell():
    field = column("1", "2", "3", "unknown", "-999", also_missing=("unknown", "-999"))
    assert (field.kind, field.categories) == ("ordinal", ("1", "2", "3"))


@pytest.mark.parametrize(
    ("texts", "style"),
    [
        (["1.204", "2.5"], PLAIN),  # a point is a decimal one before it is anything else
        (["1,204.5", "950"], Style(",", ".")),
        (["1,204", "1,204,567"], Style(",", ".")),
        (["3,14", "2"], Style("", ",")),
        (["1,204", "3,14"], Style("", ",")),
        (["0,123"], Style("", ",")),
        (["1.204,5"], Style(".", ",")),
        (["1 204", "950"], Style(" ", ".")),
        (["1\u00a0204,5"], Style(" ", ",")),
        (["1'204.50"], Style("'", ".")),
        (["−5", "+3", ".5", "5.", "1e-3"], PLAIN),
    ],
)
def test_ways_to_write_numbers(texts, style):
    assert style_of(texts) == style
    assert all(number(text, style) is not None for text in texts)


def test_numbers_as_written():
    assert number("1\u202f234\u202f567,25", Style(" ", ",")) == 1234567.25
    assert number("−1.234,5", Style(".", ",")) == -1234.5
    assert number("9007199254740993") == 9007199254740993
    for text in ("", "-", "1_000", "１", "0x10", "1.2.3", "5,", "1,20,450", "12,34,567", "e5", "--1", "1 2", "nan"):
        assert [style for style in STYLES if number(text, style) is not None] == []
    with pytest.raises(NotAlike, match=r"got '1,204' \(write 1.204 or 1204, or say that it is a count\)"):
        style_of(["950", "1,204"])
    assert style_of(["950", "1,204"], counts=True) == Style(",", ".")
    assert style_of(["950", "1.204"], counts=True) == Style(".", ",")
    assert style_of(["1.5", "2"], counts=True) == PLAIN


def test_kinds_from_the_command_line():
    assert schema.read_kinds(["zip=categorical", "a=b=count"]) == {"zip": "categorical", "a=b": "count"}
    for entries, got in ((["zip"], "'zip'"), (["zip=number"], "'zip=number'"), (["=count"], "'=count'")):
        with pytest.raises(UserError, match=f"kind: expected name=kind, the kind one of .*, got {got}"):
            schema.read_kinds(entries)
    with pytest.raises(UserError, match="kind: expected each column once, got a twice"):
        schema.read_kinds(["a=count", "a=text"])


def test_a_schema_survives_json():
    fields = (Field("age", "count", "many", "31"), Field("name", "identifier", "all differ", "x"))
    assert schema.from_json(schema.to_json(fields)) == fields
    for values in (3, [{"kind": "count"}], [{"name": "a", "kind": "number"}], [7]):
        with pytest.raises(UserError, match="schema: expected"):
            schema.from_json(values)


def test_every_line_of_a_description_says_how_to_change_it():
    described = schema.describe(
        [Field("age", "count", "44 numbers", "31"), Field("full name", "text", "all differ", "x" * 99)]
    )
    assert described == [
        "age: count, 44 numbers, such as 31 (change it: --kind age=categorical)",
        f"full name: text (left out), all differ, such as {'x' * 37}... (change it: --kind 'full name=categorical')",
    ]
    assert set(schema.OTHERWISE) == set(schema.KINDS)
    (line,) = schema.describe([Field("title", "text", "all differ", "x" * 40)])
    assert f", such as {'x' * 40} (" in line  # no longer than one that is cut


def write(folder, text):
    (folder / "faces.csv").write_text(text)
    return folder / "faces.csv"


PEOPLE = "image,name,age,hair\n" + "".join(
    f"{row}.png,{name},{AGES[row]},{'rb'[row % 2]}\n" for row, name in enumerate(NAMES)
)


def test_identifiers_take_no_part(tmp_path):
    path = write(tmp_path, PEOPLE)
    table = read_csv(path)
    assert [attribute.name for attribute in table.attributes] == ["age", "hair"]
    assert [(field.name, field.kind) for field in table.schema] == [
        ("name", "identifier"), ("age", "count"), ("hair", "binary"),
    ]  # fmt: skip
    with pytest.raises(
        UserError, match=r"column name: expected numbers, or texts that repeat, .* is identifier \(100 diff"
    ):
        read_csv(path, ("name", "age"))
    assert len(read_csv(path, ("Name",), kinds={"name": "categorical"}).attributes[0].categories) == 100
    assert [a.name for a in read_csv(path, kinds={"hair": "text"}).attributes] == ["age"]
    with pytest.raises(UserError, match=r"column hair: expected numbers, .* got a column that is text"):
        read_csv(path, ("hair",), kinds={"hair": "text"})
    with pytest.raises(UserError, match="got image alone; name is identifier"):
        read_csv(write(tmp_path, "image,name\n" + "".join(f"{name},{name}\n" for name in NAMES)))


@pytest.mark.parametrize(
    ("columns", "kinds", "message"),
    [
        ((), {"hat": "count"}, "faces.csv: kind: expected one of name, age, hair, got 'hat'"),
        (("age",), {"hair": "text"}, "faces.csv: kind: expected one of age, got 'hair'"),
        ((), {"age": "number"}, "faces.csv: column age: expected one of continuous, .* got 'number'"),
        (("r=hair",), {"r": "binary"}, "faces.csv: kind: expected a column that is used as it stands, got 'r'"),
    ],
)
def test_kinds_of_other_columns_are_refused(tmp_path, columns, kinds, message):
    with pytest.raises(UserError, match=message):
        read_csv(write(tmp_path, PEOPLE), columns, kinds=kinds)


def test_the_kinds_of_a_run_hold_whatever_the_cells_say(tmp_path):
    """Also of columns that are no more; other categories are refused at their line."""
    path = write(tmp_path, "image,n,hair\na,1,NA\nb,2,red\nc,3,\n")
    run = {
        "n": Field("n", "continuous"), "hair": Field("hair", "categorical", categories=("NA", "black", "red")),
        "gone": Field("gone", "identifier"),
    }  # fmt: skip
    table = read_csv(path, kinds=run)
    assert [a.categories for a in table.attributes] == [None, ("NA", "black", "red")]
    assert table.values[:2, 1].tolist() == [0.0, 2.0]  # as it was read before there were spellings
    assert table.values[2, 1].isnan()
    with pytest.raises(UserError, match=r"faces.csv line 3, column hair: expected one of NA, black, got 'red'"):
        read_csv(path, kinds=run | {"hair": Field("hair", "binary", categories=("NA", "black"))})
    assert read_csv(path, kinds=run | {"n": Field("n", "text")}).attributes[0].name == "hair"


@pytest.mark.parametrize("separator", [",", ";", "\t"])
def test_a_spreadsheet_of_another_country(tmp_path, separator):
    rows = [("image", "size", "city"), ("a.png", '"3,5"', '"Rome, Italy"'), ("b.png", "2", "Oslo"), ("c.png", "?", "")]
    table = read_csv(write(tmp_path, "\n".join(map(separator.join, rows)) + "\n"))
    size, city = table.attributes
    assert (size.loc, size.scale, city.categories) == (2.75, 0.75, ("Oslo", "Rome, Italy"))
    assert table.values[:2].tolist() == [[1.0, 1.0], [-1.0, 0.0]]
    assert table.values[2].isnan().all()
    assert table.schema[0].style == Style("", ",")


def test_a_header_of_commas_stays_one(tmp_path):
    assert read_csv(write(tmp_path, "image,a;b\nx,1\ny,2\n")).attributes[0].name == "a;b"
