"""What a column is taken for, with which reason, and what is refused at its line."""

import re

import pytest
from some_columns import AGES, DECIMALS, NAMES, ZIPS, column, write

from pyro_priors.checks import UserError
from pyro_priors.data import judging
from pyro_priors.data.attribute_table import read_csv


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
        (["007", "K1A"], "binary", "2 different texts$"),  # codes are digits
        (["Rome, Italy", "07", "Oslo"], "categorical", "3 different texts$"),
        (ZIPS, "categorical", "30 different codes$"),  # one of thirty has a leading zero, and all have five digits
        ([*ZIPS, "", "?"], "categorical", "30 different codes, 2 of 92 cells missing"),
        ([f"{d:02d}" for d in range(1, 96)] * 2, "categorical", "95 different codes$"),  # nine of 95 are not rare
        ([*[f"{d:02d}" for d in range(1, 96)] * 2, "2A", "2B"], "categorical", "97 different texts$"),
        (["1.5", "02.25", "10.5"] * 9, "continuous", "3 different numbers"),  # a decimal is no code
        (["9007199254740993", "9007199254740992"], "binary", "2 different codes"),
        ([*AGES, *["-999", "-999.0"] * 3], "continuous", ".*; -999 stands in 5.66% .*--also-missing -999 -999.0, "),
        ([*AGES, "998", "999"] * 3, "count", ".*; 998 stands in 0.98% of them .*; 999 stands in 0.98%"),
        ([*AGES, *["-1"] * 9], "continuous", ".*; -1 stands in 8.26% of them and may mean a gap"),
        ([*AGES, *["-1"] * 3], "continuous", ".* from -1 to 90$"),  # as rare as others
        ([*AGES, "-999"], "continuous", ".* from -999 to 90$"),  # once is an outlier
        ([*AGES, "99"] * 3, "count", ".* from 18 to 99$"),  # a high age
        (["1", "2", "4", "99"] * 3, "ordinal", ".* from 1 to 99; 99 stands in 25.00%"),
        (["-1", "0", "1"] * 9, "ordinal", ".* from -1 to 1$"),
        (["1", "2", "5", "10", "100"] * 9, "ordinal", ".* from 1 to 100$"),
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
        ([*DECIMALS, "007"], "continuous", None),
        ([*AGES, "05"], "count", None),
        (["1.5", "02", "3.25"], "categorical", ("02", "1.5", "3.25")),
        (["7", "007", "7.0"], "categorical", ("007", "7", "7.0")),  # who calls them categories has seen the zeros
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


@pytest.mark.parametrize(
    ("texts", "line", "got"),
    [
        ([*DECIMALS[:59], "007"], 61, "007"),
        ([*AGES, "05"], 102, "05"),  # two digits as all ages have
        (["01.5", "02", "03.25", "10.5"], 3, "02"),
        ([*(f"{step},5" for step in range(40)), "-01"], 42, "-01"),
        ([*map(str, range(1, 1000, 7)), "07", "NA"], 145, "07"),
    ],
)
def test_a_rare_leading_zero_among_numbers_is_refused_at_its_line(texts, line, got):
    said = "(mend it, or say what the column is: --kind x=categorical, in Python kinds={'x': 'categorical'}, or --kind "
    said += "x=continuous, in Python kinds={'x': 'continuous'})"
    message = f"f.csv line {line}, column x: expected a number as in the other cells, got {got!r}, which has a leading"
    with pytest.raises(UserError, match=re.escape(f"{message} zero {said}")):
        column(*texts)
    for kind in ("categorical", "continuous"):
        assert column(*texts, kind=kind).kind == kind


def test_a_leading_zero_is_none_in_a_column_of_numbers(tmp_path):
    rows = "".join(f"{row},{age}\n" for row, age in enumerate(["05", *AGES]))
    (attribute,) = (table := read_csv(write(tmp_path, f"image,age\n{rows}"), kinds={"age": "count"})).attributes
    assert attribute.loc + attribute.scale * table.values[0, 0].item() == pytest.approx(5, abs=1e-4)


def test_categories_are_as_many_as_memory_holds(monkeypatch):
    monkeypatch.setattr(judging, "MOST_BYTES", 16_000_000)
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
