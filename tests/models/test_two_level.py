"""CP-VAE, two levels and the VampPrior from the command line to the files they leave, in miniature."""

import csv
import json

import pytest
import torch

from experiments.__main__ import main
from models.shared import runs

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
    assert runs.trained(folder).model.generate(2, category=3).shape == (2, 1, 8, 8)
    assert main(["evaluate", str(folder)]) == 0
    assert json.loads((folder / "evaluation-test.json").read_text())["test"] == summary["test"]


@pytest.mark.slow
def test_categories_that_wait_and_are_given_up(tmp_path, capsys):
    flags = ["--categories", "4", "--blind-epochs", "1", "--top", "2", "--top-epochs", "1", "--epochs", "3"]
    folder, summary = train(tmp_path, "cp-vae", *flags)
    model = runs.trained(folder).model
    assert (model.top, model.blind) == (2, False)
    x = torch.rand(5, 1, 8, 8)
    assert ((model.classify(x) > 0).sum(-1) == 2).all()
    assert summary["test"]["elbo"] < 0
    for more in (["--category", "0", "3", "--n", "2"], ["--categories-of", "posterior"], []):
        assert main(["sample", str(folder), *more]) == 0
    capsys.readouterr()
    for more, message in (
        (["--category", "4"], "category: expected 0..3, got 4"),
        (["--category", "1", "1"], "category: expected each row of images once, got category 1 twice"),
        (["--category", "1", "--categories-of", "posterior"], "category, categories_of: expected one of them"),
        (["--given", "digit=3"], "given: expected a run with attributes"),
    ):
        assert main(["sample", str(folder), *more]) == 2
        assert message in capsys.readouterr().err


@pytest.mark.parametrize(
    "words",
    ["vae --prior vamp", "hierarchical-vae --prior vamp", "hierarchical-vae", "vae --prior gmm --weights equal"],
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
        (["--network", "conv"], "network: expected a knob of `train cp-vae`, got one that belongs to train aae, "),
        (["--prior-epochs", "2"], "prior_epochs: expected only where the prior can be fitted to codes alone, got it "),
        (["--categories", "0"], "categories: expected 1 or more"),
        (["--top", "11"], "top: expected at most 10"),
        (["--top", "2", "--estimator", "gumbel"], "top: expected --estimator enumerate beside it, got --estimator gum"),
        (["--top-epochs", "2"], "top_epochs: expected --top beside it, got none"),
        (["--reinit-samples", "20"], "reinit_samples: expected --blind-epochs beside it, got none"),
        (["--blind-epochs", "-1"], "blind_epochs: expected 0 or more"),
        (["--blind-epochs", "5", "--epochs", "5"], "blind_epochs: expected fewer than epochs = 5"),
        (["--blind-epochs", "5", "--patience", "5"], "patience: expected more than blind_epochs = 5"),
        (["--estimator", "gumbel", "--last-temperature", "0"], "last_temperature: expected a positive number"),
    ],
)
def test_mistakes(flags, message, capsys):
    assert main(["train", "cp-vae", *flags]) == 2
    assert message in capsys.readouterr().err
