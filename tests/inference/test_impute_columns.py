"""`impute`: files with more columns than the model has attributes, and attributes made of several columns."""

import csv
from types import SimpleNamespace

import pyro
import pytest
from PIL import Image

import pyro_priors as pp
from inference import impute
from models.shared import runs
from pyro_priors.checks import UserError
from pyro_priors.data import loading
from pyro_priors.data.attribute_table import read_csv
from pyro_priors.data.attributes import Attribute, kinds
from pyro_priors.networks import GatedMLPDecoder, GatedMLPEncoder
from pyro_priors.programs import JointVAE

HAIRY, DIGIT, AGE = (
    Attribute("hairy", ("0", "1")),
    Attribute("Digit", ("1", "2", "3")),
    Attribute("age", None, 40.0, 10.0),
)
RECIPES = ("hairy=mustache|!No_Beard", "Digit", "age")
TRUE, FALSE, UNKNOWN = ["1,1", "1,0", "0,0", ",0", "1,"], ["0,1"], ["0,", ",1", ","]  # Mustache, No_Beard -> hairy


@pytest.fixture
def folder(tmp_path, monkeypatch):
    """Nine pictures, what is known of them in in.csv, and a run of a model with three attributes."""
    (tmp_path / "images").mkdir()
    lines = ["image,Mustache,No_Beard,digit, title ,age"]
    for index, cells in enumerate(TRUE + FALSE + UNKNOWN):
        Image.new("L", (8, 8), 25 * index).save(tmp_path / "images" / f"{index}.png")
        digit = index % 3 + 1 if index % 2 else ""
        lines.append(f'{index}.png,{cells},{digit},"a, ""b""",{30 + index / 4}')
    (tmp_path / "in.csv").write_text("\n".join(lines) + "\n")
    pyro.set_rng_seed(0)
    attributes = (HAIRY, DIGIT, AGE)
    prior = pp.TTLP(2, kinds(attributes, components=2), components=3, rank=2, cores="full", order="random")
    model = JointVAE(GatedMLPEncoder((1, 8, 8), 2, (8,)), GatedMLPDecoder(2, (1, 8, 8), (8,)), prior).eval()
    config = SimpleNamespace(binarize="none", model="joint-vae", attributes=RECIPES, also_missing=())
    run = SimpleNamespace(folder=tmp_path, config=config, image_shape=(1, 8, 8), attributes=attributes, kinds={})
    monkeypatch.setattr(runs, "trained", lambda _: (run, model))
    return tmp_path


def filled(folder, source="in.csv", **changes):
    """`impute` on a file of the folder -> the rows of its output, as dicts."""
    out = folder / "out.csv"
    impute.main(impute.Impute(run=folder, images=folder, attributes=folder / source, out=out, **changes))
    with out.open(newline="") as file:
        return list(csv.DictReader(file))


def test_the_file_of_the_training_can_be_filled(folder, capsys):
    data = loading.load("folder", folder_of_training(folder), image_size=8, attributes=RECIPES)
    assert [a.name for a in data.attributes]
    rows = filled(folder, other_columns="copy")
    assert list(rows[0]) == [
        "image", "Mustache", "No_Beard", "digit", " title ", "age",
        "hairy", "hairy_probability", "Digit_probability", "age_sd",
    ]  # fmt: skip
    for row in rows[:6]:
        assert (row["hairy"], row["hairy_probability"]) == ("0" if row is rows[5] else "1", "")
    for row in rows[6:]:
        assert row["hairy"] in "01"
        assert 0.5 <= float(row["hairy_probability"]) <= 1
    before = (folder / "in.csv").read_text().splitlines()[1:]
    for old, new in zip(before, (folder / "out.csv").read_text().splitlines()[1:], strict=True):
        cells = old.split(",")
        assert new.startswith(old if cells[3] else ",".join(cells[:3]) + ",")
        assert ',"a, ""b""",' in new
    assert capsys.readouterr().out.startswith("8 cells filled, 0 left empty\n")  # three hairy, five digits


def folder_of_training(folder):
    """The same pictures with the same file as attributes.csv."""
    rows = "".join(f"{index}.png,{index // 4}\n" for index in range(9))
    (folder / "partition.csv").write_text(f"image,partition\n{rows}")
    (folder / "attributes.csv").write_text((folder / "in.csv").read_text())
    return folder


def test_what_a_recipe_knows_is_given_to_the_model(folder, monkeypatch):
    seen, cells = [], impute.cells
    monkeypatch.setattr(impute, "cells", lambda model, table, *rest: seen.append(table) or cells(model, table, *rest))
    filled(folder, other_columns="copy")
    assert seen[0].values[:6, 0].tolist() == [1.0] * 5 + [0.0]
    assert seen[0].values[6:, 0].isnan().all()
    assert seen[0].attributes == (HAIRY, DIGIT, AGE)


@pytest.mark.parametrize(
    ("header", "read", "added"),
    [
        (["image", "mustache", "NO_BEARD"], [RECIPES[0]], ["hairy", "Digit", "age"]),
        (["image", "age"], ["age"], ["hairy", "Digit"]),
        (["DIGIT ", "image"], ["Digit"], ["hairy", "age"]),
        (["image"], None, ["hairy", "Digit", "age"]),
    ],
)
def test_columns_that_say_something_need_no_permission(header, read, added):
    layout = impute.columns("in.csv", header, (HAIRY, DIGIT, AGE), RECIPES)
    assert layout.read == read
    assert layout.added == [*added, "hairy_probability", "Digit_probability", "age_sd"]
    every = [name.strip() for name in header] + layout.added
    assert [every[place].lower() for place in layout.places] == ["hairy", "digit", "age"]
    assert [every[place] for place in layout.certainty] == layout.added[-3:]


@pytest.mark.parametrize(
    ("header", "unknown"),
    [
        (["title"], "'title'"),
        (["mustache"], "'mustache'"),  # half of what the recipe needs
        (["Hairy", "mustache", "no_beard"], "'mustache', 'no_beard'"),  # the column of the name is what counts
        (["digit", "Digit"], "'digit'"),
        (["age", "age_sd"], "'age_sd'"),
    ],
)
def test_other_columns_are_refused(header, unknown):
    advice = r"\(pass --other-columns copy to copy them as they are\)$"
    with pytest.raises(UserError, match=f"in.csv: column: expected one of hairy, Digit, age, got {unknown} {advice}"):
        impute.columns("in.csv", ["image", *header], (HAIRY, DIGIT, AGE), RECIPES)
    assert impute.columns("in.csv", ["image", *header], (HAIRY, DIGIT, AGE), RECIPES, copy=True)


@pytest.mark.parametrize(
    ("header", "message"),
    [
        (["DIGIT", "digit"], "in.csv: column: expected one of DIGIT, digit, got 'Digit'"),
        (["Mustache", "MUSTACHE", "no_beard"], "in.csv: column: expected one of Mustache, MUSTACHE, got 'mustache'"),
    ],
)
def test_columns_that_differ_in_case_alone_are_refused_in_any_case(header, message):
    with pytest.raises(UserError, match=message):
        impute.columns("in.csv", ["image", *header], (HAIRY, DIGIT, AGE), RECIPES, copy=True)
    with pytest.raises(UserError, match=r"in.csv: column: expected one of Digit, digit, got 'DIGIT'"):
        impute.columns("in.csv", ["image", "DIGIT"], (DIGIT, DIGIT._replace(name="digit")))


def test_a_column_that_is_read_is_never_written_as_a_certainty():
    attributes, recipes = (HAIRY, DIGIT._replace(name="digit")), ["hairy=!digit_probability", "digit"]
    with pytest.raises(UserError, match=r"in.csv: expected no column 'digit_probability', the name of one to be added"):
        impute.columns("in.csv", ["image", "digit_probability"], attributes, recipes, copy=True)


def test_nothing_but_other_columns(folder):
    (folder / "few.csv").write_text("title,image\nx,3.png\n")
    with pytest.raises(UserError, match=r"few.csv: column: expected one of hairy, Digit, age, got 'title'"):
        filled(folder, "few.csv")
    (row,) = filled(folder, "few.csv", other_columns="copy")
    assert row["title"] == "x"
    assert all(row[name] for name in ("hairy", "Digit", "age", "age_sd"))


def test_a_filled_file_can_be_filled_further(folder):
    first = filled(folder, min_confidence=0.7, other_columns="copy")
    doubtful = [(row["image"], name) for row in first for name in ("hairy", "digit") if not row[name]]
    assert 0 < len(doubtful) < 8
    text = (folder / "out.csv").read_text()
    (folder / "filled.csv").write_text(text)
    second = filled(folder, "filled.csv", other_columns="copy", seed=1)
    assert list(second[0]) == list(first[0])  # no column twice
    columns = {"hairy": "hairy_probability", "digit": "Digit_probability"}
    for before, after in zip(first, second, strict=True):
        empty = {columns[name]: name for image, name in doubtful if image == before["image"]}
        for column, cell in before.items():
            if column in empty.values():
                assert after[column]
            elif column in empty:
                assert 0 < float(after[column]) <= 1
                assert after[column] != cell  # of this answer: other draws
            else:
                assert after[column] == cell
    (folder / "filled.csv").write_text((folder / "out.csv").read_text())
    filled(folder, "filled.csv", other_columns="copy", seed=2)
    assert (folder / "out.csv").read_text() == (folder / "filled.csv").read_text()  # nothing is left to fill


@pytest.mark.parametrize("age", ["9.9e15", "-9.9e15"])
def test_numbers_as_large_as_are_allowed_have_answers(folder, age):
    (folder / "few.csv").write_text(f"image,age\n3.png,{age}\n4.png,\n")
    rows = filled(folder, "few.csv")
    assert rows[0]["age"] == age
    assert all(row["hairy"] and row["Digit"] for row in rows)


def test_lines_of_a_table(folder):
    assert read_csv(folder / "in.csv", ["age"]).lines == tuple(range(2, 11))
