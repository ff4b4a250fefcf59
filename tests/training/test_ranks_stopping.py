"""Early stopping of two processes: both stop after the epoch that the mean over all validation data says."""

import pyro
import pyro.distributions as dist
import pytest
import torch
from ranks import in_processes
from torch import nn
from torch.utils.data import DataLoader

from pyro_priors.objectives import LogLikelihood
from pyro_priors.training import EarlyStopping, OptimizationStep, fit

EPOCHS, PATIENCE = 20, 2


class Level(nn.Module):
    """x ~ N(loc, 1)."""

    def __init__(self):
        super().__init__()
        self.loc = nn.Parameter(torch.zeros(()))

    def model(self, x):
        with pyro.plate("data", len(x)):
            pyro.sample("x", dist.Normal(self.loc, 1.0), obs=x)

    def guide(self, x): ...


class Noted(LogLikelihood):
    """Keeps the validation losses of its own rank."""

    def __init__(self):
        self.validations = []

    def __call__(self, model, guide, *batch):
        loss, terms = super().__call__(model, guide, *batch)
        if not torch.is_grad_enabled():
            self.validations.append(loss.item())
        return loss, terms


def train(devices):
    """The level rises to 4; examples to validate at 4 are on rank 0, those at 0 on rank 1."""
    level, objective = Level(), Noted()
    result = fit(
        OptimizationStep(objective, torch.optim.SGD(level.parameters(), lr=0.1)),
        level,
        DataLoader(torch.full((8,), 4.0), 8 // devices),
        validation=DataLoader(torch.tensor([4.0, 0.0]).repeat(4), 8 // devices),
        epochs=EPOCHS,
        early_stopping=EarlyStopping(PATIENCE),
        devices=devices,
        progress=False,
    )
    losses = [row["validation_loss"] for row in result.history]
    return objective.validations, losses, result.best_epoch, result.stopped_early, level.loc.item()


def epochs_until(losses):
    stopping = EarlyStopping(PATIENCE)
    return next((epoch for epoch, loss in enumerate(losses, start=1) if stopping.update(loss)), None)


@pytest.mark.slow
def test_both_stop_after_the_same_epoch_though_each_alone_would_not():
    (first, losses, *of_first), (second, same_losses, *of_second) = in_processes(2, train, 2)
    assert losses == same_losses
    assert of_first == of_second
    assert len(first) == len(second) == len(losses) == epochs_until(losses) < EPOCHS
    assert epochs_until(first) is None
    assert epochs_until(second) == 1 + PATIENCE < len(losses)
    assert losses == pytest.approx([(a + b) / 2 for a, b in zip(first, second, strict=True)])
    _, of_one, *joined = train(1)
    assert losses == pytest.approx(of_one)
    assert of_first == pytest.approx(joined)
    assert joined[:2] == [len(losses) - PATIENCE, True]
