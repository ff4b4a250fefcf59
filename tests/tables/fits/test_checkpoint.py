"""Fits that are interrupted go on from their checkpoint and end, to the bit, as if nothing had happened."""

import os
import subprocess
import sys
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import numpy as np
import pytest
import torch

from pyro_priors.tables import TableImputer
from pyro_priors.tables.fits import candidates, checkpoint
from pyro_priors.training import CHECKPOINT, checkpoints, locks

SAVE = checkpoints.save_checkpoint
TESTS = Path(__file__).parents[2]
KILLS_AT = {**os.environ, "PYTHONPATH": f"{TESTS}:{TESTS.parent}"}
KILLS = """
import random, sys
from pathlib import Path
import kills
kills.torch.set_num_threads(1)
kills.tqdm.monitor_interval = 0
trial = kills.Trial(kills.Table(), Path(sys.argv[1]) / "table", random.Random(0))
trial.kill(5)
print(trial)
"""


class Stopped(Exception):
    """In place of a kill."""


def table(rows=250, seed=0):
    """A ring of two numbers, one of them rounded, and the half in which they are."""
    rng = np.random.default_rng(seed)
    angle = rng.uniform(0, 2 * np.pi, rows)
    X = np.stack([np.cos(angle), np.sin(angle).round(1), angle > np.pi], 1)
    X[rng.random(X.shape) < 0.2] = np.nan
    return X


def fit(folder=None, X=None, weight=None, **settings):
    given = {"max_steps": 60, "random_state": 0, "checkpoint": folder, **settings}
    return TableImputer(**given).fit(table() if X is None else X, sample_weight=weight)


def same(first, second):
    """Laws to the bit, and what was recorded of their fits but for the time."""
    states = [[law.state_dict() for law in imputer.laws_] for imputer in (first, second)]
    assert [r | {"seconds": 0} for r in first.records_] == [r | {"seconds": 0} for r in second.records_]
    return all(torch.equal(x, b[name]) for a, b in zip(*states, strict=True) for name, x in a.items())


@pytest.fixture(autouse=True)
def quick(monkeypatch):
    """A state is written at every step; laws have one size."""
    monkeypatch.setattr(checkpoint, "EVERY", 0.0)
    monkeypatch.setattr(checkpoint, "SHARE", np.inf)
    monkeypatch.setattr(candidates, "SIZES", ((6, 0, np.inf),))


@pytest.fixture
def stopped(monkeypatch):
    """Let a fit stop after so many writes."""

    def run(writes, *given, **settings):
        left = [writes]

        def save(state, folder):
            SAVE(state, folder)
            left[0] -= 1
            if not left[0]:
                raise Stopped

        with monkeypatch.context() as patch:
            patch.setattr(checkpoints, "save_checkpoint", save)
            with pytest.raises(Stopped):
                fit(*given, **settings)

    return run


@pytest.fixture(scope="module")
def whole():
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(candidates, "SIZES", ((6, 0, np.inf),))
        return fit()


def test_a_fit_goes_on_to_the_bit(tmp_path, monkeypatch, stopped, whole):
    """From the descent of a part of the rows, twice, and from that of all rows."""
    with monkeypatch.context() as patch:
        saves = []
        patch.setattr(checkpoints, "save_checkpoint", lambda state, folder: saves.append(state["step"]))
        assert same(fit(tmp_path / "other"), whole)
    first = whole.records_[0]["curve"][-1][0]  # steps of the part
    assert len(saves) > first + 3
    folder = tmp_path / "state"
    for writes in (first // 2, 3, first - first // 2, 2):
        stopped(writes, folder)
    assert checkpoints.load_checkpoint(folder)["step"] == first + 5
    assert same(fit(folder), whole)
    assert not folder.exists()


@pytest.mark.slow
def test_an_ensemble_goes_on_with_the_member_that_was_under_way(tmp_path, stopped):
    """Members that are finished are not fitted again; the time of a budget was turned into steps once."""
    weight = np.random.default_rng(0).random(250)
    whole = fit(weight=weight, ensemble=3)
    stopped(30, tmp_path, weight=weight, ensemble=3)
    saved = checkpoints.load_checkpoint(tmp_path)
    assert (len(saved["finished"]), saved["under_way"] is not None) == (1, True)
    assert same(fit(tmp_path, weight=weight, ensemble=3), whole)


def test_what_differs_is_said_before_any_work(tmp_path, stopped, monkeypatch):
    stopped(1, tmp_path, random_state=None)
    other = table()
    other[3, 0] = 0.125
    monkeypatch.setattr(candidates.Candidates, "__init__", None)
    for named, changed in {
        "max_steps: expected 60, got 61": {"max_steps": 61},
        "ensemble: expected 1, got 2": {"ensemble": 2},
        "seed: expected": {"random_state": 5},
        "digest of rows: expected": {"X": other},
        "digest of weights: expected": {"weight": np.linspace(0.5, 1, 250)},
        "digest of columns: expected": {"kinds": {"x2": "ordinal"}},
    }.items():
        with pytest.raises(ValueError, match=f"checkpoint: .* is that of another fit .*{named}"):
            fit(tmp_path, **{"random_state": None, **changed})
    (tmp_path / CHECKPOINT).write_bytes(b"no such thing")
    with pytest.raises(ValueError, match=r"checkpoint: .*damaged.*; remove .* to begin anew"):
        fit(tmp_path, random_state=None)


def test_any_seed_goes_on_with_the_one_that_was_drawn(tmp_path, stopped):
    stopped(2, tmp_path, random_state=None, max_steps=8)
    seed = checkpoints.load_checkpoint(tmp_path)["made_of"]["seed"]
    assert fit(tmp_path, random_state=None, max_steps=8).records_[0]["seed"] == seed


@pytest.mark.slow
def test_a_damaged_checkpoint_gives_way_to_the_one_before(tmp_path, stopped, whole):
    (tmp_path / "other").write_text("stays")
    stopped(5, tmp_path)
    path = tmp_path / CHECKPOINT
    path.write_bytes(path.read_bytes()[:-100])
    with pytest.warns(UserWarning, match="going on from the one before it"):
        assert same(fit(tmp_path), whole)
    assert [path.name for path in tmp_path.iterdir()] == ["other"]


def test_a_folder_belongs_to_a_fit_at_a_time(tmp_path):
    with ThreadPoolExecutor(1) as thread, locks.held(tmp_path):
        error = thread.submit(fit, tmp_path).exception()
    assert f"expected a folder that no other training writes to, got {tmp_path}" in str(error)
    (tmp_path / "file").touch()
    with pytest.raises(ValueError, match="checkpoint: expected a folder to write to, got"):
        fit(tmp_path / "file" / "state")


@pytest.mark.slow
def test_fits_that_are_killed(tmp_path):
    """In a process of its own, which forks: see tests/kills.py."""
    done = subprocess.run([sys.executable, "-c", KILLS, str(tmp_path)], capture_output=True, text=True, env=KILLS_AT)
    assert done.returncode == 0, done.stdout + done.stderr[-3000:]
    assert " 5 kills, " in done.stdout
