"""What the README and the guide show runs as it stands, and what the README says is in the results."""

import json
import re
import statistics
import sys
import warnings
from pathlib import Path

import pyro
import pytest

ROOT = Path(__file__).parent.parent
README, RESULTS = (ROOT / "README.md").read_text(), ROOT / "experiments" / "results"
GUIDE = (ROOT / "docs" / "guide.md").read_text()
BLOCKS = re.findall(r"```python\n(.*?)```", README + GUIDE, re.DOTALL)
sys.path.insert(0, str(ROOT / "docs"))

from ext import measured  # noqa: E402

from experiments.imputation.compared import compared  # noqa: E402


@pytest.mark.parametrize("block", BLOCKS, ids=range(len(BLOCKS)))
def test_python_block_runs(block, tmp_path, monkeypatch):
    pyro.clear_param_store()
    monkeypatch.chdir(tmp_path)
    with warnings.catch_warnings():
        warnings.simplefilter("error")  # also what small tests may do
        exec(compile(block, "README.md", "exec"), {})


def test_every_command_exists():
    from experiments.__main__ import COMMANDS

    shown = re.findall(r"python -m experiments ([a-z][a-z -]*?)(?= *(?:--|#|runs|`|$|\n))", README + GUIDE)
    assert shown
    commands = {*COMMANDS, "train"}  # train --resume names no model
    assert all(any(f"{words} ".startswith(f"{command} ") for command in commands) for words in shown)


def test_what_it_says_of_speed_is_in_the_results():
    sizes = json.loads((RESULTS / "bench-tensor-ring-cpu.json").read_text())["sizes"]
    faster = {
        (size["boundary"], size["D"], size["m"], size["batch"]): size["queries"]["forward + backward"]["speedup"]
        for size in sizes
    }
    (text,) = re.findall(r"\[experiments/results/bench-tensor-ring-cpu.*?\n\n", README, re.DOTALL)
    small, large = (100, 20, 128), (128, 40, 128)
    wanted = [faster["ring", *small], faster["train", *small], faster["ring", *large], faster["train", *large]]
    assert re.findall(r"(\d+\.\d) times", text) == [f"{number:.1f}" for number in wanted]


def test_what_it_says_of_the_loop_is_in_the_results():
    dense = json.loads((RESULTS / "bench-training-loop.json").read_text())["networks"]["dense"]
    wanted = [f"{100 * dense[share]:.1f}" for share in ("overhead", "waiting")]
    assert numbers("[The loop](experiments/results/bench-training-loop.md)") == wanted


def test_the_first_screen_shows_what_a_newcomer_needs():
    first_screen = README.splitlines()[:60]
    text = "\n".join(first_screen)
    wanted = ("](docs/front-page.png)", "```python", "| prior |", "quickstart", "pytest", "](docs/index.md)")
    assert all(word in text for word in wanted)
    assert (ROOT / "docs" / "front-page.png").stat().st_size < 150_000


def figure(name):
    """A figure of the site, without its standard error."""
    return measured.read(*measured.FIGURES[name]).split(" ±")[0]


def test_the_figures_of_the_table_of_priors_are_in_the_results():
    wanted = {
        "tensor ring": ["elbo_vector", "elbo_trip"],
        "chain over codes and attributes": ["imputed_vector"],
        "category, then Gaussian": ["clusters"],
        "VampPrior": ["vamp", "vamp_normal"],
        "flow": ["flow_skl", "flow_skl_none"],
        "chain through a flow": [],
        "Gaussian mixture": ["elbo_gmm_full", "elbo_gmm"],
        "standard normal": ["elbo_normal"],
    }
    rows = {line.split(" | ")[0][2:]: line.split(" | ")[4] for line in README.splitlines() if "`pp." in line[:60]}
    said = {prior: re.findall(r"\b\d+\.\d+\b", cell) for prior, cell in rows.items()}
    assert said == {prior: [figure(name) for name in names] for prior, names in wanted.items()}


def test_what_it_says_of_others_is_in_the_results():
    frechet = [f"{float(figure(name)):.1f}" for name in ("vae_gmm", "vae_trip", "vae_normal")]
    assert numbers("- **only images count") == [*frechet, figure("flow_none"), figure("flow")]
    names = ("imputed_cvae", "imputed_vector", "imputed_vector_few", "imputed_classifier_few")
    assert numbers("- **all labels are known") == [figure(name) for name in names]
    ranks = [figure(name) for name in ("nrmse_ours", "nrmse_ridge", "nrmse_forest")]
    assert numbers("- **gaps of a table must be filled") == ranks


def ours_is_best(table, kind, score, slack=0.0):
    """Beside each rival, on the masks that both filled, or worse by a share of its score at most."""
    cells = [json.loads(path.read_text()) for path in RESULTS.glob(f"tables/{table}-{kind}-30-?-*.json")]
    both = compared(cells, score)
    return both.ours < (1 + slack) * both.rival


def numbers(start):
    """The numbers with digits after the point, of the paragraph or line of a list that starts so."""
    (text,) = re.findall(rf"{re.escape(start)}.*?(?=\n\n|\n- )", README, re.DOTALL)
    return re.findall(r"\b\d+\.\d+\b", text)


def test_what_it_says_in_short_is_in_the_results():
    def mean(row, of):
        return statistics.mean(of(json.loads(path.read_text())) for path in RESULTS.glob(f"{row}-seed?.json"))

    def answered(row):
        imputed = mean(f"ttlp-mnist/{row}", lambda result: result["test"]["imputation"]["digit"]["accuracy"])
        shown = mean(f"ttlp-mnist/{row}", lambda result: result["test"]["conditions"]["mean_accuracy"])
        return [f"{100 * share:.1f}" for share in (imputed, shown)]

    rows = ("vector-missing0", "vector-missing0.7", "joint-missing0", "joint-missing0.7")
    assert numbers("- a joint law whose latents") == [number for row in rows for number in answered(row)]

    def filled(cell, score):
        return statistics.mean(json.loads(path.read_text())["scores"][score] for path in RESULTS.glob(f"tables/{cell}"))

    rows = ("ours", "missforest", "miceforest", "ridge")
    wanted = [f"{filled(f'wine-published-30-?-{row}.json', 'nrmse'):.3f}" for row in rows]
    wanted += [f"{100 * filled(f'wine-published-30-?-{row}.json', 'error'):.1f}" for row in rows[:2]]
    wanted += [f"{100 * filled('wine-published-30-?-ours.json', 'coverage'):.1f}"]
    wanted += [f"{100 * filled(f'adult-published-30-{copy}.json', 'error'):.1f}" for copy in ("?-ours", "?-missforest")]
    assert numbers("- with 30 % of its cells hidden") == wanted
    four = [
        (table, kind) for table in ("cracker", "computers", "flchain", "medexp") for kind in ("mcar", "mar", "mnar")
    ]
    won = {score: sum(ours_is_best(table, kind, score) for table, kind in four) for score in ("crps", "error")}
    assert won == {"crps": 11, "error": 3}
    assert all(ours_is_best(table, kind, "error", slack=0.06) for table, kind in four if kind != "mnar")
    share = mean("cp-vae-mnist/cp-10", lambda result: result["test"]["clusters"]["accuracy"])
    assert numbers("- nobody tells") == [f"{100 * share:.2f}"]
    share = mean("conditional-gan-mnist/pathwise", lambda result: result["conditions"]["mean_accuracy"])
    assert numbers("- gradients through") == [f"{100 * share:.1f}"]
    frechet = {
        (kind, row): mean(f"trip-mnist/{kind}-{row}", lambda result: result["frechet"])
        for kind in ("vae", "wgan-gp")
        for row in ("trip", "gmm", "trip-fixed", "normal")
    }
    assert frechet["wgan-gp", "trip"] < frechet["wgan-gp", "trip-fixed"]
    others = (frechet["wgan-gp", row] for row in ("trip", "gmm", "trip-fixed"))
    assert frechet["wgan-gp", "normal"] < min(others)
    starts = [mean(f"trip-mnist-equal-starts/wgan-gp-{row}", lambda r: r["frechet"]) for row in ("vector", "normal")]
    starts.append(frechet["wgan-gp", "normal"])
    assert numbers("- on MNIST a VAE's images") == [f"{distance:.1f}" for distance in starts]
    assert max(frechet["vae", "trip"], frechet["vae", "gmm"]) < frechet["vae", "normal"] - 15
