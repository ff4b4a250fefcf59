"""Laws of the learnable priors: fresh distributions, ownership, seeding, devices and dtypes, storage."""

import copy
import math
import pickle

import oracles
import pytest
import torch
from catalogue import JOINT_PRIORS, PRIORS, Ring, mixture_parameters
from pyro.distributions.torch_distribution import TorchDistributionMixin
from torch import nn

import pyro_priors as pp

ALL = PRIORS | JOINT_PRIORS
every_prior = pytest.mark.parametrize("name", ALL)


def build(name, seed=0):
    torch.manual_seed(seed)
    return ALL[name]()


@every_prior
def test_calling_returns_a_fresh_pyro_distribution(name):
    prior = build(name)
    law = prior()
    assert isinstance(prior, nn.Module)
    assert isinstance(law, TorchDistributionMixin)
    assert law is not prior()
    assert law.batch_shape == ()
    draws = law.sample((5,))
    assert law.log_prob(draws).shape == (5,)
    assert law.log_prob(draws).isfinite().all()
    assert law.expand((2,)).sample((3,)).shape == (3, 2, *law.event_shape)
    assert draws.shape[-1] == prior.latent_dim + len(getattr(prior, "attributes", ()))


@every_prior
def test_seeding_is_reproducible(name):
    first, second, other = (build(name, seed).state_dict() for seed in (0, 0, 1))
    assert all(torch.equal(first[key], second[key]) for key in first)
    if name != "StandardNormal":
        assert any(not torch.equal(first[key], other[key]) for key in first)


@every_prior
def test_every_parameter_gets_a_gradient_and_fixed_priors_have_none(name):
    prior = build(name)
    frozen = "fixed" in name or name == "StandardNormal"
    assert frozen == (not list(prior.parameters()))
    if not frozen:
        prior().log_prob(prior().sample((20,))).sum().backward()
        assert all(p.grad.abs().sum() > 0 for p in prior.parameters())


@every_prior
def test_state_dict_round_trip(name):
    prior, other = build(name), build(name, seed=1)
    draws = prior().sample((4,))
    other.load_state_dict(prior.state_dict())
    assert torch.equal(prior().log_prob(draws), other().log_prob(draws))


@every_prior
def test_pickle_and_deepcopy(name):
    prior = build(name)
    draws = prior().sample((4,))
    for twin in (pickle.loads(pickle.dumps(prior)), copy.deepcopy(prior)):
        assert torch.equal(prior().log_prob(draws), twin().log_prob(draws))


@every_prior
def test_double_precision(name):
    prior = build(name).double()
    law = prior()
    draws = law.sample((3,))
    assert draws.dtype == torch.float64
    assert law.log_prob(draws).dtype == torch.float64


@every_prior
def test_moves_to_another_device(name):
    prior = build(name).to("meta")
    assert all(value.device.type == "meta" for value in prior.state_dict().values())


@every_prior
def test_repr_says_what_it_is(name):
    text = repr(build(name))
    assert text.startswith(type(build(name)).__name__)
    if hasattr(build(name), "rank"):
        assert all(word in text for word in ("rank=", "boundary=", "init=", "fixed="))


@every_prior
def test_the_density_is_that_of_the_parameters(name):
    """By enumeration for rings, by explicit sums for mixtures."""
    prior = build(name).double()
    law = prior()
    value = law.sample((6,))
    if isinstance(law, pp.distributions.TensorRing):
        order = range(len(law.variables)) if prior.order is None else prior.order.tolist()
        loc, scale = (None, None) if prior.loc is None else (prior.loc.detach(), prior.log_scale.detach().exp())
        value[torch.rand(value.shape) < 0.3] = torch.nan
        variables = law.variables if loc is None else law.variables.bind(loc, scale)
        case = Ring(law, prior.log_cores.detach(), variables, prior.boundary, tuple(order))
        expected = oracles.log_prob(case, value)
    elif isinstance(prior, pp.FlowNormal):
        jacobians = [torch.autograd.functional.jacobian(prior.to_generation, row) for row in value]
        stretched = torch.stack(jacobians).det().abs().log()
        expected = prior.base().log_prob(prior.to_generation(value)) + stretched
    elif name == "StandardNormal":
        expected = -0.5 * (value.square() + math.log(2 * math.pi)).sum(-1)
    else:
        log_weights, loc, scale = mixture_parameters(prior)
        density = torch.distributions.Normal(loc, scale).log_prob(value.unsqueeze(1)).sum(-1)
        expected = (density + log_weights).logsumexp(-1)
    torch.testing.assert_close(law.log_prob(value), expected, rtol=1e-10, atol=1e-10)


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
    first, second = (
        pp.TTLP(4, {"digit": pp.Discrete(3)}, rank=2),
        pp.TTLP(4, {"digit": pp.Discrete(3)}, rank=2, order="declared"),
    )
    second.load_state_dict(first.state_dict())
    value = first().sample((3,))
    assert torch.equal(first().log_prob(value), second().log_prob(value))
