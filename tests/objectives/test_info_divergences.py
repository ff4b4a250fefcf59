"""InfoVAE's other divergences: a critic's, against the KL of Gaussians in closed form, and Stein's."""

import pyro
import pyro.distributions as dist
import pytest
import torch
from model_of_points import model_under
from torch.distributions import kl_divergence

from pyro_priors.networks import MLPCritic
from pyro_priors.objectives import CodeCriticLoss, InfoELBO


@pytest.fixture(autouse=True)
def _seed():
    pyro.clear_param_store()
    pyro.set_rng_seed(0)


def noisy(x):
    with pyro.plate("data", len(x)):
        pyro.sample("z", dist.Normal(x + 0.5, 0.7).to_event(1))


def codes(scale):
    """x ~ N(0, I) and a guide whose codes are N(0, S) with S = diag(1, scale^2) + 0.3 beside the diagonal."""
    covariance = torch.tensor([[1.0, 0.3], [0.3, scale**2]])
    mixing = torch.linalg.cholesky(covariance - 0.25 * torch.eye(2)).T

    def guide(x):
        with pyro.plate("data", len(x)):
            pyro.sample("z", dist.Normal(x @ mixing, 0.5).to_event(1))

    return guide, covariance


@pytest.mark.slow
@pytest.mark.parametrize("name", ["far", "equal"])
def test_the_critic_s_divergence_is_the_kl_of_all_codes(name):
    """Closed form for Gaussians: 0 of equal laws; the error is that of the critic and of 5,000 codes, about 0.03."""
    guide, covariance = codes(1.7)
    prior = dist.MultivariateNormal(torch.zeros(2), covariance if name == "equal" else torch.eye(2))
    model = model_under(lambda: prior)
    exact = kl_divergence(dist.MultivariateNormal(torch.zeros(2), covariance), prior)
    critic = MLPCritic((1, 1, 2), (32, 32))
    loss = CodeCriticLoss(critic)
    optimizer = torch.optim.Adam(critic.parameters(), 3e-3)
    for _ in range(400):
        optimizer.zero_grad()
        loss(model, guide, torch.randn(500, 2))[0].backward()
        optimizer.step()
    bound = InfoELBO(lambda_=3.0, divergence="adversarial", critic=critic)
    total, terms = bound(model, guide, torch.randn(5000, 2))
    assert abs(terms.regulariser - exact) < 0.12
    assert exact == 0 if name == "equal" else exact > 0.3
    torch.testing.assert_close(total, -terms.elbo + 2 * terms.regulariser)


def test_a_prior_learns_from_the_critic_s_divergence_what_the_kl_says():
    """Whatever the critic: d/d loc KL(q(z), N(loc, I)) = loc - mean of q(z); codes get theirs through the critic."""
    loc, x = torch.tensor([0.5, -1.0], requires_grad=True), torch.randn(40, 2)
    z = torch.randn(40, 2, requires_grad=True)
    critic = MLPCritic((1, 1, 2), (8,))
    model = model_under(lambda: dist.Normal(loc, 1.0).to_event(1))

    def guide(x):
        with pyro.plate("data", len(x)):
            pyro.sample("z", dist.Delta(z, event_dim=1))

    bound = InfoELBO(alpha=1.0, lambda_=1.0, divergence="adversarial", critic=critic)
    loss, terms = bound(model, guide, x)
    (loss + terms.reconstruction).backward()
    torch.testing.assert_close(loc.grad, loc.detach() - z.detach().mean(0))
    assert (z.grad != 0).any()
    assert all(parameter.grad is None for parameter in critic.parameters())
    assert not bound.steady
    assert InfoELBO(divergence="stein").steady


def test_stein_s_bound_needs_no_draws_of_the_prior():
    class NoDraws(dist.Normal):
        def sample(self, *args):
            raise AssertionError("drawn")

        rsample = sample

    x = torch.randn(30, 2)
    model = model_under(lambda: NoDraws(torch.zeros(2), 1.0).to_event(1))
    loss, terms = InfoELBO(alpha=0.5, lambda_=10.0, divergence="stein", kernel="imq")(model, noisy, x)
    torch.testing.assert_close(loss, 0.5 * terms.kl - terms.reconstruction + 9.5 * terms.regulariser)
