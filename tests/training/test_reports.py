"""Curves for TensorBoard and pictures during a training."""

import struct
from types import SimpleNamespace

import pytest
import torch
from torch import nn

from pyro_priors import training
from pyro_priors.training import Draw, OptimizationStep, TensorBoard, fit


class Quadratic(nn.Module):
    """A "model" with noise in its loss and dropout."""

    def __init__(self):
        super().__init__()
        self.weight, self.drop = nn.Parameter(torch.ones(3)), nn.Dropout()

    def model(self, x):
        return (self.drop(self.weight) - x - torch.rand_like(x)).square().sum()

    guide = model


class Terms(tuple):
    def _asdict(self):
        return {"part": self[0]}


def objective(model, guide, x):
    loss = model(x)
    return loss, Terms([loss.detach()])


def trained(tmp_path=None, epochs=3, callbacks=(), **more):
    torch.manual_seed(0)
    module = Quadratic()
    step = OptimizationStep(objective, torch.optim.Adam(module.parameters(), 0.1))
    data = [torch.arange(6.0).view(2, 3)] * 4
    result = fit(step, module, data, epochs=epochs, callbacks=callbacks, progress=False, seed=0, **more)
    return module.weight.detach().clone(), result


def events(folder):
    """`{(tag, step): value}` of the event files in a folder: records of length, checksum, data, checksum."""
    from tensorboardX.proto import event_pb2

    written = {}
    for path in sorted(folder.glob("events.*")):
        data, at = path.read_bytes(), 0
        while at < len(data):
            (length,) = struct.unpack("<Q", data[at : at + 8])
            event = event_pb2.Event.FromString(data[at + 12 : at + 12 + length])
            written |= {(value.tag, event.step): value.simple_value for value in event.summary.value}
            at += 12 + length + 4
    return written


def test_tensorboard_has_what_the_history_has(tmp_path):
    _, result = trained(callbacks=[TensorBoard(tmp_path / "curves")])
    written = events(tmp_path / "curves")
    for row in result.history:
        for name, value in row.items():
            if name != "epoch":
                assert written[name, row["epoch"]] == pytest.approx(value)
    assert len(written) == sum(len(row) - 1 for row in result.history)


def test_a_resumed_training_goes_on_in_the_same_folder(tmp_path):
    for epochs in (2, 4):
        trained(epochs=epochs, callbacks=[TensorBoard(tmp_path / "curves")], run_dir=tmp_path / "run", resume=True)
    assert {step for name, step in events(tmp_path / "curves") if name == "train_loss"} == {1, 2, 3, 4}


def test_pictures_are_drawn_when_due_and_change_nothing():
    seen = []

    def draw(model, epoch):
        assert not model.training
        assert not torch.is_grad_enabled()
        seen.append((epoch, torch.rand(()).item()))

    drawn, _ = trained(callbacks=[Draw(draw, every=2)], epochs=5)
    plain, _ = trained(epochs=5)
    assert [epoch for epoch, _ in seen] == [2, 4]
    assert torch.equal(drawn, plain)


def test_a_failed_drawing_leaves_the_model_as_it_was():
    module = Quadratic()
    module.train()
    state = training.FitState(SimpleNamespace(device=torch.device("cpu"), is_global_zero=True), module, [], epoch=1)
    with pytest.raises(ZeroDivisionError):
        Draw(lambda model, epoch: 1 / 0).on_row(state, {"epoch": 1})
    assert module.training
    assert module.drop.training


def test_other_ranks_draw_and_write_nothing(tmp_path):
    state = training.FitState(SimpleNamespace(is_global_zero=False), Quadratic(), [], epoch=1)
    Draw(lambda model, epoch: 1 / 0).on_row(state, {"epoch": 1})
    TensorBoard(tmp_path / "curves").on_row(state, {"epoch": 1, "train_loss": 1.0})
    assert not (tmp_path / "curves").exists()


def test_bad_counts():
    with pytest.raises(ValueError, match="every: expected"):
        Draw(print, every=0)
