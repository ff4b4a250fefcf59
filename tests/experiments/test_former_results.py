"""The knob `--accumulate`: results from before it are those of one."""

import dataclasses
import json

import pytest

from experiments import build, fitting, pages, train
from experiments.config import TrainConfig, from_json, to_json
from experiments.config_gan import AaeConfig, GanConfig, VaeGanConfig
from experiments.config_two_level import CategoricalConfig
from experiments.tables import kept
from pyro_priors import training
from pyro_priors.checks import UserError


def test_results_that_do_not_know_it_are_those_of_one(tmp_path):
    config = TrainConfig(name="one")
    values = to_json(config)
    assert values.pop("accumulate") == 1
    (tmp_path / "one.json").write_text(
        json.dumps({"config": {k: v for k, v in values.items() if k not in kept.ELSEWHERE}})
    )
    assert kept.result(tmp_path, config) is not None
    with pytest.raises(UserError, match="got one of another"):
        kept.result(tmp_path, dataclasses.replace(config, accumulate=2))


def test_the_results_of_the_checkout_are_recognised():
    """All runs that are kept know their configuration, with the knobs of today at their defaults."""
    kinds = {kind.model: kind for kind in vars(train).values() if hasattr(kind, "model")}
    seen = 0
    for path in sorted(pages.FOLDER.glob("*/*.json")):
        written = json.loads(path.read_text())
        command = written.get("provenance", {}).get("command", [])
        if path.name == "config.json" or "config" not in written or "train" not in command:
            continue  # a run folder, as the judge's, or no run
        knobs = {**written["config"], "name": path.stem}
        if "pretrained" in knobs:
            knobs["pretrained"] = "RUN" if knobs["pretrained"] else None
        config = from_json(knobs, kinds[command[command.index("train") + 1]])
        assert config.accumulate == 1
        assert kept.result(path.parent, config, written.get("beside")) is not None
        seen += 1
    assert seen > 100
