"""Vectors of low rank fitted by EM: factor analysis of each state, read off gradients."""

import pytest
import torch

import pyro_priors as pp
from pyro_priors.modules.em.factor_moments import FactorGradients
from pyro_priors.training import StepwiseEM, fit_prior

NAN = float("nan")


def chain(rank, size=6, factors=2):
    torch.manual_seed(0)
    prior = pp.TRIP(size, rank=rank, block_size=size, covariance="low-rank", factors=factors, cores="factored").double()
    with torch.no_grad():
        prior.vectors[0].loadings.normal_(0, 0.7)
    return prior


def rows(count=400, size=6, seed=0, gaps=0.0, kinds=2):
    """Of several kinds, each with two factors of its own."""
    generator = torch.Generator().manual_seed(seed)
    loadings = torch.randn(kinds, size, 2, generator=generator, dtype=torch.float64)
    kind = torch.randint(kinds, (count,), generator=generator)
    factors = torch.randn(count, 2, generator=generator, dtype=torch.float64)
    noise = torch.randn(count, size, generator=generator, dtype=torch.float64)
    value = (loadings[kind] @ factors.unsqueeze(-1)).squeeze(-1) + 0.5 * noise + 3.0 * kind.unsqueeze(-1)
    return value.masked_fill(torch.rand(value.shape, generator=generator) < gaps, NAN)


def scores_of_em(prior, value, steps, pseudo=0.0):
    """Mean log-densities before each step of full EM, and after the last."""
    optimizer, scores = StepwiseEM(prior, len(value), lr=1.0, pseudo=pseudo), []
    for _ in range(steps):
        optimizer.zero_grad()
        score = prior().log_prob(value).mean()
        score.neg().backward()
        optimizer.step()
        scores.append(score.item())
    return torch.tensor([*scores, prior().log_prob(value).mean().item()], dtype=torch.float64)


def test_sums_are_those_of_factor_analysis():
    """Of one state, its factors inferred row by row, about another origin than its mean."""
    leaf, value, about = chain(1).vectors[0], rows(50), torch.linspace(-1, 1, 6).double()[None]
    score = leaf().log_density(value)[:, 0].sum()
    named = dict(leaf.named_parameters())
    gradients = dict(zip(named, torch.autograd.grad(score, list(named.values())), strict=True))
    ours = FactorGradients.of_parameters(leaf, gradients).sums(torch.tensor([50.0]).double(), about)
    law, y = leaf(), value - (leaf.loc - about)
    weighted = law.loadings[0] / law.scale[0, :, None].square()
    posterior = torch.linalg.inv(torch.eye(2) + law.loadings[0].T @ weighted)
    factors = (value - law.loc) @ weighted @ posterior
    squares = 50 * posterior + factors.T @ factors
    expected = y.sum(0), y.square().sum(0), y.T @ factors, factors.sum(0), squares
    for mine, other in zip(ours, expected, strict=True):
        torch.testing.assert_close(mine[0], other)


@pytest.mark.slow
def test_one_state_is_the_factor_analysis_of_scikit_learn():
    from sklearn.decomposition import FactorAnalysis

    value, prior = rows(300, kinds=1), chain(1)
    other = FactorAnalysis(2, tol=1e-7, max_iter=5000, svd_method="lapack").fit(value.numpy())
    scores = scores_of_em(prior, value, 400)
    assert (scores.diff() > -1e-9).all()
    assert scores[-1].item() == pytest.approx(other.score(value.numpy()), abs=1e-5)
    law = prior.vectors[0]()
    covariance = law.loadings @ law.loadings.mT + torch.diag_embed(law.scale.square())
    torch.testing.assert_close(covariance[0].detach(), torch.from_numpy(other.get_covariance()), rtol=0.01, atol=0.01)


@pytest.mark.parametrize("gaps", [0.0, 0.3])
def test_the_likelihood_of_several_states_never_falls(gaps):
    value = rows(100, gaps=gaps)
    value[:5] = NAN
    scores = scores_of_em(chain(3), value, 20)
    assert (scores.diff() > -1e-9).all()
    assert scores[-1] > scores[0] + 1


def test_shrunk_covariances_explain_other_rows_better():
    value, held_out = rows(1060).split([60, 1000])
    shrunk, alone = chain(6), chain(6)
    scores_of_em(shrunk, value, 25, pseudo=1.0)
    scores_of_em(alone, value, 25)
    assert shrunk().log_prob(held_out).mean() > alone().log_prob(held_out).mean() + 0.1


@pytest.mark.slow
def test_a_prior_of_low_rank_is_fitted_by_em():
    """In batches with gaps, from a start that is off."""
    value, held_out = rows(900, gaps=0.3).float().split([600, 300])
    prior = chain(4).float()
    before = prior().log_prob(held_out).mean()
    prior.reinitialize = lambda *args: False  # or there would be little to learn
    fit_prior(prior, value, validation=held_out, method="em", epochs=3, batch_size=100, seed=0)
    assert prior().log_prob(held_out).mean() > before + 5
