"""A training that is cut off and resumed ends as one that was not, to the last bit."""

import os
import signal
from pathlib import Path

import pytest
import torch
from resumable import BATCHES, MAKE, Killed, check_resumed, cut_off, factor, results, same, train, trip, undisturbed
from torch import nn

from pyro_priors import training
from pyro_priors.training import CHECKPOINT, checkpoints, load_state, save_state
from pyro_priors.training.checkpoints import PREVIOUS
from pyro_priors.training.state import load_optimizer

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
def test_it_ends_as_if_nothing_had_happened(tmp_path, name, every, hook, count):
    cut_off(name, tmp_path, (hook, count), checkpoint_every=every)
    check_resumed(name, tmp_path)


def test_a_discriminator_that_only_a_plain_objective_holds_is_kept(tmp_path):
    """A function that trains it is no module whose parameters would be found."""

    def apart():
        made = factor()
        ratio = made.steps[1].objective
        made.steps[1] = made.steps[1]._replace(objective=lambda *batch: ratio(*batch))
        return made

    cut_off(apart, tmp_path, ("step_end", 4), checkpoint_every=1)
    check_resumed(apart, tmp_path)


def test_what_a_schedule_has_set_stands_between_epochs(tmp_path):
    """The first value from the start; validation leaves the last, which may be read before the next step."""
    seen, objectives = [], []

    def watched():
        made = trip()
        objectives.append(made.steps[0].objective)
        objectives[-1].kl_weight = 0.5
        return made

    def act(hook, state):
        if hook == "epoch_start":
            seen.append((state.epoch, objectives[-1].kl_weight))

    train(watched, tmp_path, act, epochs=1)
    train(watched, tmp_path, act, epochs=2, resume=True)
    assert seen == [(1, 0.0), (2, 1.0)]


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


def test_early_stopping_and_the_best_epoch_are_not_those_of_a_run_to_the_end():
    """Otherwise the tests above would not see them."""
    _, result, _ = undisturbed("trip")
    assert (result.best_epoch, len(result.history), result.stopped_early) == (2, 4, True)


def test_it_may_be_cut_off_again_and_again(tmp_path):
    for _ in range(3):
        cut_off("trip", tmp_path, ("step_end", 2), checkpoint_every=1, resume=True)
    check_resumed("trip", tmp_path)


@pytest.mark.parametrize("renames", [0, 2, 5])
def test_cut_off_before_a_rename(tmp_path, monkeypatch, renames):
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
    check_resumed("factor", tmp_path)
    assert {path.name for path in tmp_path.iterdir()} == {CHECKPOINT, PREVIOUS, "metrics.csv", "model.safetensors"}


@pytest.mark.parametrize("name", MAKE)
def test_a_training_that_has_ended_returns_what_it_returned(tmp_path, name):
    train(name, tmp_path)

    def act(hook, state):
        raise AssertionError(hook)

    model, result = train(name, tmp_path, act, resume=True)
    assert same(model, undisturbed(name)[0])
    assert results(result) == results(undisturbed(name)[1])


def test_it_goes_on_where_the_epochs_are_more_now(tmp_path):
    train("factor", tmp_path, epochs=2)
    check_resumed("factor", tmp_path)


def test_without_resume_it_starts_anew(tmp_path):
    """An old checkpoint is gone at once: a later call must not go on from it."""
    train("gan", tmp_path, epochs=2)
    cut_off("gan", tmp_path, ("step_end", 0))
    assert not (tmp_path / CHECKPOINT).exists()
    check_resumed("gan", tmp_path)


@pytest.mark.parametrize("number", [signal.SIGINT, signal.SIGTERM])
def test_a_signal_stops_it_after_the_batch(tmp_path, number):
    before = [signal.getsignal(n) for n in (signal.SIGINT, signal.SIGTERM)]
    seen = []

    def act(hook, state):
        seen.append((hook, state.step))
        if (hook, state.step) == ("step_start", BATCHES + 2):
            os.kill(os.getpid(), number)

    kind = KeyboardInterrupt if number == signal.SIGINT else training.Terminated
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
    check_resumed("trip", tmp_path)


def test_a_signal_after_the_last_epoch_stops_what_follows(tmp_path):
    class Late(training.Callback):
        def on_fit_end(self, state):
            os.kill(os.getpid(), signal.SIGTERM)

    made = trip()
    made.callbacks = [*made.callbacks, Late()]
    with pytest.raises(training.Terminated, match=r"stopped by SIGTERM after epoch \d"):
        train(lambda: made, tmp_path)
    assert (
        training.load_state(tmp_path / training.CHECKPOINT)["step"]
        == len((tmp_path / "metrics.csv").read_text().split()[1:]) * BATCHES
    )


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
