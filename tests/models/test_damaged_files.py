"""Bits that flip, ends that are lost and blocks of zeros in the files of a run: refused, warned of, or harmless.

What commands read of a run is read with every file damaged in turn; it must be as it was, or an error.
"""

import collections
import random
import shutil
import warnings

import pytest
import torch
from cut_off import die, folder_of

from experiments.__main__ import main
from models import configure
from models.shared import figures, runs
from models.shared.knobs import to_flags
from pyro_priors import training
from pyro_priors.training import CHECKPOINT
from pyro_priors.training.checkpoints import PREVIOUS, load_checkpoint, read_weights

SIZES = {"epochs": 2, "latent_dim": 2, "hidden": (3,), "components": 2, "rank": 2, "particles": 2, "batch_size": 500}
FLAGS = to_flags(configure("vae", data="digits", **SIZES))
MODEL, PROGRAM = "model.safetensors", "program.json"


def _model(folder):
    run, model = runs.trained(folder)
    return {"run": run._replace(folder=None), **model.state_dict()}


def _program(folder):
    program = training.load(folder)
    return {"prior": str(program.prior), "training": program.training, **program.state_dict()}


def _resumed(folder):
    """As `train --resume` reads it."""
    return {"config": runs.read(folder, needed=("config.json",)).config, "state": load_checkpoint(folder)}


# What reads -> how, and which files.
READERS = {
    "model": (_model, {"config.json", "manifest.json", MODEL}),
    "weights": (lambda folder: read_weights(folder / MODEL), {MODEL}),
    "program": (_program, {PROGRAM, MODEL}),
    "summary": (lambda folder: runs.read_json(folder / "summary.json"), {"summary.json", "manifest.json"}),
    "evaluation": (
        lambda folder: runs.read_json(folder / "evaluation-test.json"),
        {"evaluation-test.json", "manifest.json"},
    ),
    "checkpoint": (_resumed, {"config.json", "manifest.json", CHECKPOINT, PREVIOUS}),
}


@pytest.fixture(scope="module")
def whole(tmp_path_factory):
    """The folder of a run that ended and was evaluated, with the checkpoints that it had before its figures."""
    root = tmp_path_factory.mktemp("runs")
    command = ["train", "vae", *FLAGS, "--no-progress", "--runs-dir", str(root)]
    with pytest.MonkeyPatch.context() as patch:
        die(patch, lambda: main(command), figures, "draw", 1, after=False)
        folder = folder_of(root)
        kept = {name: (folder / name).read_bytes() for name in (CHECKPOINT, PREVIOUS)}
        patch.setattr(figures, "draw", lambda *_: (folder / "samples.png").write_bytes(b"none"))  # which takes long
        assert main(["train", "--resume", str(folder)]) == 0
    assert main(["evaluate", str(folder), "--particles", "2"]) == 0
    for name, content in kept.items():
        (folder / name).write_bytes(content)
    return folder


def read(reader, folder):
    """What it reads, and whether it was warned."""
    with warnings.catch_warnings(record=True) as caught:
        warnings.simplefilter("always")
        return reader(folder), bool(caught)


def same(first, second):
    if isinstance(first, torch.Tensor):
        return first.dtype == second.dtype and first.numpy().tobytes() == second.numpy().tobytes()  # NaN is in some
    if isinstance(first, dict):
        return first.keys() == second.keys() and all(same(first[key], second[key]) for key in first)
    if isinstance(first, list | tuple) and not hasattr(first, "_fields"):
        return len(first) == len(second) and all(map(same, first, second))
    return first == second or (first != first and second != second)


def damaged(content, draws, kind):
    """Other bytes than these."""
    place = draws.randrange(len(content))
    if kind == "truncated":
        return content[:place]
    if kind == "zeroed":
        size = draws.choice([1, 16, 512, 4096])
        return content[:place] + bytes(len(content[place : place + size])) + content[place + size :]
    return content[:place] + bytes([content[place] ^ 1 << draws.randrange(8)]) + content[place + 1 :]


def outcomes(whole, folder, name, flips, draws):
    """How often each comes of damage to one file; the damage that changed something in silence."""
    counts, silent = collections.Counter(), []
    content = (whole / name).read_bytes()
    readers = {key: (how, read(how, folder)[0]) for key, (how, names) in READERS.items() if name in names}
    for number in range(flips):
        kind = {8: "truncated", 9: "zeroed"}.get(number % 10, "flipped")
        broken = damaged(content, draws, kind)
        for key, (reader, expected) in readers.items():
            (folder / name).write_bytes(broken)
            try:
                got, warned = read(reader, folder)
            except ValueError as error:
                counts["refused" if ": " in str(error) and not isinstance(error, UnicodeError) else "bare"] += 1
            else:
                counts["warned" if warned else "harmless"] += 1
                if not warned and not same(got, expected):
                    silent.append((name, key, kind, number))
            if name == CHECKPOINT:  # the one before has taken its place
                shutil.copyfile(whole / PREVIOUS, folder / PREVIOUS)
    (folder / name).write_bytes(content)
    return counts, silent


@pytest.mark.parametrize("flips", [12, pytest.param(1000, marks=pytest.mark.fuzz)])
def test_damage_is_never_silent(whole, tmp_path, flips):
    folder, draws = tmp_path / "run", random.Random(flips)
    shutil.copytree(whole, folder)
    read_by_none = {path.name for path in whole.iterdir() if path.suffix in (".png", ".csv")}
    names = {path.name for path in whole.iterdir()} - read_by_none
    assert names == set.union(*(names for _, names in READERS.values()))
    for name in sorted(names):
        counts, silent = outcomes(whole, folder, name, flips, draws)
        print(f"{name}: {dict(counts)}")
        assert not silent
        assert not counts["bare"]
        assert counts["refused"] + counts["warned"] > 0 or name == PREVIOUS
    for name in read_by_none:
        (folder / name).write_bytes(damaged((whole / name).read_bytes(), draws, "flipped"))
    for reader, _ in READERS.values():
        assert same(read(reader, folder), read(reader, whole))
