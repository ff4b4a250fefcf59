"""A joint law through a flow: its conditions, marginals, draws and gradients by quadrature and by Bayes."""

import pyro.distributions as dist
import pytest
import torch
from catalogue import NAN
from flows import FORMS, bent_joint
from scipy import stats

from pyro_priors.distributions import ChainLaw, FlowJoint

forms = pytest.mark.parametrize("form", FORMS)
SIDE, COUNT = 10.0, 160  # all but 1e-4 of the mass, and kinks of the networks to 1e-3


def grid():
    """Midpoints of a square's cells, ``(n, 2)``, and how large one is."""
    side = (torch.arange(COUNT, dtype=torch.float64) + 0.5) / COUNT * 2 * SIDE - SIDE
    return torch.cartesian_prod(side, side), (2 * SIDE / COUNT) ** 2


def beside(z, *attributes):
    """Rows of latents with the same attributes each."""
    return torch.cat([z, torch.tensor(attributes, dtype=z.dtype).expand(len(z), -1)], -1)


@pytest.mark.parametrize(("form", "transform"), [("factored", "affine"), ("ring", "affine"), ("ring", "spline")])
@torch.no_grad()
@pytest.mark.slow
def test_it_integrates_to_what_is_observed(form, transform):
    """Over z and the attributes that are missing, for every value of the others; 1 where nothing is observed."""
    law, (z, cell) = bent_joint(form, transform)(), grid()
    for observed in ((NAN, NAN, NAN), (2.0, NAN, NAN), (NAN, 0.3, 1.0), (0.0, -0.5, 0.0)):
        total = law.log_prob(beside(z, *observed)).exp().sum() * cell
        expected = law.log_prob(torch.tensor([NAN, NAN, *observed], dtype=torch.float64)).exp()
        torch.testing.assert_close(total, expected, rtol=1e-3, atol=0)
        torch.testing.assert_close(
            expected, law.marginal("y").log_prob(torch.tensor(observed, dtype=torch.float64)).exp()
        )
    every = [law.log_prob(beside(z, float(digit), NAN, float(sex))).exp() for digit in range(3) for sex in range(2)]
    torch.testing.assert_close(torch.stack(every).sum(0), law.marginal("z").log_prob(z).exp())


@forms
@torch.no_grad()
def test_latents_given_attributes(form):
    """p(z given y_ob) = p(z, y_ob) / p(y_ob), row by row, and integrates to 1 however it is asked."""
    law, (z, cell) = bent_joint(form)(), grid()
    y = torch.tensor([[1.0, 0.4, NAN], [NAN, NAN, 1.0], [NAN] * 3], dtype=torch.float64)
    given = law.condition(y=y)
    assert isinstance(given, FlowJoint)
    assert given.batch_shape == (3,)
    given = given.marginal("z")
    assert given.event_shape == (2,)
    score = given.log_prob(z.unsqueeze(1))  # (cells, 3)
    torch.testing.assert_close(score.exp().sum(0) * cell, torch.ones(3).double(), rtol=1e-3, atol=0)
    for row, observed in enumerate(y):
        joint = law.log_prob(beside(z, *observed.tolist()))
        alone = law.log_prob(torch.cat([observed.new_full((2,), NAN), observed]))
        torch.testing.assert_close(score[:, row], joint - alone, rtol=1e-9, atol=1e-9)
    named = law.condition(digit=torch.tensor(1.0), age=0.4).marginal("z")
    torch.testing.assert_close(named.log_prob(z), score[:, 0])
    some = law.condition(age=torch.tensor([0.4, NAN])).marginal(["digit", "z"])
    assert some.event_shape == (3,)
    expected = law.log_prob(beside(z[:2], 2.0, 0.4, NAN)) - law.log_prob(beside(z[:2] * NAN, NAN, 0.4, NAN))
    torch.testing.assert_close(some.log_prob(beside(z[:2], 2.0))[:1], expected[:1])


@forms
@torch.no_grad()
def test_attributes_given_latents(form):
    """p(y_un given z, y_ob) by Bayes from the joint, however it is asked for; a row without z knows none."""
    law = bent_joint(form)()
    value = law.sample((5,))
    value[:, 3:] = NAN
    value[3, :2] = NAN
    z, digit = value[:, :2], value[:, 2]
    scores = torch.stack([law.log_prob(torch.cat([z, beside(z[:, :0], float(d), NAN, NAN)], -1)) for d in range(3)], -1)
    alone = torch.cat([z, beside(z[:, :0], NAN, NAN, NAN)], -1)
    probs = (scores - law.log_prob(alone)[:, None]).exp()
    torch.testing.assert_close(probs.sum(-1), torch.ones(5).double())
    given = law.condition(z=z)
    assert isinstance(given, ChainLaw)
    torch.testing.assert_close(given.categorical("digit").probs, probs)
    torch.testing.assert_close(law.state_probs(alone)[:, 2, :3], probs)
    torch.testing.assert_close(given.marginal("y").state_probs(alone[:, 2:])[:, 0, :3], probs)
    torch.testing.assert_close(probs[3], law.categorical("digit").probs)
    known = torch.cat([z, digit[:, None], z.new_full((5, 2), NAN)], -1)
    sexes = law.state_probs(known)[:, 4, :2]
    ratio = [law.log_prob(torch.cat([z, digit[:, None], beside(z[:, :0], NAN, float(s))], -1)) for s in range(2)]
    torch.testing.assert_close(sexes, torch.stack(ratio, -1).softmax(-1))
    torch.testing.assert_close(law.condition(z=z, digit=digit).categorical("sex").probs, sexes)
    given = known[[0, 1, 2, 4]]
    best = law.most_probable(given)
    assert torch.equal(best[:, :3], given[:, :3])
    assert torch.equal(best[:, 4], sexes[[0, 1, 2, 4]].argmax(-1).double())
    torch.testing.assert_close(best[:, 3], law.condition(z=given[:, :2], digit=given[:, 2]).mean[:, 0])


@torch.no_grad()
def test_soft_evidence_is_weighed_where_the_base_weighs_it():
    law, z = bent_joint()(), grid()[0][::4001]
    weights = torch.randn(5, 3, dtype=torch.float64)
    weights[:2] = 0  # of attributes alone: p(z, y) w(y) / sum
    weights[3] = 0
    digit, sex = weights[2], weights[4, :2]
    rows = torch.stack([beside(z, float(d), NAN, float(s)) for d in range(3) for s in range(2)])
    scores = law.log_prob(rows) + (digit[:, None] + sex).view(-1, 1)
    pairs = torch.stack([rows[k, 0] * torch.tensor([NAN, NAN, 1, 1, 1]) for k in range(6)])
    scores -= (law.log_prob(pairs) + (digit[:, None] + sex).flatten()).logsumexp(0)
    torch.testing.assert_close(law.weigh(weights).log_prob(rows), scores)


@forms
@torch.no_grad()
def test_with_the_identity_it_is_its_base(form):
    prior = bent_joint(form)
    base, law = prior.base(), FlowJoint(prior.base(), [dist.transforms.AffineTransform(0.0, 1.0)])
    value = base.sample((6,))
    value[0, :2] = value[1:3, 2] = value[2, 4] = NAN
    assert torch.equal(law.log_prob(value), base.log_prob(value))
    assert torch.equal(law.state_probs(value), base.state_probs(value))
    given = value[:, :2], base.condition(z=value[:, :2]).marginal("y"), law.condition(z=value[:, :2]).marginal("y")
    assert torch.equal(given[1].log_prob(value[:, 2:]), given[2].log_prob(value[:, 2:]))
    for ask in (
        lambda law: law.sample((4,)),
        lambda law: law.impute(value, (2,)),
        lambda law: law.condition(digit=torch.tensor([1.0, NAN])).marginal("z").sample((3,)),
        lambda law: law.marginal("z").expand((3,)).rsample(),
    ):
        answers = []
        for each in (base, law):
            torch.manual_seed(1)
            answers.append(ask(each))
        assert torch.equal(*answers)


@torch.no_grad()
def test_draws_fit_the_density():
    """Codes seen from the base, given the attributes, fit it: 1e-4 a test."""
    prior = bent_joint()
    draws = prior().sample((4000,))
    z0 = torch.cat([prior.to_generation(draws[:, :2]), draws[:, 2:]], -1)
    base = prior.base()
    again = torch.cat([prior.to_representation(z0[:, :2]), z0[:, 2:]], -1)
    torch.testing.assert_close(again, draws)
    score = base.log_prob(z0).mean() - base.log_prob(base.sample((4000,))).mean()
    assert abs(score) < 4 * base.log_prob(z0).std() * (2 / 4000) ** 0.5
    # Weights p / q of draws from another law have mean one: the density, the volume in it, is that of the draws.
    other = dist.Normal(draws[:, :2].mean(0), 1.5 * draws[:, :2].std(0)).to_event(1)
    z = other.sample((20_000,))
    weights = (prior().marginal("z").log_prob(z) - other.log_prob(z)).exp()
    assert abs(weights.mean() - 1) < 4 * weights.std() / 20_000**0.5
    near, radius = draws[:, :2].mean(0), 0.7
    share = ((draws[:, :2] - near).norm(dim=-1) < radius).double()
    expected = (weights * ((z - near).norm(dim=-1) < radius)).mean()
    assert abs(share.mean() - expected) < 4 * share.std() / 4000**0.5
    for digit in range(3):
        count = int((draws[:, 2] == digit).sum())
        assert stats.binomtest(count, 4000, float(base.categorical("digit").probs[digit])).pvalue > 1e-4


def test_imputation_keeps_what_is_given():
    """Rows without z get draws of p(z, y_un given y_ob); others keep z bit for bit; 5 standard errors."""
    prior = bent_joint()
    law = prior()
    value = law.sample((3,))
    value[0, :2] = value[0, 2] = value[1, 2:] = NAN
    filled = law.impute(value, (3000,))
    assert filled.shape == (3000, 3, 5)
    assert filled.isfinite().all()
    assert torch.equal(filled[:, ~value.isnan()], value[~value.isnan()].expand(3000, -1))
    wanted = law.condition(y=value[0, 2:]).marginal("z").sample((3000,))
    off = (filled[:, 0, :2].mean(0) - wanted.mean(0)).abs()
    assert (off < 5 * wanted.std(0) * (2 / 3000) ** 0.5).all()
    probs = law.condition(z=value[1, :2]).categorical("digit").probs
    share = torch.stack([(filled[:, 1, 2] == digit).double().mean() for digit in range(3)])
    assert ((share - probs).abs() < 5 * (probs * (1 - probs) / 3000).sqrt() + 1e-9).all()
    assert torch.equal(law.impute(value[2]), value[2])


@forms
@pytest.mark.slow
def test_gradients_reach_every_parameter(form):
    """Of densities, and pathwise of draws of z given y: those of central differences."""
    prior = bent_joint(form)
    value = prior().sample((6,)).detach()
    value[0, :2] = value[1, 3] = NAN
    parameters = list(prior.parameters())
    ways = {
        "joint": lambda: prior().log_prob(value).sum(),
        "given y": lambda: prior().condition(y=value[1:, 2:]).marginal("z").log_prob(value[1:, :2]).sum(),
        "given z": lambda: prior().condition(z=value[:, :2]).marginal("y").log_prob(value[:, 2:]).sum(),
    }
    for name, way in ways.items():
        gradients = torch.autograd.grad(way(), parameters, allow_unused=True, materialize_grads=True)
        silent = [g for g in gradients if not g.abs().sum() > 0]
        assert not silent, name
        with torch.no_grad():
            for parameter, gradient in zip(parameters, gradients, strict=True):
                direction = torch.randn_like(parameter)
                sides = []
                for step in (1e-5, -2e-5):
                    parameter += step * direction
                    sides.append(way())
                parameter += 1e-5 * direction
                torch.testing.assert_close(
                    (sides[0] - sides[1]) / 2e-5, (gradient * direction).sum(), rtol=1e-5, atol=1e-6
                )
    law = prior().condition(digit=torch.tensor([1.0, NAN])).marginal("z")
    assert law.has_rsample
    gradients = torch.autograd.grad(law.rsample((4,)).sum(), parameters, allow_unused=True, materialize_grads=True)
    assert all(gradient.isfinite().all() for gradient in gradients)
    assert all(g.abs().sum() > 0 for g in gradients[-len(list(prior.couplings.parameters())) :])


def test_pathwise_gradients_are_unbiased():
    """Of the mean of a cost under p(z given y), against its quadrature; 4 standard errors of 4,000 draws."""
    prior = bent_joint()
    z, cell = grid()
    law = prior().condition(digit=torch.tensor(1.0)).marginal("z")
    target = [*list(prior.couplings.parameters())[:2], prior.base.loc]

    def cost(z):
        return (z - 0.5).square().sum(-1).cos()

    exact = torch.autograd.grad((law.log_prob(z).exp() * cost(z)).sum() * cell, target)
    torch.manual_seed(5)
    blocks = [torch.autograd.grad(cost(law.rsample((400,))).mean(), target) for _ in range(10)]
    for wanted, drawn in zip(exact, zip(*blocks, strict=True), strict=True):
        drawn = torch.stack(drawn)
        error = drawn.std(0) / 10**0.5
        assert ((drawn.mean(0) - wanted).abs() <= 6 * error + 1e-3).all()  # t of 9 degrees: 2e-4 an entry
