"""Critics and generator programs of a few numbers, whose losses can be written out."""

import pyro
import pyro.distributions as dist
import torch
from torch import nn

import pyro_priors as pp
from pyro_priors.networks import MLPCritic, MLPGenerator
from pyro_priors.programs import GAN

REAL = torch.tensor([[0.5, -1.0], [2.0, 0.3], [0.0, 0.0]])


class Linear(nn.Module):
    """A critic whose features are known: x itself; with attributes, their sum weighs it."""

    def __init__(self):
        super().__init__()
        self.weight = nn.Parameter(torch.tensor([1.0, -2.0]))

    def features(self, x, *given):
        return x

    def forward(self, x, *given):
        return x @ self.weight + sum(y.nan_to_num().sum(-1) for y in given)


class Shift(nn.Module):
    """x = z + shift for z a point: the program is deterministic."""

    def __init__(self):
        super().__init__()
        self.shift = nn.Parameter(torch.tensor([0.1, 0.2]))

    def model(self, x, *given):
        with pyro.plate("data", len(x)):
            z = pyro.sample("z", dist.Delta(torch.zeros(len(x), 2), event_dim=1))
            return z + self.shift

    def guide(self, x, *given):
        pass


def small_gan(prior=None):
    shape = (1, 1, 2)
    prior = pp.TRIP(3, components=2, rank=2) if prior is None else prior
    return GAN(MLPGenerator(3, shape, (8,), "linear"), prior, MLPCritic(shape, (8,)), signed=False)
