"""WGAN-GP in two processes: parameters equal on both, and equal to one process with the joined batch.

Latents and the points of the penalty are functions of the images, so that every example has the same noise wherever it
is trained.
"""

import pyro
import pyro.distributions as dist
import pytest
import torch
from ranks import in_processes
from torch.utils.data import DataLoader

import pyro_priors as pp
import pyro_priors.objectives.adversarial
from pyro_priors.networks import MLPCritic, MLPGenerator
from pyro_priors.objectives import CriticLoss, GeneratorLoss
from pyro_priors.programs import GAN
from pyro_priors.training import Callback, OptimizationStep, fit

SHAPE = (1, 2, 2)


class WithoutNoise(GAN):
    def model(self, x):
        pyro.module(self.name, self)
        u = (x.flatten(1)[:, :2] + 1) / 2 * 0.98 + 0.01
        with pyro.plate("data", len(x)):
            law = self.prior()  # z is a function of the noise u and of the parameters
            z = pyro.sample("z", dist.Delta(law.mean + law.variance.sqrt() * (2 * u - 1), event_dim=1))
            return self.generator(z)


class Parameters(Callback):
    """Those after every batch."""

    def __init__(self):
        self.seen = []

    def on_step_end(self, state):
        self.seen.append({name: p.detach().clone() for name, p in state.model.named_parameters()})


def train(devices, batch):
    torch.manual_seed(0)
    gan = WithoutNoise(
        MLPGenerator(2, SHAPE, (8,)), pp.TRIP(2, components=2, rank=2), MLPCritic(SHAPE, (8,), norm="layer")
    )
    x = torch.rand(64, *SHAPE) * 2 - 1
    theirs, parameters = [*gan.generator.parameters(), *gan.prior.parameters()], Parameters()
    steps = [
        OptimizationStep(CriticLoss(gan.critic, penalty=10.0), torch.optim.SGD(gan.critic.parameters(), lr=0.05)),
        OptimizationStep(GeneratorLoss(gan.critic), torch.optim.SGD(theirs, lr=0.05), every=2),
    ]
    how = {"epochs": 2, "devices": devices, "callbacks": [parameters], "seed": 0, "progress": False}
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(
            pyro_priors.objectives.adversarial,
            "between",
            lambda real, fake: torch.lerp(real, fake, real.flatten(1)[:, :1, None, None].sigmoid()),
        )
        result = fit(steps, gan, DataLoader(x, batch), **how)
    return parameters.seen, result.history[-1]


@pytest.mark.slow
def test_two_processes_equal_one_with_the_joined_batch():
    (first, of_first), (second, _) = in_processes(2, train, 2, 8)
    joined, of_joined = train(1, 16)
    assert len(first) == len(second) == len(joined) == 8
    for left, right, both in zip(first, second, joined, strict=True):
        for name in left:
            assert torch.equal(left[name], right[name])
            assert torch.allclose(left[name], both[name], rtol=0, atol=1e-5), name
    for part in ("generator", "prior", "critic"):  # all of it moved, far more than they may differ
        moved = [(value - joined[0][name]).abs().max() for name, value in joined[-1].items() if name.startswith(part)]
        assert max(moved) > 1e-3
    for name in ("train_real", "train_penalty", "train_1_cost"):
        assert abs(of_first[name] - of_joined[name]) < 1e-5
