"""Runs from the command line to the files they leave, in miniature."""

import csv
import functools
import json
import subprocess
import sys
from pathlib import Path

import pytest
import torch

from experiments import build
from experiments.__main__ import main
from experiments.config import TrainConfig, to_flags

TINY = to_flags(
    TrainConfig(
        data="digits", epochs=3, latent_dim=4, hidden=(16,), components=3, rank=2, gmm_components=5, particles=5
    )
)
PICTURES = {"samples.png", "reconstructions.png", "prior.png"}
FILES = {"config.json", "metrics.csv", "model.safetensors", "summary.json", *PICTURES}


def train(tmp_path, *flags):
    assert main(["train", "vae", *TINY, "--runs-dir", str(tmp_path), "--no-progress", *flags]) == 0
    (folder,) = tmp_path.glob("*/*")
    return folder


@pytest.fixture(scope="module")
def plain(tmp_path_factory):
    """`plain(prior)` -> the folder of a run with that prior and nothing else, trained once; to be read only."""
    return functools.cache(lambda prior: train(tmp_path_factory.mktemp(prior), "--prior", prior))


@pytest.mark.parametrize(
    "flags", ["--prior trip", "--prior gmm --fixed", "--prior normal", "--prior trip --init noise"]
)
def test_a_run_leaves_its_files_and_can_be_read_back(tmp_path, flags, capsys):
    folder = train(tmp_path, *flags.split(), "--warmup-epochs", "1", "--reinit-every", "1", "--patience", "2")
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
    folders = plain("trip"), train(tmp_path, "--prior", "trip")
    first, second = (json.loads((folder / "summary.json").read_text())["test"] for folder in folders)
    assert first == second


@pytest.mark.parametrize(("data", "latent_dim"), [("moons", "2"), ("gaussians", "1")])
def test_points_train_too(tmp_path, data, latent_dim):
    flags = ["--likelihood", "gaussian", "--binarize", "none", "--batch-size", "5000", "--epochs", "1"]
    folder = train(tmp_path, "--data", data, "--latent-dim", latent_dim, *flags)
    assert (folder / "samples.png").is_file()
    assert (folder / "prior.png").is_file() == (latent_dim == "2")


def test_the_prior_has_a_learning_rate_of_its_own():
    config = TrainConfig(prior="trip", latent_dim=4, lr=1e-3, prior_lr=1e-2)
    model = build.model(config, (1, 8, 8))
    groups = build.optimizer(config, model).param_groups
    assert [group["lr"] for group in groups] == [1e-3, 1e-2]
    assert {id(p) for p in groups[1]["params"]} == {id(p) for p in model.prior.parameters()}
    assert sum(len(group["params"]) for group in groups) == len(list(model.parameters()))
    fixed = TrainConfig(prior="trip", latent_dim=4, fixed=True)
    assert len(build.optimizer(fixed, build.model(fixed, (1, 8, 8))).param_groups) == 1


def test_priors_start_from_the_same_networks():
    models = [build.model(TrainConfig(prior=prior, latent_dim=4), (1, 8, 8)) for prior in ("normal", "trip")]
    states = [model.encoder.state_dict() | model.decoder.state_dict() for model in models]
    assert all(torch.equal(states[0][name], states[1][name]) for name in states[0])


def test_two_devices_make_one_run(tmp_path):
    """Lightning starts the command once per device."""
    command = [sys.executable, "-m", "experiments", "train", "vae", *TINY, "--devices", "2", "--no-progress"]
    command += ["--reinit-every", "1", "--threads", "1", "--runs-dir", str(tmp_path)]
    finished = subprocess.run(
        command, cwd=Path(build.__file__).parent.parent, capture_output=True, text=True, timeout=300
    )
    assert finished.returncode == 0, finished.stderr
    (folder,) = tmp_path.glob("*/*")
    assert finished.stdout.count(str(folder)) == 1
    names = {path.name for path in folder.iterdir()}
    assert names == {"config.json", "metrics.csv", "model.safetensors", "summary.json", *PICTURES}


@pytest.mark.parametrize("prior", ["trip", "normal"])
def test_the_prior_fitted_at_the_end_raises_the_bound_and_leaves_the_networks(tmp_path, plain, prior):
    folders = plain(prior), (fitted := train(tmp_path, "--prior", prior, "--prior-epochs", "20"))
    weights = [build.trained(folder).model.state_dict() for folder in folders]
    moved = {name for name, value in weights[0].items() if not torch.equal(value, weights[1][name])}
    bounds = [json.loads((folder / "summary.json").read_text())["test"]["elbo"] for folder in folders]
    if prior == "normal":  # there is nothing to fit
        assert not moved
        assert bounds[0] == bounds[1]
        return
    assert moved == {"prior.log_cores", "prior.loc", "prior.log_scale"}
    assert bounds[1] > bounds[0]
    assert {path.name for path in fitted.iterdir()} == {*FILES, "prior.csv"}
