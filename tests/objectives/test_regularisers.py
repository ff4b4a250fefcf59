"""Regularised bounds on a linear-Gaussian pair whose KL, total correlation and discrepancy are known."""

import math

import pyro
import pyro.distributions as dist
import pytest
import torch
from model_of_points import model_under
from torch.distributions import kl_divergence

import pyro_priors as pp
from pyro_priors.networks import GatedMLPDecoder, GatedMLPEncoder, MLPCritic
from pyro_priors.objectives import (
    ELBO,
    CapacityELBO,
    CodeCriticLoss,
    DensityRatio,
    Discriminator,
    FactorELBO,
    InfoELBO,
    TotalCorrelationELBO,
    squared_mmd,
)
from pyro_priors.objectives.total_correlation import permute_latents, total_correlation
from pyro_priors.objectives.traces import log_terms
from pyro_priors.programs import VAE
from pyro_priors.training import OptimizationStep, fit

MIX, SCALE = torch.tensor([[1.0, 0.8], [0.0, 0.5]]), torch.tensor([0.3, 0.6])


@pytest.fixture(autouse=True)
def _seed():
    pyro.clear_param_store()
    pyro.set_rng_seed(0)


def posterior(x):
    return dist.Normal(x @ MIX, SCALE.expand(len(x), 2)).to_event(1)


def guide(x):
    with pyro.plate("data", len(x)):
        pyro.sample("z", posterior(x))


normal = model_under(pp.StandardNormal(2))


def kl_of(x):
    return kl_divergence(posterior(x), dist.Normal(torch.zeros(2), 1.0).to_event(1)).mean()


def exact_correlation():
    """x ~ N(0, I), so that z ~ N(0, MIX^T MIX + SCALE^2)."""
    covariance = MIX.T @ MIX + SCALE.square().diag()
    return 0.5 * (covariance.diagonal().log().sum() - covariance.logdet())


UNREGULARISED = {
    "beta-B": lambda: CapacityELBO(gamma=1.0),
    "beta-TC": lambda: TotalCorrelationELBO(beta=1.0, data_size=100),
    "factor": lambda: FactorELBO(Discriminator(2, (8,)), gamma=0.0),
    "info": lambda: InfoELBO(alpha=0.0, lambda_=1.0),
    "info-stein": lambda: InfoELBO(alpha=0.0, lambda_=1.0, divergence="stein"),
}
REGULARISED = {
    "beta-B": lambda: CapacityELBO(gamma=15.0, capacity=2.0),
    "beta-TC": lambda: TotalCorrelationELBO(beta=4.0, data_size=100),
    "factor": lambda: FactorELBO(Discriminator(2, (8,)), gamma=10.0),
    "info": lambda: InfoELBO(alpha=0.0, lambda_=100.0),
    "info-stein": lambda: InfoELBO(alpha=0.0, lambda_=100.0, divergence="stein"),
    "info-adversarial": lambda: InfoELBO(lambda_=10.0, divergence="adversarial", critic=MLPCritic((1, 1, 3), (8,))),
}


@pytest.mark.parametrize("name", UNREGULARISED)
def test_without_regularisation_all_are_the_elbo(name):
    x = torch.randn(20, 2)
    results = []
    objective = UNREGULARISED[name]()
    for bound in (objective, ELBO()):
        pyro.set_rng_seed(1)
        results.append(bound(normal, guide, x))
    torch.testing.assert_close(results[0][0], results[1][0])
    assert results[0][1][:3] == results[1][1]


def test_the_capacity_pulls_the_mean_kl_towards_it():
    x = torch.randn(50, 2)
    for capacity in (0.0, 1.5, 40.0):
        loss, terms = CapacityELBO(gamma=7.0, capacity=capacity)(normal, guide, x)
        torch.testing.assert_close(terms.kl, kl_of(x))
        torch.testing.assert_close(loss, 7 * (kl_of(x) - capacity).abs() - terms.reconstruction)
        torch.testing.assert_close(terms.regulariser, (kl_of(x) - capacity).abs())


def test_the_capacity_is_of_the_weighted_kl():
    x = torch.randn(50, 2)
    loss, terms = CapacityELBO(gamma=7.0, capacity=1.5, kl_weight=3.0)(normal, guide, x)
    torch.testing.assert_close(loss, 7 * (3 * kl_of(x) - 1.5).abs() - terms.reconstruction)


def test_total_correlation():
    """Its estimate from 3,000 codes, less the constant, against the closed form: the error of a run is about 0.02."""
    x = torch.randn(3000, 2)
    site = log_terms(normal, guide, (x,)).site
    estimate = total_correlation(site, 500) - math.log(500)
    assert abs(estimate - exact_correlation()) < 0.08
    assert exact_correlation() > 0.3
    few = log_terms(normal, guide, (x[:4],)).site  # minibatch-weighted sampling, written out
    densities = torch.stack([posterior(x[j : j + 1]).base_dist.log_prob(few.value).exp() for j in range(4)], 1)
    joint, single = densities.prod(-1).sum(1) / 2000, densities.sum(1) / 2000
    torch.testing.assert_close(total_correlation(few, 500), (joint.log() - single.log().sum(-1)).mean())
    pyro.set_rng_seed(1)
    loss, terms = TotalCorrelationELBO(6.0, 500)(normal, guide, x)
    torch.testing.assert_close(loss, -terms.elbo + 5 * terms.regulariser)


def test_the_three_parts_of_beta_tcvae_in_closed_form():
    """Information + beta total correlation + dimension-wise KL, each exact, against the loss (error about 0.1)."""
    x = torch.randn(3000, 2)
    covariance = MIX.T @ MIX + SCALE.square().diag()
    information = 0.5 * (covariance.logdet() - SCALE.square().log().sum())  # I(x, z)
    variances = covariance.diagonal()
    each = 0.5 * (variances - 1 - variances.log()).sum()  # sum of KL(q(z_d), N(0, 1))
    torch.testing.assert_close(information + exact_correlation() + each, kl_of(x), rtol=0.05, atol=0.0)
    loss, terms = TotalCorrelationELBO(4.0, 500)(normal, guide, x)
    exact = information + 4 * exact_correlation() + each - terms.reconstruction
    assert abs(loss - 3 * math.log(500) - exact) < 0.35


def test_latents_that_are_no_vectors():
    def scalar(x):
        with pyro.plate("data", len(x)):
            pyro.sample("z", dist.Normal(torch.zeros(len(x)), 1.0))

    for objective in (InfoELBO(), FactorELBO(Discriminator(1), 1.0), DensityRatio(Discriminator(1))):
        with pytest.raises(ValueError, match=r"guide: expected codes of shape \(batch, d\), got \(5,\)"):
            objective(scalar, scalar, torch.zeros(5, 1))
    with pytest.raises(ValueError, match="latent: expected a site of the guide, got 'w'"):
        DensityRatio(Discriminator(2), latent="w")(normal, guide, torch.zeros(5, 2))


def test_a_posterior_that_is_no_diagonal_gaussian_has_no_total_correlation():
    def laplace(x):
        with pyro.plate("data", len(x)):
            pyro.sample("z", dist.Laplace(x, 1.0).to_event(1))

    with pytest.raises(ValueError, match="guide: expected a diagonal Gaussian"):
        TotalCorrelationELBO(4.0, 10)(normal, laplace, torch.randn(5, 2))


def test_the_discriminator_learns_the_density_ratio():
    """Its mean over codes is the total correlation; an objective of its own with an optimizer of its own."""
    discriminator = Discriminator(2, (32, 32))
    ratio = DensityRatio(discriminator)
    optimizer = torch.optim.Adam(discriminator.parameters(), 3e-3)
    for _ in range(600):
        loss, terms = ratio(normal, guide, torch.randn(500, 2))
        optimizer.zero_grad()
        loss.backward()
        optimizer.step()
    assert loss < math.log(2)
    assert 0.5 < terms.accuracy < 1
    loss, terms = FactorELBO(discriminator, 3.0)(normal, guide, torch.randn(5000, 2))
    assert abs(terms.regulariser - exact_correlation()) < 0.12
    torch.testing.assert_close(loss, -terms.elbo + 3 * terms.regulariser)


def test_permuted_columns_keep_their_values_and_lose_their_partners():
    z = torch.arange(2000.0).view(1000, 2)
    permuted = permute_latents(z)
    assert torch.equal(permuted.sort(0).values, z)
    assert (permuted[:, 1] - permuted[:, 0] == 1).float().mean() < 0.02


def test_squared_mmd():
    """Against the closed form for Gaussians under the RBF kernel; 20 estimates, so the error is far below 0.01."""
    shift, width = 1.0, 2.0
    estimates = [squared_mmd(torch.randn(500, 1), torch.randn(400, 1) + shift, width=width) for _ in range(20)]
    same = (width / (width + 2)) ** 0.5
    exact = 2 * same * (1 - math.exp(-(shift**2) / (2 * (width + 2))))
    assert abs(torch.stack(estimates).mean() - exact) < 0.01
    nothing = torch.stack([squared_mmd(torch.randn(50, 3), torch.randn(60, 3), "imq") for _ in range(400)])
    assert abs(nothing.mean()) < 4.5 * nothing.std() / 20  # without bias: 1 seed in 100,000 fails
    a, b = torch.randn(4, 2), torch.randn(3, 2)
    k = lambda x, y: 2 / (2 + (x - y).square().sum())  # noqa: E731
    mean = lambda x, y: sum(k(p, q) for p in x for q in y if p is not q)  # noqa: E731
    rows_a, rows_b = list(a), list(b)
    exact = mean(rows_a, rows_a) / 12 + mean(rows_b, rows_b) / 6 - 2 * mean(rows_a, rows_b) / 12
    torch.testing.assert_close(squared_mmd(a, b, "imq"), exact)
    with pytest.raises(ValueError, match="two draws of each law"):
        squared_mmd(a[:1], b)


def test_info_elbo_has_gradients_to_a_flow():
    prior = pp.FlowNormal(2, layers=2, hidden=(8,))
    x = torch.randn(30, 2)
    loss, terms = InfoELBO(alpha=0.5, lambda_=10.0)(model_under(prior), guide, x)
    torch.testing.assert_close(loss.detach(), 0.5 * terms.kl - terms.reconstruction + 9.5 * terms.regulariser)
    (mmd_alone,) = (InfoELBO(alpha=1.0, lambda_=10.0)(model_under(prior), guide, x)[0],)
    mmd_alone.backward()
    assert any(parameter.grad is not None and parameter.grad.abs().sum() > 0 for parameter in prior.parameters())


PRIORS = {
    "normal": lambda: pp.StandardNormal(3),
    "flow": lambda: pp.FlowNormal(3, layers=2, hidden=(8,)),
    "TRIP": lambda: pp.TRIP(3, 4, 3),
    "mixture": lambda: pp.GaussianMixture(3, 4),
    "TRIP through a flow": lambda: pp.FlowNormal(3, layers=2, hidden=(8,), base=pp.TRIP(3, 4, 3)),
}


@pytest.mark.parametrize("name", REGULARISED)
@pytest.mark.parametrize("prior", PRIORS)
def test_they_train_any_prior(name, prior):
    vae = VAE(GatedMLPEncoder((1, 4, 4), 3, (8,)), GatedMLPDecoder(3, (1, 4, 4), (8,)), PRIORS[prior]())
    objective = FactorELBO(Discriminator(3, (8,)), 10.0) if name == "factor" else REGULARISED[name]()
    steps = [OptimizationStep(objective, torch.optim.Adam(vae.parameters(), 1e-2))]
    learned = dict(vae.named_parameters())
    if name == "factor":
        ratio = DensityRatio(objective.discriminator)
        steps.append(OptimizationStep(ratio, torch.optim.Adam(ratio.parameters(), 1e-2)))
        learned |= dict(ratio.named_parameters())
    if name == "info-adversarial":
        critic = CodeCriticLoss(objective.critic)
        steps.append(OptimizationStep(critic, torch.optim.Adam(critic.parameters(), 1e-2)))
        learned |= dict(critic.named_parameters())
    before = {key: parameter.detach().clone() for key, parameter in learned.items()}
    result = fit(steps, vae, torch.rand(40, 1, 4, 4).round().split(20), epochs=2, progress=False, seed=0)
    still = {key for key, parameter in learned.items() if torch.equal(parameter, before[key])}
    assert still == set()
    assert math.isfinite(result.history[-1]["train_regulariser"])


def test_mistakes():
    for call, message in (
        (lambda: CapacityELBO(-1.0), "gamma: expected a number of at least 0"),
        (lambda: CapacityELBO(1.0, math.nan), "capacity: expected a number of at least 0"),
        (lambda: TotalCorrelationELBO(1.0, 0), "data_size: expected an integer of at least 1"),
        (lambda: InfoELBO(kernel="linear"), "kernel: expected one of"),
        (lambda: InfoELBO(width=0.0), "width: expected a positive number"),
        (lambda: InfoELBO(alpha=math.nan), "alpha, lambda_: expected a sum of at least 1"),
        (lambda: squared_mmd(torch.zeros(5), torch.zeros(5)), r"a, b: expected shapes \(n, d\) and \(m, d\)"),
        (lambda: squared_mmd(torch.zeros(5, 1), torch.zeros(5, 3)), "a, b: expected shapes"),
        (lambda: squared_mmd(torch.zeros(5, 1), torch.zeros(5, 1), "linear"), "kernel: expected one of"),
        (lambda: squared_mmd(torch.zeros(5, 1), torch.zeros(5, 1), width=-1.0), "width: expected a positive number"),
        (lambda: InfoELBO(divergence="wasserstein"), "divergence: expected one of 'mmd', 'stein', 'adversarial', got"),
        (
            lambda: InfoELBO(divergence="adversarial"),
            "critic: expected a critic with divergence 'adversarial', got None",
        ),
        (lambda: InfoELBO(critic=Discriminator(2)), "critic: expected None with divergence 'mmd', got Discriminator"),
        (lambda: InfoELBO(alpha=0.0, lambda_=0.5), "alpha, lambda_: expected a sum of at least 1"),
    ):
        with pytest.raises(ValueError, match=message):
            call()
