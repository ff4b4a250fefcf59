"""Commands on a folder of images that is not as it was when the training began."""

import csv
import json
import re
import shutil

import numpy as np
import pytest
from PIL import Image

from experiments.__main__ import main
from models.shared import run_data, runs
from pyro_priors.data.loading import load

SIZE = "4"


def write(path, seed):
    path.parent.mkdir(parents=True, exist_ok=True)
    Image.fromarray(np.random.default_rng(seed).integers(0, 256, (4, 4), np.uint8)).save(path)


def write_folder(root, count=60):
    for index in range(count):
        write(root / "images" / f"{index:03d}.png", index)
    return root


def train(root, runs_dir, *more):
    flags = ["--data-root", root, "--runs-dir", runs_dir, "--image-size", SIZE, "--no-progress", "--epochs", 1]
    flags += ["--hidden", 4, "--latent-dim", 2, "--prior", "normal", "--particles", 2, "--binarize", "none"]
    return main(["train", "vae", "--data", "folder", *map(str, flags), *more])


@pytest.fixture(scope="module")
def trained(tmp_path_factory):
    """A folder of images, and a run on it."""
    root = tmp_path_factory.mktemp("changed")
    assert train(write_folder(root / "data"), root / "runs") == 0
    return root


@pytest.fixture
def copied(trained, tmp_path):
    """The same to change: where the data lie, the folder of the run."""
    shutil.copytree(trained, tmp_path / "copy")
    (run,) = (tmp_path / "copy" / "runs").glob("*/*")
    return tmp_path / "copy" / "data", run


def evaluate(root, run, capsys, *more):
    code = main(["evaluate", str(run), "--data-root", str(root), *more])
    said = capsys.readouterr()
    path = run / f"evaluation-{'validation' if more else 'test'}.json"
    return code, said.out + said.err, json.loads(path.read_text()) if path.is_file() else None


def test_a_run_keeps_what_it_was_trained_on(copied):
    root, run = copied
    kept = runs.read_json(run / "data.json")
    data = load("folder", root, image_size=4)
    assert list(kept) == ["training", "validation", "test"]
    assert [kept[part] for part in kept] == list(data.contents)
    assert runs.read_json(run / "config.json")["split"] == "path"
    assert not runs.read(run).shuffled


def test_the_same_data_are_no_news(copied, capsys):
    root, run = copied
    code, said, written = evaluate(root, run, capsys)
    assert (code, "data:" in said, "data" in written) == (0, False, False)
    assert written["test"] == runs.read_json(run / "summary.json")["test"]


def test_evaluate_scores_only_what_was_not_trained_on(copied, capsys):
    root, run = copied
    kept = runs.read_json(run / "data.json")
    test = list(kept["test"])
    trained_on, victim = list(kept["training"])[:2]
    write(root / "images" / trained_on, 1000)  # replaced
    (root / "images" / victim).unlink()
    (root / "partition.csv").write_text(
        "image,partition\n"
        + "".join(
            f"{path.name},{2 if path.name in test or index in (40, 41, 42) else index % 2}\n"
            for index, path in enumerate(sorted((root / "images").iterdir()))
        )
    )
    data = load("folder", root, image_size=4)
    seen = {text for part in ("training", "validation") for text in kept[part].values()}
    new = [name for name, text in data.contents[2].items() if text not in seen]
    assert len(new) < len(data.contents[2])
    code, said, written = evaluate(root, run, capsys)
    assert code == 0
    assert "data: expected those of the training, got others: 0 added, 1 removed, 1 changed, " in said
    assert f"data: {len(new)} of {len(data.contents[2])} test images are scored, the others were trained on" in said
    assert written["data"]["scored"] == len(new)
    assert written["data"]["left_out"] == len(data.contents[2]) - len(new)
    assert written["test"]["count" if "count" in written["test"] else "elbo"] is not None


def test_a_copy_of_what_was_trained_on_is_not_scored(copied, capsys):
    root, run = copied
    kept = runs.read_json(run / "data.json")
    for name in kept["training"]:  # all of it goes, copies come under other names
        (root / "images" / name).rename(root / "images" / f"copy-{name}")
    data = load("folder", root, image_size=4)
    copies = [name for name in data.contents[2] if name.startswith("copy")]
    assert copies
    code, said, written = evaluate(root, run, capsys)
    assert code == 0
    count = len(kept["training"])
    assert f"got others: {count} added, {count} removed, 0 changed, 0 moved" in said
    assert (written["data"]["left_out"], written["data"]["scored"]) == (len(copies), len(kept["test"]))


def test_nothing_new_to_score(copied, capsys):
    root, run = copied
    kept = runs.read_json(run / "data.json")
    for name in kept["test"]:
        shutil.copyfile(root / "images" / next(iter(kept["training"])), root / "images" / name)
    rows = "".join(f"{name},{part}\n" for part, names in enumerate(kept.values()) for name in names)
    (root / "partition.csv").write_text(f"image,partition\n{rows}")
    code, said, _ = evaluate(root, run, capsys)
    assert code == 2
    assert "test images equal images of the training or validation part (such as " in said
    assert (
        f"error: data: expected test images that the training did not see, got none among {len(kept['test'])}" in said
    )


def test_a_colour_image_that_comes_later(copied, capsys):
    root, run = copied
    Image.new("RGB", (4, 4), (200, 0, 0)).save(root / "images" / "000-colour.png")
    code, said, _ = evaluate(root, run, capsys)
    assert (code, "got others: 1 added, 0 removed" in said) == (0, True)


@pytest.mark.parametrize(
    ("part", "change", "got"),
    [
        ("training", "replace", "0 added, 0 removed, 1 changed, 0 moved"),
        ("validation", "remove", "0 added, 1 removed, 0 changed, 0 moved"),
        ("training", "add", "1 added, 0 removed, 0 changed, 0 moved"),
        ("test", "replace", None),
    ],
)
def test_resume_refuses_other_data(copied, capsys, monkeypatch, part, change, got):
    root, run = copied
    kept, config = runs.read_json(run / "data.json"), runs.read_json(run / "config.json")
    config["config"]["data_root"] = str(root)
    runs.write_json(run / "config.json", config)
    (run / "summary.json").unlink()  # as of a training that was cut off before its first checkpoint
    path = root / "images" / next(iter(kept[part]))
    if change == "replace":
        write(path, 1000)
    elif change == "remove":
        path.unlink()
    else:
        write(root / "images" / "b.png", 1000)  # its hash says training
    before = {path.name: path.read_bytes() for path in run.iterdir() if path.is_file()}
    code = main(["train", "--resume", str(run)])
    said = capsys.readouterr().err
    if got is None:
        assert code == 0, said
        return
    assert code == 2
    assert f"data: expected the training and validation part that {run} began with, got others: {got}" in said
    assert {path.name: path.read_bytes() for path in run.iterdir() if path.is_file()} == before


@pytest.fixture(scope="module")
def labelled(tmp_path_factory):
    """A folder of images with attributes, and a run on it."""
    root = tmp_path_factory.mktemp("labelled")
    write_folder(root / "data")
    write_labels(root / "data", {f"{index:03d}.png": [index % 2, f"{index + 0.25:.2f}"] for index in range(60)})
    flags = ["--data-root", root / "data", "--runs-dir", root / "runs", "--image-size", SIZE, "--no-progress"]
    flags += ["--epochs", 1, "--network", "mlp", "--hidden", 4, "--latent-dim", 2, "--missing", 0.2]
    flags += ["--particles", 2, "--components", 2, "--rank", 2]
    assert main(["train", "joint-vae", "--data", "folder", *map(str, flags)]) == 0
    return root


def write_labels(root, rows):
    with (root / "attributes.csv").open("w", newline="") as file:
        csv.writer(file).writerows([["image", "side", "level"], *([name, *cells] for name, cells in rows.items())])


def relabelled(labelled, tmp_path, change):
    """A copy whose labels `change(name, cells, part)` says anew -> where the data lie, the run, what it keeps."""
    shutil.copytree(labelled, tmp_path / "copy")
    root = tmp_path / "copy" / "data"
    (run,) = (tmp_path / "copy" / "runs").glob("*/*")
    config, kept = runs.read_json(run / "config.json"), runs.read_json(run / "data.json")
    config["config"]["data_root"] = str(root)
    runs.write_json(run / "config.json", config)
    part_of = {name: part for part, names in kept.items() for name in names}
    with (root / "attributes.csv").open() as file:
        rows = {row["image"]: [row["side"], row["level"]] for row in csv.DictReader(file)}
    write_labels(root, {name: change(name, cells, part_of[name]) for name, cells in rows.items()})
    return root, run, kept


INVERTED = {"0": "1", "1": "0"}


@pytest.mark.parametrize(
    ("change", "parts"),
    [
        (lambda name, cells, part: [INVERTED[cells[0]], cells[1]], ("training", "validation", "test")),
        (lambda name, cells, part: [cells[0], "99" if name == "001.png" else cells[1]], None),
        (lambda name, cells, part: ["", cells[1]] if part == "validation" else cells, ("validation",)),
        (lambda name, cells, part: [INVERTED[cells[0]], cells[1]] if part == "test" else cells, ("test",)),
        (lambda name, cells, part: [float(cells[0]), cells[1] + "0"], ()),  # the same, written otherwise
    ],
)
@pytest.mark.slow
def test_other_labels(labelled, tmp_path, capsys, change, parts):
    root, run, kept = relabelled(labelled, tmp_path, change)
    count = 1 if parts is None else sum(len(kept[part]) for part in parts)
    code, said, written = evaluate(root, run, capsys)
    assert code == 0, said
    assert ("data: expected those of the training, got others: 0 added, 0 removed, 0 changed, 0 moved" in said) == (
        count > 0
    )
    assert (f", {count} relabelled\n" in said) == (count > 0)
    if count:
        assert written["data"]["relabelled"] == count
        assert (written["data"]["left_out"], written["data"]["scored"]) == (0, len(kept["test"]))
        assert f"data: {len(kept['test'])} of {len(kept['test'])} test images are scored\n" in said
    (run / "summary.json").unlink()
    code = main(["train", "--resume", str(run)])
    said = capsys.readouterr().err
    if parts in ((), ("test",)):
        assert code == 0, said
        return
    learned = 1 if parts is None else sum(len(kept[part]) for part in parts if part != "test")
    assert code == 2
    assert f"got others: 0 added, 0 removed, 0 changed, 0 moved, {learned} relabelled (put them back" in said


def test_a_run_that_keeps_no_hashes_of_labels(labelled, tmp_path, capsys):
    root, run, kept = relabelled(labelled, tmp_path, lambda name, cells, part: [INVERTED[cells[0]], cells[1]])
    images = {part: {name: text.partition("-")[0] for name, text in names.items()} for part, names in kept.items()}
    runs.write_json(run / "data.json", images)
    (run / "manifest.json").unlink()
    code, said, _ = evaluate(root, run, capsys)
    assert (code, "data:" in said) == (0, False)


def test_runs_of_before_cut_as_before_and_say_nothing(copied, capsys):
    root, run = copied
    config = runs.read_json(run / "config.json")
    del config["split"]
    runs.write_json(run / "config.json", config)
    for name in ("data.json", "manifest.json"):
        (run / name).unlink()
    assert runs.read(run).shuffled
    code, said, written = evaluate(root, run, capsys)
    assert (code, "data:" in said, "data" in written) == (0, False, False)
    before = run_data.of(runs.read(run), root)
    assert [len(part) for part in before[2:5]] == [48, 6, 6]
    write(root / "images" / "b.png", 1000)
    assert evaluate(root, run, capsys)[0] == 0
    config["config"]["data_root"] = str(root)
    runs.write_json(run / "config.json", config)
    (run / "summary.json").unlink()
    assert main(["train", "--resume", str(run)]) == 0
    assert not (run / "data.json").exists()


@pytest.mark.parametrize("text", ["{", "[]", '{"training": 3}', '{"training": {}, "test": "a"}', '{"else": "a"}'])
def test_damaged_hashes(copied, capsys, text):
    root, run = copied
    (run / "data.json").write_text(text)
    code, said, _ = evaluate(root, run, capsys)
    assert code == 2
    assert "expected data.json as manifest.json has it, got another" in said
    (run / "manifest.json").unlink()
    code, said, _ = evaluate(root, run, capsys)
    assert code == 2
    assert re.search(f"expected what .* writes in {run / 'data.json'}, got a damaged file", said)


def test_train_says_what_is_not_read_and_what_is_equal(tmp_path, capsys):
    root = write_folder(tmp_path / "data", 12)
    write(root / "images" / "copy.png", 1)
    (root / "images" / "photo.heic").touch()
    rows = "".join(f"{index:03d}.png,{index // 4}\n" for index in range(12))
    (root / "partition.csv").write_text(f"image,partition\n{rows}copy.png,2\n")
    assert train(root, tmp_path / "runs") == 0
    said = capsys.readouterr().out
    assert f"data: not read as images in {root / 'images'}: 1 (1 .heic)\n" in said
    assert "data: 1 of 5 test images equal images of the training or validation part (such as copy.png and" in said
