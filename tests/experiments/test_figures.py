"""Figures of adversarial models, and of the gradients that a prior gets."""

import json

import pytest
import torch
from fake_runs import newest

from experiments.__main__ import main
from experiments.papers import gan_estimators
from experiments.tables import check
from experiments.tables.spec import Cell, Row

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


QUICK = ["--batches", "4", "--draws", "4", "--measure-draws", "4", "--turns", "1", "--block-size", "2"]


def test_figure_estimators(tmp_path, capsys):
    flags = [*QUICK, "--priors", "trip", "vector", "vectors", "gmm", "--results", str(tmp_path)]
    assert main(["figure", "estimators", *flags, "--latents", "2"]) == 0
    first = json.loads((tmp_path / "estimators.json").read_text())["rows"]
    assert len(first) == 3 * 5  # vectors of two have no row of their own where there are two latents
    assert main(["figure", "estimators", *flags, "--latents", "2", "4"]) == 0
    rows = json.loads((tmp_path / "estimators.json").read_text())["rows"]
    assert len(rows) == 3 * 5 + 4 * 5
    assert [row for row in rows if row["latents"] == 2] == first  # what was measured is not measured again
    page = (tmp_path / "estimators.md").read_text()
    assert "## Vectors of 2" in page
    assert "## GANs" in page
    assert (tmp_path / "estimators.png").is_file()
    assert main(["figure", "estimators", *QUICK, "--latents", "2", "--priors", "gmm", "--results", str(tmp_path)]) == 0
    rows = json.loads((tmp_path / "estimators.json").read_text())["rows"]
    assert {row["prior"] for row in rows} == {"gmm"}  # other settings: measured anew
    capsys.readouterr()


def test_an_estimators_start_has_a_page_of_its_own(tmp_path, capsys):
    flags = [*QUICK, "--latents", "2", "--priors", "vector", "--init", "mixture", "--results", str(tmp_path)]
    assert main(["figure", "estimators", *flags]) == 0
    assert "## GANs" not in (tmp_path / "estimators-mixture.md").read_text()
    capsys.readouterr()


@pytest.mark.parametrize(
    ("flags", "message"),
    [
        (["--priors", "flow"], "priors: expected some of trip, vector, vectors, gmm, got ('flow',)"),
        (["--priors", "gmm", "--init", "mixture"], "init: expected its default without a chain, got mixture"),
        (["--latents", "12"], "latents: expected multiples of 8 beyond it, got (12,)"),
        (["--batches", "1"], "batches: expected some, each at least 2, got (1,)"),
        (["--measure-draws", "3"], "measure_draws: expected at least 4, got 3"),
    ],
)
def test_mistakes_of_figure_estimators(flags, message, capsys):
    assert main(["figure", "estimators", *flags]) == 2
    assert message in capsys.readouterr().err


@pytest.mark.slow
def test_the_exact_gradient_of_figure_estimators():
    """Against finite differences of the exact expectation, and the estimators' mean."""
    from experiments.papers.estimators import EstimatorsConfig, rows_of

    config = EstimatorsConfig(components=2, rank=2, draws=100, batches=(64,), turns=1)
    for prior, d in (("trip", 2), ("vector", 2), ("gmm", 2)):
        for row in rows_of(config, prior, d):
            expected = 1 / 64 if row["estimator"] == "reinforce" else 0.0
            assert row["bias"] <= expected + 4 * row["bias_noise"]


def test_halves_of_draws_are_pooled_as_all_of_them():
    from experiments.papers.estimators import moments_of, pooled
    from pyro_priors.metrics import gradient_moments

    weight = torch.zeros(3, requires_grad=True)

    def loss():
        return (weight * torch.randn(3)).sum()

    torch.manual_seed(0)
    every = gradient_moments(loss, [weight], 10)
    torch.manual_seed(0)
    both = pooled(*moments_of(loss, [weight], 10))
    assert both.draws == 10
    assert torch.allclose(both.mean, every.mean)
    assert torch.allclose(both.variance, every.variance)


def gan_row(name, estimator, distances, **knobs):
    """A row of a GAN with a Frechet distance by seed."""
    config = {"estimator": estimator, "prior": "trip", "latent_dim": 32, "lr": 0.1} | knobs
    results = {seed: {"config": config | {"seed": seed}, "frechet": value} for seed, value in enumerate(distances)}
    return Row(Cell((name,), "wgan-gp", {}, titles=(name,)), results)


def test_gans_that_differ_in_the_estimator_alone_are_compared(monkeypatch):
    rows = [
        gan_row("fixed", None, [9.0, 9.1]),
        gan_row("reinforce", "reinforce", [60.0, 61.0], normalize=False),
        gan_row("pathwise", "pathwise", [50.0, 51.0]),
        gan_row("noisy", "rloo", [40.0, 70.0], normalize=False),
        gan_row("normalised", "rloo", [10.0, 11.0], normalize=True),  # of other gradients
        gan_row("faster", "pathwise", [1.0, 1.1], lr=0.2),
    ]
    stored = {"trip-mnist": rows}
    monkeypatch.setattr(check, "stored", lambda table, folder, beside: (stored.get(table.name, []), []))
    made = gan_estimators.groups()
    assert [[row.cell.key[0] for row in own] for _, own in made] == [["pathwise", "reinforce", "noisy"]]
    assert gan_estimators.said(made) == "of 2 comparisons of GANs pathwise wins 1 and loses 0 clearly"
    lines = gan_estimators.section(made)[2]
    assert "score function, batch mean | 60.5 +- 0.5 | 2 | 10.0 above pathwise |" in lines[3]
    stored.clear()
    assert gan_estimators.section(gan_estimators.groups()) == []
    assert gan_estimators.said([]) == ""
