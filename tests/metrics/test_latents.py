"""Prior against aggregated posterior, where both are known."""

import math

import pyro.distributions as dist
import pytest
import torch
from torch.distributions import kl_divergence

import pyro_priors as pp
from pyro_priors.metrics import aggregated_posterior, high_posterior, leakage, low_posterior, symmetric_kl


@pytest.fixture(autouse=True)
def _seed():
    torch.manual_seed(0)


def normal(loc, scale):
    return dist.Normal(torch.tensor(loc), torch.tensor(scale)).to_event(1)


P, Q = normal([0.0, 0.0], [1.0, 1.0]), normal([0.5, 0.0], [0.7, 1.2])


def test_symmetric_kl_of_gaussians():
    estimate = symmetric_kl(P, Q, samples=20_000)
    exact = float(kl_divergence(P, Q) + kl_divergence(Q, P))
    assert abs(estimate.value - exact) < 4.5 * estimate.standard_error
    assert estimate.value == pytest.approx(estimate.of_prior + estimate.of_posterior)
    assert estimate.standard_error < 0.02
    assert symmetric_kl(P, P).value == 0


def test_the_aggregated_posterior_is_the_mixture_of_all():
    x = torch.randn(7, 2)
    encode = lambda batch: dist.Normal(2 * batch, 0.1 + batch.abs()).to_event(1)  # noqa: E731
    law = aggregated_posterior(encode, [x[:3], (x[3:], None)])
    z = torch.randn(5, 2)
    expected = encode(x).log_prob(z[:, None]).logsumexp(-1) - math.log(7)
    torch.testing.assert_close(law.log_prob(z), expected, rtol=1e-4, atol=1e-4)
    with pytest.raises(ValueError, match="batches: expected at least one"):
        aggregated_posterior(encode, [])


def test_leakage():
    """At a threshold above every density it is KL(q, p); below all it is 0; in between against quadrature."""
    thresholds = torch.tensor([math.inf, -3.0, -1e9])
    estimates = leakage(P, Q, thresholds, samples=50_000)
    error = 4.5 * 2 / math.sqrt(50_000)
    assert abs(estimates[0] - kl_divergence(Q, P)) < error
    assert estimates[2] == 0
    side = (torch.arange(1000) + 0.5) / 1000 * 16 - 8
    z = torch.cartesian_prod(side, side)
    under_p, under_q = P.log_prob(z), Q.log_prob(z)
    inside = torch.where(under_p < -3, under_q.exp() * (under_q - under_p), 0.0).sum() * (16 / 1000) ** 2
    assert abs(estimates[1] - inside) < error
    assert abs(inside) > 0.05


def test_low_and_high_posterior_samples():
    wide, narrow = normal([0.0, 0.0], [1.0, 1.0]), normal([0.0, 0.0], [0.2, 0.2])
    low = low_posterior(wide, narrow, 5, samples=2000)
    assert low.shape == (5, 2)
    assert (low.norm(dim=-1) > 2.5).all()  # in the pocket around
    under = narrow.log_prob(low)
    assert (under[1:] >= under[:-1]).all()
    assert (high_posterior(wide, narrow, 5, samples=2000).norm(dim=-1) < 1.5).all()
    for count in (0, 11):
        with pytest.raises(ValueError, match="count: expected"):
            low_posterior(wide, narrow, count, samples=10)


def test_any_prior_can_be_judged():
    posterior = aggregated_posterior(lambda x: dist.Normal(x, 0.5).to_event(1), [torch.randn(50, 3)])
    for prior in (pp.TRIP(3, 4, 3)(), pp.FlowNormal(3)(), pp.GaussianMixture(3, 4)(), pp.StandardNormal(3)()):
        assert math.isfinite(symmetric_kl(prior, posterior, samples=300).value)
        assert leakage(prior, posterior, [0.0, -5.0], samples=300).shape == (2,)
