"""Losses of critics and generators against their formulas, written out on small programs."""

import math

import pyro
import pyro.distributions as dist
import pytest
import torch
from small_gans import REAL, Linear, Shift
from torch.nn.functional import relu, softplus

import pyro_priors as pp
import pyro_priors.objectives.adversarial
from pyro_priors.objectives import CriticLoss, GeneratorLoss, gradient_penalty, make_game

FORMULAS = {
    "minimax": (lambda r, f: softplus(-r) + softplus(f), lambda f: torch.log(1 - torch.sigmoid(f))),
    "non-saturating": (lambda r, f: softplus(-r) + softplus(f), lambda f: -torch.log(torch.sigmoid(f))),
    "wasserstein": (lambda r, f: f - r, lambda f: -f),
    "hinge": (lambda r, f: relu(1 - r) + relu(1 + f), lambda f: -f),
    "energy": (lambda r, f: r + relu(10 - f), lambda f: f),
}


@pytest.mark.parametrize("kind", FORMULAS)
def test_losses_equal_their_formulas(kind):
    program, critic = Shift(), Linear()
    of_real, of_fake = critic(REAL), critic(program.shift.expand(3, 2))
    of_critic, of_generator = FORMULAS[kind]
    loss, terms = CriticLoss(critic, kind)(program.model, program.guide, REAL)
    assert loss.item() == pytest.approx(of_critic(of_real, of_fake).mean().item(), abs=1e-6)
    assert terms.real == of_real.mean()
    assert terms.penalty == 0
    loss, terms = GeneratorLoss(critic, kind)(program.model, program.guide, REAL)
    assert loss.item() == pytest.approx(of_generator(of_fake).mean().item(), abs=1e-6)
    assert torch.autograd.grad(loss, program.shift)[0].abs().sum() > 0


def test_one_sided_smoothing_makes_the_label_the_best_answer_on_real_images():
    game = make_game("non-saturating", real_label=0.9)
    d = torch.tensor(math.log(9.0), requires_grad=True)  # sigmoid 0.9
    assert torch.autograd.grad(game.real(d), d)[0].abs() < 1e-6
    assert torch.equal(game.fake(REAL), make_game("minimax").fake(REAL))


def test_each_player_moves_only_itself():
    program, critic = Shift(), Linear()
    CriticLoss(critic, penalty=10.0)(program.model, program.guide, REAL)[0].backward()
    assert program.shift.grad is None
    critic.weight.grad = None
    GeneratorLoss(critic)(program.model, program.guide, REAL)[0].backward()
    assert critic.weight.grad is None
    assert critic.weight.requires_grad


def test_the_penalty_equals_its_formula_and_its_gradient_autograd(monkeypatch):
    """The critic a |x|^2 / 2 has gradient a x; the penalty at the midpoints, and its derivative to a, by hand."""
    monkeypatch.setattr(pyro_priors.objectives.adversarial, "between", lambda real, fake: (real + fake) / 2)
    a, fake = torch.tensor(1.5, requires_grad=True), torch.ones(3, 2)
    penalty = gradient_penalty(lambda x: a * x.square().sum(-1) / 2, REAL, fake)
    norms = ((REAL + fake) / 2).norm(dim=-1)
    assert penalty.item() == pytest.approx((1.5 * norms - 1).square().mean().item(), rel=1e-5)
    expected = (2 * (1.5 * norms - 1) * norms).mean()
    assert torch.autograd.grad(penalty, a)[0].item() == pytest.approx(expected.item(), rel=1e-5)


def test_the_penalty_is_of_the_images_given_their_attributes():
    """The critic y . x has gradient y, row by row."""
    y = torch.randn(len(REAL), REAL.flatten(1).shape[1])
    penalty = gradient_penalty(lambda x, y: (x.flatten(1) * y).sum(-1), REAL, torch.zeros_like(REAL), y)
    assert penalty.item() == pytest.approx((y.norm(dim=-1) - 1).square().mean().item(), rel=1e-5)


def test_points_of_the_penalty_lie_between():
    torch.manual_seed(0)
    share = pyro_priors.objectives.adversarial.between(torch.zeros(10_000, 1), torch.ones(10_000, 1))
    assert 0 <= share.min() < 0.01
    assert 0.99 < share.max() <= 1
    assert share.mean().item() == pytest.approx(0.5, abs=0.02)  # four times its standard deviation, and more


def test_feature_matching_has_the_gradient_of_the_squared_distance_of_means():
    torch.manual_seed(0)
    loc = torch.zeros(2, requires_grad=True)

    def program(x):
        with pyro.plate("data", len(x)):
            return pyro.sample("z", dist.Normal(loc, 1.0).to_event(1))

    torch.manual_seed(1)
    loss, _ = GeneratorLoss(Linear(), matching=True)(program, None, REAL)
    torch.manual_seed(1)
    expected = (program(REAL).mean(0) - REAL.mean(0)).square().sum()
    assert loss.item() == pytest.approx(expected.item(), rel=1e-5)
    assert torch.allclose(*torch.autograd.grad(loss, loc), *torch.autograd.grad(expected, loc))


def test_attributes_count_with_their_density_and_reach_the_critic():
    logits = torch.zeros(2, requires_grad=True)

    def program(x, y):
        law = pp.distributions.TensorRing(logits.view(1, 2, 1, 1), pp.distributions.Variables({"y": pp.Discrete(2)}))
        with pyro.plate("data", len(x)):
            pyro.sample("y", law, obs=y)
            return pyro.sample("z", dist.Delta(torch.zeros(len(x), 2), event_dim=1))

    y = torch.tensor([[1.0], [torch.nan], [1.0]])
    loss, terms = GeneratorLoss(Linear())(program, None, REAL, y)
    assert terms.observed.item() == pytest.approx(2 / 3 * math.log(0.5))
    assert terms.cost.item() == pytest.approx(-2 / 3)
    assert torch.autograd.grad(loss, logits)[0][0] > 0


def test_images_with_the_attributes_of_others_are_half_of_the_fakes():
    program, critic = Shift(), Linear()
    y = torch.tensor([[0.0], [5.0], [torch.nan]])  # rolled: NaN, 0, 5; only the second is known to be wrong
    loss, _ = CriticLoss(critic, mismatched=True)(program.model, program.guide, REAL, y)
    of_fake, wrong = critic(program.shift.expand(3, 2), y).mean(), critic(REAL[1:2], y[:1])
    assert loss.item() == pytest.approx(((of_fake + wrong) / 2 - critic(REAL, y).mean()).item(), rel=1e-5)
    with pytest.raises(ValueError, match="mismatched: expected attributes"):
        CriticLoss(critic, mismatched=True)(program.model, program.guide, REAL)


def test_noise_falls_on_both_kinds_of_images():
    torch.manual_seed(0)
    seen = []

    def critic(x):
        seen.append(x)
        return x.sum(-1)

    program, real = Shift(), torch.zeros(5000, 2)
    objective = CriticLoss(critic, noise=0.5)
    objective(program.model, program.guide, real)
    GeneratorLoss(critic, noise=0.5)(program.model, program.guide, real)
    assert [x.std(0).mean().item() for x in seen] == pytest.approx([0.5] * 3, rel=0.05)  # five standard errors
    objective.noise = 0.0
    objective(program.model, program.guide, real)
    assert torch.equal(seen[-2], real)


def test_the_code_must_be_recognised():
    def program(x):
        with pyro.plate("data", len(x)):
            c = pyro.sample("c", dist.Delta(torch.arange(len(x))))
            z = pyro.sample("z", dist.Delta(torch.zeros(len(x), 2), event_dim=1))
            return z + c[:, None]

    def guide(x):
        with pyro.plate("data", len(x)):
            pyro.sample("c", dist.Categorical(logits=x @ torch.ones(2, 3) * torch.arange(3.0)))

    loss, terms = GeneratorLoss(Linear(), information=2.0)(program, guide, REAL)
    x = torch.arange(3.0)[:, None].expand(3, 2)
    logits = x @ torch.ones(2, 3) * torch.arange(3.0)
    expected = -logits.log_softmax(-1)[torch.arange(3), torch.arange(3)].mean()
    assert terms.information.item() == pytest.approx(expected.item())
    assert loss.item() == pytest.approx((2 * expected - Linear()(x).mean()).item(), rel=1e-5)


def test_without_a_known_wrong_attribute_there_are_no_further_fakes():
    program, critic = Shift(), Linear()
    y = torch.full((3, 1), torch.nan)
    loss, _ = CriticLoss(critic, mismatched=True)(program.model, program.guide, REAL, y)
    plain, _ = CriticLoss(critic)(program.model, program.guide, REAL, y)
    assert loss == plain


@pytest.mark.parametrize("kind", FORMULAS)
def test_the_penalty_adds_to_the_loss_by_its_weight(kind):
    """A linear critic has the same slope everywhere: its norm less one, squared, wherever the points lie."""
    program, critic = Shift(), Linear()
    plain, _ = CriticLoss(critic, kind)(program.model, program.guide, REAL)
    loss, terms = CriticLoss(critic, kind, penalty=7.0)(program.model, program.guide, REAL)
    x = REAL.clone().requires_grad_()
    excess = (torch.autograd.grad(critic(x).sum(), x)[0].norm(dim=-1) - 1).square().mean()
    assert terms.penalty.item() == pytest.approx(excess.item(), rel=1e-5)
    assert loss.item() == pytest.approx((plain + 7 * excess).item(), rel=1e-5)
    assert excess > 0.01
