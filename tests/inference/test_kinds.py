"""Columns of a user's table, from `train` over the run folder to `evaluate`, `sample` and `impute`."""

import csv
import json
from types import SimpleNamespace

import numpy as np
import pytest
import torch
from PIL import Image

from experiments.__main__ import main
from models import configure, joint_vae
from models.shared import figures_attributes, run_data, runs
from models.shared.flags import parse
from pyro_priors.checks import UserError
from pyro_priors.data.attributes import Attribute

SIZES = "--image-size 28 --channels 2 --latent-dim 2 --components 2 --rank 2 --particles 2 --epochs 1 --no-progress"
HEADER = ["image", "name", "age", "male", "zip", "city"]


@pytest.fixture
def folder(tmp_path, monkeypatch):
    """60 pictures and a table as people make them."""
    monkeypatch.setattr(joint_vae.Model, "draw", lambda *_: None)
    draw = np.random.default_rng(0)
    (tmp_path / "images").mkdir()
    with (tmp_path / "attributes.csv").open("w", newline="", encoding="utf-8-sig") as file:
        writer = csv.writer(file, delimiter=";")
        writer.writerow(HEADER)
        for row in range(60):
            Image.fromarray(draw.integers(0, 255, (28, 28), np.uint8)).save(tmp_path / "images" / f"{row}.png")
            age, male = draw.integers(18, 90), draw.integers(2)
            zipped, city = draw.choice(["007", "07", "7"]), draw.choice(["Rome, Italy", "Oslo"])
            cells = [f"person {row}", f"{age},5" if row % 9 else "?", male if row % 7 else "NA", zipped, city]
            writer.writerow([f"{row}.png", *cells])
    return tmp_path


def train(folder, *flags, model="joint-vae"):
    """Train on the folder -> the run's folder."""
    known = set(folder.glob("runs/*/*"))
    where = ["--data", "folder", "--data-root", str(folder), "--runs-dir", str(folder / "runs")]
    assert main(["train", model, *where, *SIZES.split(), *flags]) == 0
    (run,) = set(folder.glob("runs/*/*")) - known
    return run


def impute(run, folder, text):
    """Its answers to a table, as rows and as they stand."""
    (folder / "in.csv").write_text(text, encoding="utf-8")
    paths = [f"--{name}={folder / path}" for name, path in
             (("images", "images"), ("attributes", "in.csv"), ("out", "out.csv"))]  # fmt: skip
    assert main(["impute", str(run), *paths, "--other-columns", "copy"]) == 0
    return (folder / "out.csv").read_text(encoding="utf-8").splitlines()


def test_a_table_as_people_make_it(folder, monkeypatch, capsys):
    run = train(folder)
    printed = capsys.readouterr().out.splitlines()
    assert printed[0].startswith(
        "name: identifier (left out), 60 different texts in 60 cells, which hardly repeat, such"
    )
    assert printed[1].startswith("age: continuous, ")
    assert printed[1].endswith("(change it: --kind age=categorical)")
    assert [line.split(",")[0] for line in printed[2:5]] == ["male: binary", "zip: categorical", "city: binary"]
    written = json.loads((run / "config.json").read_text())
    assert [(field["name"], field["kind"]) for field in written["schema"]] == [
        ("name", "identifier"), ("age", "continuous"), ("male", "binary"), ("zip", "categorical"), ("city", "binary"),
    ]  # fmt: skip
    categories = [attribute.categories for attribute in runs.read(run).attributes]
    assert categories == [None, ("0", "1"), ("007", "07", "7"), ("Oslo", "Rome, Italy")]

    assert main(["evaluate", str(run)]) == 0  # the same labels again
    summary, evaluation = (json.loads((run / name).read_text()) for name in ("summary.json", "evaluation-test.json"))
    assert evaluation["test"]["imputation"] == summary["test"]["imputation"]

    picture, shown = ["--n", "2", "--output", str(folder / "a.png")], {}
    monkeypatch.setattr(figures_attributes, "attribute_grid", lambda path, rows: shown.update(rows))
    given = ["--given", 'city="Rome, Italy",zip=07', "--given", "zip=7,age=31.5"]
    capsys.readouterr()
    assert main(["sample", str(run), *given, *picture]) == 0
    assert list(shown) == ["city=Rome, Italy, zip=07", "zip=7, age=31.5"]
    assert main(["sample", str(run), "--given", "city=Rome, Italy", *picture]) == 2
    assert "a value with a comma in quotes as city=\"Rome, Italy\", got ' Italy'" in capsys.readouterr().err

    rows = [
        ["0.png", "31.5", "NA", "07", ""],
        ["1.png", "?", " 1 ", "n/a", '"Rome, Italy"'],
        ["2.png", "4e1", "", "7", "NA"],
    ]
    lines = impute(run, folder, "image,age,male,zip,city\n" + "\n".join(map(",".join, rows)) + "\n")
    answers = list(csv.DictReader(lines))
    assert lines[1].startswith("0.png,31.5,")
    assert lines[2].endswith(f",{answers[1]['age_sd']},,{answers[1]['zip_probability']},")  # what was given has none
    assert ", 1 ," in lines[2]
    assert '"Rome, Italy"' in lines[2]
    assert lines[3].startswith("2.png,4e1,")
    assert answers[0]["male"] in "01"
    assert answers[1]["zip"] in ("007", "07", "7")
    assert float(answers[1]["age"]) > 0
    assert answers[2]["city"] in ("Oslo", "Rome, Italy")


def test_answers_are_written_as_their_column_is(folder):
    run = train(folder, "--attributes", "age", "city")
    lines = impute(run, folder, "image;age;city\n0.png;31,5;\n1.png;-;Oslo\n2.png;1.040,25;Oslo\n")
    assert lines[1].startswith("0.png;31,5;")
    name, age, city, _, deviation = lines[2].split(";")
    assert (name, city) == ("1.png", "Oslo")
    assert "," in age
    assert "." not in age + deviation
    assert float(age.replace(",", ".")) > 0
    assert lines[3] == "2.png;1.040,25;Oslo;;"
    lines = impute(run, folder, 'image,age,city\n0.png,"31,5",Oslo\n1.png,,Oslo\n')
    assert lines[1].startswith('0.png,"31,5",Oslo')
    assert len(next(csv.reader([lines[2]]))) == 5


def test_a_number_that_is_two_is_refused(folder, capsys):
    run = train(folder, "--attributes", "age")
    (folder / "in.csv").write_text('image,age\n0.png,950\n1.png,"1,040"\n')
    paths = ["--images", str(folder / "images"), "--attributes", str(folder / "in.csv"), "--out", str(folder / "o.csv")]
    assert main(["impute", str(run), *paths]) == 2
    assert (
        "in.csv line 3, column age: expected numbers that can be read in one way, got '1,040'"
        in capsys.readouterr().err
    )
    assert not (folder / "o.csv").exists()


def test_what_the_user_says_is_kept(folder, capsys):
    """Whatever stands in the table later."""
    flags = ["--kind", "name=categorical", "age=categorical", "--kind", "zip=text", "--also-missing", "Oslo"]
    run = train(folder, *flags)
    config = json.loads((run / "config.json").read_text())["config"]
    assert (config["kind"], config["also_missing"]) == (["name=categorical", "age=categorical", "zip=text"], ["Oslo"])
    known = {attribute.name: attribute.categories for attribute in runs.read(run).attributes}
    assert list(known) == ["name", "age", "male", "city"]
    assert len(known["name"]) == 60
    assert known["city"] == ("Rome, Italy",)
    assert "city: constant, always the same" in capsys.readouterr().out
    assert main(["evaluate", str(run)]) == 0
    answers = list(csv.DictReader(impute(run, folder, "image,male,city\n0.png,1,Oslo\n")))
    assert answers[0]["city"] == "Rome, Italy"


def test_a_training_that_goes_on_decides_nothing_anew(folder, monkeypatch, capsys):
    run = train(folder)
    (run / "summary.json").unlink()

    def load_data(config, kinds=None, **_):
        raise UserError(" ".join(f"{name}={field.kind}" for name, field in kinds.items()))

    monkeypatch.setattr(joint_vae.Model, "load_data", load_data)
    assert main(["train", "--resume", str(run)]) == 2
    assert "name=identifier age=continuous male=binary zip=categorical city=binary" in capsys.readouterr().err


@pytest.mark.parametrize("spoiled", [False, True])
def test_a_run_from_before_reads_its_table_as_it_did(folder, monkeypatch, capsys, spoiled):
    """Without a schema in config.json: numbers are numbers, and categories those that it lists."""
    text = (folder / "attributes.csv").read_text(encoding="utf-8-sig").replace("?", "44,5")
    (folder / "attributes.csv").write_text(
        text.replace(",5;", ";").replace("NA", "1").replace(";", ",").replace("Rome, ", "")
    )
    run = train(folder, "--kind", "name=categorical", "age=continuous")
    written = json.loads((run / "config.json").read_text())
    del written["schema"], written["config"]["kind"], written["config"]["also_missing"]
    names = written["attributes"][0]["categories"]
    if spoiled:  # it knew no spellings of a missing cell
        names[names.index("person 7")] = "NA"
        (folder / "attributes.csv").write_text((folder / "attributes.csv").read_text().replace("person 7,", "NA,"))
    (run / "config.json").write_text(json.dumps(written))
    (run / "manifest.json").unlink()
    capsys.readouterr()
    assert main(["evaluate", str(run)]) == 0
    summary, evaluation = (json.loads((run / name).read_text()) for name in ("summary.json", "evaluation-test.json"))
    if not spoiled:
        assert evaluation["test"]["imputation"] == summary["test"]["imputation"]
    assert runs.read(run).kinds["age"].kind == "continuous"
    labels = run_data.of(runs.read(run)).train.labels
    assert not labels[:, 0].isnan().any()


@pytest.mark.parametrize(
    ("flags", "message"),
    [
        ("--kind hat=count", "attributes.csv: kind: expected one of name, age, male, zip, city, got 'hat'"),
        ("--kind age=number", "kind: expected name=kind, the kind one of continuous, count,"),
        ("--kind male", "kind: expected name=kind"),
        (
            "--attributes name",
            "attributes.csv: column name: expected numbers, or texts that repeat, got a column that is",
        ),
        ("--kind city=count", "attributes.csv line 2, column city: expected a number as in the other cells"),
    ],
)
def test_mistakes(folder, capsys, flags, message):
    where = ["--data", "folder", "--data-root", str(folder), "--runs-dir", str(folder / "runs")]
    assert main(["train", "joint-vae", *where, *SIZES.split(), *flags.split()]) == 2
    assert message in capsys.readouterr().err
    assert not (folder / "runs").exists()


@pytest.mark.parametrize("flag", ["--kind=a=count", "--also-missing=x"])
@pytest.mark.parametrize("words", ["joint-vae --data digits", "gan --prior trip --data folder"])
def test_data_without_a_table_have_no_kinds(flag, words):
    name, *flags = words.split()
    with pytest.raises(UserError, match=f"^{flag.partition('=')[0][2:].replace('-', '_')}: expected "):
        parse(name, [*flags, flag], "")


@pytest.mark.parametrize("word", ["joint-vae", "cvae", "gan"])
def test_categories_that_take_too_much(word):
    config = configure(word, rank=50, data="digits", **({"prior": "ttlp"} if word == "gan" else {}))
    city, male = Attribute("city", tuple(map(str, range(5000)))), Attribute("male", ("0", "1"))
    street = Attribute("street", tuple(map(str, range(1998))))
    part = SimpleNamespace(pixels=torch.zeros(1))
    config.check_data(SimpleNamespace(attributes=(city, male), train=part))
    with pytest.raises(
        UserError, match=r"attributes: .* 0.3 GB of memory, got 7000 in all, 5000 of city, .* at rank 50"
    ):
        config.check_data(SimpleNamespace(attributes=(city, male, street), train=part))


def test_a_classifier_has_no_cores():
    city = Attribute("city", tuple(map(str, range(100_000))))
    configure("classifier", data="digits").check_data(SimpleNamespace(attributes=(city,)))
