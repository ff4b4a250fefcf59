"""Rows of tables that were cut off go on, where the same code can."""

import contextlib
import dataclasses
import subprocess
import sys

import pytest

from experiments.__main__ import main
from experiments.configure import configure
from experiments.tables import results
from models.shared import runs
from pyro_priors.training import CHECKPOINT
from pyro_priors.training import loop as fit_loop
from pyro_priors.training.checkpoints import save_checkpoint

SMALL = {"epochs": 2, "latent_dim": 2, "hidden": (8,), "batch_size": 300, "particles": 2, "progress": False}
HOLD = """
import sys
from models.shared import runs
with runs.held(sys.argv[1]) as free:
    print(free, flush=True)
    sys.stdin.read()
"""


class Killed(BaseException):
    """Nothing catches it."""


def save_and_die(*args, **kwargs):
    save_checkpoint(*args, **kwargs)
    raise Killed


@contextlib.contextmanager
def under_way(folder):
    """Another process has the run in this folder."""
    pipes = {"stdin": subprocess.PIPE, "stdout": subprocess.PIPE, "text": True}
    with subprocess.Popen([sys.executable, "-c", HOLD, str(folder)], **pipes) as other:
        assert other.stdout.readline() == "True\n"
        yield
        other.kill()


@pytest.fixture
def commands(monkeypatch):
    """Commands of tables run in this process. -> those that did."""
    commands = []

    def run(arguments, log, name):
        commands.append(arguments)
        assert main(arguments) == 0

    monkeypatch.setattr(results, "run", run)
    return commands


def test_rows_of_tables_go_on_where_they_were_cut_off(tmp_path, monkeypatch, commands):
    now = {**runs.provenance(), "commit": "1", "uncommitted_changes": False}
    for module in (runs, results):
        monkeypatch.setattr(module, "provenance", lambda: now)
    config = configure("vae", data="digits", prior="normal", name="row", runs_dir=tmp_path, **SMALL)
    with monkeypatch.context() as patch:
        patch.setattr(fit_loop, "save_checkpoint", save_and_die)
        with pytest.raises(Killed):
            results.train(config)
    (folder,) = tmp_path.glob("*/*")
    assert (folder / CHECKPOINT).is_file()
    assert results.cut_off(dataclasses.replace(config, epochs=3)) is None
    with under_way(folder):
        assert results.cut_off(config) is None
    for other in ({"commit": "2"}, {"commit": None}, {"uncommitted_changes": True}):
        now = now | other
        assert results.cut_off(config) is None
        now = now | {"commit": "1", "uncommitted_changes": False}
    assert results.train(config) == folder
    assert commands[1] == ["train", "--resume", str(folder)]
    assert (folder / "summary.json").is_file()
    assert results.cut_off(config) is None
