"""Autoencoders with a critic: losses against their formulas, who moves whom, a prior that goes to meet the codes."""

import pyro
import pytest
import torch
from pyro import poutine
from torch.nn.functional import softplus

import pyro_priors as pp
from pyro_priors.networks import GatedMLPDecoder, GatedMLPEncoder, MLPCritic
from pyro_priors.objectives import (
    AdversarialELBO,
    CodeCriticLoss,
    Pathwise,
    ScoreFunction,
    SimilarityCriticLoss,
    SimilarityLoss,
)
from pyro_priors.programs import VAE
from pyro_priors.training import OptimizationStep, fit

SHAPE = (1, 2, 2)


@pytest.fixture(autouse=True)
def _fresh():
    pyro.clear_param_store()
    pyro.set_rng_seed(0)


def make_vae(prior=None):
    prior = pp.StandardNormal(2) if prior is None else prior
    return VAE(GatedMLPEncoder(SHAPE, 2, (8,)), GatedMLPDecoder(2, SHAPE, (8,)), prior)


def test_aae_is_reconstruction_and_a_critic_of_codes():
    vae, critic, x = make_vae(), MLPCritic((1, 1, 2), (8,)), torch.rand(6, *SHAPE).round()
    torch.manual_seed(1)
    loss, terms = AdversarialELBO(critic, weight=3.0)(vae.model, vae.guide, x)
    torch.manual_seed(1)
    z = vae.guide(x)
    reconstruction = vae.decode(z).log_prob(x).mean()
    verdict = softplus(-critic(z)).mean()
    assert loss.item() == pytest.approx((3 * verdict - reconstruction).item(), rel=1e-5)
    assert terms.regulariser.item() == pytest.approx(verdict.item(), rel=1e-5)
    loss.backward()
    assert all(p.grad is None for p in critic.parameters())
    assert all(p.grad is not None for p in vae.parameters())


def test_the_critic_of_an_aae_has_the_prior_s_draws_for_real():
    vae, x, seen = make_vae(), torch.rand(5, *SHAPE).round(), []

    def critic(z):
        seen.append(z)
        return z.sum(-1)

    loss, terms = CodeCriticLoss(critic)(vae.model, vae.guide, x)
    real, fake = seen
    assert real.shape == fake.shape == (5, 2)
    assert not fake.requires_grad
    expected = softplus(-real.sum(-1)).mean() + softplus(fake.sum(-1)).mean()
    assert loss.item() == pytest.approx(expected.item(), rel=1e-5)
    assert terms.fake.item() == pytest.approx(vae.encode(x).mean.sum(-1).mean().item(), abs=1.5)


@pytest.mark.parametrize("estimator", [Pathwise(), pytest.param(ScoreFunction(), marks=pytest.mark.slow)])
@pytest.mark.slow
def test_a_learnable_prior_goes_to_meet_the_codes(estimator):
    """Codes stay where they are, at (3, -3); only prior and critic learn."""
    torch.manual_seed(0)
    prior = pp.GaussianMixture(2, 3)
    vae = make_vae(prior)
    x = torch.rand(500, *SHAPE).round()
    with torch.no_grad():
        for head, value in ((vae.encoder.head.loc, [3.0, -3.0]), (vae.encoder.head.scale, [0.5, 0.5])):
            head.weight.zero_()
            head.bias.copy_(torch.tensor(value))
    critic = MLPCritic((1, 1, 2), (16,))

    def distance():
        return (vae.prior_law().mean - torch.tensor([3.0, -3.0])).norm()

    start = distance()
    assert start > 3
    steps = [
        OptimizationStep(AdversarialELBO(critic, estimator=estimator), torch.optim.Adam(prior.parameters(), lr=0.05)),
        OptimizationStep(CodeCriticLoss(critic), torch.optim.Adam(critic.parameters(), lr=0.01)),
    ]
    fit(steps, vae, x.split(100), epochs=60, progress=False)
    assert distance() < 0.65 * start


def test_vae_gan_compares_features_and_each_part_has_its_loss():
    vae, critic, x = make_vae(), MLPCritic(SHAPE, (8,)), torch.rand(6, *SHAPE).round()
    losses = {}
    for part in ("encoder", "decoder"):
        torch.manual_seed(1)
        losses[part], terms = SimilarityLoss(critic, part, gamma=3.0)(vae.model, vae.guide, x)
    torch.manual_seed(1)
    q, made = vae.encode(x), vae.decode(vae.guide(x)).mean
    drawn = vae.decode(poutine.trace(vae.model).get_trace(x).nodes["z"]["value"]).mean
    distance = (critic.features(made) - critic.features(x)).square().sum(-1).mean() / 2
    kl = torch.distributions.kl_divergence(q, vae.prior_law()).mean()
    assert losses["encoder"].item() == pytest.approx((kl + distance).item(), rel=1e-5)
    verdict = softplus(-critic(torch.cat([made, drawn]))).mean()
    assert terms.verdict.item() == pytest.approx(verdict.item(), rel=1e-5)
    assert losses["decoder"].item() == pytest.approx((3 * distance + verdict).item(), rel=1e-5)
    losses["encoder"].backward()
    assert all(p.grad is None for p in critic.parameters())


def test_the_critic_of_a_vae_gan_has_two_kinds_of_fakes():
    vae, x, seen = make_vae(pp.TRIP(2, components=2, rank=2)), torch.rand(5, *SHAPE).round(), []

    def critic(pictures):
        seen.append(pictures)
        return pictures.flatten(1).sum(-1)

    SimilarityCriticLoss(critic)(vae.model, vae.guide, x)
    real, fake = seen
    assert torch.equal(real, torch.cat([x, x]))
    assert fake.shape == (10, *SHAPE)
    assert not fake.requires_grad


def test_every_part_moves():
    vae, critic = make_vae(pp.TRIP(2, components=2, rank=2)), MLPCritic(SHAPE, (8,))
    x, before = torch.rand(20, *SHAPE).round(), {name: p.detach().clone() for name, p in vae.named_parameters()}
    first = [*vae.encoder.parameters(), *vae.prior.parameters()]
    steps = [
        OptimizationStep(SimilarityLoss(critic, "encoder"), torch.optim.Adam(first)),
        OptimizationStep(SimilarityLoss(critic, "decoder"), torch.optim.Adam(vae.decoder.parameters())),
        OptimizationStep(SimilarityCriticLoss(critic), torch.optim.Adam(critic.parameters())),
    ]
    fit(steps, vae, x.split(10), epochs=1, progress=False)
    assert [name for name, p in vae.named_parameters() if torch.equal(p, before[name])] == []
    with pytest.raises(ValueError, match="part: expected one of"):
        SimilarityLoss(critic, "critic")
