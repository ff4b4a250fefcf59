"""A batch in two parts, as two devices take it: losses that are the mean over the parts, and those that are not."""

import pytest
import torch
from ranks import noise_of_images

import pyro_priors as pp
from pyro_priors import networks, objectives, programs, training
from pyro_priors.networks.critics import Critic

SHAPE, LATENTS = (1, 3, 3), 2


def loss_of(objective, vae, x):
    with noise_of_images(vae.encoder, LATENTS), torch.no_grad():
        return objective(vae.model, vae.guide, x)[0].item()


@pytest.fixture
def vae():
    torch.manual_seed(0)
    encoder = networks.GatedMLPEncoder(SHAPE, LATENTS, (8,))
    return programs.VAE(encoder, networks.GatedMLPDecoder(LATENTS, SHAPE, (8,)), pp.StandardNormal(LATENTS))


def both(objective, vae):
    """The loss of the joined batch, the mean of those of its halves."""
    x = torch.rand(16, *SHAPE)
    return loss_of(objective, vae, x), sum(loss_of(objective, vae, part) for part in x.split(8)) / 2


@pytest.mark.parametrize(
    "objective", [objectives.ELBO(), objectives.ELBO(kl_weight=4.0), objectives.ImportanceWeightedELBO(3)]
)
def test_bounds_are_means_over_examples(vae, objective):
    joined, parts = both(objective, vae)
    assert parts == pytest.approx(joined, abs=1e-5)


@pytest.mark.parametrize("objective", [objectives.TotalCorrelationELBO(4.0, 16), objectives.InfoELBO(lambda_=100.0)])
def test_estimates_over_pairs_are_not(vae, objective):
    joined, parts = both(objective, vae)
    assert abs(parts - joined) > 1e-2


def test_a_distance_from_a_capacity_is_one_only_on_one_side_of_it(vae):
    x = torch.rand(16, *SHAPE)
    x[8:] = x[8:] > 0.5
    kls = [
        loss_of(objectives.CapacityELBO(1.0), vae, part) - loss_of(objectives.ELBO(kl_weight=0.0), vae, part)
        for part in x.split(8)
    ]
    assert abs(kls[1] - kls[0]) > 0.01
    for capacity, equal in ((0.0, True), (sum(kls) / 2, False)):
        objective = objectives.CapacityELBO(10.0, capacity)
        joined, parts = loss_of(objective, vae, x), sum(loss_of(objective, vae, part) for part in x.split(8)) / 2
        assert (parts == pytest.approx(joined, abs=1e-4)) is equal
        assert parts > joined - 1e-4


@pytest.mark.parametrize(
    "kind",
    [
        objectives.CapacityELBO,
        objectives.TotalCorrelationELBO,
        objectives.DensityRatio,
        objectives.InfoELBO,
        objectives.CriticLoss,
        objectives.GeneratorLoss,
        objectives.Consensus,
        objectives.ScoreFunction,
        Critic,
        training.fit,
    ],
)
def test_what_is_no_mean_over_examples_says_so(kind):
    """`fit` speaks of BatchNorm."""
    words = " ".join(kind.__doc__.split())
    assert "With several devices" in words
    assert "part" in words.partition("With several devices")[2][:300]
