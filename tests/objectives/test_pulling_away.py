"""EBGAN's pull-away term in closed form, and what it does to a generator."""

import math

import pytest
import torch
from small_gans import small_gan
from torch.nn.functional import cosine_similarity

from pyro_priors import StandardNormal
from pyro_priors.networks import AutoEncoderCritic, MLPGenerator
from pyro_priors.objectives import GeneratorLoss, ScoreFunction, pull_away
from pyro_priors.programs import GAN
from pyro_priors.training import OptimizationStep, fit


def test_directions_in_the_plane_have_the_squared_cosines_of_their_angles():
    angles = torch.tensor([0.0, math.pi / 6, math.pi / 2])
    codes = torch.stack([angles.cos(), angles.sin()], -1) * torch.tensor([[1.0], [5.0], [0.1]])  # lengths do not count
    expected = (3 / 4 + 0 + 1 / 4) / 3  # cos^2 of 30, 90 and 60 degrees
    assert pull_away(codes).item() == pytest.approx(expected, rel=1e-6)


@pytest.mark.parametrize(("n", "d"), [(2, 1), (5, 3), (3, 7)])
def test_it_is_the_mean_over_pairs(n, d):
    torch.manual_seed(0)
    codes = torch.randn(n, d, dtype=torch.float64, requires_grad=True)
    pairs = [cosine_similarity(codes[i], codes[j], dim=0) ** 2 for i in range(n) for j in range(n) if i != j]
    torch.testing.assert_close(pull_away(codes), torch.stack(pairs).mean())
    assert torch.autograd.gradcheck(pull_away, (codes,))


def test_orthogonal_equal_and_empty_codes():
    assert pull_away(torch.eye(4)).item() == 0
    assert pull_away(torch.ones(6, 3) * torch.tensor([1.0, -2, 3, 4, 5, 6])[:, None]).item() == pytest.approx(1)
    codes = torch.zeros(4, 3, requires_grad=True)  # as of a critic whose units are dead
    pull_away(codes).backward()
    assert pull_away(codes).item() == 0
    assert codes.grad.isfinite().all()


def test_the_generator_s_loss_has_it_once_and_gradients_reach_generator_and_prior():
    torch.manual_seed(0)
    gan, x = small_gan(), torch.randn(6, 1, 1, 2)
    losses = []
    for weight in (0.0, 0.1, 0.3):
        torch.manual_seed(1)
        losses.append(GeneratorLoss(gan.critic, pulling_away=weight)(gan.model, gan.guide, x)[0])
    torch.manual_seed(1)
    term = pull_away(gan.critic.features(gan.model(x)))
    torch.testing.assert_close(torch.stack(losses), losses[0] + torch.tensor([0, 0.1, 0.3]) * term)
    (losses[2] - losses[0]).backward()
    assert all(p.grad.abs().sum() > 0 for p in gan.prior.parameters() if p.requires_grad)
    assert all(p.grad is None for p in gan.critic.parameters())
    torch.manual_seed(1)
    matching = GeneratorLoss(gan.critic, matching=True)(gan.model, gan.guide, x)[0]
    torch.manual_seed(1)
    both = GeneratorLoss(gan.critic, matching=True, pulling_away=0.3)(gan.model, gan.guide, x)[0]
    torch.testing.assert_close(both, matching + 0.3 * term)


def test_it_spreads_the_codes_of_a_collapsed_generator():
    """All images start alike; the energy alone leaves them so."""
    torch.manual_seed(0)
    shape = (1, 4, 4)
    gan = GAN(MLPGenerator(3, shape, (16,)), StandardNormal(3), AutoEncoderCritic(shape, (16,), code=8))
    with torch.no_grad():
        gan.generator.body[0].weight.mul_(0.1)
    x = -torch.ones(32, *shape)

    def alike():
        torch.manual_seed(5)
        return pull_away(gan.critic.features(gan.model(-torch.ones(200, *shape)))).item()

    assert alike() > 0.9
    loss = GeneratorLoss(gan.critic, "energy", pulling_away=10.0)
    step = OptimizationStep(loss, torch.optim.Adam(gan.generator.parameters(), 1e-2))
    fit(step, gan, [x] * 40, epochs=1, progress=False)
    assert alike() < 0.6


@pytest.mark.parametrize("codes", [torch.zeros(1, 3), torch.zeros(3)])
def test_codes_that_cannot_be_compared(codes):
    with pytest.raises(ValueError, match=r"codes: expected shape \(n, d\) with n of at least 2, got"):
        pull_away(codes)


def test_what_is_refused():
    critic = small_gan().critic
    with pytest.raises(ValueError, match="pulling_away: expected a number of at least 0, got -1"):
        GeneratorLoss(critic, pulling_away=-1)
    with pytest.raises(ValueError, match=r"pulling_away: expected 0 with a score function, got 0\.1"):
        GeneratorLoss(critic, estimator=ScoreFunction(), pulling_away=0.1)
    assert GeneratorLoss(critic, pulling_away=0.1).least_batch == 2
