"""Mixtures and categories of Gaussians with full covariances, against dense multivariate normals."""

import pytest
import torch
from torch import Tensor
from torch.autograd import gradcheck
from torch.distributions import Categorical, Independent, Laplace, MixtureSameFamily, MultivariateNormal, Normal
from torch.distributions import kl_divergence as kl
from torch.testing import assert_close

from pyro_priors.distributions import (
    CategoricalGaussian,
    FullCategoricalGaussian,
    FullGaussianMixture,
    PrecisionNormal,
)
from pyro_priors.ops import pathwise_vector

K, D = 4, 3


def parameters(dtype: torch.dtype = torch.float64, far: float = 0.0) -> tuple[Tensor, ...]:
    """Logits, loc, factor."""
    torch.manual_seed(0)
    factor = torch.randn(K, D, D, dtype=dtype).tril(-1) + torch.diag_embed(torch.rand(K, D, dtype=dtype) + 0.5)
    return torch.randn(K, dtype=dtype), 2 * torch.randn(K, D, dtype=dtype) + far, factor


def dense(loc: Tensor, factor: Tensor) -> MultivariateNormal:
    return MultivariateNormal(loc, precision_matrix=factor.mT @ factor)


def dense_mixture(logits: Tensor, loc: Tensor, factor: Tensor) -> MixtureSameFamily:
    return MixtureSameFamily(Categorical(logits=logits), dense(loc, factor))


def test_densities_posteriors_and_moments_are_those_of_dense_covariances():
    law, other = FullGaussianMixture(*parameters()), dense_mixture(*parameters())
    z = law.sample((7, 2))
    assert_close(law.log_prob(z), other.log_prob(z), rtol=1e-11, atol=1e-11)
    joint = other.component_distribution.log_prob(z.unsqueeze(-2)) + law.logits
    assert_close(law.posterior(z).probs, joint.softmax(-1), rtol=1e-10, atol=1e-12)
    assert_close(law.mean, other.mean)
    assert_close(law.variance, other.variance)
    assert law.expand((2,)).log_prob(z).shape == (7, 2)
    assert law.expand((2,)).rsample((5,)).shape == (5, 2, D)
    covariance = other.component_distribution.covariance_matrix[:, [2, 0]][..., [2, 0]]
    part = MixtureSameFamily(Categorical(logits=law.logits), MultivariateNormal(law.loc[:, [2, 0]], covariance))
    assert_close(law.marginal([2, 0]).log_prob(z[..., [2, 0]]), part.log_prob(z[..., [2, 0]]), rtol=1e-10, atol=1e-10)


def test_gradients_and_transforms():
    leaves = [x.requires_grad_() for x in parameters()]
    z = torch.randn(3, D).double().requires_grad_()
    assert gradcheck(lambda z, *leaves: FullGaussianMixture(*leaves, validate_args=False).log_prob(z), (z, *leaves))
    law = FullGaussianMixture(*(x.detach() for x in leaves))
    assert_close(torch.func.vmap(law.log_prob)(z), law.log_prob(z))


@pytest.mark.parametrize("far", [0.0, 1e4])
def test_single_precision(far):
    law = FullGaussianMixture(*parameters(far=far))
    narrow = FullGaussianMixture(*(x.float() for x in parameters(far=far)))
    z = law.sample((50,)).float()
    exact = FullGaussianMixture(*(x.double() for x in (narrow.logits, narrow.loc, narrow.factor)))
    assert narrow.log_prob(z).dtype == torch.float32
    assert_close(narrow.log_prob(z).double(), exact.log_prob(z.double()), rtol=1e-5, atol=1e-4)


def test_draws_have_the_moments_of_the_law():
    """Means and all products of 100,000 draws, each within 5 standard errors: at random 1 seed in 100,000 fails."""
    law, other = FullGaussianMixture(*parameters()), dense_mixture(*parameters())
    torch.manual_seed(1)
    z = law.sample((100_000,))
    covariance, loc, shares = other.component_distribution.covariance_matrix, law.loc, law.logits.softmax(0)
    for draws, exact in (
        (z, law.mean),
        (
            (z.unsqueeze(-1) * z.unsqueeze(-2)).flatten(1),
            torch.einsum("k,kij->ij", shares, covariance + loc[:, :, None] * loc[:, None]).flatten(),
        ),
    ):
        assert ((draws.mean(0) - exact).abs() < 5 * draws.std(0) / len(z) ** 0.5).all()


def test_draws_have_gradients_to_all_parameters():
    leaves = [x.requires_grad_() for x in parameters()]
    law = FullGaussianMixture(*leaves)
    torch.manual_seed(1)
    z = law.rsample((6,))
    torch.manual_seed(1)
    assert torch.equal(z, law.sample((6,)))
    again = pathwise_vector(z, *leaves)
    for ours, other in zip(*(torch.autograd.grad(x.sin().sum(), leaves) for x in (z, again)), strict=True):
        assert_close(ours.tril() if ours.dim() == 3 else ours, other)


def test_categories_and_their_relaxations():
    _, loc, factor = parameters()
    law = FullCategoricalGaussian(loc, factor)
    z = torch.randn(5, D).double()
    every = law.component(torch.arange(K)[:, None]).log_prob(z)
    assert_close(every, dense(loc, factor).expand((K,)).log_prob(z[:, None]).T, rtol=1e-10, atol=1e-10)
    assert_close(law.log_prob(z), every.logsumexp(0) - torch.tensor(K).double().log())
    hot = torch.nn.functional.one_hot(torch.tensor([1, 3, 0, 2, 2]), K).double()
    assert_close(law.component(hot).log_prob(z), law.component(hot.argmax(-1)).log_prob(z))
    scale = torch.rand(K, D).double() + 0.5
    straight, soft = FullCategoricalGaussian(loc, torch.diag_embed(1 / scale)), torch.rand(5, K).double()
    soft = soft / soft.sum(-1, keepdim=True)
    assert_close(straight.component(soft).log_prob(z), CategoricalGaussian(loc, scale).component(soft).log_prob(z))
    with pytest.raises(ValueError, match=r"c: expected categories 0\.\.3, got 0\.\.4"):
        law.component(torch.arange(5))


def test_a_full_normal():
    _, loc, factor = parameters()
    law, other = PrecisionNormal(loc, factor), dense(loc, factor)
    z = torch.randn(6, K, D).double()
    assert_close(law.log_prob(z), other.log_prob(z), rtol=1e-10, atol=1e-10)
    assert_close(law.variance, other.variance)
    wide = PrecisionNormal(loc[0], factor).expand((2, K))
    assert wide.batch_shape == (2, K)
    assert wide.rsample((5,)).shape == (5, 2, K, D)
    torch.manual_seed(0)
    draws = law.rsample((50_000,))
    error = torch.einsum("nki,nkj->kij", draws - loc, draws - loc) / 50_000 - other.covariance_matrix
    scale = other.stddev[:, :, None] * other.stddev[:, None]
    assert (error.abs() < 5 * (2 / 50_000) ** 0.5 * scale).all()
    leaves = [loc.clone().requires_grad_(), factor.clone().requires_grad_()]
    torch.autograd.grad(PrecisionNormal(*leaves).rsample().sum(), leaves)
    beliefs = Normal(torch.randn(6, K, D).double(), torch.rand(6, K, D).double() + 0.1)
    exact = kl(MultivariateNormal(beliefs.loc, torch.diag_embed(beliefs.variance)), other.expand((6, K)))
    assert_close(kl(Independent(beliefs, 1), law), exact, rtol=1e-9, atol=1e-9)
    with pytest.raises(NotImplementedError):
        kl(Independent(Laplace(beliefs.loc, beliefs.scale), 1), law)


def test_mistakes():
    logits, loc, factor = parameters()
    for arguments, message in (
        ((logits, loc, factor[:, 0]), r"loc, factor: expected shapes \(N, n\) and \(N, n, n\)"),
        ((logits[:2], loc, factor), r"logits: expected shape \(4,\), got \(2,\)"),
        ((logits, loc, -factor), "FullGaussianMixture: expected factors with a positive diagonal"),
        ((logits, loc / 0, factor), "FullGaussianMixture: expected finite loc"),
    ):
        with pytest.raises(ValueError, match=message):
            FullGaussianMixture(*arguments, validate_args=True)
    with pytest.raises(ValueError, match=r"loc, factor: expected shapes \(\*, d\) and \(\*, d, d\)"):
        PrecisionNormal(loc, factor[..., 0])
    with pytest.raises(ValueError, match="factor"):
        PrecisionNormal(loc, factor.mT, validate_args=True)
