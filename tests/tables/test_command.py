"""The console script: what it writes, and what it refuses before any work."""

import csv
import io
import json
import re
import sys

import numpy as np
import pytest

from pyro_priors.tables.command import COMMANDS, main

HEADER = ["name", "height", "weight", "sport", "born"]
STEPS = ["--max-steps", "12"]


def rows(seed=0, count=80):
    """Texts of cells, a fifth of which say nothing; weight follows height, and so does the sport."""
    rng = np.random.default_rng(seed)
    height = rng.normal(175, 9, count)
    weight = 0.9 * height - 85 + rng.normal(0, 4, count)
    sport = np.where(height + rng.normal(0, 3, count) > 176, "basketball, court", "chess")
    born = np.datetime64("1990-01-01") + rng.integers(0, 4000, count)
    cells = [
        [f"P-{k:03d}x", f"{height[k]:.1f}".replace(".", ","), f"{weight[k]:.1f}", sport[k], str(born[k])]
        for k in range(count)
    ]
    for row, gone in zip(cells, rng.random((count, 4)) < 0.2, strict=True):
        row[1:] = [["", "NA", "", ""][k] if gone[k] else cell for k, cell in enumerate(row[1:])]
    return cells


@pytest.fixture(scope="module")
def folder(tmp_path_factory):
    """A table, filled with all that is on offer, and the law of it."""
    folder = tmp_path_factory.mktemp("table")
    with (folder / "people.csv").open("w", newline="") as file:
        csv.writer(file, delimiter=";", lineterminator="\r\n").writerows([HEADER, *rows()])
    source = (folder / "people.csv").read_bytes()
    (folder / "people.csv").write_bytes(b"\xef\xbb\xbf" + source.replace(b"basketball, court", b'"basketball, court"'))
    flags = ["--out", "filled.csv", "--draws", "2", "--report", "report", "--model", "law", *STEPS, "--seed", "3"]
    with pytest.MonkeyPatch.context() as patch:
        patch.chdir(folder)
        assert main(["impute", "people.csv", *flags, "--intervals", "0.8", "--probabilities"]) == 0
    return folder


@pytest.fixture
def here(folder, monkeypatch):
    monkeypatch.chdir(folder)
    return folder


def read(path):
    return list(csv.reader(io.StringIO(path.read_bytes().decode("utf-8-sig"), newline=""), delimiter=";"))


def error(capsys, *words):
    """The only line of the message of a command that refuses."""
    assert main([str(word) for word in words]) == 2
    captured = capsys.readouterr()
    assert captured.err.startswith("error: ")
    assert captured.err.count("\n") == 1
    return captured.err


def test_only_gaps_differ_to_the_byte(folder):
    *source, _ = (folder / "people.csv").read_bytes().split(b"\r\n")
    for name in ("filled-1.csv", "filled-2.csv"):
        *filled, last = (folder / name).read_bytes().split(b"\r\n")
        assert (len(filled), last) == (len(source), b"")
        for before, after in zip(source, filled, strict=True):
            pattern = b";".join(b"[^;]+" if cell in (b"", b"NA") else re.escape(cell) for cell in before.split(b";"))
            assert re.fullmatch(pattern, after), (before, after)
    assert (folder / "filled-1.csv").read_bytes() != (folder / "filled-2.csv").read_bytes()


def test_what_is_filled_is_what_the_row_says(folder):
    (header, *before), (_, *after) = read(folder / "people.csv"), read(folder / "filled.csv")
    filled = [(row[2], dict(zip(header, new, strict=False))) for row, new in zip(before, after, strict=True)]
    pairs = [(row["height"], row["weight"]) for weight, row in filled if weight == "NA"]
    height, weight = np.array([[float(cell.replace(",", ".")) for cell in pair] for pair in pairs]).T
    assert np.corrcoef(height, weight)[0, 1] > 0.8
    assert {row["sport"] for _, row in filled} == {"basketball, court", "chess"}
    assert all(re.fullmatch(r"\d{4}-\d\d-\d\d", row["born"]) for _, row in filled)
    assert all(re.fullmatch(r"\d+,\d", row["height"]) for _, row in filled)


def test_columns_say_how_sure_the_filled_cells_are(folder):
    (header, *before), (names, *after) = read(folder / "people.csv"), read(folder / "filled.csv")
    pairs = [["height_low", "height_high"], ["weight_low", "weight_high"]]
    added = [*pairs[0], *pairs[1], "sport_probability", "born_low", "born_high"]
    assert names == header + added
    for row, new in zip(before, after, strict=True):
        cells = dict(zip(names, new, strict=True))
        for name, place in (("height", 1), ("weight", 2)):
            low, high = (cells[f"{name}_{end}"].replace(",", ".") for end in ("low", "high"))
            if row[place] not in ("", "NA"):
                assert low == high == ""
                continue
            assert float(low) < float(cells[name].replace(",", ".")) < float(high)
        assert (cells["sport_probability"] == "") == (row[3] != "")
        assert cells["sport_probability"] == "" or 0.5 <= float(cells["sport_probability"]) <= 1
        assert (cells["born_low"] == "") == (row[4] != "")
        assert cells["born_low"] <= cells["born_high"]


def test_a_law_that_is_there_is_used_and_repeats_itself(here, capsys):
    words = ["impute", "people.csv", "--out", "again.csv", "--model", "law"]
    assert main([*words, "--draws", "1", "--seed", "3"]) == 0
    assert "none is fitted" in capsys.readouterr().out
    with_columns, alone = read(here / "filled.csv"), read(here / "again.csv")
    assert alone == [row[:5] for row in with_columns]
    assert (here / "again-1.csv").read_bytes() == (here / "filled-1.csv").read_bytes()
    assert "kind: expected nothing beside a law that is fitted" in error(capsys, *words, "--kind", "born=text")
    assert "budget: expected nothing beside a law" in error(capsys, *words, "--budget", "5")
    assert "exemplars: expected nothing beside a law" in error(capsys, *words, "--exemplars", "0")
    assert "seed: expected draws or a report" in error(capsys, *words, "--seed", "5")
    (here / "others.csv").write_text("name;height\nA;180\n")
    message = error(capsys, "impute", "others.csv", "--out", "x.csv", "--model", "law")
    assert "expected the columns name, height, weight, sport, born" in message


def test_new_rows_are_as_the_table_and_as_is_given(here):
    assert main(["sample", "law", "--rows", "30", "--given", "sport=chess", "--out", "new.csv"]) == 0
    header, *drawn = read(here / "new.csv")
    assert header == HEADER
    assert len(drawn) == 30
    assert {row[3] for row in drawn} == {"chess"}
    assert {row[0] for row in drawn} == {""}
    assert all(re.fullmatch(r"\d+,\d", row[1]) for row in drawn)


def test_several_ranges_are_draws_which_is_said_in_a_line(here, capsys):
    assert main(["sample", "law", "--rows", "3", "--given", "height=160..180", "weight=60..", "--out", "two.csv"]) == 0
    said = capsys.readouterr().err
    assert said.startswith(
        "warning: ranges: in 3 rows several numbers that go together have ranges (columns height, we"
    )
    assert said.count("\n") == 1


@pytest.mark.parametrize(
    ("given", "said"),
    [
        (["sport=golf"], "golf"),
        (["sports=chess"], "expected name=value, the name one of name, height"),
        (["sport=chess", "sport=chess"], "expected each column once, got sport twice"),
    ],
)
def test_what_cannot_be_given_is_refused(here, capsys, given, said):
    assert said in error(capsys, "sample", "law", "--out", "no.csv", "--given", *given)
    assert not (here / "no.csv").exists()


def test_describing_fits_nothing(here, capsys):
    assert main(["describe", "people.csv", "--kind", "sport=text"]) == 0
    said = capsys.readouterr().out
    assert "people.csv: 80 rows, 5 columns, 3 of which take part" in said
    assert "name: identifier (left out)" in said
    assert "height and weight: " in said
    assert "leave as they stand, gaps included: name, sport" in said
    gaps = sum(row[place] in ("", "NA") for row in read(here / "people.csv")[1:] for place in (1, 2, 4))
    assert f"fill {gaps} cells" in said


def test_constant_columns_are_filled_and_counted(here, capsys):
    (here / "constant.csv").write_text("k,n\n1,\n,\n1,\n")
    assert main(["describe", "constant.csv"]) == 0
    assert "fill 1 cells" in capsys.readouterr().out
    assert main(["impute", "constant.csv", "--out", "full.csv"]) == 0
    assert "full.csv: 1 cells of constant columns filled" in capsys.readouterr().out
    assert (here / "full.csv").read_text() == "k,n\n1,\n1,\n1,\n"


def test_other_spellings_of_missing(here, capsys):
    (here / "odd.csv").write_text("a,b\n" + "".join(f"{k},{k % 3 if k % 5 else 'gone'}\n" for k in range(7, 47)))
    message = error(capsys, "describe", "odd.csv")
    assert "odd.csv line 5, column b: expected a number" in message
    for flag in ("--missing-as", "--also-missing"):
        assert main(["describe", "odd.csv", flag, "gone"]) == 0
        assert "b  8 missing" in capsys.readouterr().out


FILL = ["impute", "people.csv", "--out", "x.csv"]


@pytest.mark.parametrize(
    ("words", "said"),
    [
        (["impute", "none.csv", "--out", "x.csv"], "none.csv"),
        (["impute", "people.csv", "--out", "people.csv"], "out: expected another file than those that are read"),
        (["impute", "people.csv", "--out", "no/such/../../people.csv"], "out: expected"),
        (["impute", "people.csv", "--out", "law"], "out: expected a file to write"),
        (["impute", "people.csv"], "--out"),
        ([*FILL, "--colour", "red"], "--colour"),
        ([*FILL, "--draws", "-1"], "draws: expected at least 0, got -1"),
        ([*FILL, "--intervals", "90"], "intervals: expected a level between 0 and 1"),
        ([*FILL, "--budget", "0"], "budget: expected seconds above 0"),
        ([*FILL, "--budget", "5", "--max-steps", "5"], "budget: expected no --max-steps beside it"),
        ([*FILL, "--kind", "sport"], "kind: expected name=kind"),
        ([*FILL, "--kind", "sport=colour"], "kind: expected name=kind"),
        ([*FILL, "--kind", "sports=text"], "kind: expected one of"),
        ([*FILL, "--report", "people.csv"], "report: expected a folder"),
        ([*FILL, "--checkpoint", "people.csv"], "checkpoint: expected a folder"),
        ([*FILL, "--seed", "-1"], "seed: expected 0 to"),
        (["fill", "people.csv"], "expected one of describe, impute, sample, demo, explore, got 'fill'"),
        (["sample", "people.csv", "--out", "x.csv"], "got a file, "),
        (["sample", "law/imputer.json", "--out", "x.csv"], "; say "),
        (["sample", "law", "--out", "x.csv", "--rows", "0"], "rows: expected at least 1"),
        (["describe", "people.csv", "--draws", "5"], "--draws"),
    ],
)
def test_mistakes_are_a_line_and_nothing_is_written(here, capsys, monkeypatch, words, said):
    def fit(*_, **__):
        raise AssertionError("work before the mistake was seen")

    monkeypatch.setattr("pyro_priors.tables.imputer.TableImputer.fit", fit)
    assert said in error(capsys, *words)
    assert not (here / "x.csv").exists()


def test_a_copy_that_would_replace_the_table_is_refused(here, capsys):
    (here / "people-1.csv").write_bytes((here / "people.csv").read_bytes())
    before = (here / "people-1.csv").read_bytes()
    words = ["impute", "people-1.csv", "--out", "people.csv", "--draws", "1"]
    assert "draws: expected another file than those that are read" in error(capsys, *words)
    assert (here / "people-1.csv").read_bytes() == before


def test_a_report_has_a_page_with_pictures_and_figures(folder):
    page = (folder / "report" / "report.html").read_text()
    shown = set(re.findall(r'<img src="(\w+)\.png"', page))
    assert shown == {"gaps", "dependence", "coverage", "reliability", "draws"}
    for name in shown:
        assert (folder / "report" / f"{name}.png").read_bytes().startswith(b"\x89PNG")
    values = json.loads((folder / "report" / "report.json").read_text())
    numbers = values["Numbers: how far the answers can be trusted"]
    assert [column["name"] for column in numbers["columns"]] == ["height", "weight", "born"]
    assert not list(folder.rglob(".*.tmp"))


def test_the_list_of_commands(capsys):
    assert main([]) == main(["--help"]) == 0
    said = capsys.readouterr().out
    assert all(f"\n  {word} " in said for word in COMMANDS)
    for word in COMMANDS:
        assert main([word, "--help"]) == 0
        assert f"pyro-priors {word}" in capsys.readouterr().out


def test_without_the_extra_it_says_which(capsys, monkeypatch, tmp_path):
    monkeypatch.setitem(sys.modules, "tyro", None)
    message = error(capsys, "demo", "--out", tmp_path / "demo")
    assert "expected the packages of the extra 'tables', got no tyro (pip install 'pyro-priors[tables]')" in message
    assert not (tmp_path / "demo").exists()


@pytest.mark.parametrize(("package", "flag"), [("matplotlib", "--report"), ("safetensors", "--model")])
def test_what_a_flag_needs_is_said_before_the_fit(here, capsys, monkeypatch, package, flag):
    monkeypatch.setitem(sys.modules, package, None)
    monkeypatch.setattr("pyro_priors.tables.imputer.TableImputer.fit", None)
    assert f"got no {package} (pip install" in error(capsys, *FILL, flag, "new")


def test_a_file_bigger_than_memory_is_read_in_pieces(here, capsys, monkeypatch):
    """What wants all its rows at once is refused before any work."""
    fill = ["impute", "people.csv", "--model", "law"]
    assert main([*fill, "--out", "whole.csv"]) == 0
    monkeypatch.setattr("pyro_priors.tables.frames.csv_frame._free_bytes", lambda: 1000)
    assert main([*fill, "--out", "in_pieces.csv"]) == 0
    assert (here / "in_pieces.csv").read_bytes() == (here / "whole.csv").read_bytes()
    message = error(capsys, *fill, "--out", "x.csv", "--draws", "2")
    assert "draws: expected nothing beside people.csv, which is filled in pieces" in message
    assert not (here / "x.csv").exists()


def test_a_table_without_gaps_is_copied_and_nothing_is_fitted(here, capsys):
    (here / "full.csv").write_text("a,b\n1.5,red\n2.5,blue\n3.0,red\n")
    assert main(["impute", "full.csv", "--out", "same.csv"]) == 0
    assert "nothing was fitted" in capsys.readouterr().out
    assert (here / "same.csv").read_bytes() == (here / "full.csv").read_bytes()
    message = error(capsys, "impute", "full.csv", "--out", "no.csv", "--intervals", "0.9")
    assert "intervals: expected a column of numbers with gaps, got none" in message


def test_added_columns_do_not_hide_those_that_are_there(here, capsys):
    (here / "taken.csv").write_text("a,a_low\n" + "".join(f"{k / 7:.2f},{k % 3}\n" for k in range(30)) + ",1\n")
    message = error(capsys, "impute", "taken.csv", "--out", "no.csv", "--intervals", "0.9")
    assert "file: expected no column 'a_low', the name of one to be added" in message
