"""Runs from the command line to the files they leave, in miniature."""

import csv
import functools
import json
import subprocess
import sys
from pathlib import Path

import pytest
import torch

from experiments.__main__ import main
from models import configure
from models.shared import runs
from models.shared.knobs import to_flags

TINY = to_flags(configure("vae", data="digits", epochs=3, latent_dim=4, hidden=(16,), particles=5))
TRIP = ["--prior", "trip", "--components", "3", "--rank", "2"]
PICTURES = {"samples.png", "reconstructions.png", "prior.png"}
FILES = {"config.json", "manifest.json", "metrics.csv", "model.safetensors", "program.json", "summary.json", *PICTURES}


def train(tmp_path, *flags):
    assert main(["train", "vae", *TINY, "--runs-dir", str(tmp_path), "--no-progress", *flags]) == 0
    (folder,) = tmp_path.glob("*/*")
    return folder


@pytest.fixture(scope="module")
def plain(tmp_path_factory):
    """`plain(flags of a prior)` -> the folder of a run with nothing else, trained once; to be read only."""
    return functools.cache(lambda *prior: train(tmp_path_factory.mktemp(prior[1]), *prior))


@pytest.mark.parametrize(
    "flags",
    [
        [*TRIP, "--reinit-every", "1"],
        ["--prior", "gmm", "--components", "5", "--fixed"],
        ["--prior", "normal"],
        [*TRIP, "--init", "noise", "--reinit-every", "1"],
    ],
)
def test_a_run_leaves_its_files_and_can_be_read_back(tmp_path, flags, capsys):
    folder = train(tmp_path, *flags, "--warmup-epochs", "1", "--patience", "2")
    names = {path.name for path in folder.iterdir()}
    assert names == FILES
    with (folder / "metrics.csv").open() as file:
        losses = [float(row["validation_loss"]) for row in csv.DictReader(file)]
    assert losses[-1] < losses[0]
    summary = json.loads((folder / "summary.json").read_text(), parse_constant=pytest.fail)  # no NaN
    assert summary["test"]["elbo"] <= summary["test"]["iwae"] < 0
    assert summary["test"]["count"] == 359

    assert main(["evaluate", str(folder), "--particles", "5"]) == 0
    again = json.loads((folder / "evaluation-test.json").read_text())
    assert again["test"] == summary["test"]  # the weights on disk, under the same seed

    output = tmp_path / "drawn.png"
    assert main(["sample", str(folder), "--n", "3", "--output", str(output)]) == 0
    first = output.read_bytes()
    assert main(["sample", str(folder), "--n", "3", "--output", str(output)]) == 0
    assert output.read_bytes() == first


def test_the_same_seed_gives_the_same_run(tmp_path, plain):
    folders = plain(*TRIP), train(tmp_path, *TRIP)
    first, second = (json.loads((folder / "summary.json").read_text())["test"] for folder in folders)
    assert first == second


@pytest.mark.parametrize(("data", "latent_dim"), [("moons", "2"), ("gaussians", "1")])
def test_points_train_too(tmp_path, data, latent_dim):
    flags = ["--likelihood", "gaussian", "--binarize", "none", "--batch-size", "5000", "--epochs", "1"]
    folder = train(tmp_path, "--data", data, "--latent-dim", latent_dim, *TRIP, *flags)
    assert (folder / "samples.png").is_file()
    assert (folder / "prior.png").is_file() == (latent_dim == "2")


def test_the_prior_has_a_learning_rate_of_its_own():
    config = configure("vae", prior="trip", latent_dim=4, lr=1e-3, prior_lr=1e-2)
    model = config.build((1, 8, 8))
    groups = config.optimizer(model).param_groups
    assert [group["lr"] for group in groups] == [1e-3, 1e-2]
    assert {id(p) for p in groups[1]["params"]} == {id(p) for p in model.prior.parameters()}
    assert sum(len(group["params"]) for group in groups) == len(list(model.parameters()))
    fixed = configure("vae", prior="trip", latent_dim=4, fixed=True)
    assert len(fixed.optimizer(fixed.build((1, 8, 8))).param_groups) == 1


def test_priors_start_from_the_same_networks():
    models = [configure("vae", prior=prior, latent_dim=4).build((1, 8, 8)) for prior in ("normal", "trip")]
    states = [model.encoder.state_dict() | model.decoder.state_dict() for model in models]
    assert all(torch.equal(states[0][name], states[1][name]) for name in states[0])


@pytest.mark.slow
def test_two_devices_make_one_run(tmp_path):
    """Lightning starts the command once per device."""
    command = [sys.executable, "-m", "experiments", "train", "vae", *TINY, *TRIP, "--devices", "2", "--no-progress"]
    command += ["--reinit-every", "1", "--threads", "1", "--runs-dir", str(tmp_path)]
    finished = subprocess.run(command, cwd=Path(runs.__file__).parents[2], capture_output=True, text=True, timeout=300)
    assert finished.returncode == 0, finished.stderr
    (folder,) = tmp_path.glob("*/*")
    assert finished.stdout.count(str(folder)) == 1
    names = {path.name for path in folder.iterdir()}
    assert names == FILES


def test_the_prior_fitted_at_the_end_raises_the_bound_and_leaves_the_networks(tmp_path, plain):
    folders = plain(*TRIP), (fitted := train(tmp_path, *TRIP, "--prior-epochs", "20"))
    weights = [runs.trained(folder).model.state_dict() for folder in folders]
    moved = {name for name, value in weights[0].items() if not torch.equal(value, weights[1][name])}
    bounds = [json.loads((folder / "summary.json").read_text())["test"]["elbo"] for folder in folders]
    assert moved == {"prior.log_cores", "prior.loc", "prior.log_scale"}
    assert bounds[1] > bounds[0]
    assert {path.name for path in fitted.iterdir()} == {*FILES, "prior.csv"}


def test_where_there_is_nothing_to_fit_no_epochs_are_given_to_it(capsys):
    assert main(["train", "vae", *TINY, "--prior", "normal", "--prior-epochs", "20"]) == 2
    assert "prior_epochs: expected only where the prior can be fitted to codes alone" in capsys.readouterr().err


@pytest.mark.parametrize("prior", ["trip", "gmm", "vamp", "flow"])
def test_a_fixed_prior_does_not_learn(prior):
    for fixed in (False, True):
        model = configure("vae", data="digits", prior=prior, fixed=fixed, latent_dim=4, hidden=(8,)).build((1, 8, 8))
        assert any(parameter.requires_grad for parameter in model.prior.parameters()) is not fixed
