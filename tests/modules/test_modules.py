"""Every prior obeys every law; and what the modules are beside that."""

import pickle

import pytest
import torch
from catalogue import JOINT_PRIORS, PRIORS
from prior_laws import LAWS, OURS

import pyro_priors as pp

ALL = PRIORS | JOINT_PRIORS


@pytest.mark.parametrize("name", ALL)
@pytest.mark.parametrize("law", [*LAWS, *OURS], ids=lambda law: law.__name__)
def test_every_prior_obeys(law, name):
    law(ALL[name])


@pytest.mark.parametrize("name", ["GaussianMixture", "FlowNormal", "TRIP", "TTLP ring", "VampPrior", "FlowTTLP"])
def test_a_wrong_oracle_would_be_seen(name):
    """The laws of density and plane can fail: the oracle of a law twice as dense."""
    entry = ALL[name]._replace(oracle=lambda prior, value: ALL[name].oracle(prior, value) + 0.7)
    with pytest.raises(AssertionError):
        next(law for law in LAWS if law.__name__.startswith("the_density"))(entry)
    if name != "FlowNormal":  # a plane of more than two latents has no closed form there
        with pytest.raises(AssertionError):
            next(law for law in LAWS if law.__name__.startswith("the_plane"))(entry)


def test_parameters_have_the_documented_shapes():
    prior = pp.TRIP(latent_dim=5, components=4, rank=3, init="noise")
    shapes = {key: tuple(value.shape) for key, value in prior.named_parameters()}
    assert shapes == {"log_cores": (5, 4, 3, 3), "loc": (5, 4), "log_scale": (5, 4)}
    assert prior.loc.min() >= -1
    assert prior.loc.max() <= 1
    torch.testing.assert_close(prior.log_scale.exp(), torch.full((5, 4), 0.25))  # TRIP section 3.2


def test_each_column_starts_with_its_own_number_of_components():
    prior = pp.TTLP(1, {"age": pp.Continuous(2), "digit": pp.Discrete(3)}, components=20, rank=2, init="noise")
    torch.testing.assert_close(prior.log_scale.exp()[:, 0], torch.tensor([1 / 20, 1 / 2]))


def test_copies_leave_device_indices_behind():
    prior = pp.TTLP(1, {"digit": pp.Discrete(3)}, rank=2)
    prior().log_prob(prior().sample((2,)))
    assert prior._variables._on_device
    assert not pickle.loads(pickle.dumps(prior))._variables._on_device


def test_the_default_starts_near_a_standard_normal():
    torch.manual_seed(0)
    law = pp.TRIP(latent_dim=20, components=10, rank=5)()
    assert law.mean.abs().max() < 0.6
    torch.testing.assert_close(law.variance, torch.ones(20), atol=0.4, rtol=0)


def test_ttlp_names_and_blocks():
    attributes = {"digit": pp.Discrete(10), "age": pp.Continuous(components=8)}
    torch.manual_seed(0)
    prior = pp.TTLP(3, attributes, components=4, rank=2, order=[4, 0, 1, 3, 2])
    assert prior.order.tolist() == [4, 0, 1, 3, 2]
    joint = prior()
    assert joint.event_shape == (5,)
    assert joint.marginal("z").event_shape == (3,)
    assert joint.marginal("y").event_shape == (2,)
    assert joint.marginal("age").event_shape == (1,)
    assert joint.condition(y=torch.zeros(6, 2)).batch_shape == (6,)
    assert joint.condition(digit=torch.zeros(6)).event_shape == (4,)
    assert joint.categorical("digit").probs.shape == (10,)
    assert joint.log_prob(joint.sample((4,))).isfinite().all()


def test_the_order_travels_with_the_state_dict():
    first, second, third = (
        pp.TTLP(4, {"digit": pp.Discrete(3)}, rank=2, order=order) for order in ("random", "declared", "data")
    )
    value = first().sample((3,))
    for other in (second, third):
        other.load_state_dict(first.state_dict())
        assert torch.equal(first().log_prob(value), other().log_prob(value))
    assert third.order_laid  # what was learned belongs to the order that it came with
    second.load_state_dict(third.state_dict())
    assert torch.equal(second.order, first.order)
