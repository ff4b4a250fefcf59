"""The density of a mixture of Gaussians, one matrix product in float32, against differences squared in float64."""

import pyro.distributions as dist
import pytest
import torch
from torch.autograd import gradcheck

import pyro_priors as pp
from pyro_priors.distributions import GaussianMixture
from pyro_priors.ops import gaussians

K, D = 7, 5


def parameters(dtype=torch.float32, narrow=1.0):
    torch.manual_seed(0)
    return torch.randn(K).to(dtype), 3 * torch.randn(K, D).to(dtype), (narrow * (torch.rand(K, D) + 0.3)).to(dtype)


def slow(logits, loc, scale):
    return dist.MixtureSameFamily(dist.Categorical(logits=logits), dist.Normal(loc, scale).to_event(1))


def rows(kind, loc, scale):
    return {
        "near": loc + scale * torch.randn(K, D),
        "at a mean": loc.clone(),
        "far": loc + 1e6 * scale * torch.randn(K, D).sign(),
        "huge": torch.full((K, D), 1e8),
    }[kind]


@pytest.mark.parametrize("narrow", [1e-6, 1e-3, 1.0, 1e3])
@pytest.mark.parametrize("kind", ["near", "at a mean", "far", "huge"])
def test_float32_is_as_exact_as_float64(kind, narrow):
    """To the error that rounding the parameters and values to float32 could make."""
    leaves = [tensor.requires_grad_() for tensor in parameters(narrow=narrow)]
    z = rows(kind, leaves[1], leaves[2]).detach().requires_grad_()
    wide = [tensor.detach().double().requires_grad_() for tensor in (*leaves, z)]
    score, expected = GaussianMixture(*leaves).log_prob(z), slow(*wide[:3]).log_prob(wide[3])
    assert score.dtype == torch.float32
    rounding = 1e-7 * float((leaves[1] / leaves[2]).detach().abs().max())
    torch.testing.assert_close(score.double(), expected, rtol=2e-7, atol=2e-6 + rounding)
    grads = torch.autograd.grad(score.sum(), (*leaves, z))
    for grad, wanted in zip(grads, torch.autograd.grad(expected.sum(), wide), strict=True):
        assert grad.isfinite().all()
        assert (grad - wanted).abs().max() <= 1e-5 * wanted.abs().max() + 1e-6


def test_float64_and_its_gradient():
    leaves = [tensor.requires_grad_() for tensor in parameters(torch.float64)]
    z = torch.randn(4, D, dtype=torch.float64, requires_grad=True)
    torch.testing.assert_close(GaussianMixture(*leaves).log_prob(z), slow(*leaves).log_prob(z), rtol=1e-14, atol=1e-13)
    assert gradcheck(lambda z, *leaves: GaussianMixture(*leaves).log_prob(z), (z, *leaves))


def test_two_components_that_coincide_have_gradients():
    """Pyro's MixtureOfDiagNormals gives NaN here."""
    logits = torch.zeros(2, requires_grad=True)
    GaussianMixture(logits, torch.zeros(2, D), torch.ones(2, D)).log_prob(torch.zeros(3, D)).sum().backward()
    assert (logits.grad == 0).all()


def test_it_remains_a_mixture_of_torch():
    leaves = parameters()
    law, other = GaussianMixture(*leaves), slow(*leaves)
    torch.testing.assert_close(law.mean, other.mean)
    torch.testing.assert_close(law.variance, other.variance)
    wide = law.expand((2, 3))
    z = wide.sample()
    assert z.shape == (2, 3, D)
    torch.testing.assert_close(wide.log_prob(z), other.log_prob(z))
    assert wide.log_prob(z[0, 0]).shape == (2, 3)
    each = dist.Normal(leaves[1], leaves[2]).log_prob(z.unsqueeze(-2)).sum(-1) + leaves[0].log_softmax(0)
    torch.testing.assert_close(wide.posterior(z).probs, each.softmax(-1))


def test_mistakes():
    logits, loc, scale = parameters()
    for arguments, message in (
        ((logits, loc, scale[0]), r"loc, scale: expected one shape \(K, d\)"),
        ((logits[:2], loc, scale), r"logits: expected shape \(7,\), got \(2,\)"),
        ((logits, loc, 0 * scale), "scale"),
    ):
        with pytest.raises(ValueError, match=message):
            GaussianMixture(*arguments)
    with pytest.raises(ValueError, match="z: expected a last dimension of 5"):
        GaussianMixture(logits, loc, scale).posterior(torch.zeros(2))
    with pytest.raises(ValueError, match="must match event_shape"):
        GaussianMixture(logits, loc, scale, validate_args=True).log_prob(torch.zeros(2, D + 1))


@pytest.mark.parametrize("covariance", ["diagonal", "full"])
def test_gaps_are_refused_as_gaps(covariance):
    law, rows = pp.GaussianMixture(2, 3, covariance=covariance)(), torch.zeros(4, 2)
    rows[1, 0] = torch.nan
    named = f"value: expected numbers without gaps, got NaN, which {type(law).__name__} does not sum out; `TRIP` and"
    with pytest.raises(ValueError, match=named):
        law.log_prob(rows)
    with pytest.raises(ValueError, match="must match event_shape"):
        law.log_prob(torch.full((4, 3), torch.nan))
    with pytest.raises(ValueError, match="must be a Tensor"):
        law.log_prob([0.0, 0.0])
    assert pp.TRIP(2, block_size=2, rank=3, covariance=covariance)().log_prob(rows).isfinite().all()  # as it says


def test_a_planted_bug_is_seen(monkeypatch):
    """Multiplied out in float32, the terms that cancel leave nothing."""
    monkeypatch.setattr(torch.Tensor, "double", lambda tensor: tensor)
    _, loc, scale = parameters(narrow=1e-3)
    pairs = gaussians.log_normal_pairs(loc, loc, scale)
    monkeypatch.undo()
    right = gaussians.log_normal_pairs(loc.double(), loc.double(), scale.double())
    assert (pairs.diagonal() - right.diagonal()).abs().max() > 0.1
