"""A NaN in data, networks, prior or a gradient: training stops in that step, and the last checkpoint is good."""

import math

import pyro
import pytest
import torch
from torch import nn
from torch.utils.data import DataLoader

import pyro_priors as pp
from pyro_priors.networks import GatedMLPDecoder, GatedMLPEncoder
from pyro_priors.objectives import ELBO
from pyro_priors.programs import VAE
from pyro_priors.training import CHECKPOINT, Callback, OptimizationStep, fit, load_state

SHAPE, BATCHES = (1, 3, 3), 3
FIRST, LATER = 0, BATCHES + 1  # the first batch of all, the second one of the second epoch
WHERE = {FIRST: "epoch 1, batch 1", LATER: "epoch 2, batch 2"}


class Plant(Callback):
    """Calls `act` before one step, or `early` ones; keeps what the weights are then, and counts the steps that end."""

    def __init__(self, step, act, early):
        self.step, self.act, self.early, self.ended = step, act, early, 0

    def on_step_start(self, state):
        if self.step is not None and state.step == self.step - self.early:
            self.act()
        if state.step == self.step:
            self.weights = {name: value.clone() for name, value in state.model.state_dict().items()}

    def on_step_end(self, state):
        self.ended += 1


class Spoiling(torch.autograd.Function):
    """The same number, and gradients that are none."""

    @staticmethod
    def forward(context, x):
        return x.clone()

    @staticmethod
    def backward(context, gradient):
        return gradient * math.nan


class Spoilt(nn.Module):
    """A prior whose cores have no gradient from when `spoil` is set."""

    def __init__(self, prior):
        super().__init__()
        self.prior, self.latent_dim, self.spoil = prior, prior.latent_dim, False

    def forward(self):
        cores = {"log_cores": Spoiling.apply(self.prior.log_cores)} if self.spoil else {}
        return torch.func.functional_call(self.prior, cores, ())


def train(folder, step, plant, **kwargs):
    """Train VAE-TRIP and plant something -> the model, the callback."""
    pyro.set_rng_seed(0)
    prior = Spoilt(pp.TRIP(2, components=3, rank=2))
    vae = VAE(GatedMLPEncoder(SHAPE, 2, (8,)), GatedMLPDecoder(2, SHAPE, (8,)), prior)
    x = torch.rand(8 * BATCHES, *SHAPE).round()
    watched = Plant(step, lambda: plant(vae, x), early=plant is in_data)  # a batch is read before its step starts
    if plant is in_data and step == FIRST:
        plant(vae, x)
    optimizer = torch.optim.Adam(vae.parameters(), lr=0.01)
    how = {"epochs": 3, "run_dir": folder, "checkpoint_every": 1, "callbacks": [watched], "progress": False, "seed": 0}
    try:
        fit(OptimizationStep(ELBO(), optimizer), vae, DataLoader(x, 8), **{**how, **kwargs})
    finally:
        train.last = vae, watched
    return vae


def in_data(vae, x):
    x[[3, 11, 19], 0, 1, 1] = math.nan  # one picture of each batch


def in_encoder(vae, x):
    vae.encoder.body[0].value.weight.data[0, 0] = math.nan


def in_decoder(vae, x):
    next(vae.decoder.parameters()).data[0, 0] = math.nan


def in_cores(vae, x):
    vae.prior.prior.log_cores.data[0, 0, 0, 0] = math.nan


def in_gradient(vae, x):
    vae.prior.spoil = True


PLANTED = {
    in_data: "loss: .*: site 'z' of the guide: .*; the batch has 1 such values itself$",
    in_encoder: r"loss: .*: site 'z' of the guide: log-density nan; weights are not finite: encoder\.",
    in_decoder: r"loss: .*: site 'x' of the model: log-density nan; weights are not finite: decoder\.",
    in_cores: r"loss: .*: site 'z' of the model: log-density nan; weights are not finite: prior\.prior\.log_cores$",
    in_gradient: r"gradient: expected a finite norm, got nan in .*: that of prior\.prior\.log_cores$",
}


@pytest.mark.parametrize("step", WHERE)
@pytest.mark.parametrize("plant", PLANTED, ids=lambda plant: plant.__name__)
def test_it_stops_in_that_step_says_where_and_leaves_a_good_checkpoint(tmp_path, plant, step):
    with pytest.raises(FloatingPointError, match=PLANTED[plant]) as stopped:
        train(tmp_path, step, plant)
    assert WHERE[step] in str(stopped.value)
    vae, watched = train.last
    assert watched.ended == step
    for name, value in vae.state_dict().items():  # no update with what is no number
        assert torch.equal(value.nan_to_num(), watched.weights[name].nan_to_num())
    assert (tmp_path / CHECKPOINT).exists() == (step > 0)
    if step:
        state = load_state(tmp_path / CHECKPOINT)
        assert state["step"] == step
        assert all(value.isfinite().all() for value in state["weights"].values())
        resumed = train(tmp_path, None, plant, resume=True)
        whole = train(None, None, plant, checkpoint_every=None)
        for name, value in whole.state_dict().items():
            assert torch.equal(value, resumed.state_dict()[name])


@pytest.mark.parametrize("every", [1, None])
def test_weights_that_an_update_has_spoilt_are_not_written(tmp_path, every):
    """The gradient is finite, the step is not: an infinite rate."""

    def rate(vae, x):
        for group in train.optimizer.param_groups:
            group["lr"] = math.inf

    class Captured(torch.optim.SGD):
        def __init__(self, *args, **kwargs):
            super().__init__(*args, **kwargs)
            train.optimizer = self

    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(torch.optim, "Adam", Captured)
        last = 2 * BATCHES - 1
        where = f"in epoch 2, after batch {BATCHES}: in .* and [0-9]+ more"
        with pytest.raises(FloatingPointError, match=f"weights: expected finite numbers, got NaN or infinity {where}"):
            train(tmp_path, last, rate, checkpoint_every=every)
    state = load_state(tmp_path / CHECKPOINT)
    assert state["step"] == (last if every else BATCHES)
    assert all(value.isfinite().all() for value in state["weights"].values())


def test_mistakes_that_have_nothing_to_do_with_numbers_stay_as_they_are():
    def wrong(vae, x):
        vae.encode = lambda x: (_ for _ in ()).throw(ValueError("something else"))

    with pytest.raises(ValueError, match="something else"):
        train(None, FIRST, wrong, checkpoint_every=None)
