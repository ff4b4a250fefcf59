"""Figures of adversarial models, and of the gradients that a prior gets."""

import json

import pytest
from fake_runs import newest

from experiments.__main__ import main

SMALL = ["--epochs", "1", "--threads", "1", "--no-progress"]


def train(kind, *flags):
    assert main(["train", kind, *SMALL, *flags]) == 0


@pytest.mark.slow
def test_figure_mode_hopping(tmp_path, capsys):
    where = ["--runs-dir", str(tmp_path), "--latent-dim", "3", "--data", "digits", "--hidden", "8"]
    ring = ["--prior", "trip", "--components", "2", "--rank", "2"]
    train("info-gan", *where, "--batch-size", "600", *ring)
    run = newest(tmp_path)
    assert main(["figure", "mode-hopping", str(run), "--dimensions", "2", "--hops", "2", "--ways", "2"]) == 0
    assert (run / "mode-hopping.png").is_file()
    assert main(["figure", "mode-hopping", str(run), "--dimensions", "4"]) == 2
    assert "dimensions: expected at most the 3 latents, got 4" in capsys.readouterr().err
    few = ["--dimensions", "1", "--hops", "1", "--ways", "1"]
    train("wgan-gp", *where, "--critic-steps", "1", "--prior", "ttlp", "--components", "2", "--rank", "2")
    assert main(["figure", "mode-hopping", str(newest(tmp_path)), *few]) == 0
    train("gan", *where, "--batch-size", "600", "--prior", "normal")
    assert main(["figure", "mode-hopping", str(newest(tmp_path)), *few]) == 2
    assert "expected a VAE or GAN whose prior is a tensor ring (trip, ttlp)" in capsys.readouterr().err


def test_figure_estimators(tmp_path, monkeypatch):
    for prior in ("trip", "gmm"):
        flags = ["--latents", "1", "2", "--batches", "4", "--draws", "5", "--prior", prior]
        assert main(["figure", "estimators", *flags, "--results", str(tmp_path)]) == 0
    values = json.loads((tmp_path / "estimators.json").read_text())
    assert len(values["rows"]) == 2 * 4
    assert (tmp_path / "estimators-gmm.png").is_file()
    assert "## Batches of 4" in (tmp_path / "estimators-gmm.md").read_text()
    assert main(["figure", "estimators", "--prior", "gmm", "--rank", "3"]) == 2  # which would change nothing


@pytest.mark.slow
def test_the_exact_gradient_of_figure_estimators():
    """Against finite differences of the exact expectation, and the estimators' mean."""
    from experiments.papers.estimators import EstimatorsConfig, rows_of

    rows = rows_of(EstimatorsConfig(components=2, rank=2, draws=100, batches=(64,)), 2)
    for row in rows:
        expected = 1 / 64 if row["estimator"] == "reinforce" else 0.0
        assert row["bias"] <= expected + 4 * row["bias_noise"]
