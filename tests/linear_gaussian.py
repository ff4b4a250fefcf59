"""A linear-Gaussian program whose best guide is known, and what the tests of `fit` do with it."""

import math

import pyro
import pyro.distributions as dist
import torch
from torch import nn

from pyro_priors.objectives import ELBO
from pyro_priors.training import Callback, OptimizationStep


class Line(nn.Module):
    """z ~ N(loc, 1), x given z ~ N(z, 1): x ~ N(loc, 2); the best guide is N((x + loc) / 2, 1 / 2)."""

    def __init__(self):
        super().__init__()
        self.loc = nn.Parameter(torch.zeros(()))
        self.slope, self.offset = nn.Parameter(torch.zeros(())), nn.Parameter(torch.zeros(()))

    def model(self, x):
        with pyro.plate("data", len(x)):
            z = pyro.sample("z", dist.Normal(self.loc, 1.0))
            pyro.sample("x", dist.Normal(z, 1.0), obs=x)

    def guide(self, x):
        with pyro.plate("data", len(x)):
            pyro.sample("z", dist.Normal(self.slope * x + self.offset, math.sqrt(0.5)))


class Spy(Callback):
    """Calls a function before every step."""

    def __init__(self, act):
        self.act = act

    def on_step_start(self, state):
        self.act(state)


X = torch.linspace(-1.5, 4.5, 64)
QUIET = {"progress": False, "seed": 0}


def sgd(line, lr=0.1):
    return OptimizationStep(ELBO(), torch.optim.SGD(line.parameters(), lr=lr))


def weights(model):
    return [parameter.detach().clone() for parameter in model.parameters()]
