"""The command line: the list of commands, their help, and what it says of a word or a flag that is none."""

import dataclasses
import re
import subprocess
import sys
from pathlib import Path

import pytest

import models
from experiments.__main__ import COMMANDS, main
from models.shared import flags as command_line
from models.shared.knobs import acting, draft, priors_of, with_prior

ROOT = Path(models.__file__).parents[1]
OF_RUNS = ("evaluate", "sample", "impute", "train --resume", "figure mode-hopping")
TRAINED = [f"train {name}" for name in models.names()]
# Not the tables, whose settings are a test of their own.
WORDS = [words for words in COMMANDS if not words.startswith("table")] + TRAINED


def test_without_arguments_the_commands_are_listed(capsys):
    assert main([]) == 0
    listed = capsys.readouterr().out
    assert all(words in listed and line in listed for words, (_, _, line) in COMMANDS.items())
    for name in models.names():
        assert re.search(rf"^  train {name} +Train ", listed, re.MULTILINE)


def test_unknown_command(capsys):
    assert main(["train", "diffusion"]) == 2
    assert "got 'train diffusion'" in capsys.readouterr().err


def helped(capsys, *words):
    """What `--help` says."""
    with pytest.raises(SystemExit, match="0"):
        main([*words, "--help"])
    return capsys.readouterr().out


@pytest.mark.parametrize("words", WORDS)
def test_help_explains_every_flag_and_unknown_flags_are_errors(words, capsys):
    assert "options" in helped(capsys, *words.split())
    wrong = [*words.split(), *(["a-run"] if words in OF_RUNS else []), "--no-such-flag"]
    if words in TRAINED:
        assert main(wrong) == 2
        assert "such_flag: expected a knob of `train" in capsys.readouterr().err
    else:
        with pytest.raises(SystemExit, match="2"):
            main(wrong)
        assert "no-such-flag" in capsys.readouterr().err


PRIORS = [(name, prior) for name in models.names() for prior in priors_of(models.model_of(name)) or [None]]


@pytest.mark.parametrize(("name", "prior"), [("vae", "normal"), ("vae", "flow"), ("gan", "ttlp"), ("cp-vae", None)])
def test_help_shows_the_knobs_that_act_alone_and_says_what_each_is(name, prior, capsys):
    text = helped(capsys, "train", name, *([] if prior is None else ["--prior", prior]))
    fields = acting(draft(with_prior(models.model_of(name), prior), {"prior": prior}))
    shown = set(re.findall(r"^(?:│ )?\s*--([a-z][a-z0-9-]*)", text, re.MULTILINE)) - {"help"}
    assert {flag.replace("-", "_").removeprefix("no_") for flag in shown} == set(fields)
    line = " ".join(text.replace("│", " ").split())
    for field in fields:
        after = line.split(f"--{field.replace('_', '-')}", 1)[1].split("(default", 1)[0]
        assert len(after.split()) >= 4, field


@pytest.mark.parametrize(("name", "prior"), PRIORS)
def test_every_knob_of_every_model_and_prior_has_words(name, prior):
    kind = with_prior(models.model_of(name), prior)
    config = draft(kind, {"prior": prior})
    view = command_line._view(kind, acting(config))
    assert {field.name for field in dataclasses.fields(view)} == set(acting(config))
    words = command_line.comments(kind)
    assert all(len(words[field.name].split()) >= 3 for field in dataclasses.fields(kind) if field.name != "prior")


@pytest.mark.parametrize(
    ("flags", "shown", "hidden"),
    [
        (["--prior", "flow", "--flow-base", "trip"], {"rank", "reinit_first"}, {"local"}),
        (["--prior", "flow"], {"layers"}, {"rank", "boundary"}),
        (["--fixed"], {"rank"}, {"prior_lr", "prior_epochs", "reinit_first"}),
        (["--reinit-first", "None"], {"prior_lr", "reinit_first"}, {"reinit_every", "reinit_samples"}),
        (["--network", "conv"], {"channels"}, {"hidden"}),
        (["--objective=factor"], {"discriminator_lr", "strength"}, {"patience", "accumulate", "kernel"}),
        (["--data", "folder", "--stream"], {"workers", "image_size"}, {"crop"}),
    ],
)
def test_help_follows_the_flags_before_it(flags, shown, hidden, capsys):
    text = helped(capsys, "train", "vae", *flags)
    assert all(f"--{knob.replace('_', '-')}" in text for knob in shown)
    assert not any(f"--{knob.replace('_', '-')} " in text for knob in hidden)


@pytest.mark.parametrize("command", ["evaluate", "sample"])
def test_no_run_there(tmp_path, capsys, command):
    assert main([command, str(tmp_path / "nowhere")]) == 2
    assert "error: run: expected config.json in" in capsys.readouterr().err


def test_the_list_of_commands_imports_no_torch():
    script = """
import contextlib, io, sys
from experiments.__main__ import main
with contextlib.redirect_stdout(io.StringIO()) as shown:
    assert main([]) == 0
assert "train vae" in shown.getvalue()
slow = {"torch", "pyro", "numpy", "tyro", "matplotlib", "sklearn", "pyro_priors", "lightning_fabric"}
print(sorted(slow & set(sys.modules)))
"""
    finished = subprocess.run([sys.executable, "-c", script], cwd=ROOT, capture_output=True, text=True, check=True)
    assert finished.stdout.strip() == "[]"


def test_help_of_a_training_imports_neither_matplotlib_nor_lightning():
    script = """
import contextlib, io, sys
from experiments.__main__ import main
with contextlib.redirect_stdout(io.StringIO()), contextlib.suppress(SystemExit):
    main(["train", "vae", "--help"])
print(sorted({"matplotlib", "lightning_fabric", "sklearn", "torchvision", "scipy"} & set(sys.modules)))
"""
    finished = subprocess.run([sys.executable, "-c", script], cwd=ROOT, capture_output=True, text=True, check=True)
    assert finished.stdout.strip() == "[]"
