"""Figures and tables of CP-VAE, in miniature."""

import json

import pytest

from experiments.__main__ import main
from experiments.papers import cp_vae_toy
from experiments.tables import catalogue, results
from experiments.tables.reading import Tight
from models.shared import figures
from pyro_priors.data import points

TINY = ["--data", "digits", "--epochs", "2", "--latent-dim", "3", "--hidden", "16", "16", "--particles", "5"]


def train(tmp_path, words, *flags):
    assert main(["train", *words.split(), *TINY, "--runs-dir", str(tmp_path), "--no-progress", *flags]) == 0
    (folder,) = tmp_path.glob("*/*")
    return folder


@pytest.mark.slow
def test_figures_of_runs(tmp_path, monkeypatch, capsys):
    monkeypatch.setattr(figures, "draw", lambda *_: None)  # the images of each run
    runs = [
        train(tmp_path / "cp", "cp-vae", "--categories", "4"),
        train(tmp_path / "vamp", "hierarchical-vae", "--prior", "vamp", "--pseudo-inputs", "3"),
        train(tmp_path / "normal", "vae", "--prior", "normal"),
    ]
    flags = ["--n", "4", "--each", "2", "--components", "3", "--folder", str(tmp_path / "figures")]
    assert main(["figure", "cp-vae", *map(str, runs), *flags]) == 0
    names = {path.name for path in (tmp_path / "figures").iterdir()}
    assert names == {"reconstructions.png", "generations.png", "components-1.png", "components-2.png"}
    assert main(["sample", str(runs[2]), "--category", "0"]) == 2
    assert "category: expected a run with categories" in capsys.readouterr().err


@pytest.mark.slow
def test_the_toy(tmp_path, monkeypatch):
    """On a fifth of the points, in shorter epochs, in this process and without each run's images."""
    monkeypatch.setattr(figures, "draw", lambda *_: None)
    drawn = points.SETS["gaussians"]()[:10_000]
    monkeypatch.setitem(points.SETS, "gaussians", lambda: drawn)
    for row, small in (("cp-2", {"blind_epochs": 2}), ("vp-2", {})):
        name, model, values = cp_vae_toy.ROWS[row]
        values = {**values, "batch_size": 100, "particles": 10, **small}
        monkeypatch.setitem(cp_vae_toy.ROWS, row, (name, model, values))
    monkeypatch.setattr(results, "run", lambda arguments, log, name: main(arguments))
    paths = ["--runs-dir", str(tmp_path / "runs"), "--results", str(tmp_path)]
    flags = ["--rows", "cp-2", "vp-2", "--epochs", "4", "--draws", "2000"]
    assert main(["figure", "cp-vae-toy", *flags, *paths]) == 0
    rows = json.loads((tmp_path / "cp-vae-toy.json").read_text())["rows"]
    assert rows["cp-2"]["used"] == 2
    for mode in rows["cp-2"]["draws"]["c from q(c)"]["modes"]:
        assert 0.4 < mode["share"] < 0.6
    assert (tmp_path / "cp-vae-toy.png").is_file()
    assert "| VampPrior of 2 |" in (tmp_path / "cp-vae-toy.md").read_text()
    assert main(["figure", "cp-vae-toy", *flags, "--rows", "cp-3"]) == 2


def test_gradients_of_the_estimators(tmp_path):
    flags = ["--epochs", "1", "--draws", "20", "--truth-draws", "40", "--batch", "20", "--temperatures", "0.5"]
    flags += ["--set", "hidden=8", "--keep", "1", "--results", str(tmp_path)]
    assert main(["figure", "category-gradients", *flags]) == 0
    (moment,) = json.loads((tmp_path / "category-gradients.json").read_text())["moments"]
    rows = moment["rows"]
    assert set(rows) == {"sum over all", "sum over the 1 most probable", "Gumbel-Softmax, temperature 0.5"}
    assert rows["sum over all"]["category"]["bias"] < 3 * rows["sum over all"]["category"]["bias_noise"]
    assert (
        rows["Gumbel-Softmax, temperature 0.5"]["category"]["variance"] > rows["sum over all"]["category"]["variance"]
    )
    assert main(["figure", "category-gradients", "--keep", "11"]) == 2


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
    assert (
        "- Training, the same for all: 25 epochs of batches of 250, Adam 0.003, falling to 0, KL warm-up over 3" in page
    )
    cells = "| 90.50 +- 0.50 | 84.76 | 88.00 +- 0.00 | 90.50 +- 0.50 | 91.00 | 95.00 +- 0.00 |"
    assert f"| CP-VAE, sum over the 2 most probable c, categories from epoch 13 on | 10 | 2 {cells}" in page
    assert "| VAE, N(0, I) |  | 2 | 90.50 +- 0.50 | 88.75 |" in page
    assert len(list((tmp_path / "results" / "cp-vae-mnist").iterdir())) == 4


def test_bounds_by_many_draws_are_those_of_a_part(tmp_path, monkeypatch):
    """Of a tiny model; on the page what they gain on this part is taken from -ELBO of all."""
    monkeypatch.setattr(figures, "draw", lambda *_: None)
    monkeypatch.setattr(Tight, "images", 20)
    monkeypatch.setattr(Tight, "draws", 200)
    monkeypatch.setattr(results, "run", lambda arguments, log, name: main(arguments))
    where = ["--results", str(tmp_path / "results"), "--runs-dir", str(tmp_path / "runs")]
    tiny = [
        "data=digits",
        "vae.epochs=1",
        "vae.warmup_epochs=1",
        "hidden=8",
        "latent_dim=2",
        "batch_size=500",
        "particles=2",
    ]
    assert main(["table", "cp-vae-mnist-long", "--rows", "vae", "--seeds", "0", "--set", *tiny, *where]) == 0
    result = json.loads((tmp_path / "results/cp-vae-mnist-long/vae-seed0.json").read_text())
    part, test = result["tight"], result["test"]
    assert (part["count"], part["particles"]) == (20, 200)
    assert part["iwae"] > part["elbo"]
    page = (tmp_path / "results/cp-vae-mnist-long.md").read_text()
    assert f"| {-test['iwae']:.2f} | {part['elbo'] - part['iwae'] - test['elbo']:.2f} |" in page
    assert "by 200 draws it is -ELBO less what these gain on the first 20 images" in page
