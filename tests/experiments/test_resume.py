"""`train --resume RUN`: whatever cut a training off, its folder ends as if nothing had."""

import contextlib
import dataclasses
import json
import os
import signal
import subprocess
import sys
import time
from pathlib import Path

import pytest
import torch

import experiments
from experiments import figures, runs
from experiments.__main__ import main
from experiments.config import TrainConfig, to_flags
from experiments.tables import kept
from pyro_priors import training
from pyro_priors.checks import UserError
from pyro_priors.training import CHECKPOINT
from pyro_priors.training import loop as fit_loop
from pyro_priors.training.checkpoints import load_file

TINY = to_flags(TrainConfig(data="digits", epochs=3, latent_dim=2, hidden=(8,), batch_size=300, particles=2))
VAE = ["vae", *TINY, "--components", "3", "--rank", "2", "--reinit-every", "1", "--prior-epochs", "1", "--decay"]
GAN = ["gan", "--data", "grid", "--network", "mlp", "--hidden", "8", "--latent-dim", "2", "--batch-size", "20000"]
GAN += ["--prior", "normal", "--epochs", "3", "--average", "0.9", "--critic-steps", "2", "--binarize", "none"]


class Killed(BaseException):
    """Nothing catches it."""


def start(root, *flags):
    return main(["train", *flags, "--no-progress", "--runs-dir", str(root)])


def folder_of(root):
    (folder,) = root.glob("*/*")
    return folder


def resume(folder):
    return main(["train", "--resume", str(folder)])


def die(monkeypatch, run, module, name, calls, after=True):
    """Let `run` die in its so-many-th call of a function, after that has done its work or before."""
    function, numbers = getattr(module, name), iter(range(1, 100))

    def patched(*args, **kwargs):
        last = next(numbers) == calls
        if last and not after:
            raise Killed
        function(*args, **kwargs)
        if last:
            raise Killed

    with monkeypatch.context() as patch:
        patch.setattr(module, name, patched)
        with pytest.raises(Killed):
            run()


def outcome(folder):
    """All files, without the times and the commands in them."""
    files = {path.name: path.read_bytes() for path in folder.iterdir()}
    for name in ("summary.json", "config.json"):
        files[name] = json.loads(files[name])
        for key in ("seconds", "provenance"):
            files[name].pop(key, None)
    files["config.json"]["config"].pop("runs_dir")
    table = [line.split(",") for line in files["metrics.csv"].decode().splitlines()]
    seconds = table[0].index("seconds")
    files["metrics.csv"] = [row[:seconds] + row[seconds + 1 :] for row in table]
    files.pop("prior.csv", None)  # how long its epochs took stands in it
    return files


def test_how_often_checkpoints_are_written_makes_no_other_result():
    config = TrainConfig(checkpoint_every=7)
    assert kept.identity(config) == kept.identity(TrainConfig())
    with pytest.raises(UserError, match="checkpoint_every: expected at least 1, got 0"):
        TrainConfig(checkpoint_every=0)


HOLD = """
import sys
from experiments import runs
with runs.held(sys.argv[1]) as free:
    print(free, flush=True)
    sys.stdin.read()
"""


@contextlib.contextmanager
def under_way(folder):
    """Another process has the run in this folder."""
    pipes = {"stdin": subprocess.PIPE, "stdout": subprocess.PIPE, "text": True}
    with subprocess.Popen([sys.executable, "-c", HOLD, str(folder)], **pipes) as other:
        assert other.stdout.readline() == "True\n"
        yield
        other.kill()


def test_rows_of_tables_go_on_where_they_were_cut_off(tmp_path, monkeypatch, capsys):
    now = {**runs.provenance(), "commit": "1", "uncommitted_changes": False}
    for module in (runs, kept):
        monkeypatch.setattr(module, "provenance", lambda: now)
    commands = []

    def run(arguments, log, name):
        commands.append(arguments)
        assert main(arguments) == 0

    monkeypatch.setattr(kept, "run", run)
    small = {"epochs": 2, "latent_dim": 2, "hidden": (8,), "batch_size": 300, "particles": 2, "progress": False}
    config = TrainConfig(data="digits", prior="normal", name="row", runs_dir=tmp_path, **small)
    die(monkeypatch, lambda: kept.train(config), fit_loop, "save_checkpoint", 1)
    folder = folder_of(tmp_path)
    assert kept.cut_off(dataclasses.replace(config, epochs=3)) is None
    with under_way(folder):
        assert kept.cut_off(config) is None
        assert resume(folder) == 2
    assert f"expected a training that was cut off, got {folder}, which is under way" in capsys.readouterr().err
    for other in ({"commit": "2"}, {"commit": None}, {"uncommitted_changes": True}):
        now = now | other
        assert kept.cut_off(config) is None
        now = now | {"commit": "1", "uncommitted_changes": False}
    assert kept.train(config) == folder
    assert commands[1] == ["train", "--resume", str(folder)]
    assert (folder / "summary.json").is_file()
    assert kept.cut_off(config) is None
