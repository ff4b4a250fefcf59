"""CP-VAE, two levels and the VampPrior from the command line to the files they leave, in miniature."""

import csv
import dataclasses
import json

import pytest
import torch

import experiments.train
from experiments import build
from experiments.__main__ import main
from experiments.papers import cp_vae_toy
from experiments.tables import cp_vae, kept
from pyro_priors.data import loading

TINY = ["--data", "digits", "--epochs", "2", "--latent-dim", "3", "--hidden", "16", "16", "--particles", "5"]
PICTURES = {"samples.png", "reconstructions.png", "prior.png"}


def train(tmp_path, words, *flags):
    assert main(["train", *words.split(), *TINY, "--runs-dir", str(tmp_path), "--no-progress", *flags]) == 0
    (folder,) = tmp_path.glob("*/*")
    return folder, json.loads((folder / "summary.json").read_text(), parse_constant=pytest.fail)


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
        name, train = cp_vae_toy.ROWS[row]
        train = dataclasses.replace(train, batch_size=100, particles=10, **small)
        monkeypatch.setitem(cp_vae_toy.ROWS, row, (name, train))
    monkeypatch.setattr(kept, "run", lambda arguments, log, name: main(arguments))
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
    flags += ["--train.hidden", "8", "--keep", "1", "--results", str(tmp_path)]
    assert main(["table", "category-gradients", *flags]) == 0
    ((rows,),) = [[one["rows"] for one in json.loads((tmp_path / "category-gradients.json").read_text())["moments"]]]
    assert set(rows) == {"sum over all", "sum over the 1 most probable", "Gumbel-Softmax, temperature 0.5"}
    assert rows["sum over all"]["category"]["bias"] < 3 * rows["sum over all"]["category"]["bias_noise"]
    assert (
        rows["Gumbel-Softmax, temperature 0.5"]["category"]["variance"] > rows["sum over all"]["category"]["variance"]
    )
    assert main(["table", "category-gradients", "--keep", "11"]) == 2


def test_the_table_gives_every_row_the_same_budget():
    config = cp_vae.CpVaeConfig()
    runs = [config.run(row, 50, 1) for row in cp_vae.ROWS]
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
        assert len({getattr(run, field) for run in runs}) == 1
    assert [run.name for run in runs][:2] == ["cp-50-seed1", "vae-50-seed1"]
    assert runs[0].estimator == "gumbel" != config.run("cp", 10, 0).estimator


def test_the_table(tmp_path, monkeypatch):
    """The page of kept results, in place of trainings results that say which they are of."""

    def kept_train(train):
        folder = tmp_path / "runs" / train.name
        folder.mkdir(parents=True)
        test = {"elbo": -90.0 - train.seed, "iwae": -88.0}
        if train.model == "cp-vae":
            test["clusters"] = {"accuracy": 0.9 + train.seed / 100, "majority_accuracy": 0.95, "nmi": 0.8, "used": 10}
        provenance = {"versions": {"python": "3"}, "commit": "0123456789", "uncommitted_changes": False, "machine": "x"}
        (folder / "summary.json").write_text(json.dumps({"test": test, "provenance": provenance}))
        return folder

    monkeypatch.setattr(kept, "train", kept_train)
    arguments = ["table", "cp-vae", "--rows", "cp", "vae", "--seeds", "0", "1", "--results", str(tmp_path / "results")]
    assert main(arguments) == 0
    page = (tmp_path / "results" / "cp-vae-mnist.md").read_text()
    assert "Every run had 300 epochs of batches of 100" in page
    cells = "| 90.50 +- 0.50 | 84.76 | 88.00 +- 0.00 | 90.50 +- 0.50 | 91.00 | 95.00 +- 0.00 |"
    assert f"| CP-VAE, sum over c | 10 | 2 {cells}" in page
    assert "| VAE, N(0, I) |  | 2 | 90.50 +- 0.50 | 88.75 |" in page
    assert len(list((tmp_path / "results" / "cp-vae-mnist").iterdir())) == 4
    assert main(["table", "cp-vae", "--categories", "0"]) == 2
