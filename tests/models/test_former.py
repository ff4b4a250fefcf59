"""What was written before: run folders and configurations of older versions are read into the knobs of today."""

import json
from pathlib import Path

import numpy as np
import pytest
import torch
from sklearn.datasets import load_digits

import models
from models import configure
from models.shared import runs
from models.shared.former import configured
from models.shared.knobs import to_flags, to_json
from pyro_priors.checks import UserError
from pyro_priors.data.images import Images

JUDGE = Path(models.__file__).parents[1] / "experiments" / "results" / "judge-mnist"
# As format 2 wrote them, when every model had the knobs of all priors, and the flags of today that make the same.
FORMER = json.loads(Path(__file__).with_name("former.json").read_text())
WORDS = {  # what stood under other names, or was None where it is a number now
    "vae-gmm-equal-fixed": {"components": 5, "weights": "equal", "fixed": True},
    "vae-vamp": {"pseudo_inputs": 20},
    "vae-trip": {"components": 3, "rank": 4, "decay": True, "boundary": None, "cores": None},  # a ring
    "cp-vae": {"reads": "probabilities", "top": 2, "top_epochs": 1, "blind_epochs": 1},
    "joint-local": {"prior": "ttlp", "local": 2, "order": "declared", "label_weight": 3.0},
    "wgan": {"prior": "gmm", "components": 5, "weights": "learned", "clip": 0.05},
    "vae-flow-trip": {"flow_base": "trip", "rank": 3, "components": 10},
    **{name: {"boundary": None} for name in ("wgan-gp", "eb-gan", "aae")},
}
NEWER = {"m2"}  # models that format 2 did not have
SINCE = {"joint-local": " --cores full"}  # flags for what had no choice then


def test_there_is_a_former_configuration_of_every_model():
    assert {former["model"] for former in FORMER.values()} == set(models.names()) - NEWER


@pytest.mark.parametrize("name", FORMER)
def test_a_configuration_of_format_2_is_read_into_the_same_knobs(name, tmp_path):
    former = FORMER[name]
    config = configured(former["model"], former["config"])
    flags = " ".join(to_flags(config)).replace(" --no-standard-start", "")
    assert flags == former["flags"] + SINCE.get(name, "")
    if hasattr(config, "standard_start") and config.standardizes:  # latents started where the prior was made
        assert not config.standard_start
    for knob, value in WORDS.get(name, {}).items():
        assert getattr(config, knob) == value
    same = set(to_json(config)) - set(WORDS.get(name, ())) - {"components"}  # of a mixture they had another name
    for knob, value in former["config"].items():
        if knob in same:
            assert to_json(config)[knob] == (tuple(value) if isinstance(value, list) else value), knob
    assert configured(former["model"], json.loads(json.dumps(to_json(config)))) == config
    written = {"format": 2, "model": former["model"], "config": former["config"], "image_shape": [1, 8, 8]}
    (tmp_path / "config.json").write_text(json.dumps({**written, "attributes": []}))
    assert runs.read(tmp_path, needed=("config.json",)).config == config


@pytest.mark.parametrize("name", FORMER)
def test_a_key_that_no_version_had_is_refused(name):
    values = {**FORMER[name]["config"], "depth": 3, "colour": "red"}
    with pytest.raises(UserError, match=r"^config: expected the keys of this version, got also colour, depth$"):
        configured(FORMER[name]["model"], values)


@pytest.mark.parametrize("model", ["gan", "vae", "wgan-gp"])
def test_configurations_from_before_there_was_a_choice_of_crops_had_148(model):
    written = to_json(configure(model, data="celeba"))
    usual = 160 if model != "vae" else 148
    assert configured(model, written).crop == written.pop("crop") == usual
    assert configured(model, written).crop == 148


def test_the_kept_judge_reads_digits():
    """A run of format 2 with its weights: on scikit-learn's digits, enlarged, it is right far more often than not."""
    run, judge = runs.trained(JUDGE)
    assert json.loads((JUDGE / "config.json").read_text())["format"] == 2
    assert (run.config.model, run.config.channels, run.config.epochs) == ("classifier", 8, 5)
    digits = load_digits()
    grey = torch.from_numpy(np.asarray(digits.images, np.float32) / 16).unsqueeze(1)
    large = torch.nn.functional.interpolate(grey, size=(20, 20), mode="bicubic").clamp(0, 1)
    images = Images(
        torch.nn.functional.pad(large, (4, 4, 4, 4)), labels=torch.from_numpy(digits.target).float().unsqueeze(1)
    )
    results, probs = run.config.evaluate(judge, images, run.attributes, seed=0)
    assert results["imputation"]["digit"]["count"] == len(images) == len(probs["digit"])
    assert results["imputation"]["digit"]["accuracy"] > 0.7
    assert run.config.report(results)[0].startswith("digit: accuracy")
