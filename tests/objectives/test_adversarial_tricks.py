"""Consensus, clipped and averaged weights, mixed precision, whole trainings of two players, what is refused."""

import math

import pyro
import pyro.distributions as dist
import pytest
import torch
from small_gans import REAL, Linear, Shift, small_gan
from torch import nn
from torch.nn.functional import softplus

import pyro_priors as pp
import pyro_priors.objectives.adversarial
from pyro_priors import training
from pyro_priors.objectives import (
    Consensus,
    CriticLoss,
    GeneratorLoss,
    Pathwise,
    ScoreFunction,
    clip_weights,
    make_game,
)
from pyro_priors.training import ExponentialAverage, OptimizationStep, fit


def test_consensus_adds_half_the_squared_gradients_of_both_and_leaves_the_prior_alone():
    torch.manual_seed(0)
    gan, x = small_gan(), torch.randn(6, 1, 1, 2)
    gan.critic.body[2] = gan.generator.body[1] = nn.Softplus()  # with second derivatives
    consensus = Consensus(CriticLoss(gan.critic, "non-saturating"), gan.generator, weight=3.0)
    torch.manual_seed(1)
    term = consensus.squared_gradients(gan.model, x)
    torch.manual_seed(1)
    fake = gan.generator(gan.prior_law().sample((6,)))
    d, g = list(gan.critic.parameters()), list(gan.generator.parameters())
    of_critic = softplus(-gan.critic(x)).mean() + softplus(gan.critic(fake)).mean()
    of_generator = softplus(-gan.critic(fake)).mean()
    v = [*torch.autograd.grad(of_critic, d, retain_graph=True), *torch.autograd.grad(of_generator, g)]
    assert term.item() == pytest.approx(sum(gradient.square().sum() for gradient in v).item() / 2, rel=1e-5)
    term.backward()
    assert all(p.grad is None for p in gan.prior.parameters())
    assert all(p.grad is not None for p in gan.generator.parameters())
    loss, terms = consensus(gan.model, gan.guide, x)
    assert loss.item() == pytest.approx((terms.own + 3 * terms.consensus).item(), rel=1e-5)


def test_noise_falls_on_what_the_consensus_is_of():
    torch.manual_seed(0)
    gan, seen = small_gan(), []
    gan.critic.register_forward_pre_hook(lambda module, inputs: seen.append(inputs[0]))
    player = CriticLoss(gan.critic, "non-saturating", noise=0.5)
    Consensus(player, gan.generator, weight=1.0).squared_gradients(gan.model, torch.zeros(5000, 1, 1, 2))
    assert seen[0].std().item() == pytest.approx(0.5, rel=0.05)  # seven standard errors
    assert seen[0].mean().abs() < 0.03


def test_consensus_settles_a_game_that_circles():
    """min_g max_d d g: simultaneous gradient steps spiral outwards, with the regulariser inwards."""

    class Point(nn.Module):
        def __init__(self):
            super().__init__()
            self.at = nn.Parameter(torch.tensor([1.0]))

    def distance(weight):
        generator, critic = Point(), Point()
        critic.forward = lambda x: (x * critic.at).sum(-1)

        def program(x):
            with pyro.plate("data", len(x)):
                pyro.sample("z", dist.Delta(torch.zeros(len(x), 1), event_dim=1))
                return generator.at.expand(len(x), 1)

        players = CriticLoss(critic), GeneratorLoss(critic)
        steps = [torch.optim.SGD(part.parameters(), lr=0.1) for part in (critic, generator)]
        for _ in range(60):
            losses = [Consensus(player, generator, weight)(program, None, torch.zeros(2, 1))[0] for player in players]
            for part, loss in zip((critic, generator), losses, strict=True):
                (part.at.grad,) = torch.autograd.grad(loss, part.at)
            for step in steps:
                step.step()
        return math.hypot(generator.at.item(), critic.at.item())

    assert distance(0.0) > math.sqrt(2)
    assert distance(1.0) < 0.1


@pytest.mark.parametrize("estimator", [Pathwise(), ScoreFunction()])
@pytest.mark.parametrize("prior", ["normal", "gmm", "trip", "flow", "fixed"])
def test_every_parameter_moves_after_one_step_of_each_player(prior, estimator):
    torch.manual_seed(0)
    made = {
        "normal": lambda: pp.StandardNormal(3),
        "gmm": lambda: pp.GaussianMixture(3, 4),
        "trip": lambda: pp.TRIP(3, components=2, rank=2),
        "flow": lambda: pp.FlowNormal(3, layers=2, hidden=(4,)),
        "fixed": lambda: pp.TRIP(3, components=2, rank=2, fixed=True),
    }
    gan, x = small_gan(made[prior]()), torch.randn(20, 1, 1, 2)
    before = {name: p.detach().clone() for name, p in gan.named_parameters()}
    theirs = [*gan.generator.parameters(), *gan.prior.parameters()]
    steps = [
        OptimizationStep(CriticLoss(gan.critic, penalty=10.0), torch.optim.Adam(gan.critic.parameters())),
        OptimizationStep(GeneratorLoss(gan.critic, estimator=estimator), torch.optim.Adam(theirs), every=2),
    ]
    result = fit(steps, gan, x.split(10), epochs=1, progress=False)
    still = [name for name, p in gan.named_parameters() if torch.equal(p, before[name])]
    # Of the critic's last bias, which moves real and generated images alike, there is no gradient.
    assert still in (["critic.head.bias"], [])
    assert {"train_real", "train_1_cost"} <= set(result.history[0])


def test_an_average_is_left_at_the_end(tmp_path):
    torch.manual_seed(0)
    gan, x, seen = small_gan(), torch.randn(30, 1, 1, 2), []
    step = OptimizationStep(CriticLoss(gan.critic), torch.optim.Adam(gan.critic.parameters(), lr=0.1))
    average = ExponentialAverage(gan.critic, decay=0.5)
    on_step_end = average.on_step_end
    average.on_step_end = lambda state: (seen.append(gan.critic.head.weight.detach().clone()), on_step_end(state))
    fit(step, gan, x.split(10), epochs=1, callbacks=[average], run_dir=tmp_path, progress=False)
    assert torch.allclose(gan.critic.head.weight, 0.25 * seen[0] + 0.25 * seen[1] + 0.5 * seen[2])
    again = small_gan()
    training.load_weights(again, tmp_path / "model.safetensors")
    assert torch.equal(again.critic.head.weight, gan.critic.head.weight)


def test_weights_are_clipped_after_every_step():
    torch.manual_seed(0)
    gan, x = small_gan(), torch.randn(20, 1, 1, 2)
    optimizer = torch.optim.Adam(gan.critic.parameters(), lr=0.5)
    clip_weights(optimizer, 0.01)
    assert max(p.abs().max() for p in gan.critic.parameters()) <= 0.01
    fit(OptimizationStep(CriticLoss(gan.critic), optimizer), gan, x.split(10), epochs=1, progress=False)
    assert 0.0099 < max(p.abs().max() for p in gan.critic.parameters()) <= 0.01


def test_bad_arguments():
    critic = Linear()
    for wrong, words in (
        (lambda: make_game("relativistic"), "kind: expected one of"),
        (lambda: make_game("hinge", real_label=0.9), "real_label: expected 1, or"),
        (lambda: make_game("minimax", real_label=1.1), "real_label: expected 1, or"),
        (lambda: make_game("energy", margin=0.0), "margin: expected a positive number"),
        (lambda: CriticLoss(critic, penalty=-1.0), "penalty: expected a number of at least 0"),
        (lambda: CriticLoss(critic, noise=-1.0), "noise: expected a number of at least 0"),
        (lambda: GeneratorLoss(critic, information=-1.0), "information: expected a number of at least 0"),
        (lambda: Consensus(CriticLoss(critic), critic, -1.0), "weight: expected a number of at least 0"),
        (lambda: clip_weights(torch.optim.SGD(critic.parameters()), 0.0), "bound: expected a positive number"),
        (lambda: ExponentialAverage(critic, 1.0), r"decay: expected a number in \[0, 1\)"),
    ):
        with pytest.raises(ValueError, match=words):
            wrong()
    gan = small_gan()
    step = OptimizationStep(CriticLoss(gan.critic), torch.optim.Adam(gan.critic.parameters()), every=2)
    with pytest.raises(ValueError, match="every: expected 1 for the first step, got 2"):
        fit(step, gan, REAL.split(1), epochs=1)
    steps = [step._replace(every=1), step._replace(every=5)]
    with pytest.raises(ValueError, match="every: expected at most the 3 batches of the training, got 5"):
        fit(steps, gan, torch.randn(3, 1, 1, 2).split(1), epochs=1, progress=False)
    with pytest.raises(ValueError, match=r"code: expected a site that the program draws, got 'c' \(it has"):
        GeneratorLoss(gan.critic, information=1.0)(gan.model, gan.guide, torch.randn(3, 1, 1, 2))
    with pytest.raises(ValueError, match=r"critic: expected one number an image, \(3,\), got \(3, 2\)"):
        CriticLoss(lambda x: x)(Shift().model, None, REAL)
    with pytest.raises(ValueError, match="player: expected a game of two losses"):
        Consensus(GeneratorLoss(critic, matching=True), critic, 1.0)


@pytest.mark.parametrize("penalty", [0.0, 10.0])
def test_mixed_precision_leaves_the_losses_in_full(penalty):
    torch.manual_seed(0)
    gan, x, seen = small_gan(), torch.randn(20, 1, 1, 2), []
    critic, generator = CriticLoss(gan.critic, penalty=penalty), GeneratorLoss(gan.critic, estimator=ScoreFunction())
    generator.register_forward_hook(lambda module, inputs, output: seen.append(output[1].cost.dtype))
    steps = [
        OptimizationStep(critic, torch.optim.Adam(gan.critic.parameters())),
        OptimizationStep(generator, torch.optim.Adam([*gan.generator.parameters(), *gan.prior.parameters()])),
    ]
    fit(steps, gan, x.split(10), epochs=1, precision="bf16-mixed", progress=False)
    assert set(seen) == {torch.float32}


def test_validation_does_not_choose_the_epoch_in_which_the_critic_does_best():
    torch.manual_seed(0)
    gan, x = small_gan(), torch.randn(20, 1, 1, 2)
    step = OptimizationStep(
        Consensus(CriticLoss(gan.critic), gan.generator, 0.1), torch.optim.Adam(gan.critic.parameters(), lr=0.1)
    )
    result = fit(step, gan, x.split(10), epochs=4, validation=x.split(10), progress=False)
    assert result.best_epoch == 4
