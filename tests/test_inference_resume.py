"""A training that is cut off and resumed ends as one that was not, to the last bit."""

import copy
import functools
import itertools
import json
import os
import random
import resource
import shutil
import signal
import subprocess
import sys
import tempfile
from pathlib import Path

import pytest
import torch
from resumable import BATCHES, MAKE, factor, gan, loader, outcome, train, trip
from torch import nn

import inference as inf
from inference import CHECKPOINT, CheckpointError, checkpoints, load_state, save_state
from inference.fit_state import load_optimizer


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
        folder = tmp_path_factory.mktemp("whole")
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


LAST = 4 * BATCHES - 1


@pytest.mark.parametrize(
    ("name", "every", "hook", "count"),
    [
        ("gan", None, "step_end", 0),  # before there is a checkpoint
        *((name, None, "epoch_end", 1) for name in MAKE),
        *((name, 2, "step_start", BATCHES + 2) for name in MAKE),
        *((name, 1, "step_end", LAST) for name in MAKE),  # all batches are done
        ("factor", 1, "validation_start", 0),
    ],
)
def test_it_ends_as_if_nothing_had_happened(tmp_path, undisturbed, name, every, hook, count):
    cut_off(name, tmp_path, (hook, count), checkpoint_every=every)
    check_resumed(name, tmp_path, undisturbed)


def test_a_discriminator_that_only_a_plain_objective_holds_is_kept(tmp_path, undisturbed):
    """A function that trains it is no module whose parameters would be found."""

    def apart():
        one = factor()
        ratio = one.steps[1].objective
        one.steps[1] = one.steps[1]._replace(objective=lambda *batch: ratio(*batch))
        return one

    cut_off(apart, tmp_path, ("step_end", 4), checkpoint_every=1)
    check_resumed(apart, tmp_path, undisturbed)


def test_what_a_schedule_has_set_stands_between_epochs(tmp_path):
    """Validation leaves the last value, which a callback may read before the next step sets another."""
    seen, objectives = [], []

    def watched():
        one = trip()
        objectives.append(one.steps[0].objective)
        objectives[-1].kl_weight = 0.5
        return one

    def act(hook, state):
        if hook == "epoch_start":
            seen.append((state.epoch, objectives[-1].kl_weight))

    train(watched, tmp_path, act, epochs=1)
    train(watched, tmp_path, act, epochs=2, resume=True)
    assert seen == [(1, 0.5), (2, 1.0)]


def test_moments_lie_as_their_parameters_do(tmp_path):
    """A fused kernel goes through both in the order of memory; a file holds them row by row."""
    start = torch.rand(3, 2).T
    first, second = nn.Parameter(start.clone()), nn.Parameter(start.clone())
    assert not first.is_contiguous()
    optimizers = [torch.optim.Adam([parameter], fused=True) for parameter in (first, second)]

    def step(parameter, optimizer):
        parameter.grad = torch.empty_like(parameter).copy_(torch.arange(6.0).view(2, 3))
        optimizer.step()

    step(first, optimizers[0])
    save_state(optimizers[0].state_dict(), tmp_path / "state")
    load_optimizer(optimizers[1], load_state(tmp_path / "state"))
    second.data.copy_(first)
    for parameter, optimizer in zip((first, second), optimizers, strict=True):
        step(parameter, optimizer)
    assert torch.equal(first, second)


def test_early_stopping_and_the_best_epoch_are_not_those_of_a_run_to_the_end(undisturbed):
    """Otherwise the tests above would not see them."""
    _, result, _ = undisturbed("trip")
    assert (result.best_epoch, len(result.history), result.stopped_early) == (2, 4, True)


def test_it_may_be_cut_off_again_and_again(tmp_path, undisturbed):
    for _ in range(3):
        cut_off("trip", tmp_path, ("step_end", 2), checkpoint_every=1, resume=True)
    check_resumed("trip", tmp_path, undisturbed)


@pytest.mark.parametrize("renames", [0, 2, 5])
def test_cut_off_before_a_rename(tmp_path, undisturbed, monkeypatch, renames):
    """Weights, table, checkpoint: each is written, none has its name yet."""
    left, replace = iter(range(renames)), os.replace

    def dying(source, target):
        if next(left, None) is None:
            Path(f"{source}.copy.tmp").write_bytes(Path(source).read_bytes())  # as a kill leaves it
            raise Killed
        replace(source, target)

    monkeypatch.setattr(checkpoints.os, "replace", dying)
    with pytest.raises(Killed):
        train("factor", tmp_path)
    monkeypatch.undo()
    assert list(tmp_path.glob(".*.tmp"))
    check_resumed("factor", tmp_path, undisturbed)
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
    with pytest.raises(
        kind, match=r"stopped by .* after batch 3 of epoch 2; to go on from its checkpoint, resume "
    ) as stopped:
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


@pytest.fixture
def stopped(tmp_path):
    """The folder of a training that was cut off amid its second epoch."""
    cut_off("gan", tmp_path, ("step_start", BATCHES + 2), checkpoint_every=2)
    return tmp_path


def write_past(limit):
    """A real failure in the middle of a file, as on a full disk: files may not be longer."""
    resource.setrlimit(resource.RLIMIT_FSIZE, (limit, resource.getrlimit(resource.RLIMIT_FSIZE)[1]))


@pytest.mark.parametrize("limit", [100, 20_000])
def test_a_full_disk_is_told_and_the_checkpoint_before_it_stays(stopped, undisturbed, limit):
    kept = (stopped / CHECKPOINT).read_bytes()
    assert len(kept) > limit
    try:
        write_past(limit)
        with pytest.raises(OSError, match=r"expected to write .*, got: .*File too large.*\(what was there"):
            train("gan", stopped, resume=True, checkpoint_every=1)
    finally:
        write_past(resource.RLIM_INFINITY)
    assert (stopped / CHECKPOINT).read_bytes() == kept
    assert not list(stopped.glob(".*"))
    check_resumed("gan", stopped, undisturbed)


def test_a_read_only_folder_is_told(undisturbed):
    """As another user where root runs the tests, whom no mode of a folder stops."""
    folder = Path(tempfile.mkdtemp())  # not tmp_path: nobody else may enter that
    try:
        cut_off("gan", folder, ("step_start", BATCHES + 2))
        kept = (folder / CHECKPOINT).read_bytes()
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
        assert (folder / CHECKPOINT).read_bytes() == kept
        check_resumed("gan", folder, undisturbed)
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
        one = gan(hidden=change.get("hidden", 8))
        one.steps = one.steps[: change.get("steps")]
        if "batch" in change:
            one.data = loader(23, size=6)
        if "every" in change:
            one.steps[1] = one.steps[1]._replace(every=3)
        one.callbacks = change.get("callbacks", one.callbacks)
        models.append(one.model)
        before.append(copy.deepcopy(one.model))
        return one

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


def test_data_that_end_earlier_are_told(stopped):
    def shorter():
        one = gan()
        one.data = OneLess(one.data)
        return one

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
    found = load_state(tmp_path / "state")
    assert found[0][0] is found[0][1]["b"]
    assert repr(found) == repr(state)
    assert torch.equal(found["turned"], state["turned"])


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
        train(name, where, epochs=5, **kwargs)
        os._exit(0)
    return pid


train(name, folder / "warm", epochs=2)  # what is slow the first time, the children find done
began = time.perf_counter()
train(name, folder / "whole", epochs=5)
seconds, draws, killed, writing = time.perf_counter() - began, random.Random(seed), 0, 0
expected = outcome(folder / "whole")
for attempt in range(10 * kills):
    run = folder / f"run{attempt}"
    while True:
        last = killed == kills
        pid = child(run, resume=True, checkpoint_every=1)
        if not last:
            time.sleep(draws.uniform(0.0, 2 * seconds / kills))
            until = time.perf_counter() + seconds * (killed % 2)  # every other one while a file is written
            while time.perf_counter() < until and not any(run.glob(".*.tmp")):
                pass
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


RANKS = """
import sys
from pathlib import Path
import torch
torch.set_num_threads(1)
from resumable import train


def act(hook, state):
    if len(sys.argv) > 2 and (hook, state.step) == ("step_start", 4):
        sys.exit(3)


model, _ = train("factor", Path(sys.argv[1]), act, devices=2, resume=True, checkpoint_every=1)
rank = torch.distributed.get_rank()
torch.save(model.state_dict(), Path(sys.argv[1]) / f"rank{rank}.pt")
"""


@pytest.mark.slow
def test_two_processes_resume_with_the_random_states_of_each(tmp_path):
    """Both leave in the middle of an epoch; the order of a DistributedSampler is that of the epoch."""

    def run(folder, *words):
        (tmp_path / "script.py").write_text(RANKS)
        root = Path(__file__).parent
        environment = {**os.environ, "PYTHONPATH": f"{root.parent}:{root}", "OMP_NUM_THREADS": "1"}
        command = [sys.executable, "script.py", str(folder), *words]
        return subprocess.run(command, cwd=tmp_path, env=environment, capture_output=True, text=True, timeout=300)

    whole, cut = tmp_path / "whole", tmp_path / "cut"
    assert (done := run(whole)).returncode == 0, done.stderr[-2000:]
    assert run(cut, "cut").returncode == 3
    assert load_state(cut / CHECKPOINT)["step"] == 4
    assert (done := run(cut)).returncode == 0, done.stderr[-2000:]
    assert outcome(cut) == outcome(whole)
    for rank in range(2):
        found, expected = (torch.load(folder / f"rank{rank}.pt", weights_only=True) for folder in (cut, whole))
        assert all(torch.equal(found[name], expected[name]) for name in expected if "running" not in name)
