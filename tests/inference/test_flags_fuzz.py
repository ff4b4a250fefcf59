"""Odd flags of every command: each ends well or in one sentence, never a traceback."""

import dataclasses
import itertools
import random
import warnings
from importlib import import_module

import pytest
from little_memory import little_memory

from experiments.__main__ import COMMANDS, main
from experiments.trainings import training as configuration
from inference import train as training_command
from models import model_of, names
from models.shared import runs
from models.shared.knobs import priors_of, to_flags, with_prior
from pyro_priors import training
from pyro_priors.training import locks

NUMBERS = ["-1", "0", "1", "1.5", "nan", "inf", "-inf", "1e400", "2147483647", "2147483648", "9" * 40, "1_0", "٣"]
TEXTS = [
    "",
    " ",
    "x",
    "None",
    "True",
    "-",
    "LOOP",
    "FILE",
    "FOLDER",
    "/dev/null",
    "ü",
    "x" * 300,
    "\udcff",
    "[]",
    "a=b",
]
REAL = ("evaluate", "sample", "impute", "figure cp-vae", "figure dpvae", "figure mode-hopping")  # others are only read
SIZES = {"latent_dim": 2, "hidden": (4,), "batch_size": 50, "progress": False}


def tiny(name, **values):
    """A model that trains in no time, with what of the sizes acts in it."""
    shared = {**SIZES, "data": "digits", "network": "mlp", "components": 2, "rank": 2, "particles": 2, "draws": 2}
    return configuration(name, shared, **values)


@pytest.fixture(scope="module")
def run(tmp_path_factory):
    """The folder of a run with a ring as its prior, of a model that nothing has trained."""
    config = dataclasses.replace(tiny("vae", epochs=1), runs_dir=tmp_path_factory.mktemp("runs"))
    made = runs.start(config, (1, 8, 8))
    (made.folder / "manifest.json").unlink()
    training.save_weights(config.build((1, 8, 8)), made.folder / "model.safetensors")
    return made.folder


@pytest.fixture
def short(monkeypatch, tmp_path):
    """Trainings end after one batch, and only commands on runs do their work; LOOP, FILE and FOLDER are there."""
    fit, fit_prior = training.fit, training.fit_prior

    def briefly(steps, model, data, *, epochs, validation=None, **how):
        batch = list(itertools.islice(data, max(step.every for step in steps)))
        how |= {"devices": 1}  # others would be processes
        return fit(steps, model, batch, epochs=1, validation=batch if validation else None, **how)

    def train(config, images, name=None, begun=None):
        program, made = config.start(images), runs.start(config, images.image_shape, images.attributes, name)
        with locks.held(made.folder):
            config.fit(program, images, made.folder, callbacks=training_command.shows(config, made, images))
        return made, {"test": {}}

    monkeypatch.setattr(training, "fit", briefly)
    monkeypatch.setattr(training, "fit_prior", lambda *args, epochs, **how: fit_prior(*args, epochs=1, **how))
    monkeypatch.setattr(training_command, "train", train)
    for words, (module, _, _) in COMMANDS.items():
        if words not in REAL:
            monkeypatch.setattr(import_module(module), "main", lambda config: None)
    monkeypatch.chdir(tmp_path)
    (tmp_path / "LOOP").symlink_to("LOOP")
    (tmp_path / "FILE").write_text("image,a\n0.png,1\n")
    (tmp_path / "FOLDER").mkdir()


def mistake(words, capsys):
    """None where the command ends with 0, or with 2 and one sentence, or where tyro says what is wrong."""
    capsys.readouterr()
    with warnings.catch_warnings(), little_memory():
        warnings.simplefilter("ignore")  # of odd values
        try:
            status = main(words)
        except SystemExit as ended:
            return None if ended.code in (0, 2) else ended
        except Exception as error:  # what a user would see as a traceback
            return error
    printed = capsys.readouterr().err
    sentence = printed.startswith("error: ") and printed.count("\n") == 1
    return None if status == 0 or (status == 2 and sentence) else (status, printed)


def check(commands, capsys):
    mistakes = [(words, wrong) for words in commands if (wrong := mistake(words, capsys))]
    assert not mistakes, mistakes


def odd(kind, draws):
    """A flag of a dataclass and a value for it that is often none."""
    field = draws.choice(dataclasses.fields(kind))
    values = [draws.choice(draws.choice([NUMBERS, TEXTS])) for _ in range(draws.choice([1, 1, 1, 0, 2]))]
    return [f"--{field.name.replace('_', '-')}", *values]


def trainings(draws):
    name = draws.choice(names())
    prior = draws.choice(priors_of(model_of(name)) or (None,))
    kind = with_prior(model_of(name), prior)
    config = tiny(name, **({"prior": prior} if prior else {}), epochs=1)
    return ["train", name, *to_flags(config), "--runs-dir", "runs", *odd(kind, draws)]


def others(draws, run):
    words = draws.choice([*COMMANDS])
    module, name, _ = COMMANDS[words]
    kind = getattr(import_module(module), name)
    places = {"evaluate": [run], "sample": [run], "figure mode-hopping": [run], "figure cp-vae": [run]}
    places |= {"figure dpvae": [run], "train --resume": [run], "table": [draws.choice(["ttlp", "trip", "x"])]}
    given = list(map(str, places.get(words, [])))
    if words == "impute":
        given = [str(run), "--images", "FOLDER", "--attributes", "FILE", "--out", "out.csv"]
    if words == "evaluate":
        given += ["--particles", "2"]
    if words == "sample":
        given += ["--n", "2"]
    return [*words.split(), *given, *odd(kind, draws)]


@pytest.mark.parametrize("count", [15, pytest.param(1500, marks=pytest.mark.fuzz)])
def test_odd_flags_of_trainings(short, capsys, count):
    draws = random.Random(count)
    check((trainings(draws) for _ in range(count)), capsys)


@pytest.mark.parametrize("count", [15, pytest.param(1500, marks=pytest.mark.fuzz)])
def test_odd_flags_of_other_commands(short, run, capsys, count):
    draws = random.Random(count)
    check((others(draws, run) for _ in range(count)), capsys)
