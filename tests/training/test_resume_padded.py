"""Checkpoints of before, whose cores were as wide as the widest variable, are gone on from."""

from types import SimpleNamespace
from typing import NamedTuple

import pyro
import pytest
import torch
from pyro.infer import Trace_ELBO
from resumable import BATCHES, Killed, same, train
from torch import nn
from torch.utils.data import DataLoader

import pyro_priors as pp
from pyro_priors import training
from pyro_priors.training import CHECKPOINT, CheckpointError, load_state
from pyro_priors.training.checkpoints import save_state

SIZES = (3, 3, 9, 2)


class Terms(NamedTuple):
    bound: torch.Tensor


class Rows(nn.Module):
    """Codes and attributes that are all seen."""

    def __init__(self):
        super().__init__()
        self.prior = pp.TTLP(
            2, {"wide": pp.Discrete(9), "narrow": pp.Discrete(2)}, components=3, rank=2, cores="full", order="random"
        )

    def model(self, rows):
        pyro.module("rows", self)
        with pyro.plate("data", len(rows)):
            pyro.sample("row", self.prior(), obs=rows)

    def guide(self, rows):
        pyro.module("rows", self)


def rows():
    model = Rows()
    data = torch.cat([torch.randn(20, 2), torch.randint(2, (20, 2)).float()], -1)
    optimizer, bound = torch.optim.Adam(model.parameters(), lr=0.01), Trace_ELBO()

    def objective(model, guide, batch):
        loss = bound.differentiable_loss(model, guide, batch)
        return loss, Terms(-loss.detach())

    return SimpleNamespace(
        steps=[training.OptimizationStep(objective, optimizer)],
        model=model,
        data=DataLoader(data, 8, shuffle=True),
        validation=None,
        callbacks=[training.ExponentialAverage(model.prior, 0.9)],
        early_stopping=None,
    )


def padded(cores):
    """``(S, m, m)`` with the groups 3, 9 and 2 as ``(D, N, m, m)``."""
    wide = cores.new_full((4, 9, 2, 2), -1.0)
    for column, start in enumerate((0, 3, 6, 15)):
        wide[column, : SIZES[column]] = cores[start : start + SIZES[column]]
    return wide


def as_before(x):
    """Every tensor of a checkpoint that has the shape of the cores, and what is said of that shape, as it was."""
    if isinstance(x, dict):
        return {key: as_before(value) for key, value in x.items()}
    if isinstance(x, (list, tuple)):
        return type(x)([4, 9, 2, 2]) if list(x) == [17, 2, 2] else type(x)(as_before(value) for value in x)
    return padded(x) if isinstance(x, torch.Tensor) and x.shape == (17, 2, 2) else x


def test_a_padded_checkpoint_is_gone_on_from(tmp_path):
    """Weights, Adam's moments and the average of the weights: it ends as the undisturbed training does."""
    whole, _ = train(rows, tmp_path / "whole")
    with pytest.raises(Killed):
        train(rows, tmp_path / "cut", stop_at(BATCHES + 2), checkpoint_every=1)
    path = tmp_path / "cut" / CHECKPOINT
    state = load_state(path)
    before = as_before(state)
    shapes = {tuple(x.shape) for x in tensors(before)}
    assert (4, 9, 2, 2) in shapes
    assert (17, 2, 2) not in shapes
    save_state(before, path)
    again, _ = train(rows, tmp_path / "cut", resume=True)
    assert same(again, whole)


def test_another_width_is_another_training(tmp_path):
    with pytest.raises(Killed):
        train(rows, tmp_path, stop_at(BATCHES + 2), checkpoint_every=1)
    state = load_state(tmp_path / CHECKPOINT)
    (name,) = (name for name in state["weights"] if name.endswith("log_cores"))
    state["weights"][name] = torch.zeros(4, 8, 2, 2)
    save_state(state, tmp_path / CHECKPOINT)
    with pytest.raises(CheckpointError, match=r"log_cores: expected \(17, 2, 2\), got \(4, 8, 2, 2\)"):
        train(rows, tmp_path, resume=True)


def stop_at(step):
    def kill(hook, state):
        if hook == "step_start" and state.step == step:
            raise Killed

    return kill


def tensors(x):
    if isinstance(x, dict):
        x = list(x.values())
    if isinstance(x, (list, tuple)):
        return [tensor for part in x for tensor in tensors(part)]
    return [x] if isinstance(x, torch.Tensor) else []
