"""The joint prior through a flow as a module: how it is set from data and fitted, and what it refuses."""

import pyro
import pyro.distributions as dist
import pytest
import torch
from catalogue import NAN
from torch import nn

import pyro_priors as pp
from pyro_priors.metrics import mutual_information
from pyro_priors.objectives import LogLikelihood
from pyro_priors.training import OptimizationStep, Reinitialize, fit, fit_prior, prior_fitting
from pyro_priors.training.saving import load, save

KINDS = {"digit": pp.Discrete(3), "sex": pp.Discrete(2)}
SIZE = {"layers": 2, "hidden": (8,)}


def made(**how):
    torch.manual_seed(0)
    return pp.FlowTTLP(2, KINDS, **{**SIZE, "rank": 6, **how})


def rows(count=600, hidden=0.5, seed=0):
    """Codes on an arc, whose place on it tells the digit; half of the rows have no attributes."""
    torch.manual_seed(seed)
    digit = torch.randint(3, (count,)).float()
    angle = 1.4 * (digit - 1) + 0.3 * torch.randn(count)
    z = torch.stack([angle.cos(), angle.sin()], -1) * (2 + 0.15 * torch.randn(count, 1))
    y = torch.stack([digit, (digit > 0).float()], -1)
    return z, torch.where(torch.rand(count, 1) < hidden, NAN, y), digit


def answered(prior, z, digit):
    return float((prior().condition(z=z).categorical("digit").probs.argmax(-1) == digit).float().mean())


def test_the_base_is_set_from_codes_of_the_generation_space():
    prior = made()
    couplings = [p.clone() for p in prior.couplings.parameters()]
    z, y, digit = rows()
    before = prior().log_prob(torch.cat([z, y], -1)).mean()
    torch.manual_seed(1)
    assert prior.reinitialize(z, y)
    assert prior.base.order_laid
    assert all(map(torch.equal, couplings, prior.couplings.parameters()))
    assert prior().log_prob(torch.cat([z, y], -1)).mean() > before + 0.3
    assert answered(prior, z, digit) > 0.9
    by_hand = made().base
    torch.manual_seed(1)
    by_hand.reinitialize(prior.to_generation(z).detach(), y)
    assert all(torch.equal(x, by_hand.state_dict()[key]) for key, x in prior.base.state_dict().items())


def test_what_was_learned_stays_unless_asked():
    prior, (z, y, _) = made(), rows()
    assert prior.reinitialize(z, y)
    learned = prior.base.vectors[0].loc.clone()
    assert not prior.reinitialize(z[:60], y[:60])
    assert torch.equal(prior.base.vectors[0].loc, learned)
    assert prior.reinitialize(z[:60], y[:60], force=True, new_order=True)
    assert not torch.equal(prior.base.vectors[0].loc, learned)
    assert prior.reinitialize(z, force=True)  # codes alone
    fixed = made(fixed=True)
    assert not fixed.reinitialize(z, y, force=True)
    assert not list(fixed.parameters())


def test_draws_and_laws_are_told_from_means():
    prior, (z, y, _) = made(), rows()
    with pytest.warns(UserWarning, match="z: expected draws of q"):
        prior.reinitialize(0.01 * z, y)
    narrow = dist.Normal(0.01 * z, 0.001).to_event(1)
    assert prior.reinitialize(narrow, y, force=True)  # warnings are errors


def test_an_order_that_is_not_laid_is_said():
    prior, (z, y, _) = made(), rows(20)
    with pytest.warns(UserWarning, match="order: expected `reinitialize`"):
        prior().log_prob(torch.cat([z, y], -1)).sum().backward()
    expecting = made()
    expecting.expect_rows()
    expecting().log_prob(torch.cat([z, y], -1)).sum().backward()


@pytest.mark.parametrize("transform", ["affine", "spline"])
def test_it_is_fitted_alone(transform):
    """To codes on an arc: better than what `reinitialize` alone makes of them, in the order that it has laid."""
    (z, y, _), (test, _, digit) = rows(), rows(seed=1)
    prior, start = (made(transform=transform, components=3) for _ in range(2))
    result = fit_prior(prior, z, y, epochs=5, batch_size=64, seed=0)
    start.reinitialize(z, y)
    assert result.best_epoch > 0
    assert prior.base.order_laid
    with torch.no_grad():
        better = prior().marginal("z").log_prob(test).mean() - start().marginal("z").log_prob(test).mean()
    assert better > 0.05
    assert answered(prior, test, digit) > 0.93


def test_the_order_laid_stays_where_the_start_was_better(monkeypatch):
    """Tables belong to their order: a start in another cannot be gone back to."""
    (z, y, _), prior = rows(100), made()
    monkeypatch.setattr(
        prior_fitting._Start, "loss", property(lambda self: 0.0, lambda self, loss: None), raising=False
    )
    fit_prior(prior, z, y, epochs=1, seed=0)
    assert prior.base.order_laid


class Rows(nn.Module):
    """The prior as a program that observes codes and attributes."""

    def __init__(self, prior):
        super().__init__()
        self.prior = prior

    def model(self, z, y):
        with pyro.plate("data", len(z)):
            pyro.sample("value", self.prior(), obs=torch.cat([z, y], -1))

    def guide(self, z, y):
        pass


def test_a_training_reinitialises_it():
    prior, (z, y, digit) = made(), rows()
    again = Reinitialize(prior, [(z, y)], encode=lambda x: dist.Normal(x, 1e-3).to_event(1), first=1, every=None)
    step = OptimizationStep(LogLikelihood(), torch.optim.Adam(prior.parameters(), 1e-2))
    history = fit(step, Rows(prior), [(z, y)], epochs=3, callbacks=[again], progress=False).history
    assert history[-1]["train_loss"] < history[0]["train_loss"] - 0.3
    assert answered(prior, z, digit) > 0.9


def test_information_between_attributes_is_that_of_its_base():
    prior, (z, y, _) = made(), rows()
    prior.reinitialize(z, y)
    names, information = mutual_information(prior())
    assert names == ("digit", "sex")
    assert torch.equal(information, mutual_information(prior.base())[1])
    with pytest.raises(ValueError, match="joint: expected a law with a discrete variable"):
        mutual_information(prior().marginal("z"))


def test_a_file_brings_it_back(tmp_path):
    prior = made(transform="spline", cores="full", order="random", components=4)
    save(prior, tmp_path)
    again, value = load(tmp_path), prior().sample((4,))
    assert torch.equal(again().log_prob(value), prior().log_prob(value))
    with pytest.raises(ValueError, match=r"transform: expected affine, got spline"):
        made(cores="full", order="random", components=4).load_state_dict(prior.state_dict())
    with pytest.raises(ValueError, match=r"base.rank: expected 6, got 3"):
        made().load_state_dict(made(rank=3).state_dict())


def test_its_plane_is_exact_where_there_are_two_latents():
    prior = made()
    law = prior()
    z = law.sample((5,))[:, :2]
    assert torch.equal(prior.plane(law).log_prob(z), law.marginal("z").log_prob(z))
    given = law.condition(digit=1.0)
    assert torch.equal(prior.plane(given.marginal("z")).log_prob(z), given.marginal("z").log_prob(z))
    torch.manual_seed(0)
    assert pp.FlowTTLP(3, KINDS, **SIZE, rank=2).plane(None, (0, 2)) is None
    with pytest.raises(ValueError, match="dims: expected"):
        prior.plane(law, (0, 2))


def test_mistakes():
    z, y, _ = rows(30)
    for call, message in (
        (lambda: pp.FlowTTLP(1, KINDS), "latent_dim: expected an integer of at least 2, got 1"),
        (lambda: made(layers=0), "layers: expected"),
        (lambda: made(hidden=(0,)), "hidden: expected"),
        (lambda: made(transform="planar"), "transform: expected one of"),
        (lambda: made(rank=0), "rank: expected"),
        (lambda: made(boundary="ring"), "boundary: expected 'train' with cores='factored'"),
        (lambda: pp.FlowTTLP(2, {"z": pp.Discrete(2)}), "attributes: the name 'z' is taken"),
        (lambda: pp.FlowTTLP(2, [3]), "attributes: expected a mapping"),
        (lambda: made().reinitialize(z[:, :1], y), r"z: expected shape \(n, 2\)"),
        (lambda: made().reinitialize(z, y[:, :1]), r"y: expected a tensor of shape \(30, 2\)"),
        (lambda: made().reinitialize(z * NAN, y), "z: expected finite values"),
        (lambda: made().reinitialize(z, y + 7), "digit: expected one of 0..2"),
        (lambda: pp.FlowNormal(2, base=made()), "base: expected a prior of latents alone"),
        (lambda: fit_prior(made(), z, y, method="em"), "got FlowTTLP, a law through a flow, for whose .* no EM$"),
    ):
        with pytest.raises(ValueError, match=message):
            call()
