"""Commands on pictures with attributes, from the command line to the files they leave, in miniature."""

import csv
import dataclasses
import json
import re

import matplotlib.image
import numpy as np
import pyro
import pytest
import torch
from PIL import Image

from experiments.__main__ import main
from inference import judges, quickstart
from models import configure
from models.shared import figures, figures_attributes, runs
from models.shared.knobs import to_flags
from pyro_priors import training

SIZES = {"epochs": 2, "batch_size": 20, "channels": 4, "seed": 1, "decay": True}
LATENT = {**SIZES, "latent_dim": 3, "components": 3, "rank": 3, "particles": 5}
M2 = {knob: value for knob, value in LATENT.items() if knob != "components"}  # no attribute is continuous
CONFIGS = {
    "joint-vae": configure("joint-vae", data="folder", image_size=28, missing=0.4, **LATENT),
    "cvae": configure("cvae", data="folder", image_size=28, missing=0.4, **LATENT),
    "m2": configure("m2", data="folder", image_size=28, missing=0.4, attributes=("side", "bright"), **M2),
    "classifier": configure("classifier", data="folder", image_size=28, **SIZES),
}
PICTURES = {"reliability.png", "coverage.png"}
DRAWN = {"latent.png", "attributes.png", "dependence.png"}


@pytest.fixture(scope="session")
def folder(tmp_path_factory):
    """120 pictures whose left or right half is bright, in one of two tones; some cells are empty."""
    root, draw = tmp_path_factory.mktemp("data"), np.random.default_rng(0)
    (root / "images").mkdir()
    with (root / "attributes.csv").open("w", newline="") as file:
        writer = csv.writer(file)
        writer.writerow(["image", "side", "bright", "level"])
        for index in range(120):
            side, bright = draw.integers(2), draw.integers(2)
            level = 120 + 100 * bright + draw.integers(-15, 15)
            pixels = np.zeros((28, 28), np.uint8)
            pixels[:, 14 * side : 14 * side + 14] = level
            Image.fromarray(pixels).save(root / "images" / f"{index:03d}.png")
            cells = [["left", "right"][side], bright, f"{level / 7:.3f}"]
            writer.writerow([f"{index:03d}.png", *("" if draw.random() < 0.1 else cell for cell in cells)])
    return root


@pytest.fixture(scope="session")
def trained(folder, tmp_path_factory):
    """The run folder of each model, trained once."""
    runs_dir, folders = tmp_path_factory.mktemp("runs"), {}
    for word, config in CONFIGS.items():
        flags = ["--runs-dir", str(runs_dir), "--data-root", str(folder), "--no-progress"]
        assert main(["train", word, *to_flags(config), *flags]) == 0
        (folders[word],) = (runs_dir / f"folder-{word}").iterdir()
    return folders


@pytest.mark.parametrize(
    ("word", "pictures"),
    [
        ("joint-vae", PICTURES | DRAWN | {"samples.png", "reconstructions.png", "prior.png"}),
        ("cvae", PICTURES | DRAWN),
        ("m2", PICTURES | DRAWN),
        ("classifier", PICTURES),
    ],
)
def test_a_run_leaves_its_files(trained, word, pictures):
    run = trained[word]
    written = {"config.json", "data.json", "manifest.json", "metrics.csv", "model.safetensors", "program.json"}
    written.add("summary.json")
    assert {path.name for path in run.iterdir() if not path.name.startswith("evaluation")} == written | pictures
    summary = json.loads((run / "summary.json").read_text(), parse_constant=pytest.fail)  # no NaN
    used = {"side", "bright"} | ({"level"} if word != "m2" else set())
    assert set(summary["test"]["imputation"]) == used
    assert ("elbo" in summary["test"]) == (word != "classifier")
    assert ("hidden" in summary) == (word != "classifier")
    categories = {attribute.name: attribute.categories for attribute in runs.read(run).attributes}
    assert categories == {"side": ("left", "right"), "bright": ("0", "1"), **({"level": None} if word != "m2" else {})}


@pytest.mark.parametrize("word", ["joint-vae", "cvae"])
def test_evaluation_with_a_classifier(trained, word, capsys):
    run, judge = trained[word], trained["classifier"]
    assert main(["evaluate", str(run), "--classifier", str(judge), "--seed", "1"]) == 0
    assert "condition accuracy" in capsys.readouterr().out
    results = json.loads((run / "evaluation-test.json").read_text(), parse_constant=pytest.fail)["test"]
    assert results["imputation"] == json.loads((run / "summary.json").read_text())["test"]["imputation"]
    conditions = results["conditions"]
    assert set(conditions["accuracy"]) == {"side", "bright"}
    assert 0 <= conditions["mean_accuracy"] <= 1
    assert conditions["frechet"] > 0
    accuracies = json.loads((judge / "summary.json").read_text())["test"]["imputation"]
    assert conditions["judge"]["accuracy"] == (accuracies["side"]["accuracy"] + accuracies["bright"]["accuracy"]) / 2
    assert len(conditions["judge"]["weights"]) == 16


def test_conditions_count_what_was_wanted_and_seen(trained):
    """A generator that draws the very pictures is right wherever the classifier is, at a distance of 0."""
    judge = runs.trained(trained["classifier"])
    images = judge.run.config.load_data().test
    truth = images.labels

    class Copy:
        def generate(self, n, y):
            assert torch.equal(y.nan_to_num(-1), truth.nan_to_num(-1))
            return images.first()

    results = judges.conditions(
        Copy(), judges.Judge(None, judge.model, ("side", "bright", "level"), {}), images, seed=0
    )
    known = judge.model.log_probs(images.first())
    expected = {
        name: (probs.argmax(-1) == truth[:, column])[~truth[:, column].isnan()].double().mean().item()
        for column, (name, probs) in enumerate(known.items())
    }
    assert results["accuracy"] == pytest.approx(expected)
    assert results["frechet"] == pytest.approx(0, abs=1e-3)


def test_sample_draws_what_was_given_with_its_seed(trained, monkeypatch, capsys, tmp_path):
    drawn = {}
    monkeypatch.setattr(figures, "samples", lambda path, images: drawn.update(images))
    run, model = runs.trained(trained["joint-vae"])
    assert main(["sample", str(run.folder), "--given", "side=right,Level=21.5", "--n", "5", "--seed", "3"]) == 0
    ((title, pictures),) = drawn.items()
    assert title == "side=right, level=21.5"
    pyro.set_rng_seed(3)
    level = run.attributes[2].parse("21.5")
    assert torch.equal(pictures, model.generate(5, side=1.0, level=level))


@pytest.mark.parametrize("word", ["joint-vae", "cvae"])
def test_sample_and_impute(trained, folder, word, tmp_path, capsys):
    run = str(trained[word])
    assert main(["sample", run, "--given", "side=left,bright=1", "--n", "5", "--output", str(tmp_path / "a.png")]) == 0
    assert min(matplotlib.image.imread(tmp_path / "a.png").shape[:2]) > 50
    several = ["--given", "side=left", "side=right,bright=0", "--n", "4", "--output", str(tmp_path / "b.png")]
    assert main(["sample", run, *several]) == 0
    assert matplotlib.image.imread(tmp_path / "b.png").shape[1] > matplotlib.image.imread(tmp_path / "b.png").shape[0]
    out = tmp_path / "out.csv"
    flags = ["--images", str(folder / "images"), "--attributes", str(folder / "attributes.csv"), "--out", str(out)]
    assert main(["impute", run, *flags]) == 0
    with (folder / "attributes.csv").open() as before, out.open() as after:
        for given, filled in zip(csv.DictReader(before), csv.DictReader(after), strict=True):
            assert all(filled[name] == given[name] for name in given if given[name])
            assert all(filled[name] for name in ("side", "bright", "level"))
            assert bool(filled["side_probability"]) == (not given["side"])


@pytest.mark.slow
def test_from_a_vae_that_was_trained_without_labels(folder, tmp_path, monkeypatch, capsys):
    for module in (figures, figures_attributes):
        monkeypatch.setattr(module, "save", lambda figure, path: None)
    flags = ["--data", "folder", "--image-size", "28", "--data-root", str(folder), "--no-progress"]
    flags += ["--epochs", "1", "--channels", "2", "--latent-dim", "3", "--runs-dir", str(tmp_path), "--particles", "5"]
    unlabelled = ["--network", "conv", "--likelihood", "squared-error", "--binarize", "none", "--prior", "normal"]
    assert main(["train", "vae", *flags, *unlabelled]) == 0
    (start,) = tmp_path.glob("folder-normal/*")
    joint = ["train", "joint-vae", *flags, "--rank", "3", "--pretrained", str(start)]
    assert main([*joint, "--frozen", "--name", "frozen"]) == 0
    assert main([*joint, "--name", "tuned"]) == 0
    before = runs.trained(start).model.encoder.state_dict()
    (frozen,), (tuned,) = tmp_path.glob("frozen/*"), tmp_path.glob("tuned/*")
    for run, same in ((frozen, True), (tuned, False)):
        after = runs.trained(run).model.encoder.state_dict()
        assert all(torch.equal(after[name], before[name]) for name in before) == same
    capsys.readouterr()
    assert main([*joint, "--latent-dim", "4"]) == 2
    assert "pretrained: expected a VAE of the same network, latent_dim and likelihood" in capsys.readouterr().err


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        ("train joint-vae --data omniglot", "attributes: expected a data set that has some, got omniglot"),
        ("train joint-vae --missing 1", "missing: expected a share in [0, 1), got 1.0"),
        ("train joint-vae --label-weight -1", "label_weight: expected 0 or more, got -1.0"),
        ("train joint-vae --frozen", "frozen: expected --pretrained beside it, got none"),
        ("train joint-vae --data digits", "network: conv expected images of 28, 32 or 64 pixels, got (1, 8, 8)"),
        ("train classifier --data digits", "network: conv expected images of 28, 32 or 64 pixels, got (1, 8, 8)"),
        ("train joint-vae --data digits --attributes hat", "attributes of digits: expected one of digit, got 'hat'"),
        ("evaluate JOINT --classifier JOINT", "classifier: expected a run of `train classifier` on the data of"),
        ("evaluate CLASSIFIER --classifier CLASSIFIER", "run: expected a model that draws images, got a classifier"),
        ("evaluate JOINT --inception nowhere.pth", "inception: expected the weights of torch-fidelity's Inception at"),
        ("sample CLASSIFIER", "run: expected a model that draws images, got a classifier"),
        ("sample JOINT --given side=up", "given: side: expected one of left, right, got 'up'"),
        ("sample JOINT --given hat=1", "given: expected one of side, bright, level, got 'hat'"),
        ("sample JOINT --given side", "given: expected name=value"),
        ("sample JOINT --given side=left,side=right", "given: expected each attribute once, got side twice"),
        ("sample UNLABELLED --given side=left", "given: expected a run with attributes, got a vae in "),
        ("quickstart --missing 0", "missing: expected a share between 0 and 1, got 0.0"),
    ],
)
def test_mistakes(trained, arguments, message, capsys, tmp_path):
    named = {"JOINT": str(trained["joint-vae"]), "CLASSIFIER": str(trained["classifier"])}
    if "UNLABELLED" in arguments:
        run = runs.start(configure("vae", runs_dir=tmp_path.parent / f"{tmp_path.name}-runs"), (1, 28, 28))
        training.save_weights(run.config.build(run.image_shape), run.folder / "model.safetensors")
        named["UNLABELLED"] = str(run.folder)
    words = [named.get(word, word) for word in arguments.split()]
    extra = ["--runs-dir", str(tmp_path)] if words[0] in ("train", "quickstart") else []
    assert main([*words, *extra]) == 2
    assert message in capsys.readouterr().err
    assert list(tmp_path.iterdir()) == []


@pytest.mark.slow
def test_quickstart(tmp_path, monkeypatch, capsys):
    """With a smaller model than a user gets, trained for less long."""

    def smaller(model, /, **knobs):
        return dataclasses.replace(configure(model, **knobs), rank=8, hidden=(32,), particles=5)

    monkeypatch.setattr(quickstart, "configure", smaller)
    quickstart.main(quickstart.Quickstart(epochs=1, runs_dir=tmp_path, progress=False))
    printed = capsys.readouterr().out
    lines = [line.split() for line in printed.splitlines()[1:12]]
    assert [line[0] for line in lines] == [*map(str, range(10)), "all"]
    assert sum(int(line[1]) for line in lines[:-1]) == int(lines[-1][1]) == 881
    rivals = [re.split(r"\s{2,}", line) for line in printed.splitlines()[12:14]]
    assert [name for name, *_ in rivals] == ["all, nearest neighbour", "all, logistic regression"]
    assert all(hidden == "881" and float(right.rstrip("%")) > 85 for _, hidden, right in rivals)
    assert "was trained with all labels" in printed
    (run,) = (tmp_path / "quickstart").iterdir()
    expected = PICTURES | {"latent.png", "attributes.png", "imputed.png", "samples.png"}
    assert expected <= {path.name for path in run.glob("*.png")}
