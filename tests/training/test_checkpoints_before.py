"""The checkpoint before the last: training goes on from it where the last is damaged."""

import os

import pytest
from resumable import BATCHES, Killed, check_resumed, cut_off, same, train, undisturbed

from pyro_priors.training import CHECKPOINT, CheckpointError, checkpoints, load_state, manifest, remove_checkpoints
from pyro_priors.training.checkpoints import PREVIOUS

STEP = BATCHES + 2


@pytest.fixture
def stopped(tmp_path):
    """The folder of a training that was cut off amid its second epoch, after checkpoints at every batch."""
    cut_off("trip", tmp_path, ("step_start", STEP), checkpoint_every=1)
    assert [load_state(tmp_path / name)["step"] for name in (PREVIOUS, CHECKPOINT)] == [STEP - 1, STEP]
    return tmp_path


def flip(path):
    """One bit in the middle, in place as a disk does it."""
    content = bytearray(path.read_bytes())
    content[len(content) // 2] ^= 1
    path.write_bytes(content)


def truncate(path):
    with path.open("r+b") as file:
        file.truncate(path.stat().st_size // 2)


def empty(path):
    path.write_bytes(b"")


def lose(path):
    path.unlink()


DAMAGE = [flip, truncate, empty]


@pytest.mark.parametrize("damage", [*DAMAGE, lose])
def test_a_damaged_or_lost_checkpoint_is_replaced_by_the_one_before_with_a_warning(stopped, damage):
    damage(stopped / CHECKPOINT)
    steps = []
    expected = rf"got .*{stopped / CHECKPOINT} .*; going on from the one before it, {stopped / PREVIOUS}"
    with pytest.warns(UserWarning, match=expected):
        model, _ = train("trip", stopped, lambda hook, state: steps.append(state.step), resume=True)
    assert steps[0] == STEP - 1
    assert same(model, undisturbed("trip")[0])
    assert load_state(stopped / CHECKPOINT)["progress"]["stopped"]
    check_resumed("trip", stopped)  # without a warning


@pytest.mark.parametrize("damage", DAMAGE)
def test_where_both_are_damaged_the_error_names_both(stopped, damage):
    for name in (CHECKPOINT, PREVIOUS):
        damage(stopped / name)
    expected = rf"damaged file {stopped / CHECKPOINT} .*of the one before it, .*damaged file {stopped / PREVIOUS} "
    with pytest.raises(CheckpointError, match=expected):
        train("trip", stopped, resume=True)


def test_a_damaged_one_never_takes_the_place_of_a_good_one(stopped, monkeypatch):
    """Killed while the first checkpoint after the damage gets its name: the good one is still there."""
    flip(stopped / CHECKPOINT)
    replace = os.replace

    def dying(source, target):
        if str(target).endswith(f"/{CHECKPOINT}") and str(source).endswith(".tmp"):
            raise Killed
        replace(source, target)

    monkeypatch.setattr(checkpoints.os, "replace", dying)
    with pytest.warns(UserWarning, match="going on from the one before it"), pytest.raises(Killed):
        train("trip", stopped, resume=True, checkpoint_every=1)
    monkeypatch.undo()
    assert load_state(stopped / CHECKPOINT)["step"] == STEP - 1
    check_resumed("trip", stopped)


def test_a_file_system_without_links_keeps_it_too(tmp_path, monkeypatch):
    def refuse(*_):
        raise PermissionError(1, "Operation not permitted")

    monkeypatch.setattr(checkpoints.os, "link", refuse)
    cut_off("trip", tmp_path, ("step_start", STEP), checkpoint_every=1)
    assert [load_state(tmp_path / name)["step"] for name in (PREVIOUS, CHECKPOINT)] == [STEP - 1, STEP]


def test_it_is_never_that_of_another_training(stopped):
    """A new training, or an owner who has removed both, leaves none."""
    cut_off("trip", stopped, ("step_end", 0))
    assert not list(stopped.glob("checkpoint*"))
    cut_off("trip", stopped, ("step_start", 2), checkpoint_every=1)
    remove_checkpoints(stopped)
    assert not list(stopped.glob("checkpoint*"))


def test_the_older_is_removed_first(stopped, monkeypatch):
    """So that one that is alone was not removed but lost, at whatever moment a process was killed."""
    unlink = checkpoints.Path.unlink

    def dying(path, **kwargs):
        unlink(path, **kwargs)
        raise Killed

    monkeypatch.setattr(checkpoints.Path, "unlink", dying)
    with pytest.raises(Killed):
        remove_checkpoints(stopped)
    assert [path.name for path in stopped.glob("checkpoint*")] == [CHECKPOINT]


def test_the_one_before_stays_until_the_new_one_has_been_read_back(stopped, monkeypatch):
    """A disk that gives back other bytes than were written."""
    before = {name: (stopped / name).read_bytes() for name in (PREVIOUS, CHECKPOINT)}

    def rotting(descriptor, *_):
        os.pwrite(descriptor, b"?", 100)

    monkeypatch.setattr(checkpoints.os, "posix_fadvise", rotting)
    with pytest.raises(OSError, match="got: other bytes than were written"):
        train("trip", stopped, resume=True, checkpoint_every=1)
    monkeypatch.undo()
    assert {name: (stopped / name).read_bytes() for name in before} == before
    check_resumed("trip", stopped)


def test_it_is_that_of_the_files_beside_it(stopped):
    """Of those that the folder's manifest listed while it was written."""
    (stopped / "config.json").write_text("a")
    manifest.bind(stopped, ["config.json"])
    cut_off("trip", stopped, ("step_start", 2), checkpoint_every=1)
    (stopped / "config.json").write_text("b")
    (stopped / manifest.MANIFEST).unlink()
    expected = f"folder: expected config.json as {CHECKPOINT} has it, got another in {stopped} "
    with pytest.raises(CheckpointError, match=expected):
        train("trip", stopped, resume=True)
    (stopped / "config.json").write_text("a")
    check_resumed("trip", stopped)
