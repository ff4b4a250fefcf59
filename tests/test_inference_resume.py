"""A training that is cut off and resumed ends as one that was not, to the last bit."""

import functools
import os
import signal
import subprocess
import sys
from pathlib import Path

import pytest
import torch
from resumable import BATCHES, EPOCHS, MAKE, SHAPE, autoencoder, outcome, train
from torch import nn

import inference as inf
from inference import CHECKPOINT, CheckpointError, checkpoints, load_state, save_state


class Killed(BaseException):
    """Nothing catches it."""


def same(model, other):
    mine, theirs = model.state_dict(), other.state_dict()
    return mine.keys() == theirs.keys() and all(torch.equal(mine[name], theirs[name]) for name in mine)


def results(result):
    return result._replace(history=[{k: v for k, v in row.items() if k != "seconds"} for row in result.history])


@pytest.fixture(scope="module")
def undisturbed(tmp_path_factory):
    """`undisturbed(name)` -> model, result and outcome of a whole training."""

    @functools.cache
    def run(name):
        folder = tmp_path_factory.mktemp(name)
        return *train(name, folder), outcome(folder)

    return run


def cut_off(name, folder, at, **kwargs):
    """Train until the `at`-th call of some hook (from 0), then die."""
    hook, count = at
    calls = iter(range(1000))

    def act(called, state):
        if called == hook and next(calls) == count:
            raise Killed

    with pytest.raises(Killed):
        train(name, folder, act, **kwargs)


def check_resumed(name, folder, undisturbed):
    model, result = train(name, folder, resume=True)
    whole, expected, files = undisturbed(name)
    assert outcome(folder) == files
    assert same(model, whole)
    assert results(result) == results(expected)


MOMENTS = [
    ("step_end", 0),
    ("step_end", BATCHES - 1),
    ("validation_start", 0),
    ("epoch_end", 0),
    ("epoch_start", 1),
    ("step_start", BATCHES + 3),
    ("step_end", 4 * BATCHES - 1),
]


@pytest.mark.parametrize("every", [None, 2])
@pytest.mark.parametrize("at", MOMENTS, ids=str)
@pytest.mark.parametrize("name", MAKE)
def test_it_ends_as_if_nothing_had_happened(tmp_path, undisturbed, name, at, every):
    if name == "gan" and at[0] == "validation_start":  # it has none
        return
    cut_off(name, tmp_path, at, checkpoint_every=every)
    check_resumed(name, tmp_path, undisturbed)


def test_early_stopping_and_the_best_epoch_are_not_those_of_a_run_to_the_end(undisturbed):
    """Otherwise the tests above would not see them."""
    _, result, _ = undisturbed("trip")
    assert (result.best_epoch, len(result.history), result.stopped_early) == (2, 4, True)


@pytest.mark.parametrize("name", MAKE)
def test_it_may_be_cut_off_again_and_again(tmp_path, undisturbed, name):
    for _ in range(4):
        cut_off(name, tmp_path, ("step_end", 3), checkpoint_every=1, resume=True)
    check_resumed(name, tmp_path, undisturbed)


@pytest.mark.parametrize("name", MAKE)
@pytest.mark.parametrize("renames", [0, 1, 2, 3, 7])
def test_cut_off_before_a_rename(tmp_path, undisturbed, monkeypatch, name, renames):
    """Weights, table, checkpoint: each is written, none has its name yet."""
    left, replace = iter(range(renames)), os.replace

    def dying(source, target):
        if next(left, None) is None:
            Path(f"{source}.copy.tmp").write_bytes(Path(source).read_bytes())  # as a kill leaves it
            raise Killed
        replace(source, target)

    monkeypatch.setattr(checkpoints.os, "replace", dying)
    with pytest.raises(Killed):
        train(name, tmp_path)
    monkeypatch.undo()
    assert list(tmp_path.glob("*.tmp")) + list(tmp_path.glob(".*.tmp"))
    check_resumed(name, tmp_path, undisturbed)
    assert {path.name for path in tmp_path.iterdir()} == {CHECKPOINT, "metrics.csv", "model.safetensors"}


@pytest.mark.parametrize("name", MAKE)
def test_a_training_that_has_ended_returns_what_it_returned(tmp_path, undisturbed, name):
    train(name, tmp_path)

    def act(hook, state):
        raise AssertionError(hook)

    model, result = train(name, tmp_path, act, resume=True)
    assert same(model, undisturbed(name)[0])
    assert results(result) == results(undisturbed(name)[1])


def test_it_goes_on_where_the_epochs_are_more_now(tmp_path, undisturbed):
    train("factor", tmp_path, epochs=2)
    check_resumed("factor", tmp_path, undisturbed)


def test_without_resume_it_starts_anew(tmp_path, undisturbed):
    """An old checkpoint is gone at once: a later call must not go on from it."""
    train("gan", tmp_path, epochs=2)
    cut_off("gan", tmp_path, ("step_end", 0))
    assert not (tmp_path / CHECKPOINT).exists()
    check_resumed("gan", tmp_path, undisturbed)


@pytest.mark.parametrize("number", [signal.SIGINT, signal.SIGTERM])
def test_a_signal_stops_it_after_the_batch(tmp_path, undisturbed, number):
    before = [signal.getsignal(n) for n in (signal.SIGINT, signal.SIGTERM)]
    seen = []

    def act(hook, state):
        seen.append((hook, state.step))
        if (hook, state.step) == ("step_start", BATCHES + 2):
            os.kill(os.getpid(), number)

    kind = KeyboardInterrupt if number == signal.SIGINT else inf.Terminated
    with pytest.raises(kind, match=r"stopped by .* after batch 3 of epoch 2; to go on .* resume it") as stopped:
        train("trip", tmp_path, act)
    assert str(tmp_path) in str(stopped.value)
    assert seen[-1] == ("step_end", BATCHES + 2)
    if number == signal.SIGTERM:
        assert stopped.value.code == 143
    assert [signal.getsignal(n) for n in (signal.SIGINT, signal.SIGTERM)] == before
    assert load_state(tmp_path / CHECKPOINT)["step"] == BATCHES + 3
    check_resumed("trip", tmp_path, undisturbed)


def test_a_second_ctrl_c_stops_it_at_once_and_without_a_folder_the_first_does(tmp_path):
    def twice(hook, state):
        if hook == "step_start" and state.step == 1:
            os.kill(os.getpid(), signal.SIGINT)
            os.kill(os.getpid(), signal.SIGINT)
            raise AssertionError

    for folder in (tmp_path, None):
        with pytest.raises(KeyboardInterrupt) as stopped:
            train("gan", folder, twice)
        assert "stopped by" not in str(stopped.value)


KILLING = """
import os, random, signal, sys, time
from pathlib import Path
import torch
torch.set_num_threads(1)
import lightning_fabric, sklearn.mixture, tqdm
from resumable import MAKE, outcome, train

name, folder, kills, seed = sys.argv[1], Path(sys.argv[2]), int(sys.argv[3]), int(sys.argv[4])


def child(where, **kwargs):
    pid = os.fork()
    if pid == 0:
        train(name, where, epochs=30, **kwargs)
        os._exit(0)
    return pid


began = time.perf_counter()
assert os.waitpid(child(folder / "whole"), 0)[1] == 0
seconds, draws, killed, writing = time.perf_counter() - began, random.Random(seed), 0, 0
expected = outcome(folder / "whole")
for attempt in range(10 * kills):
    run = folder / f"run{attempt}"
    while True:
        last = killed == kills
        pid = child(run, resume=True, checkpoint_every=1)
        if not last:
            time.sleep(draws.uniform(0.0, 2 * seconds / kills))
            os.kill(pid, signal.SIGKILL)
        status = os.waitpid(pid, 0)[1]
        if status == 0:
            break
        assert status == signal.SIGKILL, status
        killed += 1
        writing += any(run.glob(".*.tmp"))
    assert outcome(run) == expected
    if killed == kills:
        print(f"{killed} killed, {writing} of them while a file was written")
        break
else:
    raise SystemExit("it always ended first")
"""


def kill(name, folder, kills):
    root = Path(__file__).parent
    environment = {**os.environ, "PYTHONPATH": f"{root.parent}:{root}", "OMP_NUM_THREADS": "1"}
    command = [sys.executable, "-W", "error", "-c", KILLING, name, folder, str(kills), "0"]
    done = subprocess.run(command, env=environment, capture_output=True, text=True, timeout=600)
    assert done.returncode == 0, done.stderr[-2000:]
    assert done.stdout.startswith(f"{kills} killed")
    return done.stdout


def test_killed_at_random_moments(tmp_path):
    kill("factor", tmp_path, 3)


@pytest.mark.slow
@pytest.mark.parametrize("name", MAKE)
def test_killed_at_many_random_moments(tmp_path, name):
    told = kill(name, tmp_path, 10)
    assert ", 0 of them" not in told
