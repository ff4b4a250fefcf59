"""`train --resume RUN`: whatever cut a training off, its folder ends as if nothing had."""

import json
import os
import signal
import subprocess
import sys
import time
from pathlib import Path

import pytest
import torch
from cut_off import die, folder_of, resume, under_way

from experiments.__main__ import main
from models import configure
from models.shared import figures, runs
from models.shared.knobs import to_flags
from pyro_priors import training
from pyro_priors.checks import UserError
from pyro_priors.training import CHECKPOINT
from pyro_priors.training import loop as fit_loop
from pyro_priors.training.checkpoints import read_weights

TINY = to_flags(configure("vae", data="digits", epochs=3, latent_dim=2, hidden=(8,), batch_size=300, particles=2))
VAE = ["vae", *TINY, "--components", "3", "--rank", "2", "--reinit-every", "1", "--prior-epochs", "1", "--decay"]
GAN = ["gan", "--data", "grid", "--network", "mlp", "--hidden", "8", "--latent-dim", "2", "--batch-size", "20000"]
GAN += ["--prior", "normal", "--epochs", "3", "--average", "0.9", "--critic-steps", "2"]


def start(root, *flags):
    return main(["train", *flags, "--no-progress", "--runs-dir", str(root)])


def outcome(folder):
    """All files, without the times and the commands in them."""
    files = {path.name: path.read_bytes() for path in folder.iterdir()}
    assert list(json.loads(files.pop("manifest.json"))["files"]) == ["config.json", "model.safetensors", "summary.json"]
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


@pytest.mark.slow
@pytest.mark.parametrize("flags", [VAE, GAN], ids=["vae", "gan"])
def test_cut_off_four_times_it_ends_as_if_never(tmp_path, monkeypatch, flags):
    assert start(tmp_path / "whole", *flags) == 0
    whole, cut_off = folder_of(tmp_path / "whole"), tmp_path / "cut"

    drawing = "draw" if flags is VAE else "draw_gan"
    cuts = [(fit_loop, "save_checkpoint", 1, False), (fit_loop, "save_checkpoint", 2), (fit_loop, "save_checkpoint", 1)]
    for number, cut in enumerate([*cuts, (figures, drawing, 1)]):
        die(monkeypatch, lambda: resume(folder_of(cut_off)) if number else start(cut_off, *flags), *cut)
        assert (folder_of(cut_off) / CHECKPOINT).is_file() == (number > 0)
    folder = folder_of(cut_off)
    assert resume(folder) == 0
    resumed, expected = outcome(folder), outcome(whole)
    assert resumed.keys() == expected.keys()
    for name in expected:
        assert resumed[name] == expected[name], name


@pytest.mark.parametrize("every", [None, 2])
def test_checkpoints_amid_an_epoch_where_they_are_wanted(tmp_path, monkeypatch, every):
    """An epoch has five batches."""
    flags = [] if every is None else ["--checkpoint-every", str(every)]
    die(monkeypatch, lambda: start(tmp_path, *VAE, *flags), fit_loop, "save_checkpoint", 2)
    state = training.load_state(folder_of(tmp_path) / CHECKPOINT)
    assert state["step"] == (10 if every is None else 4)


@pytest.fixture
def cut(tmp_path, monkeypatch):
    """The folder of a training that was cut off after its first epoch."""
    die(monkeypatch, lambda: start(tmp_path, *VAE), fit_loop, "save_checkpoint", 1)
    return folder_of(tmp_path)


def test_what_cannot_be_resumed(cut, capsys):
    def error():
        assert resume(cut) == 2
        return capsys.readouterr().err

    (cut / ".under-way").mkdir()  # as a folder that cannot be written refuses a file
    assert error() == f"error: [Errno 21] run: expected to write {cut}/, got: Is a directory\n"
    (cut / ".under-way").rmdir()

    checkpoint, config = (cut / CHECKPOINT).read_bytes(), (cut / "config.json").read_text()
    (cut / CHECKPOINT).write_bytes(checkpoint[:-1])
    expected = f"error: path: expected a checkpoint, got the damaged file {cut / CHECKPOINT}"
    assert error().startswith(expected)
    (cut / CHECKPOINT).write_bytes(checkpoint)

    written = json.loads(config)
    written["config"]["rank"] = 3
    (cut / "config.json").write_text(json.dumps(written))
    assert f"folder: expected config.json as manifest.json has it, got another in {cut} " in error()
    (cut / "manifest.json").unlink()
    assert f"folder: expected config.json as {CHECKPOINT} has it, got another in {cut} " in error()
    state = training.load_state(cut / CHECKPOINT)
    training.save_state({key: state[key] for key in state if key != "files"}, cut / CHECKPOINT)  # as it was before
    assert "is the checkpoint of another training (weights: model.prior" in error()
    written["config"]["colour"] = "red"
    (cut / "config.json").write_text(json.dumps(written))
    expected = f"config: expected the keys of this version, got also colour (in {cut / 'config.json'})"
    assert error() == f"error: {expected}\n"
    (cut / "config.json").unlink()
    assert "error: run: expected config.json in" in error()

    (cut / "config.json").write_text(config)
    (cut / "summary.json").write_text("{}")
    (cut / CHECKPOINT).unlink()
    assert f"expected a training that was cut off, got {cut}, which has ended" in error()


@pytest.mark.parametrize(
    ("number", "status", "name"), [(signal.SIGINT, 130, "Ctrl-C"), (signal.SIGTERM, 143, "SIGTERM")]
)
def test_a_signal_stops_it_with_a_checkpoint(tmp_path, monkeypatch, capsys, number, status, name):
    class Interrupting(training.Reinitialize):
        def on_step_start(self, state):
            if state.step == 1:
                os.kill(os.getpid(), number)

    monkeypatch.setattr(training, "Reinitialize", Interrupting)
    assert start(tmp_path, *VAE) == 128 + number
    folder = folder_of(tmp_path)
    expected = f"stopped by {name} after batch 2 of epoch 1; to go on from its checkpoint, resume {folder}\n"
    assert capsys.readouterr().err.endswith(expected)
    assert {path.name for path in folder.iterdir()} == {"config.json", "manifest.json", CHECKPOINT}


@pytest.mark.slow
@pytest.mark.parametrize("number", [signal.SIGINT, signal.SIGTERM])
def test_a_signal_from_outside(tmp_path, number):
    def run(*words):
        return subprocess.Popen(
            [sys.executable, "-m", "experiments", "train", *words],
            cwd=Path(__file__).parents[2],
            stderr=subprocess.PIPE,
            text=True,
        )

    process = run(*VAE, "--epochs", "100", "--batch-size", "8", "--runs-dir", str(tmp_path))
    for _ in range(1200):
        if list(tmp_path.glob(f"*/*/{CHECKPOINT}")):
            break
        time.sleep(0.1)
    process.send_signal(number)
    _, printed = process.communicate(timeout=120)
    assert process.returncode == 128 + number
    assert "to go on from its checkpoint, resume" in printed


def test_a_run_is_read_with_its_trained_model(tmp_path):
    flags = [*TINY, "--prior", "normal", "--epochs", "1"]
    assert start(tmp_path, "vae", *flags) == 0
    folder = folder_of(tmp_path)
    model = runs.trained(folder).model
    assert not model.training
    other = runs.read(folder)
    assert other.config.latent_dim == model.prior.latent_dim == 2
    expected = read_weights(folder / "model.safetensors")
    assert all(torch.equal(expected[name], value) for name, value in model.state_dict().items())
    (folder / "model.safetensors").unlink()
    with pytest.raises(UserError, match=r"run: expected model.safetensors in"):
        runs.trained(folder)


@pytest.mark.slow
def test_a_run_that_is_under_way_is_left_alone(cut, capsys):
    with under_way(cut):
        assert resume(cut) == 2
    assert f"expected a folder that no other training writes to, got {cut}, which is under way (process " in (
        capsys.readouterr().err
    )
    assert resume(cut) == 0
