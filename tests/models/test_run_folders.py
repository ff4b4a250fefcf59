"""Folders of runs: what is read back, what is refused, and that nothing is half-written."""

import json
import re

import pytest
import torch

from experiments.__main__ import main
from models import configure
from models.shared import runs
from pyro_priors import training
from pyro_priors.checks import UserError
from pyro_priors.training import manifest


def test_run_without_a_model(tmp_path):
    run = runs.start(configure("vae", runs_dir=tmp_path), (1, 8, 8))
    with pytest.raises(UserError, match=r"run: expected model.safetensors in .*mnist-trip"):
        runs.read(run.folder)


def test_run_of_another_version(tmp_path):
    run = runs.start(configure("vae", runs_dir=tmp_path), (1, 8, 8))
    (run.folder / "manifest.json").unlink()  # config.json will be another
    (run.folder / "model.safetensors").touch()
    assert runs.read(run.folder) == run
    written = json.loads((run.folder / "config.json").read_text())
    for number in (0, runs.FORMAT + 1):
        runs.write_json(run.folder / "config.json", {**written, "format": number})
        with pytest.raises(UserError, match=rf"run: expected format {runs.FORMAT}, got {number} \(in .*config.json"):
            runs.read(run.folder)
    runs.write_json(run.folder / "config.json", {**written, "config": {**written["config"], "depth": 3}})
    with pytest.raises(UserError, match="config: expected the keys of this version, got also depth"):
        runs.read(run.folder)


@pytest.mark.parametrize("name", ["config.json", "model.safetensors", "summary.json"])
def test_files_that_belong_together_are_checked(tmp_path, name):
    """Each is replaced by that of another run, of the same shape."""

    def run(seed):
        config = configure("vae", data="digits", hidden=(4,), latent_dim=2, seed=seed, runs_dir=tmp_path)
        made = runs.start(config, (1, 8, 8))
        training.save_weights(config.build((1, 8, 8)), made.folder / "model.safetensors")
        runs.write_json(made.folder / "summary.json", {"seed": seed})
        manifest.bind(made.folder, runs.ENDED)
        assert runs.trained(made.folder).run == made
        assert runs.read_json(made.folder / "summary.json") == {"seed": seed}
        return made.folder

    folder, other = run(0), run(1)
    (folder / name).write_bytes((other / name).read_bytes())
    with pytest.raises(UserError, match=f"folder: expected {name} as manifest.json has it, got another in {folder} "):
        runs.read_json(folder / name) if name == "summary.json" else runs.trained(folder)


@pytest.mark.filterwarnings("ignore:Encountered")
@pytest.mark.parametrize(
    ("value", "message"), [(torch.nan, "finite weights in .*decoder.head.bias"), (3e38, "bounds: ")]
)
def test_an_evaluation_that_is_not_finite_is_told(tmp_path, capsys, value, message):
    config = configure("vae", data="digits", hidden=(4,), latent_dim=2, particles=2, runs_dir=tmp_path)
    program, run = config.build((1, 8, 8)), runs.start(config, (1, 8, 8))
    with torch.no_grad():
        program.decoder.head.bias.fill_(value)
        program.decoder.head.weight.fill_(value)
    training.save_weights(program, run.folder / "model.safetensors")
    assert main(["evaluate", str(run.folder)]) == 2
    assert re.fullmatch(rf"error: .*{message}.*\n", capsys.readouterr().err)
    assert not (run.folder / "evaluation-test.json").exists()


def test_numbers_that_json_does_not_have_are_told(tmp_path):
    with pytest.raises(FloatingPointError, match=r"^a.json: expected finite numbers, got nan at test.b.1$"):
        runs.write_json(tmp_path / "a.json", {"test": {"b": [1.0, float("nan")]}})
    assert not list(tmp_path.iterdir())


@pytest.mark.parametrize("name", ["loop", "dangling", "file"])
def test_runs_that_can_have_no_folder(tmp_path, name):
    """Once it tried for ever."""
    (tmp_path / "loop").symlink_to("loop")
    (tmp_path / "dangling").symlink_to("nowhere")
    (tmp_path / "file").touch()
    with pytest.raises(UserError, match=f"runs_dir: expected to make {tmp_path}/{name}/a, got: "):
        runs.new_folder(tmp_path / name, "a")


def test_runs_of_the_same_second_have_folders_of_their_own(tmp_path):
    assert len({runs.new_folder(tmp_path, "name") for _ in range(3)}) == 3


def test_json_is_written_whole_or_not_at_all(tmp_path):
    runs.write_json(tmp_path / "a.json", {"a": 1})
    with pytest.raises(TypeError):
        runs.write_json(tmp_path / "a.json", {"a": object()})
    assert [path.name for path in tmp_path.iterdir()] == ["a.json"]
    assert json.loads((tmp_path / "a.json").read_text()) == {"a": 1}
