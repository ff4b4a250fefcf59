"""Folders of runs: what is read back, what is refused, and that nothing is half-written."""

import json

import pytest

from models import configure
from models.shared import runs
from pyro_priors.checks import UserError


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
    for number in (0, 4):
        runs.write_json(run.folder / "config.json", {**written, "format": number})
        with pytest.raises(UserError, match=rf"run: expected format 3, got {number} \(in .*config.json"):
            runs.read(run.folder)
    runs.write_json(run.folder / "config.json", {**written, "config": {**written["config"], "depth": 3}})
    with pytest.raises(UserError, match="config: expected the keys of this version, got also depth"):
        runs.read(run.folder)


def test_runs_of_the_same_second_have_folders_of_their_own(tmp_path):
    assert len({runs.new_folder(tmp_path, "name") for _ in range(3)}) == 3


def test_json_is_written_whole_or_not_at_all(tmp_path):
    runs.write_json(tmp_path / "a.json", {"a": 1})
    with pytest.raises(TypeError):
        runs.write_json(tmp_path / "a.json", {"a": object()})
    assert [path.name for path in tmp_path.iterdir()] == ["a.json"]
    assert json.loads((tmp_path / "a.json").read_text()) == {"a": 1}
