"""Bounds and likelihoods against a linear-Gaussian program whose evidence is known."""

import math
import subprocess
import sys
from types import SimpleNamespace

import numpy as np
import pyro
import pyro.distributions as dist
import pytest
import torch

from pyro_priors.metrics import evaluate_bounds, importance_nll
from pyro_priors.queries.arviz_bridge import pareto_k

X = torch.linspace(-2, 2, 40)


def model(x):
    with pyro.plate("data", len(x)):
        z = pyro.sample("z", dist.Normal(0.0, 1.0))
        pyro.sample("x", dist.Normal(z, 1.0), obs=x)


def guide_of(scale):
    def guide(x):
        with pyro.plate("data", len(x)):
            pyro.sample("z", dist.Normal(x / 2, scale))

    return guide


exact, wide, narrow = guide_of(math.sqrt(0.5)), guide_of(1.0), guide_of(0.1)
evidence = dist.Normal(0.0, math.sqrt(2.0)).log_prob(X)


@pytest.fixture(autouse=True)
def _seed():
    pyro.set_rng_seed(0)


def test_bounds_of_the_exact_posterior():
    bounds = evaluate_bounds(model, exact, X.split(16), num_particles=2000)
    assert bounds.iwae == pytest.approx(float(evidence.mean()), abs=1e-4)
    assert bounds.iwae_se == pytest.approx(float(evidence.std()) / math.sqrt(40), rel=1e-3)
    assert bounds.elbo == pytest.approx(float(evidence.mean()), abs=0.02)  # noise of the reconstruction
    assert bounds.elbo == pytest.approx(bounds.reconstruction - bounds.kl)
    assert bounds.count == 40


def test_bounds_of_a_wide_guide_and_the_closed_form_kl():
    bounds = evaluate_bounds(model, wide, [(X,)], num_particles=1000)
    gap = dist.kl.kl_divergence(dist.Normal(0.0, 1.0), dist.Normal(0.0, math.sqrt(0.5)))
    assert bounds.elbo == pytest.approx(float(evidence.mean() - gap), abs=0.03)
    assert bounds.kl == pytest.approx(float((X / 2).square().mean() / 2), rel=1e-5)
    assert bounds.elbo < bounds.iwae < float(evidence.mean()) + 0.02


@pytest.mark.parametrize("chunk", [1, 7, 1000])
def test_the_nll_is_right_within_its_standard_error(chunk):
    samples = 300 if chunk == 1 else 3000
    nll, error, k = importance_nll(model, wide, X, samples, chunk=chunk)
    assert nll.shape == error.shape == k.shape == (40,)
    z = (nll + evidence) / error
    # seeded; 40 normal scores: |z| > 5 in one seed of 40,000, their spread outside (0.6, 1.5) in one of 10,000
    assert z.abs().max() < 5
    assert 0.6 < z.square().mean().sqrt() < 1.5
    assert (k < 0.7).all()


def test_a_narrow_guide_is_flagged():
    """The weights of a proposal of variance v for a posterior of variance 1/2 are Pareto of shape 1 - 2 v = 0.98."""
    assert importance_nll(model, narrow, X, 2000).pareto_k.mean() > 0.8
    assert evaluate_bounds(model, narrow, [X], num_particles=500).pareto_k > 0.7
    assert evaluate_bounds(model, wide, [X], num_particles=500).pareto_k < 0.2


def test_memory_is_bounded_by_chunks():
    sizes = []

    def spy(x):
        with pyro.plate("data", len(x)):
            sizes.append(pyro.sample("z", dist.Normal(x / 2, 1.0)).shape[0])

    importance_nll(model, spy, X, 25, chunk=10)
    assert sizes == [10, 10, 5]


def test_no_gradients_are_recorded_and_one_example_has_no_standard_error():
    weight = torch.nn.Parameter(torch.ones(()))

    def learned(x):
        with pyro.plate("data", len(x)):
            pyro.sample("z", dist.Normal(x * weight / 2, 1.0))

    assert not importance_nll(model, learned, X, 5).nll.requires_grad
    assert math.isnan(evaluate_bounds(model, learned, [X[:1]], num_particles=5).elbo_se)


def test_pareto_k_recovers_the_tail_index():
    """Weights u^(-k) are Pareto of shape k. Seeded; the fit on 4,000 draws is within 0.15 (2.5 standard deviations)."""
    u = np.random.default_rng(0).random((3, 4000))
    shapes = np.array([[0.2], [0.5], [1.0]])
    np.testing.assert_allclose(pareto_k(-shapes * np.log(u)), shapes[:, 0], atol=0.15)


def test_pareto_k_at_the_edges():
    assert np.isneginf(pareto_k(np.zeros((2, 50)))).all()
    assert np.isnan(pareto_k(np.zeros((2, 24)))).all()
    assert math.isnan(evaluate_bounds(model, wide, [X], num_particles=3).pareto_k)
    weights = np.random.default_rng(0).normal(size=(1, 50))
    before = weights.copy()
    pareto_k(weights)
    np.testing.assert_array_equal(weights, before)


def test_pareto_k_through_either_arviz(monkeypatch):
    """ArviZ 1.x keeps its smoother elsewhere, and takes log-likelihoods: the negative of the log weights."""
    log_weights = np.random.default_rng(0).exponential(size=(2, 500))
    expected = pareto_k(log_weights)
    import arviz

    old = arviz.psislw
    new = SimpleNamespace(psislw=lambda log_likelihood, axis: old(np.moveaxis(-log_likelihood, axis, -1)))
    monkeypatch.delattr(arviz, "psislw")
    monkeypatch.setitem(sys.modules, "arviz_stats.base", SimpleNamespace(array_stats=new))
    np.testing.assert_array_equal(pareto_k(log_weights), expected)


def test_arviz_is_imported_only_when_needed():
    code = "import pyro_priors.metrics, sys; sys.exit(bool({'arviz', 'lightning_fabric'} & set(sys.modules)))"
    subprocess.run([sys.executable, "-c", code], check=True)


@pytest.mark.parametrize(
    ("call", "message"),
    [
        (lambda: evaluate_bounds(model, wide, []), "batches: expected at least one batch, got none"),
        (lambda: evaluate_bounds(model, wide, [X], 0), "num_particles: expected an integer of at least 1, got 0"),
        (lambda: evaluate_bounds(model, wide, [X], chunk=0), "chunk: expected an integer of at least 1, got 0"),
        (lambda: importance_nll(model, wide, X, 0), "num_samples: expected an integer of at least 1, got 0"),
        (lambda: importance_nll(model, wide, X, 5, chunk=0), "chunk: expected an integer of at least 1, got 0"),
    ],
)
def test_bad_arguments(call, message):
    with pytest.raises(ValueError, match=message):
        call()
