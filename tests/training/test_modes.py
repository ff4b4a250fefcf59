"""Training and evaluation mode: bounds are of a model in evaluation mode, and every module's mode is kept."""

import pyro
import torch
from torch import nn

import pyro_priors as pp
from pyro_priors import metrics, objectives, training
from pyro_priors.networks import GatedMLPDecoder, GatedMLPEncoder
from pyro_priors.programs import VAE, JointVAE
from pyro_priors.training.modes import evaluating, modes_restored

SHAPE = (1, 4, 4)


def modes(model):
    return [module.training for module in model.modules()]


def joint(**kwargs):
    prior = pp.TTLP(3, {"digit": pp.Discrete(3)}, components=3, rank=3)
    return JointVAE(GatedMLPEncoder(SHAPE, 3, (8,)), GatedMLPDecoder(3, SHAPE, (8,)), prior, **kwargs)


def test_bounds_do_not_depend_on_the_mode_which_is_left_as_it_was():
    model, results = joint(label_weight=50.0), []
    x, y = torch.rand(6, *SHAPE), torch.tensor([[0.0], [1.0], [2.0]]).repeat(2, 1)
    encoded = []
    for mode in (True, False):
        model.train(mode)
        model.decoder.eval()
        before = modes(model)
        pyro.set_rng_seed(0)
        bounds = metrics.evaluate_bounds(model.model, model.guide, [(x, y)], num_particles=30)
        results.append((bounds, metrics.importance_nll(model.model, model.guide, (x, y), 30).nll.mean()))
        encoded.append(metrics.aggregated_posterior(model.encode, [(x, y)]).mean)
        assert modes(model) == before
    assert results[0] == results[1]
    assert torch.equal(*encoded)


def test_fit_leaves_every_module_in_its_mode():
    model = VAE(GatedMLPEncoder(SHAPE, 3, (8,)), GatedMLPDecoder(3, SHAPE, (8,)), pp.TRIP(3, components=2, rank=2))
    model.encoder.eval()
    before = modes(model)
    step = training.OptimizationStep(objectives.ELBO(), torch.optim.Adam(model.parameters()))
    training.fit(step, model, [torch.rand(4, *SHAPE)], epochs=1, progress=False)
    assert modes(model) == before


def test_modes_are_kept_after_an_error_too():
    model = nn.Sequential(nn.Linear(1, 1), nn.Dropout())
    model[1].eval()
    try:
        with modes_restored(model), evaluating(model.forward, print):
            assert modes(model) == [False, False, False]
            raise KeyError
    except KeyError:
        assert modes(model) == [True, True, False]
