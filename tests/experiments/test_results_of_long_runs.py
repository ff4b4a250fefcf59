"""What the page of results says of long runs and of priors on faces is in the results."""

import json
import re
import statistics
from pathlib import Path

import experiments

RESULTS = Path(experiments.__file__).parent / "results"
PAGE = (RESULTS / "README.md").read_text()


def test_what_it_says_of_faces_by_two_networks_is_in_the_results():
    def run(model, prior):
        return json.loads((RESULTS / f"trip-faces/{model}-{prior}-seed0.json").read_text())

    priors = ("trip", "normal", "vector", "gmm", "gmm-full")
    own, other = ({prior: run("wgan-gp", prior)[key] for prior in priors} for key in ("frechet", "frechet_second"))
    assert list(own.values()) == sorted(own.values())
    shown = [*own.values(), other["trip"], other["normal"]]
    (text,) = re.findall(r"\[On faces\].*?\n\n", PAGE, re.DOTALL)
    assert re.findall(r"\b\d+\.\d\b", text) == [f"{number:.1f}" for number in shown]
    assert min(other.values()) == other["trip"]
    assert max(other.values()) == other["normal"]
    assert sorted(other, key=other.__getitem__)[1:] != sorted(own, key=own.__getitem__)[1:]
    for key in ("frechet", "frechet_second"):
        distances = [run("vae", prior)[key] for prior in priors]
        assert max(distances) < 1.06 * min(distances)


def test_what_it_says_of_120_epochs_is_in_the_results():
    papers = {"cp-10": 84.76, "vae": 88.75, "mg-10": 89.43, "vp-10": 87.94, "hvae": 86.7, "hvp-10": 85.90}
    paths = {row: sorted((RESULTS / "cp-vae-mnist-long").glob(f"{row}-seed?.json")) for row in papers}
    runs = {row: [json.loads(path.read_text()) for path in paths[row]] for row in papers}
    assert [len(seeds) for seeds in runs.values()] == [3, 3, 1, 1, 1, 1]
    bounds = {row: -statistics.mean(run["test"]["elbo"] for run in seeds) for row, seeds in runs.items()}
    gaps = {row: bounds[row] - paper for row, paper in papers.items()}
    (text,) = re.findall(r"After \[120 epochs.*?\n\n", PAGE, re.DOTALL)
    tight = [
        statistics.mean(-run["test"]["elbo"] - run["tight"]["iwae"] + run["tight"]["elbo"] for run in runs[row][1:])
        for row in ("cp-10", "vae")
    ]
    shown = [*bounds.values(), -gaps["mg-10"], gaps["vp-10"], gaps["cp-10"], *tight]
    assert re.findall(r"\b\d+\.\d\d\b", text) == [f"{number:.2f}" for number in shown]
    assert max(gaps["hvae"], gaps["hvp-10"]) < 1 < gaps["vae"] < 1.05
    assert all(run["best_epoch"] >= 119 for seeds in runs.values() for run in seeds)
    for row, bound in bounds.items():
        short = json.loads((RESULTS / f"cp-vae-mnist/{row}-seed0.json").read_text())["test"]["elbo"]
        assert 1.8 < -short - bound < 5
    assert bounds["cp-10"] < min(bounds[row] for row in ("vae", "mg-10", "vp-10"))
