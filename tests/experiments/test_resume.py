"""Rows of tables go on where they were cut off, where the same code can."""

import dataclasses

import pytest
from cut_off import die, folder_of, resume, under_way

from experiments.__main__ import main
from experiments.tables import results
from experiments.trainings import training
from models.shared import runs
from pyro_priors.training import loop as fit_loop


@pytest.mark.slow
def test_rows_of_tables_go_on_where_they_were_cut_off(tmp_path, monkeypatch, capsys):
    now = {**runs.provenance(), "commit": "1", "uncommitted_changes": False}
    for module in (runs, results):
        monkeypatch.setattr(module, "provenance", lambda: now)
    commands = []

    def run(arguments, log, name):
        commands.append(arguments)
        assert main(arguments) == 0

    monkeypatch.setattr(results, "run", run)
    small = {"epochs": 2, "latent_dim": 2, "hidden": (8,), "batch_size": 300, "particles": 2, "progress": False}
    config = training("vae", data="digits", prior="normal", name="row", runs_dir=tmp_path, **small)
    die(monkeypatch, lambda: results.train(config), fit_loop, "save_checkpoint", 1)
    folder = folder_of(tmp_path)
    assert results.cut_off(dataclasses.replace(config, epochs=3)) is None
    with under_way(folder):
        assert results.cut_off(config) is None
        assert resume(folder) == 2
    assert (
        f"expected a folder that no other training writes to, got {folder}, which is under way"
        in capsys.readouterr().err
    )
    for other in ({"commit": "2"}, {"commit": None}, {"uncommitted_changes": True}):
        now = now | other
        assert results.cut_off(config) is None
        now = now | {"commit": "1", "uncommitted_changes": False}
    assert results.train(config) == folder
    assert commands[1] == ["train", "--resume", str(folder)]
    assert (folder / "summary.json").is_file()
    assert results.cut_off(config) is None
