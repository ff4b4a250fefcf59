"""`impute`: what is filled, what is never touched, and what is refused."""

import csv
import io
from types import SimpleNamespace

import pyro
import pyro.distributions as dist
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from PIL import Image

import pyro_priors as pp
from inference import impute
from models.shared import answers, runs
from pyro_priors import queries
from pyro_priors.checks import UserError
from pyro_priors.data import user_folder
from pyro_priors.data.attribute_table import read_csv
from pyro_priors.data.attributes import Attribute, kinds
from pyro_priors.data.images import Images, loader
from pyro_priors.data.raw_rows import raw_rows
from pyro_priors.networks import GatedMLPDecoder, GatedMLPEncoder
from pyro_priors.programs import JointVAE

SHAPE = (1, 8, 8)
ATTRIBUTES = (
    Attribute("digit", ("0", "1", "2")),
    Attribute("hair", ("black", 'dark, "wavy"')),
    Attribute("age", None, loc=40.0, scale=10.0),
)
FILE = 'image,digit,hair,age\n0.png, 1.0 ,"black",\n1.png,,"dark, ""wavy""",4e1\n"2.png","",  ,35\n3.png,2,,\n'
COLUMNS = ["image", "digit", "hair", "age", "digit_probability", "hair_probability", "age_sd"]


@pytest.fixture
def model():
    """A joint VAE whose prior ties codes and attributes together."""
    pyro.set_rng_seed(0)
    prior = pp.TTLP(3, kinds(ATTRIBUTES, components=2), components=3, rank=3)
    label = torch.randint(3, (3000,)).float()
    z = (label - 1).unsqueeze(-1) * 1.5 + 0.4 * torch.randn(3000, 3)
    prior.reinitialize(z, torch.stack([label, (label > 0).float(), label - 1 + 0.1 * torch.randn(3000)], -1))
    return JointVAE(GatedMLPEncoder(SHAPE, 3, (8,)), GatedMLPDecoder(3, SHAPE, (8,)), prior).eval()


@pytest.fixture
def folder(tmp_path):
    """Four pictures and a CSV file that says something of each."""
    (tmp_path / "images").mkdir()
    for index in range(4):
        pixels = torch.randint(256, (8, 8), generator=torch.Generator().manual_seed(index), dtype=torch.uint8)
        Image.fromarray(pixels.numpy()).save(tmp_path / "images" / f"{index}.png")
    (tmp_path / "in.csv").write_text(FILE, newline="")
    return tmp_path


@pytest.fixture
def run(monkeypatch, model, folder):
    """A run folder of that model, as `runs.trained` reads it."""
    config = SimpleNamespace(binarize="none", model="joint-vae", attributes=(), also_missing=())
    trained = SimpleNamespace(folder=folder, config=config, image_shape=SHAPE, attributes=ATTRIBUTES, kinds={})
    monkeypatch.setattr(runs, "trained", lambda _: (trained, model))
    return trained


def config(folder, **changes):
    paths = {"run": folder, "images": folder, "attributes": folder / "in.csv", "out": folder / "out.csv"}
    return impute.Impute(**{**paths, **changes})


def filled(folder, **changes):
    """`impute` on the folder -> the rows of its output, as dicts."""
    impute.main(config(folder, **changes))
    with (folder / "out.csv").open(newline="", encoding="utf-8") as file:
        return list(csv.DictReader(file))


def expected(model, folder, draws=16):
    """What `queries` says of the same pictures and cells with the same seed."""
    table = read_csv(folder / "in.csv", attributes=ATTRIBUTES)
    images = Images(user_folder.images_named(folder, table.images, 8, 1))
    pyro.set_rng_seed(0)
    (x,) = loader(images, 500)
    given = model, x, table.values, draws
    return queries.classify(*given), queries.posterior_mean(*given), queries.impute(*given)


def test_empty_cells_are_filled_with_what_the_model_says(run, model, folder, capsys):
    rows = filled(folder)
    probs, means, drawn = expected(model, folder)
    assert list(rows[0]) == COLUMNS
    for column, attribute in enumerate(ATTRIBUTES):
        empty = [not row[attribute.name].strip() for row in csv.DictReader(io.StringIO(FILE))]
        for row, was_empty in enumerate(empty):
            certainty = rows[row][f"{attribute.name}_{'probability' if attribute.categories else 'sd'}"]
            if not was_empty:
                assert certainty == ""
            elif attribute.categories:
                chances = probs[attribute.name][row]
                assert rows[row][attribute.name] == attribute.categories[chances.argmax()]
                assert float(certainty) == pytest.approx(chances.max().item(), rel=1e-5)
                assert 0 <= float(certainty) <= 1
            else:
                assert float(rows[row]["age"]) == pytest.approx(40 + 10 * means[row, column].item(), rel=1e-5)
                assert float(certainty) == pytest.approx(10 * drawn[:, row, column].std().item(), rel=1e-4)
    assert capsys.readouterr().out == f"6 cells filled, 0 left empty\n{folder / 'out.csv'}\n"


def test_what_is_given_stays_to_the_byte(run, folder):
    filled(folder)
    before, after = FILE.splitlines(), (folder / "out.csv").read_text().splitlines()
    assert after[0] == f"{before[0]},digit_probability,hair_probability,age_sd"
    assert after[1].startswith('0.png, 1.0 ,"black",')
    assert ',"dark, ""wavy""",4e1,' in after[2]
    assert after[3].startswith('"2.png",')
    assert after[3].split(",")[-4] == "35"
    assert after[4].startswith("3.png,2,")


def test_nothing_empty_means_the_same_file_with_empty_columns(run, folder):
    text = "\ufeffimage,age,hair,digit\r\n3.png,1,black,0\r\n\r\n1.png, 2.50,black,1.0"
    (folder / "in.csv").write_text(text, newline="", encoding="utf-8")
    impute.main(config(folder))
    expected = text.replace("digit", "digit,digit_probability,hair_probability,age_sd")
    expected = expected.replace(",0\r\n", ",0,,,\r\n") + ",,,"
    assert (folder / "out.csv").read_bytes() == expected.encode()


def test_attributes_without_a_column_get_one(run, folder):
    (folder / "in.csv").write_text("hair,image\n,1.png\nblack,0.png\n")
    rows = filled(folder)
    assert list(rows[0]) == ["hair", "image", "digit", *COLUMNS[3:]]
    assert all(row["digit"] in ("0", "1", "2") and 0 < float(row["age"]) < 80 for row in rows)
    assert all(0 <= float(row["digit_probability"]) <= 1 and float(row["age_sd"]) > 0 for row in rows)
    assert [bool(row["hair_probability"]) for row in rows] == [True, False]
    (folder / "in.csv").write_text("image\n1.png\n")
    assert list(filled(folder)[0]) == COLUMNS


def test_names_are_matched_whatever_their_case(run, folder):
    (folder / "in.csv").write_text("image, Digit\n1.png,\n")
    (row,) = filled(folder)
    assert row[" Digit"] in ("0", "1", "2")
    assert "digit" not in row


@pytest.mark.parametrize("least", [0.0, 0.6, 0.9, 1.0])
def test_doubtful_cells_stay_empty(run, folder, capsys, least):
    rows = filled(folder, min_confidence=least)
    doubtful = 0
    for name, index in (("digit", 1), ("digit", 2), ("hair", 2), ("hair", 3)):
        probability = float(rows[index][f"{name}_probability"])  # written in any case
        assert bool(rows[index][name].strip()) == (probability >= least)
        doubtful += probability < least
    assert all(row["age"] for row in rows)  # a number has no probability
    assert doubtful == {0.0: 0, 1.0: 4}.get(least, doubtful)
    assert capsys.readouterr().out.startswith(f"{6 - doubtful} cells filled, {doubtful} left empty\n")


def test_a_cell_as_probable_as_is_wanted_is_filled(run, folder):
    probability = filled(folder)[1]["digit_probability"]
    assert filled(folder, min_confidence=float(probability))[1]["digit"]
    assert not filled(folder, min_confidence=float(probability) + 1e-5)[1]["digit"]


def test_the_same_seed_gives_the_same_file(run, folder):
    first = filled(folder, seed=3)
    assert filled(folder, seed=3) == first
    assert filled(folder, seed=4) != first


def test_batches_are_put_together_in_their_order(run, model, folder, monkeypatch):
    encode = model.encode
    monkeypatch.setattr(model, "encode", lambda x: dist.Delta(encode(x).mean).to_event(1))  # nothing left to chance
    answered = [(row["digit_probability"], row["hair_probability"]) for row in filled(folder)]
    assert len(set(answered)) == 4
    monkeypatch.setattr(answers, "BATCH", 3)
    for row, (digit, hair) in zip(filled(folder), answered, strict=True):
        assert float(row["digit_probability"] or 2) == pytest.approx(float(digit or 2), rel=1e-4)
        assert float(row["hair_probability"] or 2) == pytest.approx(float(hair or 2), rel=1e-4)


def test_a_single_draw_has_no_standard_deviation(run, folder):
    rows = filled(folder, draws=1)
    assert rows[0]["age"]
    assert rows[0]["age_sd"] == ""


def test_a_model_of_binary_pixels_sees_binary_pixels(run, model, folder, monkeypatch):
    run.config.binarize = "dynamic"
    seen, encode = [], model.encode
    monkeypatch.setattr(model, "encode", lambda x: seen.append(x) or encode(x))
    filled(folder)
    assert seen
    assert all(set(x.unique().tolist()) == {0.0, 1.0} for x in seen)


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("image,hair\n0.png,black\n1.png,green\n", r"in.csv line 3, column hair: .*black, .*got 'green'"),
        ("image,digit\n0.png,7\n", r"in.csv line 2, column digit: expected one of 0, 1, 2, got '7'"),
        ("image,digit\n0.png,0.5\n", r"in.csv line 2, column digit: .*got '0.5'"),
        ("image,age\n0.png,old\n", r"in.csv line 2, column age: expected a finite number.*, got 'old'"),
        ("image,age\n0.png,inf\n", r"in.csv line 2, column age: expected a finite number.*, got 'inf'"),
        ("image,beard\n0.png,1\n", r"in.csv: column: expected one of digit, hair, age, got 'beard'"),
        ("picture,digit\n0.png,1\n", r"in.csv: expected a column 'image'"),
        ("image,digit\n0.png\n", r"in.csv line 2: expected 2 cells"),
        ("image,digit\n0.png,1\n0.png,1\n", r"in.csv line 3, column image: .*0.png"),
        ("image,digit\n0.png,1\n\n9.png,1\n", r"in.csv line 4, column image: .* name of an image in /.*, got '9.png'"),
        ("image,age\n0.png,40\n1.png,1e25\n", r"in.csv line 3, column age: .* at most 1e\+15 standard .*got '1e25'"),
        ("image,digit\n", r"in.csv: expected a row for every image, got none"),
        ("", r"in.csv: expected a column 'image', got nothing"),
        (
            "image,digit,digit_probability\n0.png,,0.5\n",
            r"expected one of digit, hair, age, got 'digit_probability' \(",
        ),
    ],
)
def test_bad_files_end_before_any_work(run, folder, monkeypatch, text, message):
    monkeypatch.setattr(impute, "answers", None)
    (folder / "in.csv").write_text(text)
    with pytest.raises(UserError, match=message):
        impute.main(config(folder))
    assert not (folder / "out.csv").exists()


def test_a_name_that_an_added_column_would_take_is_refused(run, folder, monkeypatch):
    attributes = (*ATTRIBUTES[:1], Attribute("digit_probability", ("0", "1")))
    monkeypatch.setattr(run, "attributes", attributes)
    (folder / "in.csv").write_text("image,digit,digit_probability\n0.png,,0\n")
    with pytest.raises(UserError, match=r"in.csv: expected no column 'digit_probability', the name of one to be added"):
        impute.main(config(folder))


@pytest.mark.parametrize(
    ("changes", "message"),
    [
        ({"min_confidence": 1.5}, r"min_confidence: expected a number in \[0, 1\], got 1.5"),
        ({"min_confidence": -0.1}, r"min_confidence: expected a number in \[0, 1\], got -0.1"),
        ({"min_confidence": float("nan")}, r"min_confidence: expected a number in \[0, 1\], got nan"),
        ({"draws": 0}, "draws: expected at least 1, got 0"),
        ({"seed": -1}, "seed: expected 0 to"),
        ({"images": "nowhere"}, "images: expected a folder of images, got none at .*nowhere"),
        ({"attributes": "nowhere.csv"}, "attributes: expected a CSV file, got none at .*nowhere.csv"),
        ({"out": "no/such/out.csv"}, "out: expected a file in a folder that is there, got none at .*no/such"),
        ({"out": "images"}, r"out: expected a file to write, got .*images \(it is a folder"),
        ({"out": "/dev/null"}, r"out: expected a file to write, got /dev/null \(it is a device\)"),
        ({"out": "images/0.png"}, "out: expected another file than those that are read, got .*0.png"),
        ({"out": "in.csv"}, "out: expected another file than those that are read, got .*"),
        ({"out": "images/../in.csv"}, "out: expected another file than those that are read, got .*"),
        ({"out": "link.csv"}, "out: expected another file than those that are read, got .*"),
    ],
)
def test_bad_arguments_end_before_any_work(folder, monkeypatch, changes, message):
    monkeypatch.setattr(runs, "trained", None)
    (folder / "link.csv").symlink_to(folder / "in.csv")
    paths = {name: folder / value for name, value in changes.items() if isinstance(value, str)}
    with pytest.raises(UserError, match=message):
        impute.main(config(folder, **{**changes, **paths}))
    assert (folder / "in.csv").read_text() == FILE


def test_a_run_without_attributes_is_refused(run, folder):
    run.attributes = ()
    with pytest.raises(UserError, match="run: expected one that infers attributes, got a "):
        impute.main(config(folder))
    assert {path.name for path in folder.iterdir()} == {"images", "in.csv"}


@pytest.mark.parametrize("old", [None, "what was there"])
def test_a_crash_while_writing_leaves_what_was_there(run, folder, monkeypatch, old):
    if old:
        (folder / "out.csv").write_text(old)
    before = sorted(folder.iterdir())

    def crash(*_):
        raise OSError("disk full")

    monkeypatch.setattr("os.replace", crash)
    with pytest.raises(OSError, match="disk full"):
        impute.main(config(folder))
    assert sorted(folder.iterdir()) == before
    assert old is None or (folder / "out.csv").read_text() == old


@settings(max_examples=500, deadline=None)
@given(st.text('ab ,"\r\n', max_size=30), st.booleans())
def test_raw_rows_keep_every_byte_and_split_where_csv_does(text, quoted):
    if quoted:
        text = ",".join('"' + part.replace('"', '""') + '"' for part in text.split("a"))
    try:
        parsed = list(csv.reader(io.StringIO(text, newline=""), strict=True))
    except csv.Error:  # `read_csv` refuses such a file
        return
    raw = list(raw_rows(text))
    assert "".join(",".join(cells) + end for cells, end in raw) == text
    assert [[next(csv.reader(io.StringIO(cell, newline="")), [""])[0] for cell in cells] for cells, _ in raw] == parsed
