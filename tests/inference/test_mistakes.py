"""Mistakes on the command line: one line that says what is wrong, status 2, nothing half-written."""

import dataclasses
import json

import pytest

from experiments.__main__ import main
from models import configure
from models.shared import runs
from models.shared.knobs import to_flags
from pyro_priors import training

SIZES = {"data": "digits", "epochs": 3, "latent_dim": 2, "hidden": (4,), "particles": 5}
TINY = configure("vae", **SIZES, components=2, rank=2)


@pytest.fixture
def fails(capsys):
    """Runs a command that has to fail -> its message."""

    def run(*arguments):
        capsys.readouterr()
        assert main(list(map(str, arguments))) == 2
        printed = capsys.readouterr()
        assert printed.out == ""
        assert printed.err.startswith("error: ")
        assert printed.err.count("\n") == 1
        return printed.err

    return run


@pytest.fixture
def folder(tmp_path):
    """A run folder with an untrained model, as it was before there were manifests: what is in it may be changed."""
    shape = (1, 8, 8)
    run = runs.start(dataclasses.replace(TINY, runs_dir=tmp_path / "runs"), shape)
    (run.folder / "manifest.json").unlink()
    training.save_weights(run.config.build(shape), run.folder / "model.safetensors")
    return run.folder


@pytest.mark.parametrize(
    ("flags", "message"),
    [
        ("--network conv", "hidden: expected --network mlp or pixelcnn beside it, got --network conv"),
        ("--data moons --binarize none", "likelihood: bernoulli expected values in [0, 1], got"),
        ("--data moons", "binarize: expected values in"),
        ("--data folder --data-root /nowhere", "data: expected images in /nowhere"),
        ("--rank 0", "rank: expected at least 1, got 0"),
        ("--seed -1", "seed: expected 0 to 2147483647, got -1"),
        ("--prior-epochs -1", "prior_epochs: expected 0 or more, got -1"),
        ("--prior-epochs 1 --devices 2", "prior_epochs: expected 0 with several devices, got 1"),
        ("--name ../../evil", "name: expected the name of one folder, got '../../evil'"),
        ("--accelerator foo", "got foo, 1, 1, 32-true (You selected an invalid accelerator name"),
        ("--precision bf16-true", "(precision: expected one of 32-true, bf16-mixed, 16-mixed, got 'bf16-true')"),
        ("--precision transformer-engine", "(precision: expected one of 32-true, bf16-mixed, 16-mixed, got 'transf"),
        ("--devices 1000", "(devices: expected at most"),
        ("--lr inf", "lr: expected a finite number, got inf"),
        ("--prior-lr nan", "prior_lr: expected a finite number, got nan"),
        ("--latent-dim 2147483647", "memory: expected enough for sizes as given, got: "),
        ("--rank 99999999999999999999", "rank: expected a whole number of at most 2147483647, or several of"),
        (
            "--precision junk",
            "got cpu, 1, 1, junk (precision: expected one of 32-true, bf16-mixed, 16-mixed, got '",
        ),
    ],
)
def test_mistakes_end_before_anything_is_written(tmp_path, fails, flags, message):
    assert message in fails("train", "vae", *to_flags(TINY), "--runs-dir", tmp_path / "a" / "b", *flags.split())
    assert list(tmp_path.iterdir()) == []


def test_images_of_another_size_than_convolutions_take(tmp_path, fails):
    flags = ["--data", "digits", "--network", "conv", "--runs-dir", tmp_path / "runs"]
    assert "network: conv expected images of 28, 32 or 64 pixels, got (1, 8, 8)" in fails("train", "vae", *flags)
    assert list(tmp_path.iterdir()) == []


@pytest.mark.parametrize(
    ("command", "message"),
    [
        ("quickstart --runs-dir RUNS --seed -1", "seed: expected 0 to 2147483647, got -1"),
        ("quickstart --runs-dir RUNS --epochs 0", "epochs: expected 1 or more, got 0"),
    ],
)
def test_mistakes_of_other_commands_too(tmp_path, fails, command, message):
    assert message in fails(*command.replace("RUNS", str(tmp_path / "runs")).split())
    assert list(tmp_path.iterdir()) == []


@pytest.mark.parametrize(
    ("command", "message"),
    [
        ("sample RUN --n 0", "n: expected at least 1, got 0"),
        ("sample RUN --seed -1", "seed: expected 0 to 2147483647, got -1"),
        ("sample RUN --output RUN/config.json/x.png", "config.json"),
        ("evaluate RUN --particles 0", "particles: expected at least 1, got 0"),
        ("evaluate RUN --seed -1", "seed: expected 0 to 2147483647, got -1"),
    ],
)
def test_bad_questions_to_a_run(folder, fails, command, message):
    before = sorted(folder.iterdir())
    assert message in fails(*command.replace("RUN", str(folder)).split())
    assert sorted(folder.iterdir()) == before


def test_folders_of_an_output_are_made(tmp_path, folder):
    path = tmp_path / "no" / "such" / "x.png"
    assert main(["sample", str(folder), "--n", "2", "--output", str(path)]) == 0
    assert [file.name for file in path.parent.iterdir()] == ["x.png"]


@pytest.mark.parametrize("command", ["sample", "evaluate"])
@pytest.mark.parametrize(
    "content",
    [
        b"",
        b"{",
        b"[]",
        b"\xff",
        b'{"format": 2}',
        b'{"format": 2, "model": "unheard of"}',
        b'{"format": 2, "model": "vae", "config": {}, "attributes": []}',
    ],
)
def test_a_damaged_configuration(folder, fails, command, content):
    (folder / "config.json").write_bytes(content)
    assert "run: expected what `train` writes in " in (message := fails(command, folder))
    assert "config.json, got a damaged file" in message


def test_a_configuration_with_a_word_for_a_number(folder, fails):
    content = b'{"format": 2, "model": "vae", "config": {"rank": "many"}, "image_shape": [1, 8, 8], "attributes": []}'
    (folder / "config.json").write_bytes(content)
    message = fails("sample", folder)
    assert "rank: expected an integer of at least 1, got 'many' (in " in message
    assert "config.json)" in message


def test_a_configuration_that_no_model_has(folder, fails):
    written = json.loads((folder / "config.json").read_text())
    runs.write_json(folder / "config.json", {**written, "image_shape": [1, "wide", 8]})
    assert "image_shape: expected (channels, height, width), got [1, 'wide', 8]" in fails("sample", folder)


@pytest.mark.parametrize("command", ["sample", "evaluate"])
@pytest.mark.parametrize("length", [0, 5, 100, -1])
def test_truncated_weights(folder, fails, command, length):
    path = folder / "model.safetensors"
    path.write_bytes(path.read_bytes()[:length])
    assert f"run: expected what `train` wrote in {folder}, got path: expected a safetensors" in fails(command, folder)


def test_weights_of_another_architecture(folder, fails):
    written = json.loads((folder / "config.json").read_text())
    written["config"]["rank"] = 3
    runs.write_json(folder / "config.json", written)
    assert "holds the weights of another architecture (prior.log_cores: expected" in fails("sample", folder)


def test_data_of_another_shape(folder, fails):
    written = json.loads((folder / "config.json").read_text())
    written["image_shape"] = [1, 4, 4]
    runs.write_json(folder / "config.json", written)
    small = TINY.build((1, 4, 4))
    training.save_weights(small, folder / "model.safetensors")
    assert "data: expected images of (1, 4, 4) as at training, got (1, 8, 8)" in fails("evaluate", folder)


def test_a_damaged_archive_of_pictures(tmp_path, fails):
    (tmp_path / "images.zip").write_bytes(b"no archive")
    flags = ["--data", "folder", "--data-root", tmp_path, "--runs-dir", tmp_path / "runs"]
    assert "data: expected a zip archive, got a damaged file" in fails("train", "vae", *flags)
    assert [path.name for path in tmp_path.iterdir()] == ["images.zip"]


@pytest.mark.parametrize(
    "prior", [{"prior": "trip", "components": 2, "rank": 2}, {"prior": "gmm"}, {"prior": "normal"}]
)
def test_a_training_that_diverges(tmp_path, fails, prior):
    flags = ["--lr", "1e9", "--no-progress", "--runs-dir", tmp_path]
    assert "expected a finite n" in fails("train", "vae", *to_flags(configure("vae", **SIZES, **prior)), *flags)
    (run,) = tmp_path.glob("*/*")
    expected = {"config.json", "manifest.json", "metrics.csv", "model.safetensors", "program.json"}
    assert {path.name for path in run.iterdir()} <= expected
    assert json.loads((run / "config.json").read_text())["config"]["lr"] == 1e9


def test_a_run_that_the_system_refuses(tmp_path, fails):
    (tmp_path / "file").touch()
    assert "file" in fails("train", "vae", *to_flags(TINY), "--runs-dir", tmp_path / "file")
