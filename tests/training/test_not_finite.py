"""Numbers that are not finite: training stops, says where, and keeps what was good."""

import math

import pytest
import torch
from linear_gaussian import QUIET, Line, Spy, X, sgd, weights
from torch import nn

from pyro_priors.objectives import ELBO
from pyro_priors.training import OptimizationStep, Reinitialize, fit, load_weights


def test_a_loss_that_is_not_finite_stops_before_the_update_and_names_the_site():
    line, seen = Line(), []
    bad = torch.cat([X[:8], torch.tensor([math.nan])])
    with pytest.raises(FloatingPointError, match="got nan in epoch 1, batch 3: site 'z' of the guide: log-density nan"):
        fit(sgd(line), line, [X, X, bad], epochs=2, callbacks=[Spy(lambda state: seen.append(weights(line)))], **QUIET)
    assert weights(line) == seen[2]
    line = Line()
    line.guide = Line().guide

    def break_model(state):
        line.loc.data.fill_(math.inf if state.step == 1 else 0.0)

    with pytest.raises(FloatingPointError, match="epoch 2, batch 1: site 'z' of the model: log-density"):
        fit(sgd(line), line, [X], epochs=2, callbacks=[Spy(break_model)], **QUIET)


def test_a_gradient_that_is_not_finite_stops_before_the_update():
    class Root(ELBO):
        def __call__(self, model, guide, *batch):
            loss, terms = super().__call__(model, guide, *batch)
            return loss + line.loc.abs().sqrt(), terms  # its derivative at 0 is infinite

    for clip_norm in (None, 1.0):
        line = Line()
        step = OptimizationStep(Root(), torch.optim.SGD(line.parameters(), lr=0.1))
        with pytest.raises(FloatingPointError, match=r"gradient: .* got (nan|inf) in epoch 1, batch 1: that of loc$"):
            fit(step, line, [X], epochs=1, clip_norm=clip_norm, **QUIET)
        assert weights(line) == weights(Line())


def test_gradients_whose_squares_are_too_large_are_told_from_those_that_are_not_finite():
    class Steep(ELBO):
        def __call__(self, model, guide, *batch):
            loss, terms = super().__call__(model, guide, *batch)
            return loss + 1e30 * line.loc, terms

    line = Line()
    step = OptimizationStep(Steep(), torch.optim.SGD(line.parameters(), lr=0.1))
    with pytest.raises(FloatingPointError, match=r"got inf in epoch 1, batch 1: all are finite, their squares too"):
        fit(step, line, [X], epochs=1, **QUIET)


@pytest.mark.parametrize("bad", [math.nan, math.inf])
def test_a_validation_loss_that_is_not_finite_names_the_epoch_and_the_best_weights_stay(tmp_path, bad):
    line, seen = Line(), []

    def break_second_epoch(state):
        seen.append(weights(line))
        if state.epoch == 2:
            line.bad = bad

    class Broken(ELBO):
        def __call__(self, model, guide, *batch):
            loss, terms = super().__call__(model, guide, *batch)
            return (loss if torch.is_grad_enabled() else loss + line.bad), terms

    line.bad = 0.0
    step = OptimizationStep(Broken(), torch.optim.SGD(line.parameters(), lr=0.1))
    broken = {"validation": [X], "callbacks": [Spy(break_second_epoch)], "run_dir": tmp_path, **QUIET}
    with pytest.raises(
        FloatingPointError, match=f"loss: expected a finite number, got {bad} in epoch 2, batch 1 of the validation"
    ):
        fit(step, line, [X], epochs=3, **broken)
    other = Line()
    load_weights(other, tmp_path / "model.safetensors")
    assert weights(other) == seen[1]  # as the second epoch found them


def test_codes_that_are_not_finite_are_no_start_for_a_prior():
    class Prior(nn.Module):
        def reinitialize(self, z):
            raise AssertionError(z)

    line = Line()

    def encode(x):
        return torch.distributions.Normal(x * math.inf, 1.0, validate_args=False)

    callback = Reinitialize(Prior(), X[X != 0], encode=encode)
    with pytest.raises(FloatingPointError, match="codes: expected finite numbers, got NaN or infinity after epoch 1"):
        fit(sgd(line), line, [X], epochs=2, callbacks=[callback], **QUIET)


def test_a_generator_that_makes_no_numbers_is_named():
    import pyro_priors as pp
    from pyro_priors.networks import MLPCritic, MLPGenerator
    from pyro_priors.objectives import CriticLoss
    from pyro_priors.programs import GAN

    shape = (1, 2, 2)
    gan = GAN(MLPGenerator(3, shape, (4,)), pp.StandardNormal(3), MLPCritic(shape, (4,)))
    gan.generator.body[0].bias.data.fill_(math.nan)
    step = OptimizationStep(CriticLoss(gan.critic), torch.optim.Adam(gan.critic.parameters()))
    with pytest.raises(FloatingPointError, match="batch 1: site 'x' of the model: 12 values are not finite"):
        fit(step, gan, [torch.zeros(3, *shape)], epochs=1, **QUIET)
