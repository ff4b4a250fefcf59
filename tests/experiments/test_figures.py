"""Figures of trained runs with some latents drawn anew, and of the gradients that a prior gets."""

import json

import pytest
from fake_runs import newest

from experiments.__main__ import main
from experiments.papers import cp_vae_toy
from experiments.tables import results
from models.shared import figures
from pyro_priors.data import points

TINY = ["--data", "digits", "--epochs", "2", "--latent-dim", "3", "--hidden", "16", "16", "--particles", "5"]
SMALL = ["--epochs", "1", "--threads", "1", "--no-progress"]


def train(kind, *flags):
    assert main(["train", kind, *SMALL, *flags]) == 0


def trained(tmp_path, name, *flags):
    """The folder of a run with pictures of its own left out."""
    assert main(["train", name, *TINY, "--runs-dir", str(tmp_path), "--no-progress", *flags]) == 0
    return next(tmp_path.glob("*/*"))


def test_figure_mode_hopping(tmp_path, capsys):
    where = ["--runs-dir", str(tmp_path), "--latent-dim", "3", "--data", "digits", "--hidden", "8"]
    small = ["--prior", "trip", "--components", "2", "--rank", "2"]
    train("info-gan", *where, "--batch-size", "600", *small)
    run = newest(tmp_path)
    assert main(["figure", "mode-hopping", str(run), "--dimensions", "2", "--hops", "2", "--ways", "2"]) == 0
    assert (run / "mode-hopping.png").is_file()
    assert main(["figure", "mode-hopping", str(run), "--dimensions", "4"]) == 2
    assert "dimensions: expected at most the 3 latents, got 4" in capsys.readouterr().err
    train("wgan-gp", *where, "--critic-steps", "1", "--prior", "ttlp", "--components", "2", "--rank", "2")
    assert (
        main(["figure", "mode-hopping", str(newest(tmp_path)), "--dimensions", "1", "--hops", "1", "--ways", "1"]) == 0
    )


def test_figure_estimators(tmp_path, monkeypatch):
    for prior in ("trip", "gmm"):
        flags = ["--latents", "1", "2", "--batches", "4", "--draws", "5", "--prior", prior]
        assert main(["figure", "estimators", *flags, "--results", str(tmp_path)]) == 0
    written = json.loads((tmp_path / "estimators.json").read_text())
    assert len(written["rows"]) == 2 * 4
    assert (tmp_path / "estimators-gmm.png").is_file()
    assert "## Batches of 4" in (tmp_path / "estimators-gmm.md").read_text()


def test_the_exact_gradient_of_figure_estimators():
    """Against finite differences of the exact expectation, and the estimators' mean."""
    from experiments.papers.estimators import EstimatorsConfig, rows_of

    rows = rows_of(EstimatorsConfig(components=2, rank=2, draws=100, batches=(64,)), 2)
    for row in rows:
        expected = 1 / 64 if row["estimator"] == "reinforce" else 0.0
        assert row["bias"] <= expected + 4 * row["bias_noise"]


def test_figures_of_runs(tmp_path, monkeypatch, capsys):
    monkeypatch.setattr(figures, "draw", lambda *_: None)  # those of each run
    runs = [
        trained(tmp_path / "cp", "cp-vae", "--categories", "4"),
        trained(tmp_path / "vamp", "hierarchical-vae", "--prior", "vamp", "--pseudo-inputs", "3"),
        trained(tmp_path / "normal", "vae", "--prior", "normal"),
    ]
    flags = ["--n", "4", "--each", "2", "--components", "3", "--folder", str(tmp_path / "figures")]
    assert main(["figure", "cp-vae", *map(str, runs), *flags]) == 0
    names = {path.name for path in (tmp_path / "figures").iterdir()}
    assert names == {"reconstructions.png", "generations.png", "components-1.png", "components-2.png"}
    assert main(["sample", str(runs[2]), "--category", "0"]) == 2
    assert "category: expected a run with categories" in capsys.readouterr().err


@pytest.mark.slow
def test_the_toy(tmp_path, monkeypatch):
    """On a fifth of the points, in shorter epochs, in this process and without each run's pictures."""
    monkeypatch.setattr(figures, "draw", lambda *_: None)
    few = points.SETS["gaussians"]()[:10_000]
    monkeypatch.setitem(points.SETS, "gaussians", lambda: few)
    small = {"batch_size": 100, "particles": 10, "cp-vae.blind_epochs": 2}
    monkeypatch.setattr(cp_vae_toy, "SHARED", cp_vae_toy.SHARED | small)
    monkeypatch.setattr(results, "run", lambda arguments, log, name: main(arguments))
    paths = ["--runs-dir", str(tmp_path / "runs"), "--results", str(tmp_path)]
    flags = ["--rows", "cp-2", "vp-2", "--epochs", "4", "--draws", "2000"]
    assert main(["figure", "cp-vae-toy", *flags, *paths]) == 0
    written = json.loads((tmp_path / "cp-vae-toy.json").read_text())["rows"]
    assert written["cp-2"]["used"] == 2
    for mode in written["cp-2"]["draws"]["c from q(c)"]["modes"]:
        assert 0.4 < mode["share"] < 0.6
    assert (tmp_path / "cp-vae-toy.png").is_file()
    assert "| VampPrior of 2 |" in (tmp_path / "cp-vae-toy.md").read_text()
    assert main(["figure", "cp-vae-toy", *flags, "--rows", "cp-3"]) == 2


def test_gradients_of_the_estimators(tmp_path):
    flags = ["--epochs", "1", "--draws", "20", "--truth-draws", "40", "--batch", "20", "--temperatures", "0.5"]
    flags += ["--set", "hidden=8", "--keep", "1", "--results", str(tmp_path)]
    assert main(["table", "category-gradients", *flags]) == 0
    ((rows,),) = [
        [moment["rows"] for moment in json.loads((tmp_path / "category-gradients.json").read_text())["moments"]]
    ]
    assert set(rows) == {"sum over all", "sum over the 1 most probable", "Gumbel-Softmax, temperature 0.5"}
    assert rows["sum over all"]["category"]["bias"] < 3 * rows["sum over all"]["category"]["bias_noise"]
    assert (
        rows["Gumbel-Softmax, temperature 0.5"]["category"]["variance"] > rows["sum over all"]["category"]["variance"]
    )
    assert main(["table", "category-gradients", "--keep", "11"]) == 2
