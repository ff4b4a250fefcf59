"""Estimators of the gradient of an expected cost, against its closed form; the mixture's draws against the ring's.

Each comparison asks every entry of a mean over 300 batches or more within 5 standard errors of the truth: with 12
entries at most it fails at random once in 100,000 seeds.
"""

import pyro
import pyro.distributions as dist
import pytest
import torch

from pyro_priors.distributions import Continuous, FlowNormal, GaussianMixture, TensorRing, Variables
from pyro_priors.metrics import gradient_moments
from pyro_priors.objectives import Pathwise, ScoreFunction, make_estimator

BATCH = 3  # small, so that a baseline that contains the example itself is told from one that does not


def cost(z):
    """Its mean is that of products and squares of the two latents."""
    return z[:, 0] * z[:, 1] + z[:, 0].square() + z[:, 1]


def moments(probs, loc0, loc1, scale0):
    """E[cost] where the latents are independent given states of probability `probs`."""
    return (probs * (loc0 * loc1 + loc0.square() + scale0.square() + loc1)).sum()


def normal(parameters):
    loc, log_scale = parameters
    return dist.Normal(loc, log_scale.exp()).to_event(1), moments(1.0, loc[0], loc[1], log_scale[0].exp())


def mixture(parameters):
    logits, loc, log_scale = parameters
    scale = log_scale.exp()
    return GaussianMixture(logits, loc, scale), moments(logits.softmax(0), loc[:, 0], loc[:, 1], scale[:, 0])


def ring(parameters):
    cores, loc, log_scale = parameters
    scale = log_scale.exp()
    law = TensorRing(cores, Variables({"z": [Continuous(2)] * 2}, loc, scale))
    joint = torch.einsum("sij,tji->st", cores[0].exp(), cores[1].exp())
    return law, moments(joint / joint.sum(), loc[0][:, None], loc[1], scale[0][:, None])


LAWS = {"normal": (normal, [(2,), (2,)]), "mixture": (mixture, [(3,), (3, 2), (3, 2)])}
LAWS |= {"ring": (ring, [(2, 2, 2, 2), (2, 2), (2, 2)])}


def leaves(shapes):
    generator = torch.Generator().manual_seed(0)
    return [torch.randn(shape, generator=generator).mul_(0.7).requires_grad_() for shape in shapes]


def program(law, n=BATCH):
    with pyro.plate("data", n):
        return pyro.sample("z", law)


@pytest.mark.parametrize("law", LAWS)
@pytest.mark.parametrize("name", ["pathwise", "reinforce", "rloo", "none"])
@pytest.mark.slow
def test_gradients_are_those_of_the_expectation(law, name):
    """All are unbiased, but that a batch mean that contains the example takes 1/n of the gradient away."""
    torch.manual_seed(1)
    make, shapes = LAWS[law]
    parameters = leaves(shapes)
    truth = torch.autograd.grad(make(parameters)[1], parameters, materialize_grads=True)
    truth = torch.cat([g.flatten() for g in truth]) * ((1 - 1 / BATCH) if name == "reinforce" else 1)
    estimator = ScoreFunction("none") if name == "none" else make_estimator(name)

    def loss():
        drawn = estimator.draw(program, make(parameters)[0])
        return estimator.loss(drawn, cost(drawn.z))

    with pyro.validation_enabled(False):
        moments = gradient_moments(loss, parameters, 1000 if law == "normal" else 300)
    noise = (moments.variance / moments.draws).sqrt() + 1e-6
    assert ((moments.mean - truth).abs() <= 5 * noise).all()
    if law == "normal" and name != "none":  # a factor of 1 - 1/n would be seen
        assert (truth.abs() / BATCH > 5 * noise).any()


@pytest.mark.parametrize("name", ["pathwise", "reinforce", "rloo"])
def test_networks_get_the_gradient_of_the_mean_cost(name):
    torch.manual_seed(0)
    weight, loc = torch.tensor(2.0, requires_grad=True), torch.zeros(2, requires_grad=True)
    estimator = make_estimator(name)
    drawn = estimator.draw(program, dist.Normal(loc, 1.0).to_event(1), 7)
    value = weight * cost(drawn.x)
    loss = estimator.loss(drawn, value)
    assert loss.item() == pytest.approx(value.mean().item())
    (grad,) = torch.autograd.grad(loss, weight, retain_graph=True)
    assert grad.item() == pytest.approx(cost(drawn.x).mean().item())
    assert torch.autograd.grad(loss, loc)[0].abs().min() > 0


@pytest.mark.parametrize(("baseline", "others"), [("mean", 1.0), ("leave-one-out", 0.0), ("none", None)])
def test_the_score_is_weighed_by_the_cost_less_the_baseline(baseline, others):
    """The baseline of an example, written out: the mean cost of the others, or of all."""
    torch.manual_seed(0)
    loc = torch.zeros(2, requires_grad=True)
    estimator = ScoreFunction(baseline)
    drawn = estimator.draw(program, dist.Normal(loc, 1.0).to_event(1), 6)
    value, z = cost(drawn.z), drawn.z.detach()
    expected = torch.zeros(2)
    for i in range(6):
        rest = value.sum() - value[i]
        less = 0.0 if others is None else (rest + others * value[i]) / (5 + others)
        expected += (value[i] - less) * z[i] / 6
    assert torch.allclose(torch.autograd.grad(estimator.loss(drawn, value), loc)[0], expected, rtol=1e-5)


def test_normalised_costs_do_not_depend_on_their_unit():
    loc, grads = torch.zeros(2, requires_grad=True), []
    estimator = make_estimator("rloo", normalize=True)
    for unit in (1.0, 1000.0):
        torch.manual_seed(0)
        drawn = estimator.draw(program, dist.Normal(loc, 1.0).to_event(1), 9)
        grads += torch.autograd.grad(estimator.loss(drawn, unit * cost(drawn.x)), loc)
    assert torch.allclose(*grads)
    drawn = estimator.draw(program, dist.Normal(loc, 1.0).to_event(1), 9)
    equal = torch.autograd.grad(estimator.loss(drawn, torch.ones(9)), loc)[0]
    assert torch.equal(equal, torch.zeros(2))


def test_a_mixture_moves_as_the_ring_with_diagonal_cores():
    torch.manual_seed(0)
    logits, loc, log_scale = parameters = [x.detach().double().requires_grad_() for x in leaves([(3,), (3, 4), (3, 4)])]
    torch.manual_seed(5)
    draws = GaussianMixture(logits, loc, log_scale.exp()).rsample((50,))
    weights = torch.randn(50, 4).double()
    expected = torch.autograd.grad((draws * weights).sum(), parameters)

    class Same(TensorRing):
        def sample(self, sample_shape=()):
            return draws.detach()

    off = torch.full((4, 3, 3, 3), -200.0).double()
    state = torch.arange(3)
    off[:, state, state, state] = 0.0
    cores = off.index_put((torch.tensor(0), state, state, state), logits)
    moved = Same(cores, Variables({"z": [Continuous(3)] * 4}, loc.T, log_scale.exp().T)).rsample((50,))
    assert torch.equal(moved.detach(), draws.detach())
    gradients = torch.autograd.grad((moved * weights).sum(), parameters)
    for a, b in zip(gradients, expected, strict=True):
        assert torch.allclose(a, b, rtol=1e-8, atol=1e-10)


def test_a_mixture_returns_the_values_of_sample_in_any_shape():
    law = GaussianMixture(*(x.detach().requires_grad_() for x in leaves([(3,), (3, 2), (3, 2)])[:2]), torch.ones(3, 2))
    torch.manual_seed(0)
    expected = law.expand((4,)).sample((5,))
    torch.manual_seed(0)
    assert torch.equal(law.expand((4,)).rsample((5,)).detach(), expected)
    assert not law.has_rsample_(False).expand((4,)).has_rsample


def test_a_flow_takes_both():
    loc = torch.zeros(2, requires_grad=True)
    base = dist.Normal(loc, 1.0).to_event(1)
    for name in ("pathwise", "rloo"):
        estimator = make_estimator(name)
        drawn = estimator.draw(program, FlowNormal(base, [dist.transforms.AffineTransform(1.0, 2.0)]), 5)
        estimator.loss(drawn, cost(drawn.x)).backward()
        assert drawn.z.requires_grad == (name == "pathwise")
        assert loc.grad.abs().sum() > 0
        loc.grad = None


def test_what_cannot_be_estimated_is_refused():
    law = dist.Normal(torch.zeros(2), 1.0).to_event(1)
    with pytest.raises(ValueError, match=r"latent: expected a site that the program draws, got 'w' \(it draws \['z'\]"):
        Pathwise("w").draw(program, law)
    with pytest.raises(ValueError, match="pathwise expected a law of 'z' with rsample"):
        Pathwise().draw(program, dist.Bernoulli(torch.full((2,), 0.5, requires_grad=True)).to_event(1))
    Pathwise().draw(program, dist.Bernoulli(torch.full((2,), 0.5)).to_event(1))  # which does not learn
    with pytest.raises(ValueError, match=r"cost: expected one number an example, \(3,\), got \(\)"):
        Pathwise().loss(Pathwise().draw(program, law), torch.tensor(1.0))
    estimator = ScoreFunction()
    with pytest.raises(ValueError, match="cost: expected at least two examples for a baseline, got 1"):
        estimator.loss(estimator.draw(program, law, 1), torch.ones(1))
    with pytest.raises(ValueError, match="estimator: expected"):
        make_estimator("exact")
    with pytest.raises(ValueError, match="normalize: expected False"):
        make_estimator("pathwise", normalize=True)
    with pytest.raises(ValueError, match="baseline: expected"):
        ScoreFunction("median")


@pytest.mark.parametrize("baseline", ["mean", "leave-one-out", "none"])
def test_two_examples_are_enough_for_a_baseline_and_one_for_none(baseline):
    loc = torch.zeros(2, requires_grad=True)
    estimator = ScoreFunction(baseline)
    for count in (2, 1) if baseline == "none" else (2,):
        drawn = estimator.draw(program, dist.Normal(loc, 1.0).to_event(1), count)
        (grad,) = torch.autograd.grad(estimator.loss(drawn, cost(drawn.z)), loc)
        assert grad.abs().sum() > 0
