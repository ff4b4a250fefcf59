"""CP-VAE, two levels and the VampPrior from the command line to the files they leave, in miniature."""

import csv
import json

import pytest
import torch

import experiments.train
from experiments import build
from experiments.__main__ import main
from experiments.papers import cp_vae_toy
from experiments.tables import catalogue, results
from pyro_priors.data import loading

TINY = ["--data", "digits", "--epochs", "2", "--latent-dim", "3", "--hidden", "16", "16", "--particles", "5"]
PICTURES = {"samples.png", "reconstructions.png", "prior.png"}


def train(tmp_path, words, *flags):
    assert main(["train", *words.split(), *TINY, "--runs-dir", str(tmp_path), "--no-progress", *flags]) == 0
    (folder,) = tmp_path.glob("*/*")
    return folder, json.loads((folder / "summary.json").read_text(), parse_constant=pytest.fail)


@pytest.mark.parametrize("estimator", ["enumerate", "gumbel"])
def test_cp_vae(tmp_path, estimator, capsys):
    folder, summary = train(tmp_path, "cp-vae", "--categories", "4", "--estimator", estimator)
    assert {path.name for path in folder.iterdir()} > PICTURES
    assert sum(summary["test"]["categories"]) == pytest.approx(1, abs=1e-5)
    clusters = summary["test"]["clusters"]
    assert clusters["accuracy"] <= clusters["majority_accuracy"]
    assert "4 categories used" in capsys.readouterr().out
    with (folder / "metrics.csv").open() as file:
        (*_, last) = csv.DictReader(file)
    parts = [float(last[f"kl_{name}"]) for name in ("category", "conditional", "information")]
    assert sum(parts) == pytest.approx(float(last["validation_kl"]), abs=0.5)  # the same, by one draw of 180 pictures
    assert float(last["accuracy"]) > 0
    assert build.trained(folder).model.generate(2, category=3).shape == (2, 1, 8, 8)
    assert main(["evaluate", str(folder)]) == 0
    assert json.loads((folder / "evaluation-test.json").read_text())["test"] == summary["test"]


def test_categories_that_wait_and_are_given_up(tmp_path, capsys):
    flags = ["--categories", "4", "--blind-epochs", "1", "--kept", "2", "--kept-epochs", "1", "--epochs", "3"]
    folder, summary = train(tmp_path, "cp-vae", *flags)
    model = build.trained(folder).model
    assert (model.kept, model.blind) == (2, False)
    x = torch.rand(5, 1, 8, 8)
    assert ((model.classify(x) > 0).sum(-1) == 2).all()
    assert summary["test"]["elbo"] < 0
    for more in (["--category", "0", "3", "--n", "2"], ["--categories-of", "posterior"], []):
        assert main(["sample", str(folder), *more]) == 0
    capsys.readouterr()
    for more, message in (
        (["--category", "4"], "category: expected 0..3, got 4"),
        (["--category", "1", "1"], "category: expected each row of pictures once, got category 1 twice"),
        (["--category", "1", "--categories-of", "posterior"], "category, categories_of: expected one of them"),
        (["--given", "digit=3"], "given: expected a run with attributes"),
    ):
        assert main(["sample", str(folder), *more]) == 2
        assert message in capsys.readouterr().err


def test_figures_of_runs(tmp_path, monkeypatch, capsys):
    monkeypatch.setattr(experiments.train, "draw", lambda *_: None)  # the pictures of each run
    runs = [
        train(tmp_path / "cp", "cp-vae", "--categories", "4")[0],
        train(tmp_path / "vamp", "hierarchical-vae", "--prior", "vamp", "--pseudo-inputs", "3")[0],
        train(tmp_path / "normal", "vae", "--prior", "normal")[0],
    ]
    flags = ["--n", "4", "--each", "2", "--components", "3", "--folder", str(tmp_path / "figures")]
    assert main(["figure", "cp-vae", *map(str, runs), *flags]) == 0
    names = {path.name for path in (tmp_path / "figures").iterdir()}
    assert names == {"reconstructions.png", "generations.png", "components-1.png", "components-2.png"}
    assert main(["sample", str(runs[2]), "--category", "0"]) == 2
    assert "category: expected a run with categories" in capsys.readouterr().err


def test_the_toy(tmp_path, monkeypatch):
    """On a fifth of the points, in shorter epochs, in this process and without each run's pictures."""
    monkeypatch.setattr(experiments.train, "draw", lambda *_: None)
    points = loading.GENERATED["gaussians"]()[:10_000]
    monkeypatch.setitem(loading.GENERATED, "gaussians", lambda: points)
    for row, small in (("cp-2", {"blind_epochs": 2}), ("vp-2", {})):
        name, model, values = cp_vae_toy.ROWS[row]
        values = {**values, "batch_size": 100, "particles": 10, **small}
        monkeypatch.setitem(cp_vae_toy.ROWS, row, (name, model, values))
    monkeypatch.setattr(results, "run", lambda arguments, log, name: main(arguments))
    paths = ["--runs-dir", str(tmp_path / "runs"), "--results", str(tmp_path)]
    flags = ["--rows", "cp-2", "vp-2", "--epochs", "4", "--draws", "2000"]
    assert main(["figure", "cp-vae-toy", *flags, *paths]) == 0
    found = json.loads((tmp_path / "cp-vae-toy.json").read_text())["rows"]
    assert found["cp-2"]["used"] == 2
    for mode in found["cp-2"]["draws"]["c from q(c)"]["modes"]:
        assert 0.4 < mode["share"] < 0.6
    assert (tmp_path / "cp-vae-toy.png").is_file()
    assert "| VampPrior of 2 |" in (tmp_path / "cp-vae-toy.md").read_text()
    assert main(["figure", "cp-vae-toy", *flags, "--rows", "cp-3"]) == 2


def test_gradients_of_the_estimators(tmp_path):
    flags = ["--epochs", "1", "--draws", "20", "--truth-draws", "40", "--batch", "20", "--temperatures", "0.5"]
    flags += ["--set", "hidden=8", "--keep", "1", "--results", str(tmp_path)]
    assert main(["table", "category-gradients", *flags]) == 0
    ((rows,),) = [[one["rows"] for one in json.loads((tmp_path / "category-gradients.json").read_text())["moments"]]]
    assert set(rows) == {"sum over all", "sum over the 1 most probable", "Gumbel-Softmax, temperature 0.5"}
    assert rows["sum over all"]["category"]["bias"] < 3 * rows["sum over all"]["category"]["bias_noise"]
    assert (
        rows["Gumbel-Softmax, temperature 0.5"]["category"]["variance"] > rows["sum over all"]["category"]["variance"]
    )
    assert main(["table", "category-gradients", "--keep", "11"]) == 2


@pytest.mark.parametrize(
    "words", ["vae --prior vamp", "hierarchical-vae --prior vamp", "hierarchical-vae", "vae --prior gmm --gmm-equal"]
)
def test_the_baselines(tmp_path, words):
    name, *flags = words.split()
    size = ["--pseudo-inputs", "5"] if "vamp" in flags else []
    folder, summary = train(tmp_path, name, *flags, *size)
    assert {path.name for path in folder.iterdir()} > PICTURES
    assert summary["test"]["elbo"] <= summary["test"]["iwae"] < 0
    assert main(["sample", str(folder), "--n", "3"]) == 0


def test_more_pseudo_inputs_than_pictures_are_refused(tmp_path, capsys):
    flags = [*TINY, "--prior", "vamp", "--pseudo-inputs", "5000", "--runs-dir", str(tmp_path)]
    assert main(["train", "vae", *flags]) == 2
    assert "pseudo_inputs: expected at most 1258" in capsys.readouterr().err
    assert not list(tmp_path.iterdir())


@pytest.mark.parametrize(
    ("flags", "message"),
    [
        (["--network", "conv"], "network: expected mlp"),
        (["--prior-epochs", "2"], "prior_epochs: expected 0"),
        (["--categories", "0"], "categories: expected at least 1"),
        (["--kept", "11"], "kept: expected at most 10"),
        (["--kept", "2", "--estimator", "gumbel"], "kept: expected at most 10, and none with --estimator gumbel"),
        (["--blind-epochs", "-1"], "blind_epochs: expected 0 or more"),
        (["--blind-epochs", "5", "--epochs", "5"], "blind_epochs: expected fewer than epochs = 5"),
        (["--blind-epochs", "5", "--patience", "5"], "patience: expected more than blind_epochs = 5"),
        (["--last-temperature", "0"], "last_temperature: expected a positive number"),
    ],
)
def test_mistakes(flags, message, capsys):
    assert main(["train", "cp-vae", *flags]) == 2
    assert message in capsys.readouterr().err


def test_the_table_gives_every_row_the_same_budget():
    table = catalogue.table("cp-vae-omniglot")
    runs = {cell.name: table.train(cell, 1) for cell in table.cells}
    for field in (
        "epochs",
        "batch_size",
        "lr",
        "latent_dim",
        "warmup_epochs",
        "patience",
        "binarize",
        "hidden",
        "seed",
    ):
        assert len({getattr(run, field) for run in runs.values()}) == 1
    assert [run.name for run in runs.values()][:3] == ["cp-50-seed1", "cp-500-seed1", "vae-seed1"]
    summed = catalogue.table("cp-vae-mnist")
    assert [summed.train(cell, 0).estimator for cell in summed.cells[:2]] == ["enumerate", "gumbel"]


def test_the_table(tmp_path, monkeypatch):
    """The page of results that say which they are of, in place of trainings."""

    def trained(train):
        folder = tmp_path / "runs" / train.name
        folder.mkdir(parents=True)
        test = {"elbo": -90.0 - train.seed, "iwae": -88.0}
        if train.model == "cp-vae":
            test["clusters"] = {"accuracy": 0.9 + train.seed / 100, "majority_accuracy": 0.95, "nmi": 0.8, "used": 10}
        provenance = {"versions": {"python": "3"}, "commit": "0123456789", "uncommitted_changes": False, "machine": "x"}
        (folder / "summary.json").write_text(json.dumps({"test": test, "provenance": provenance}))
        return folder

    monkeypatch.setattr(results, "train", trained)
    rows = ["--rows", "cp-10", "vae", "--seeds", "0", "1"]
    assert main(["table", "cp-vae-mnist", *rows, "--results", str(tmp_path / "results")]) == 0
    page = (tmp_path / "results" / "cp-vae-mnist.md").read_text()
    assert "Every run had 25 epochs of batches of 250" in page
    cells = "| 90.50 +- 0.50 | 84.76 | 88.00 +- 0.00 | 90.50 +- 0.50 | 91.00 | 95.00 +- 0.00 |"
    assert f"| CP-VAE, sum over the 2 most probable c, categories from epoch 13 on | 10 | 2 {cells}" in page
    assert "| VAE, N(0, I) |  | 2 | 90.50 +- 0.50 | 88.75 |" in page
    assert len(list((tmp_path / "results" / "cp-vae-mnist").iterdir())) == 4
