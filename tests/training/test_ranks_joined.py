"""Two processes: parameters equal on both at every step, and equal to one process with the joined batch.

The noise of an example is a function of its image, the same wherever it is trained. Plain SGD: the steps of Adam would
blow up rounding errors where a gradient is nearly zero.
"""

import math

import pytest
import torch
from ranks import in_processes, noise_of_images
from small_programs import LATENTS, MAKE, SHAPE
from torch.utils.data import DataLoader, TensorDataset

from pyro_priors.training import Callback, OptimizationStep, fit

EXAMPLES, PART = 48, 8
TOLERANCE = 1e-5


def labels():
    """Even rows, those of rank 0, are complete; of the odd ones few cells are known, and none in the second batch."""
    y = torch.stack([torch.arange(EXAMPLES) % 3, torch.randn(EXAMPLES)], -1)
    odd, known = y[1::2].clone(), torch.rand(EXAMPLES // 2, 2) < 0.2
    known[PART : 2 * PART] = False
    y[1::2] = torch.where(known, odd, math.nan)
    return y


class Parameters(Callback):
    """Those after every step."""

    def __init__(self):
        self.seen = []

    def on_step_end(self, state):
        self.seen.append(torch.cat([p.detach().flatten() for p in state.model.parameters()]))


def train(name, devices, batch):
    """-> the parameters after every step `(steps, n)`, the losses of the epochs."""
    torch.manual_seed(0)
    model, objective = MAKE[name]()
    x = torch.rand(EXAMPLES, *SHAPE)
    data = TensorDataset(x, labels()) if name == "joint" else TensorDataset(x)
    step, parameters = OptimizationStep(objective, torch.optim.SGD(model.parameters(), lr=0.05)), Parameters()
    loader = DataLoader(data, batch)
    with noise_of_images(model.encoder, LATENTS):
        result = fit(step, model, loader, epochs=2, devices=devices, callbacks=[parameters], seed=0, progress=False)
    return torch.stack(parameters.seen), [row["train_loss"] for row in result.history]


def as_rank():
    return {name: train(name, 2, PART) for name in MAKE}


@pytest.fixture(scope="module")
def ranks():
    return in_processes(2, as_rank)


@pytest.mark.parametrize("name", MAKE)
@pytest.mark.slow
def test_two_processes_equal_one_with_the_joined_batch(ranks, name):
    (first, losses), (second, others) = (rank[name] for rank in ranks)
    joined, expected = train(name, 1, 2 * PART)
    assert len(joined) == 2 * EXAMPLES // (2 * PART)
    assert (joined[-1] - joined[0]).abs().max() > 100 * TOLERANCE
    assert torch.equal(first, second)
    assert torch.allclose(first, joined, rtol=0, atol=TOLERANCE)
    assert losses == others
    assert losses == pytest.approx(expected, abs=TOLERANCE)


def test_ranks_see_different_numbers_of_labels():
    """Otherwise a mean over observed cells would look as well as one over examples."""
    torch.manual_seed(0)
    known = labels().isfinite().sum(-1)
    assert known[::2].sum() == EXAMPLES
    assert 0 < known[1::2].sum() < EXAMPLES / 3
    assert known[2 * PART : 4 * PART][1::2].sum() == 0
