"""What the README shows runs as it stands."""

import json
import re
from pathlib import Path

import pyro
import pytest

ROOT = Path(__file__).parent.parent
README, RESULTS = (ROOT / "README.md").read_text(), ROOT / "experiments" / "results"
BLOCKS = re.findall(r"```python\n(.*?)```", README, re.DOTALL)


@pytest.mark.parametrize("block", BLOCKS, ids=range(len(BLOCKS)))
def test_python_block_runs(block):
    pyro.clear_param_store()
    exec(compile(block, "README.md", "exec"), {})


def test_every_command_exists():
    from experiments.__main__ import COMMANDS

    shown = re.findall(r"python -m experiments ([a-z][a-z -]*?)(?= *(?:--|#|runs|$|\n))", README)
    assert shown
    assert all(any(f"{words} ".startswith(f"{command} ") for command in COMMANDS) for words in shown)


def test_what_it_says_of_the_results_is_in_the_results():
    def mean(row):
        kept = [
            json.loads(path.read_text())["test"]["elbo"] for path in (RESULTS / "trip-elbo").glob(f"{row}-seed?.json")
        ]
        assert len(kept) == 3
        return sum(kept) / 3

    elbo = {row: mean(row) for row in ("normal", "gmm-20", "gmm", "trip", "trip-noise")}
    assert elbo["trip"] > elbo["normal"] + 2
    assert elbo["trip"] > elbo["trip-noise"] + 1
    assert elbo["gmm-20"] < elbo["trip"] < elbo["gmm"] < elbo["trip"] + 0.5


def test_what_it_says_of_hidden_labels_is_in_the_results():
    def percent(row, share):
        test = json.loads((RESULTS / "ttlp-mnist" / f"{row}-missing{share}-seed0.json").read_text())["test"]
        return [
            f"{100 * x:.2f} %" for x in (test["imputation"]["digit"]["accuracy"], test["conditions"]["mean_accuracy"])
        ]

    (text,) = re.findall(r"\[experiments/results/ttlp-mnist.*?\n\n", README, re.DOTALL)
    said = re.findall(r"\d\d\.\d\d %", text)
    rows = [("joint", "0"), ("joint", "0.7"), ("weighted", "0"), ("weighted", "0.7"), ("cvae", "0")]
    assert said == [number for row in rows for number in percent(*row)]


def test_the_first_screen_shows_what_a_newcomer_needs():
    first_screen = README.splitlines()[:48]
    text = "\n".join(first_screen)
    assert all(word in text for word in ("```python", "| prior |", "quickstart", "pytest"))
