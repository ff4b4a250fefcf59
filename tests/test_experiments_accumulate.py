"""The knob `--accumulate`: it reaches the training, is refused with several optimizers, and old results stay."""

import dataclasses
import json

import pytest

from experiments import build, fitting, pages, train
from experiments.config import TrainConfig, from_json, to_json
from experiments.config_gan import AaeConfig, GanConfig, VaeGanConfig
from experiments.config_two_level import CategoricalConfig
from experiments.configure import ELSEWHERE
from experiments.tables import results
from pyro_priors import training
from pyro_priors.checks import UserError


@pytest.mark.parametrize("accumulate", [1, 3])
def test_it_reaches_the_training(monkeypatch, accumulate):
    told = {}
    monkeypatch.setattr(training, "fit", lambda *args, **kwargs: told.update(kwargs))
    config = TrainConfig(data="digits", hidden=(8,), accumulate=accumulate)
    images = build.load_data(config)
    fitting.fit(config, build.model(config, images.image_shape, images.attributes), images, None)
    assert told["accumulate"] == accumulate


def test_it_makes_the_steps_of_one_optimizer():
    assert CategoricalConfig(accumulate=2).accumulate == 2
    with pytest.raises(UserError, match="accumulate: expected at least 1, got 0"):
        TrainConfig(accumulate=0)
    for make in (GanConfig, AaeConfig, VaeGanConfig, lambda **knobs: TrainConfig(objective="factor", **knobs)):
        make(accumulate=1)
        with pytest.raises(UserError, match="accumulate: expected 1 with several optimizers, got 2"):
            make(accumulate=2)


def test_results_that_do_not_know_it_are_those_of_one(tmp_path):
    config = TrainConfig(name="one")
    values = to_json(config)
    assert values.pop("accumulate") == 1
    (tmp_path / "one.json").write_text(json.dumps({"config": {k: v for k, v in values.items() if k not in ELSEWHERE}}))
    assert results.result(tmp_path, config) is not None
    with pytest.raises(UserError, match="got one of another"):
        results.result(tmp_path, dataclasses.replace(config, accumulate=2))


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
        assert results.result(path.parent, config, written.get("beside")) is not None
        seen += 1
    assert seen > 100
