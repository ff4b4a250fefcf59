"""Several ranks: whatever one of them would have done to a prior, all end with the parameters of rank 0."""

import copy
import os
import subprocess
import sys
from pathlib import Path

import pyro.distributions as dist
import pytest
import torch
from torch import nn

from pyro_priors.training import Reinitialize
from pyro_priors.training.callbacks import FitState


class Settled(nn.Module):
    """A prior that is set to `value`, or kept (`reinitialize` then returns False)."""

    def __init__(self, start, value, changes):
        super().__init__()
        self.shift, self.value, self.changes = nn.Parameter(torch.full((2,), start)), value, changes
        self.register_buffer("count", torch.tensor(0))

    def reinitialize(self, z):
        if self.changes is not False:
            self.shift.data.fill_(self.value)
            self.count += 1
        return self.changes


class Ranks:
    """Stands for Fabric: rank 0 runs first and what it broadcasts is kept; rank 1 gets it in the same order."""

    device, world_size = torch.device("cpu"), 2

    def __init__(self):
        self.global_rank, self.sent = 0, []

    @property
    def is_global_zero(self):
        return self.global_rank == 0

    def broadcast(self, obj, src=0):
        if self.is_global_zero:
            self.sent.append(copy.deepcopy(obj))
            return obj
        return self.sent.pop(0)


def encode(x):
    return dist.Normal(x, 1.0).to_event(1)


@pytest.mark.parametrize("first", [False, True, None])
@pytest.mark.parametrize("second", [False, True, None])
def test_all_ranks_end_with_the_prior_of_rank_0(first, second):
    fabric, priors, states = Ranks(), [Settled(0.0, 5.0, first), Settled(0.0, 7.0, second)], []
    for rank, prior in enumerate(priors):
        fabric.global_rank = rank
        optimizer = torch.optim.Adam(prior.parameters())
        prior.shift.grad = torch.zeros(2)
        optimizer.step()
        callback = Reinitialize(prior, torch.zeros(8, 2), encode=encode)
        callback.on_epoch_start(FitState(fabric, prior, [optimizer], epoch=2))
        states.append(prior.shift in optimizer.state)
    assert fabric.sent == []
    for prior in priors:
        assert prior.shift.tolist() == ([0.0] * 2 if first is False else [5.0] * 2)
        assert prior.count == (0 if first is False else 1)
    assert states == [first is False] * 2


SCRIPT = """
import torch
from torch import nn
from torch.utils.data import DataLoader
from pyro_priors.objectives import ELBO
from pyro_priors.training import OptimizationStep, Reinitialize, fit
from pyro_priors.networks import GatedMLPDecoder, GatedMLPEncoder
from pyro_priors.programs import VAE
import pyro_priors as pp

class Wavering(pp.GaussianMixture):
    calls = 0

    def reinitialize(self, z):
        self.calls += 1
        if torch.distributed.get_rank() == 0 and self.calls == 2:
            return False
        return super().reinitialize(z, force=True)

torch.manual_seed(0)
prior, images, shape = Wavering(2, 3), torch.rand(40, 1, 4, 4), (1, 4, 4)
vae = VAE(GatedMLPEncoder(shape, 2, (8,)), GatedMLPDecoder(2, shape, (8,)), prior)
callback, step = Reinitialize(prior, images, encode=vae.encode, every=1), OptimizationStep(
    ELBO(), torch.optim.Adam(vae.parameters())
)
fit(step, vae, DataLoader(images, 10), epochs=3, callbacks=[callback], devices=2, seed=0, progress=False)
rank = torch.distributed.get_rank()
torch.save([parameter.detach() for parameter in vae.parameters()], f"rank{rank}.pt")
"""


@pytest.mark.slow
def test_two_processes_train_the_same_model(tmp_path):
    """After epoch 1 both ranks would fit a prior of their own; after epoch 2 rank 0 keeps its, and rank 1 would not."""
    (tmp_path / "script.py").write_text(SCRIPT)
    environment = {**os.environ, "PYTHONPATH": str(Path(__file__).parents[2]), "OMP_NUM_THREADS": "1"}
    subprocess.run(
        [sys.executable, "script.py"], cwd=tmp_path, env=environment, check=True, capture_output=True, timeout=300
    )
    first, second = (torch.load(tmp_path / f"rank{rank}.pt") for rank in (0, 1))
    assert all(torch.equal(a, b) for a, b in zip(first, second, strict=True))
