"""Loaders with worker processes: a training that resumes reads the examples that it would have read undisturbed."""

import itertools
from typing import NamedTuple

import pyro
import pytest
import torch
from torch import nn
from torch.utils.data import BatchSampler, DataLoader, RandomSampler, TensorDataset

from pyro_priors import training
from pyro_priors.training import CheckpointError, OptimizationStep, fit
from pyro_priors.training.random_states import generators

BATCHES = 3


class Terms(NamedTuple):
    drawn: torch.Tensor


class Reader(nn.Module):
    """Notes what it is given, in training and in validation."""

    def __init__(self):
        super().__init__()
        self.weight, self.read, self.judged, self.codes = nn.Parameter(torch.zeros(())), [], [], []

    def model(self, x):
        (self.read if torch.is_grad_enabled() else self.judged).append(x.flatten().tolist())
        return (self.weight - x.mean()).square() + torch.rand(())

    guide = model

    def reinitialize(self, z):
        self.codes.append(z.flatten().tolist())
        return False


def objective(model, guide, x):
    loss = model(x)
    return loss, Terms(loss.detach())


def loader(kind, **how):
    own = torch.Generator().manual_seed(8)
    data = TensorDataset(torch.arange(12.0).unsqueeze(1))
    if kind == "a sampler's generator":
        return DataLoader(data, batch_sampler=BatchSampler(RandomSampler(data, generator=own), 4, False), **how)
    return DataLoader(data, 4, shuffle=True, generator=own if kind == "its generator" else None, **how)


WAYS = {
    "this process": ("global", {}),
    "its generator": ("its generator", {}),
    "a sampler's generator": ("a sampler's generator", {}),
    "workers": ("global", {"num_workers": 2}),
    "workers that stay": ("global", {"num_workers": 2, "persistent_workers": True}),
    "workers that stay, its generator": ("its generator", {"num_workers": 1, "persistent_workers": True}),
}


class Killed(BaseException):
    """Nothing catches it."""


class Kill(training.Callback):
    def __init__(self, at):
        self.at = at

    def on_step_start(self, state):
        if state.step == self.at:
            raise Killed


def train(way, folder, at=None, lr=0.1, **how):
    """Data, validation and codes all come in that way."""
    kind, workers = WAYS[way]
    pyro.set_rng_seed(9)
    reader = Reader()
    data, validation, codes = (loader(kind, **workers) for _ in range(3))
    set_from_codes = training.Reinitialize(reader, codes, encode=None, every=1, samples=5)
    step = OptimizationStep(objective, torch.optim.SGD(reader.parameters(), lr=lr))
    callbacks = [set_from_codes, Kill(at)]
    how = {"epochs": 3, "seed": 1, "run_dir": folder, "validation": validation, "progress": False, **how}
    try:
        return reader, fit(step, reader, data, callbacks=callbacks, **how)
    except Killed:
        return reader, None


@pytest.mark.parametrize(("way", "at"), [*((way, BATCHES + 2) for way in WAYS), ("workers that stay", 2 * BATCHES)])
@pytest.mark.slow
def test_a_resumed_training_reads_what_an_undisturbed_one_reads(tmp_path, way, at):
    """Killed amid the second epoch, with a checkpoint after every batch, or before the third."""
    whole, expected = train(way, tmp_path / "whole")
    assert sorted(itertools.chain(*whole.read[:BATCHES])) == list(range(12))
    killed, _ = train(way, tmp_path / "cut", at, checkpoint_every=1)
    resumed, result = train(way, tmp_path / "cut", checkpoint_every=1, resume=True)
    assert killed.read + resumed.read == whole.read
    assert killed.judged + resumed.judged == whole.judged
    assert killed.codes[:1] + resumed.codes == whole.codes  # those of the third epoch are drawn again
    assert torch.equal(resumed.weight, whole.weight)
    assert [row["train_loss"] for row in result.history] == [row["train_loss"] for row in expected.history]


@pytest.mark.parametrize("way", ["workers", "workers that stay"])
def test_every_epoch_is_judged_by_the_same_batches(tmp_path, way):
    """Weights that stay have one validation loss, whatever the first pass draws for its workers."""
    reader, result = train(way, None, lr=0.0)
    assert len({row["validation_loss"] for row in result.history}) == 1
    assert reader.judged[:BATCHES] == reader.judged[BATCHES : 2 * BATCHES]


def test_a_loader_whose_workers_stay_serves_a_second_training_as_the_first():
    data = loader("global", num_workers=1, persistent_workers=True)
    orders = []
    for _ in range(2):
        reader = Reader()
        fit(
            OptimizationStep(objective, torch.optim.SGD(reader.parameters(), lr=0.1)),
            reader,
            data,
            epochs=2,
            seed=1,
            progress=False,
        )
        orders.append(reader.read)
    assert orders[0] == orders[1]
    assert orders[0][:BATCHES] != orders[0][BATCHES:]


def test_a_checkpoint_without_the_generators_that_there_are_now_is_told(tmp_path):
    train("this process", tmp_path, BATCHES + 1)
    with pytest.raises(CheckpointError, match="generators of loaders and their samplers: expected 2, got 0"):
        train("a sampler's generator", tmp_path, resume=True)


def test_the_generators_of_a_loader():
    data = loader("its generator")
    assert generators(data, data) == [data.generator]
    assert generators([1, 2], None) == []
