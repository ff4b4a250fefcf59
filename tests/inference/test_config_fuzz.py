"""Odd configurations of runs: they are read, or refused in one sentence, never by a traceback."""

import copy
import json
import random
import warnings

import pytest
from little_memory import little_memory

from experiments.trainings import training as configuration
from models import names
from models.shared import runs
from pyro_priors import training
from pyro_priors.checks import UserError

SIZES = {"latent_dim": 2, "hidden": (4,), "network": "mlp", "components": 2, "rank": 2, "data": "digits", "layers": 2}
JUNK = [None, True, -1, 0, 1.5, 1e308, 10**30, 2**31 - 1, float("nan"), "", "x", "\0", "x" * 5000, [], [1], [[]], ["a"]]
JUNK += [{}, {"a": 1}, [None] * 3, [-1, 0, 1], "1", "None", "trip", float("-inf")]
TEXTS = [
    '{"a": 1, "a": 2}',
    "[" * 100_000,
    "{}" * 2,
    "\ufeff{}",
    "",
    "null",
    "9" * 5000,
    "\0",
    '{"config": {"config": {}}}',
]
ATTRIBUTES = [{"name": "digit", "categories": ["0", "1"], "loc": 0.0, "scale": 1.0}]


@pytest.fixture(scope="module")
def written(tmp_path_factory):
    """Folders of untrained runs of several models, as before there were manifests, with their config.json."""
    folders = {}
    for name in names():
        config = configuration(name, SIZES, runs_dir=tmp_path_factory.mktemp(name))
        run = runs.start(config, (1, 8, 8))
        (run.folder / "manifest.json").unlink()
        values = json.loads((run.folder / "config.json").read_text())
        try:
            training.save_weights(config.build((1, 8, 8)), run.folder / "model.safetensors")
        except (UserError, ValueError, StopIteration):  # one that wants attributes
            values["attributes"] = ATTRIBUTES
        folders[run.folder] = values
    return folders


def odd(values, draws):
    """The text of a configuration in which something is another."""
    values = copy.deepcopy(values)
    place = draws.choice([values, values["config"], values["config"], values["config"]])
    if place is values and values["attributes"] and draws.random() < 0.5:
        place = values["attributes"][0]
    key, act = draws.choice([*place]), draws.random()
    if act < 0.1:
        del place[key]
    elif act < 0.15:
        place[draws.choice(["a", "", "\0", key.upper()])] = draws.choice(JUNK)
    else:
        place[key] = draws.choice(JUNK)
    text = json.dumps(values)
    if draws.random() < 0.05:
        text = draws.choice(TEXTS)
    return text.replace(f'"{key}":', f'"{key}": 1, "{key}":') if draws.random() < 0.05 else text


def mistake(folder, text):
    """None where the run is read, or refused in one sentence."""
    (folder / "config.json").write_text(text, encoding="utf-8")
    with warnings.catch_warnings(), little_memory():
        warnings.simplefilter("ignore")
        try:
            runs.trained(folder)
        except UserError as error:
            return None if ": expected " in str(error) and "\n" not in str(error) else error
        except Exception as error:
            return error
    return None


@pytest.mark.parametrize("count", [150, pytest.param(10_000, marks=pytest.mark.fuzz)])
def test_odd_configurations(written, count):
    draws, mistakes = random.Random(count), []
    for _ in range(count):
        folder = draws.choice([*written])
        text = odd(written[folder], draws)
        if wrong := mistake(folder, text):
            mistakes.append((text[:3000], wrong))
    assert not mistakes
