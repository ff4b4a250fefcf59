"""Checkpoints that are damaged, of something else, or refused by the disk: told, and the one before stays."""

import copy
import itertools
import json
import os
import random
import resource
import shutil
import tempfile
from pathlib import Path

import pytest
import torch
from resumable import (
    BATCHES,
    check_resumed,
    cut_off,
    gan,
    loader,
    same,
    train,
)

from pyro_priors.training import CHECKPOINT, CheckpointError, checkpoints, load_state, save_state


@pytest.fixture
def stopped(tmp_path):
    """The folder of a training that was cut off amid its second epoch."""
    cut_off("gan", tmp_path, ("step_start", BATCHES + 2), checkpoint_every=2)
    (tmp_path / checkpoints.PREVIOUS).unlink()  # see test_checkpoints_before
    return tmp_path


def write_past(limit):
    """A real failure in the middle of a file, as on a full disk: files may not be longer."""
    resource.setrlimit(resource.RLIMIT_FSIZE, (limit, resource.getrlimit(resource.RLIMIT_FSIZE)[1]))


@pytest.mark.parametrize("limit", [100, 20_000])
def test_a_full_disk_is_told_and_the_checkpoint_before_it_stays(stopped, limit):
    before = (stopped / CHECKPOINT).read_bytes()
    assert len(before) > limit
    try:
        write_past(limit)
        with pytest.raises(OSError, match=r"expected to write .*, got: .*File too large.*\(what was there"):
            train("gan", stopped, resume=True, checkpoint_every=1)
    finally:
        write_past(resource.RLIM_INFINITY)
    assert (stopped / CHECKPOINT).read_bytes() == before
    assert not list(stopped.glob(".*"))
    check_resumed("gan", stopped)


def test_a_read_only_folder_is_told():
    """As another user where root runs the tests, whom no mode of a folder stops."""
    folder = Path(tempfile.mkdtemp())  # not tmp_path: nobody else may enter that
    try:
        cut_off("gan", folder, ("step_start", BATCHES + 2))
        before = (folder / CHECKPOINT).read_bytes()
        (folder / CHECKPOINT).chmod(0o644)
        folder.chmod(0o555)
        user = os.geteuid()
        try:
            if user == 0:
                os.seteuid(65534)
            with pytest.raises(PermissionError, match=rf"expected to write {folder}/.*, got: Permission denied"):
                train("gan", folder, resume=True)
        finally:
            os.seteuid(user)
        folder.chmod(0o755)
        assert (folder / CHECKPOINT).read_bytes() == before
        check_resumed("gan", folder)
    finally:
        folder.chmod(0o755)
        shutil.rmtree(folder)


def test_a_damaged_checkpoint_is_told_wherever_it_is_damaged(stopped):
    path = stopped / CHECKPOINT
    whole, draws = path.read_bytes(), random.Random(0)
    header = 8 + int.from_bytes(whole[:8], "little")
    places = [0, 7, 8, header - 1, header, len(whole) - 1, *(draws.randrange(len(whole)) for _ in range(60))]
    places += [draws.randrange(header) for _ in range(60)]
    for place in places:
        flipped = bytearray(whole)
        flipped[place] ^= 1 << draws.randrange(8)
        path.write_bytes(flipped)
        if 8 <= place < header and _padding(whole, flipped, header):
            continue
        with pytest.raises(CheckpointError, match=f"path: expected a checkpoint.*{path}"):
            load_state(path)
    for length in (0, 5, 8, header - 1, header, len(whole) // 2, len(whole) - 1):
        path.write_bytes(whole[:length])
        with pytest.raises(CheckpointError, match=f"path: expected a checkpoint, got the damaged file {path}"):
            train("gan", stopped, resume=True)
    path.write_bytes(whole)
    assert load_state(path)["step"] == BATCHES + 2


def _padding(whole, flipped, header):
    """Whether the header still says the same."""
    try:
        return json.loads(flipped[8:header]) == json.loads(whole[8:header])
    except ValueError:
        return False


@pytest.mark.parametrize(
    ("change", "message"),
    [
        ({"steps": 1}, r"steps: expected \[\('CriticLoss', 'Adam', 1, .*got .*'GeneratorLoss'"),
        ({"batch": 6}, "batches of an epoch: expected 4, got 3"),
        ({"callbacks": []}, r"callbacks: expected \['Stop'\], got \['ExponentialAverage', 'Anneal'"),
        ({"hidden": 9}, r"weights: .*expected \(9, 16\), got \(8, 16\)"),
        ({"every": 3}, r"steps: expected .*\('GeneratorLoss', 'Adam', 3.*got .*\('GeneratorLoss', 'Adam', 2"),
    ],
)
def test_a_checkpoint_of_another_training_is_told_and_changes_nothing(stopped, change, message):
    def changed():
        made = gan(hidden=change.get("hidden", 8))
        made.steps = made.steps[: change.get("steps")]
        if "batch" in change:
            made.data = loader(23, size=6)
        if "every" in change:
            made.steps[1] = made.steps[1]._replace(every=3)
        made.callbacks = change.get("callbacks", made.callbacks)
        models.append(made.model)
        before.append(copy.deepcopy(made.model))
        return made

    models, before = [], []
    with pytest.raises(
        CheckpointError, match=rf"path: {stopped / CHECKPOINT} is the checkpoint of another .*{message}"
    ):
        train(changed, stopped, resume=True)
    assert same(models[0], before[0])


def test_a_checkpoint_of_another_version_is_told(stopped, monkeypatch):
    monkeypatch.setattr(checkpoints, "FORMAT", "2")
    with pytest.raises(
        CheckpointError, match=f"expected a checkpoint of format 2, got {stopped / CHECKPOINT} of format 1"
    ):
        train("gan", stopped, resume=True)


@pytest.mark.parametrize("reason", ["another version", "not readable"])
def test_a_checkpoint_that_is_not_damaged_is_not_given_up(stopped, monkeypatch, reason):
    """Neither for one that was there before it; the next program may read it."""
    shutil.copyfile(stopped / CHECKPOINT, stopped / checkpoints.PREVIOUS)
    before = {path.name: path.read_bytes() for path in stopped.iterdir()}
    with monkeypatch.context() as patch:
        if reason == "another version":
            patch.setattr(checkpoints, "FORMAT", "2")
        else:
            patch.setattr(checkpoints, "safe_open", lambda *_: (_ for _ in ()).throw(OSError("stale file handle")))
        with pytest.raises(CheckpointError, match=r"of format 2, got|cannot be read \(stale file handle"):
            train("gan", stopped, resume=True)
    assert {path.name: path.read_bytes() for path in stopped.iterdir()} == before


def test_data_that_end_earlier_are_told(stopped):
    def shorter():
        made = gan()
        made.data = OneLess(made.data)
        return made

    with pytest.raises(ValueError, match="data: expected at least 2 batches, as before the interruption, got 1"):
        train(shorter, stopped, resume=True)


class OneLess:
    """Says that it has three batches, and has one."""

    def __init__(self, data):
        self.data = data

    def __len__(self):
        return len(self.data)

    def __iter__(self):
        return itertools.islice(self.data, 1)


@pytest.mark.parametrize(
    ("kwargs", "message"),
    [
        ({"resume": True}, "run_dir: expected a folder where checkpoints lie, got None"),
        ({"checkpoint_every": 3}, "run_dir: expected a folder where checkpoints lie, got None"),
        ({"checkpoint_every": 0}, "checkpoint_every: expected an integer of at least 1, got 0"),
    ],
)
def test_bad_arguments(kwargs, message):
    with pytest.raises(ValueError, match=message):
        train("gan", None, **kwargs)


@pytest.mark.parametrize("value", [object(), {1, 2}, [lambda: 0], {"a": {"b": b"c"}}])
def test_what_a_checkpoint_does_not_hold(tmp_path, value):
    with pytest.raises(
        ValueError, match=r"state: expected tensors, numbers and strings in a checkpoint, got .* at state"
    ):
        save_state(value, tmp_path / "state")
    assert not list(tmp_path.iterdir())


def test_what_a_checkpoint_holds(tmp_path):
    shared = torch.arange(3)
    state = {
        "a": [1, 2.5, True, None, "x"],
        0: (shared, {"b": shared}),
        "c": float("-inf"),
        (1, "k"): torch.tensor(1.5),
    }
    state |= {"empty": torch.zeros(0, 2), "half": torch.ones(2, dtype=torch.bfloat16), "turned": torch.rand(3, 2).T}
    save_state(state, tmp_path / "state")
    loaded = load_state(tmp_path / "state")
    assert loaded[0][0] is loaded[0][1]["b"]
    assert repr(loaded) == repr(state)
    assert torch.equal(loaded["turned"], state["turned"])
