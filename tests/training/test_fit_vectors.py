"""Priors with vectors fitted alone, by EM and by gradients, and of how many rows they start."""

import pytest
import torch
from catalogue import NAN

import pyro_priors as pp
from pyro_priors.training import Reinitialize, StepwiseEM, fit_prior


def joint(**how):
    torch.manual_seed(0)
    return pp.TTLP(2, {"digit": pp.Discrete(3)}, **{"rank": 6, **how})


def rows(count=600, seed=0):
    """Codes on an arc, whose place on it tells the digit; half of the rows have none."""
    generator = torch.Generator().manual_seed(seed)
    digit = torch.randint(3, (count,), generator=generator)
    angle = 1.4 * (digit - 1) + 0.3 * torch.randn(count, generator=generator)
    z = torch.stack([angle.cos(), angle.sin()], -1) * (2 + 0.15 * torch.randn(count, 1, generator=generator))
    y = digit.float().masked_fill(torch.rand(count, generator=generator) < 0.5, NAN)
    return z, y.unsqueeze(-1)


@pytest.mark.parametrize(
    ("method", "covariance"), [("em", "full"), ("em", "diagonal"), ("em", "low-rank"), ("adam", "full")]
)
@pytest.mark.slow
def test_a_prior_that_is_off_finds_back(method, covariance):
    factors = {"factors": 1} if covariance == "low-rank" else {}
    prior, (z, y), held_out = joint(covariance=covariance, **factors), rows(), torch.cat(rows(seed=1), -1)
    prior.reinitialize(z, y)
    with torch.no_grad():
        best = prior().log_prob(held_out).mean()
        prior.vectors[0].log_scale.add_(1.0)
        prior.vectors[0].loc.mul_(0.8)
    prior.reinitialize = lambda *args: False  # or there would be nothing to learn
    result = fit_prior(prior, z, y, validation=held_out, method=method, epochs=6, seed=0)
    assert -result.best_loss > best - 0.1


def test_a_fit_by_em_that_was_cut_off_ends_as_if_it_had_not_been(tmp_path):
    (z, y), how = rows(), {"method": "em", "seed": 0, "patience": 100, "decay": False}
    whole, parts = joint(), joint()
    fit_prior(whole, z, y, epochs=4, run_dir=tmp_path / "whole", **how)
    fit_prior(parts, z, y, epochs=2, run_dir=tmp_path / "parts", **how)
    parts = joint()
    fit_prior(parts, z, y, epochs=4, run_dir=tmp_path / "parts", resume=True, **how)
    assert all(torch.equal(a, b) for a, b in zip(whole.parameters(), parts.parameters(), strict=True))


def test_small_steps_leave_most_of_what_is_learned():
    """The first step too: covariances of its few rows alone would be worse."""
    prior, (z, y) = joint(), rows()
    prior.reinitialize(z, y)
    value = torch.cat([z, y], -1)
    before = prior().log_prob(value).mean().item()
    optimizer = StepwiseEM(prior, len(value), lr=0.05, batch=8)
    prior().log_prob(value[:8]).mean().neg().backward()
    optimizer.step()
    assert prior().log_prob(value).mean().item() > before - 0.3


def test_covariances_start_of_more_rows():
    images = torch.zeros(8, 2)
    assert Reinitialize(joint(), images, encode=None).samples == 20_000
    assert Reinitialize(joint(block_size=None), images, encode=None).samples == 2000
    assert Reinitialize(joint(), images, encode=None, samples=50).samples == 50
    assert Reinitialize(pp.FlowTTLP(2, {"digit": pp.Discrete(3)}), images, encode=None).samples == 20_000
