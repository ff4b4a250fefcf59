"""Ways to write numbers, schemas in words and JSON, and tables read with them."""

import random
import re

import pytest
from some_columns import AGES, DECIMALS, NAMES, column, write

from pyro_priors.checks import UserError
from pyro_priors.data import deciding, numerals, schema
from pyro_priors.data.attribute_table import read_csv
from pyro_priors.data.attributes import Attribute
from pyro_priors.data.numerals import PLAIN, STYLES, NotAlike, Style, number, style_of
from pyro_priors.data.schema import Field


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


def test_a_number_is_made_once_of_each_different_cell(monkeypatch):
    """And none to find how they are written: two hundred thousand decimal commas took twelve seconds."""
    made = []
    for module in (numerals, deciding):
        monkeypatch.setattr(module, "number", lambda text, style=PLAIN: made.append(text) or number(text, style))
    commas = [text.replace(".", ",") for text in DECIMALS]
    for texts, wanted in ((DECIMALS, []), (commas, commas)):  # plain ones are read all at once
        made.clear()
        assert column(*texts, *texts).kind == "continuous"
        assert made == wanted


def test_styles_that_fail_are_dropped_and_the_answer_is_that_of_all():
    draw, seen = random.Random(1), set()
    cells = ("1,204", "1.204", "3,14", "3.14", "1 204", "1'204,5", "7", "1,204,567", "1.204.567", "inf", "-5", "x")
    for _ in range(2000):
        texts = draw.sample(cells, draw.randint(1, 3))
        readings = [[number(text, style) for text in texts] for style in STYLES]
        right = [values for values in readings if None not in values]
        try:
            style = style_of(texts)
        except NotAlike:
            seen.add("none")
            assert None in readings[0]
            assert not right or any(values != right[0] for values in right)
        else:
            seen.add(style)
            assert [number(text, style) for text in texts] == (readings[0] if readings[0] in right else right[0])
            assert readings[0] in right or all(values == right[0] for values in right)
    assert len(seen) > 5


def test_numbers_as_written():
    assert number("1\u202f234\u202f567,25", Style(" ", ",")) == 1234567.25
    assert number("−1.234,5", Style(".", ",")) == -1234.5
    assert number("9007199254740993") == 9007199254740993
    for text in ("", "-", "1_000", "１", "0x10", "1.2.3", "5,", "1,20,450", "12,34,567", "e5", "--1", "1 2", "nan"):
        assert [style for style in STYLES if number(text, style) is not None] == []
    with pytest.raises(NotAlike, match=r"got '1,204'$"):
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
    said = "got image alone; name is identifier (100 different texts in 100 cells, which hardly repeat; to use it, "
    with pytest.raises(UserError, match=re.escape(f"{said}{schema.advice('name', 'categorical')})")):
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


def test_thousands_of_the_united_states_are_a_count_if_somebody_says_so(tmp_path):
    path = write(tmp_path, 'image,pay\na,"45,000"\nb,"52,500"\nc,"61,250"\n')
    said = "'45,000' (write 45 or 45000, or say that it is a count: --kind pay=count, in Python kinds={'pay': 'count'})"
    meaning = Attribute("pay", None, 50_000.0, 10_000.0)
    for how in ({}, {"kinds": {"pay": "continuous"}}, {"attributes": [meaning]}):
        with pytest.raises(UserError, match=re.escape(said)):
            read_csv(path, **how)
    (attribute,) = read_csv(path, kinds={"pay": "count"}).attributes
    assert attribute.loc == pytest.approx(52_916.67, abs=0.01)
    with pytest.raises(UserError, match=r"got '1,204' \(write 1.204 or 1204\)$"):
        column("1,204", "1e-1")  # no count in any way


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
