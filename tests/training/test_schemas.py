"""Weights and what a prior says of itself: files of before do not say it, and load; another schema is refused."""

import pytest
import torch
from torch import nn

import pyro_priors as pp
from pyro_priors.networks import GatedMLPDecoder, GatedMLPEncoder
from pyro_priors.objectives import ELBO
from pyro_priors.programs import VAE
from pyro_priors.training import (
    CheckpointError,
    ExponentialAverage,
    FitState,
    OptimizationStep,
    Reinitialize,
    fit,
    load_weights,
    save_weights,
)

SHAPE, D = (1, 3, 3), 2
EXTRA = "_extra_state"


class Plain(pp.GaussianMixture):
    """Says nothing of itself, as priors did before."""

    get_extra_state = nn.Module.get_extra_state
    set_extra_state = nn.Module.set_extra_state
    _load_from_state_dict = nn.Module._load_from_state_dict


class Named(Plain):
    """Says `names` of itself."""

    names = "a, b"

    def get_extra_state(self):
        return torch.frombuffer(bytearray(self.names.encode()), dtype=torch.uint8)

    def set_extra_state(self, state):
        if (got := bytes(state.tolist()).decode()) != self.names:
            raise ValueError(f"names: expected {self.names}, got {got}")


class Other(Named):
    names = "a, b, c"


def vae(kind, seed=0):
    torch.manual_seed(seed)
    return VAE(GatedMLPEncoder(SHAPE, D, (4,)), GatedMLPDecoder(D, SHAPE, (4,)), kind(D, 3))


def train(model, folder, epochs, **kwargs):
    torch.manual_seed(1)
    x = torch.rand(20, *SHAPE)
    step = OptimizationStep(ELBO(), torch.optim.Adam(model.parameters(), 0.01))
    how = {"progress": False, "run_dir": folder, **kwargs}
    callbacks = [ExponentialAverage(model.decoder), Reinitialize(model.prior, x, encode=model.encode)]
    return fit(step, model, x.split(10), epochs=epochs, validation=[x], callbacks=callbacks, **how)


def weights(module):
    return {name: tensor for name, tensor in module.state_dict().items() if not name.endswith(EXTRA)}


def same(a, b):
    a, b = weights(a), weights(b)
    return a.keys() == b.keys() and all(torch.equal(a[name], b[name]) for name in a)


def test_weights_of_before_load(tmp_path):
    save_weights(vae(Plain), tmp_path / "weights")
    load_weights(again := vae(Named, seed=1), tmp_path / "weights")
    assert same(again, vae(Plain))


def test_weights_of_another_schema_change_nothing(tmp_path):
    save_weights(vae(Named), tmp_path / "weights")
    load_weights(again := vae(Named, seed=1), tmp_path / "weights")
    assert same(again, vae(Named))
    other = vae(Other, seed=1)
    with pytest.raises(ValueError, match="names: expected a, b, c, got a, b"):
        load_weights(other, tmp_path / "weights")
    assert same(other, vae(Other, seed=1))


@pytest.mark.parametrize("first", [Plain, Named])
def test_a_training_goes_on(tmp_path, first):
    train(vae(first), tmp_path / "cut", 2)
    resumed = train(again := vae(Named), tmp_path / "cut", 4, resume=True)
    whole = train(expected := vae(Named), tmp_path / "whole", 4)
    assert len(resumed.history) == len(whole.history) == 4
    assert same(again, expected)


def test_a_training_of_another_schema_is_refused(tmp_path):
    train(vae(Named), tmp_path, 1)
    other = vae(Other, seed=1)
    with pytest.raises(CheckpointError, match=r"another training \(.*names: expected a, b, c, got a, b\)"):
        train(other, tmp_path, 2, resume=True)
    assert same(other, vae(Other, seed=1))


def test_averages_of_before_load():
    averages = [ExponentialAverage(prior := kind(D, 3)) for kind in (Plain, Named)]
    averages[0].on_step_end(FitState(None, prior, []))
    averages[1].load_state_dict(averages[0].state_dict())
    assert same(averages[1].average, averages[0].average)
