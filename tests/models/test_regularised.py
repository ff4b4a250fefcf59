"""Regularised objectives and flows from the command line to the files they leave, in miniature."""

import json

import pytest

from experiments.__main__ import main
from models.shared import runs

TINY = ["--epochs", "1", "--latent-dim", "2", "--hidden", "8", "--particles", "2", "--no-progress"]
POINTS = ["--data", "moons", "--binarize", "none", "--likelihood", "gaussian", "--noise", "0.1", "--batch-size", "500"]


@pytest.mark.parametrize("objective", ["beta-h", "beta-b", "beta-tc", "factor", "info"])
@pytest.mark.parametrize("prior", ["flow", "normal"])
@pytest.mark.slow
def test_every_objective_trains_with_and_without_the_flow(tmp_path, objective, prior):
    flags = [*POINTS, *TINY, "--objective", objective, "--prior", prior]
    flags += ["--layers", "2", "--flow-hidden", "8"] if prior == "flow" else []
    flags += ["--discriminator-hidden", "8"] if objective == "factor" else []
    assert main(["train", "vae", *flags, "--runs-dir", str(tmp_path)]) == 0
    (summary,) = tmp_path.glob("*/*/summary.json")
    assert json.loads(summary.read_text())["test"]["elbo"] < 0
    assert "train_regulariser" in (summary.parent / "metrics.csv").read_text() or objective == "beta-h"


@pytest.mark.slow
def test_the_kernel_of_info_is_the_one_that_is_named(tmp_path):
    losses = []
    for kernel in ("rbf", "imq"):
        flags = [*POINTS, *TINY, "--prior", "normal", "--objective", "info", "--kernel", kernel]
        assert main(["train", "vae", *flags, "--runs-dir", str(tmp_path / kernel)]) == 0
        (metrics,) = (tmp_path / kernel).glob("*/*/metrics.csv")
        losses.append(metrics.read_text().splitlines()[1].split(",")[1])
    assert losses[0] != losses[1]


@pytest.mark.parametrize("divergence", ["stein", "adversarial"])
def test_info_with_another_divergence(tmp_path, divergence):
    """Under a chain, from the command line to the files; a critic is no part of what is saved."""
    flags = [*POINTS, *TINY, "--prior", "trip", "--rank", "2", "--components", "2", "--objective", "info"]
    flags += ["--critic-hidden", "8"] if divergence == "adversarial" else ["--kernel", "imq", "--patience", "2"]
    assert main(["train", "vae", *flags, "--divergence", divergence, "--runs-dir", str(tmp_path)]) == 0
    (folder,) = tmp_path.glob("*/*/")
    assert json.loads((folder / "config.json").read_text())["config"]["divergence"] == divergence
    header, row, *_ = (folder / "metrics.csv").read_text().splitlines()
    assert float(row.split(",")[header.split(",").index("train_regulariser")]) != 0
    assert ("train_1_" in header) == (divergence == "adversarial")
    assert main(["evaluate", str(folder)]) == 0
    assert runs.trained(folder).model.generate(3).shape == (3, 1, 1, 2)


@pytest.mark.slow
def test_a_flow_over_a_ring_with_splines(tmp_path):
    flags = ["--data", "digits", *TINY, "--latent-dim", "3", "--prior", "flow", "--flow-base", "trip"]
    flags += ["--transform", "spline", "--layers", "2", "--components", "3", "--rank", "2"]
    assert main(["train", "vae", *flags, "--runs-dir", str(tmp_path)]) == 0
    (folder,) = tmp_path.glob("*/*")
    assert runs.trained(folder).model.generate(3).shape == (3, 1, 8, 8)
    assert (folder / "prior.png").is_file()


@pytest.mark.parametrize(
    ("flags", "message"),
    [
        (["--prior", "flow", "--latent-dim", "1"], "latent_dim: expected at least 2 with --prior flow, got 1"),
        (
            ["--prior", "vamp", "--prior-epochs", "1"],
            "prior_epochs: expected only where the prior can be fitted",
        ),
        (
            ["--objective", "factor", "--patience", "3"],
            "patience: expected --objective elbo, beta-h, beta-b, beta-tc or",
        ),
        (
            ["--objective", "info", "--divergence", "adversarial", "--patience", "3"],
            "patience: expected only where no critic learns beside it, got it with `train vae --prior trip`",
        ),
        (
            ["--objective", "info", "--divergence", "adversarial", "--kernel", "imq"],
            "kernel: expected --divergence mmd or stein beside it, got --divergence adversarial",
        ),
        (["--divergence", "stein"], "divergence: expected --objective info beside it, got --objective elbo"),
        (["--prior", "flow", "--layers", "0"], "layers: expected at least 1"),
        (["--objective", "info", "--strength", "0"], "strength: expected a positive number"),
        (["--objective", "beta-b", "--capacity", "-1"], "capacity: expected 0 or more"),
        (["--prior", "flow", "--flow-hidden", "0"], "flow_hidden: expected one width or more"),
    ],
)
def test_mistakes(flags, message, capsys):
    assert main(["train", "vae", *flags]) == 2
    assert message in capsys.readouterr().err
