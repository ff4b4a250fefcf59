"""Results that were written before a knob was there, or had its name, are those of its default then."""

import dataclasses
import json

import pytest

from experiments import pages
from experiments.tables import results
from experiments.trainings import ELSEWHERE, configured, identity, to_json, training
from pyro_priors.checks import UserError


def test_results_that_do_not_know_accumulate_are_those_of_single_batches(tmp_path):
    config = training("vae", name="row")
    values = to_json(config)
    assert values.pop("accumulate") == 1
    (tmp_path / "row.json").write_text(json.dumps({"config": {k: v for k, v in values.items() if k not in ELSEWHERE}}))
    assert results.result(tmp_path, config) is not None
    with pytest.raises(UserError, match="got one of another"):
        results.result(tmp_path, dataclasses.replace(config, accumulate=2))


def test_a_result_from_before_a_knob_is_that_of_its_default(tmp_path):
    """Not one of what is off now and was on then."""
    config = training("wgan-gp", name="row")
    written = {key: value for key, value in identity(config).items() if key != "layer_norm"}
    (tmp_path / "row.json").write_text(json.dumps({"config": written}))
    assert results.result(tmp_path, config) is not None
    assert results.result(tmp_path, dataclasses.replace(config, layer_norm=False), strict=False) is None


@pytest.mark.parametrize(("model", "default"), [("gan", 160), ("vae", 148)])
def test_runs_from_before_there_was_a_choice_of_crops_had_148(tmp_path, model, default):
    written = to_json(training(model, data="celeba"))
    assert configured(model, written).crop == written.pop("crop") == default
    assert configured(model, written).crop == 148
    result = {"config": {key: value for key, value in written.items() if key not in ELSEWHERE}}
    (tmp_path / "row.json").write_text(json.dumps(result))
    for crop in (148, 160):
        config = training(model, data="celeba", crop=crop, name="row")
        assert (results.result(tmp_path, config, strict=False) is not None) is (crop == 148)


def test_how_often_checkpoints_are_written_makes_no_other_result():
    assert identity(training("vae", checkpoint_every=7)) == identity(training("vae"))
    with pytest.raises(UserError, match="checkpoint_every: expected 1 or more, got 0"):
        training("vae", checkpoint_every=0)


@pytest.mark.slow
def test_the_results_of_the_checkout_are_recognised():
    """All of them know their configuration, with the knobs of today at their defaults."""
    seen = 0
    for path in sorted(pages.FOLDER.glob("*/*.json")):
        written = json.loads(path.read_text())
        command = written.get("provenance", {}).get("command", [])
        if path.name == "config.json" or "config" not in written or "train" not in command:
            continue  # a run folder, as the judge's, or no run
        config = configured(command[command.index("train") + 1], {**written["config"], "name": path.stem})
        assert getattr(config, "accumulate", 1) == 1
        assert results.result(path.parent, config, written.get("beside")) is not None
        seen += 1
    assert seen > 100
