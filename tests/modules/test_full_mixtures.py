"""Mixtures of full covariances set from codes."""

import pytest
import torch
from odd_codes import ODD
from sklearn.mixture import GaussianMixture

import pyro_priors as pp


def test_full_covariances_are_fitted_as_well_as_by_scikit_learn():
    torch.manual_seed(0)
    mixing, cluster = torch.randn(3, 6, 6), torch.randint(3, (4000,))
    z = 3 * torch.randn(3, 6)[cluster] + (mixing[cluster] @ torch.randn(4000, 6, 1))[..., 0] + torch.randn(4000, 6)
    fit = GaussianMixture(3, random_state=0).fit(z[:3000].numpy())
    prior, diagonal = pp.GaussianMixture(6, 3, covariance="full"), pp.GaussianMixture(6, 3)
    assert prior.reinitialize(z[:3000])
    diagonal.reinitialize(z[:3000])
    assert prior().log_prob(z[3000:]).mean() > fit.score(z[3000:].numpy()) - 0.05
    assert prior().log_prob(z[3000:]).mean() > diagonal().log_prob(z[3000:]).mean() + 0.5
    equal = pp.GaussianMixture(6, 3, "equal", "full")
    assert equal.reinitialize(z[:3000])
    assert torch.equal(equal.logits, torch.zeros(3))


def test_categories_get_the_covariances_of_their_clusters():
    """With the noise of the codes, far from the origin."""
    torch.manual_seed(0)
    mixing, cluster = torch.randn(3, 4, 4), torch.arange(9000) % 3
    loc = 5 * torch.randn(3, 4) + 1000
    z = loc[cluster] + (mixing[cluster] @ torch.randn(9000, 4, 1))[..., 0]
    prior = pp.CategoricalGaussian(3, 4, "full")
    assert prior.reinitialize(z, scale=torch.full_like(z, 0.5), probs=torch.eye(3)[cluster], force=True)
    precision = torch.linalg.inv(prior().factor.detach())
    exact = mixing @ mixing.mT + 0.25 * torch.eye(4)
    torch.testing.assert_close(precision @ precision.mT, exact, rtol=0.05, atol=0.15)
    torch.testing.assert_close(prior.loc.detach(), loc, rtol=0, atol=0.15)
    assert prior.reinitialize(z[:3], probs=torch.eye(3), force=True)  # a row each
    assert prior().log_prob(z).isfinite().all()
    fresh = pp.CategoricalGaussian(3, 4, "full")
    assert fresh.reinitialize(z)
    assert fresh().log_prob(z).mean() > pp.CategoricalGaussian(3, 4)().log_prob(z).mean()


@pytest.mark.filterwarnings("ignore:z. expected draws")
@pytest.mark.parametrize("odd", ODD)
@pytest.mark.parametrize("prior", [pp.GaussianMixture(3, 4, covariance="full"), pp.CategoricalGaussian(4, 3, "full")])
def test_odd_codes(odd, prior):
    assert prior.reinitialize(ODD[odd], force=True)
    assert all(p.isfinite().all() for p in prior.parameters())
    assert prior().log_prob(ODD[odd]).isfinite().all()
