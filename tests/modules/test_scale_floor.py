"""The floor under the scales of vectors: densities stay bounded, gradients alive."""

import math

import pytest
import torch

import pyro_priors as pp
from pyro_priors.modules.factors import SCALE_FLOOR, log_scale_of, scale_of

KINDS = {"full": {}, "diagonal": {}, "low-rank": {"factors": 1}}


def law_of(covariance):
    torch.manual_seed(0)
    return pp.TRIP(3, rank=2, block_size=3, covariance=covariance, cores="factored", **KINDS[covariance])


def hold(prior):
    """The second number at 1/2 under every state, whatever else there is."""
    leaf = prior.vectors[0]
    with torch.no_grad():
        leaf.loc[:, 1] = 0.5
        if leaf.loadings is not None:
            leaf.loadings[:, 1] = 0.0
    return leaf.log_scale


def highest(size, scale):
    """log-density of independent numbers of such a scale at their mean"""
    return size * -(math.log(scale) + 0.5 * math.log(2 * math.pi))


@pytest.mark.parametrize("covariance", KINDS)
def test_a_constant_coordinate_does_not_make_densities_infinite(covariance):
    """As if trained for ever, on rows of which one number is always the same."""
    prior, rows = law_of(covariance), torch.randn(200, 3)
    rows[:, 1] = 0.5
    with torch.no_grad():
        hold(prior)[:, 1] = -60.0
    score = prior().log_prob(rows)
    assert score.isfinite().all()
    assert score.mean() < highest(1, SCALE_FLOOR) + 1
    score.mean().backward()
    assert all(x.grad is None or x.grad.isfinite().all() for x in prior.parameters())


@pytest.mark.parametrize("covariance", KINDS)
def test_training_on_a_constant_coordinate_stays_below_what_the_floor_allows(covariance):
    prior, rows = law_of(covariance), torch.randn(200, 3)
    rows[:, 1] = 0.5
    log_scale = hold(prior)
    optimizer = torch.optim.Adam(prior.parameters(), 0.3)
    for _ in range(50):
        loss = -prior().log_prob(rows).mean()
        optimizer.zero_grad()
        loss.backward()
        optimizer.step()
    assert loss.isfinite()
    assert -loss < highest(1, SCALE_FLOOR)
    assert log_scale[:, 1].min() < math.log(0.1 * SCALE_FLOOR)  # it got there


@pytest.mark.parametrize("covariance", KINDS)
def test_gradients_at_the_floor_are_those_of_full_covariances(covariance):
    """Rows ten floors off: each form wants to widen, by as much."""

    def pull(some):
        leaf = law_of(some).vectors[0]
        with torch.no_grad():
            leaf.log_scale.fill_(math.log(0.01 * SCALE_FLOOR))
            if leaf.loadings is not None:
                leaf.loadings.zero_()
        leaf().log_density(leaf.loc.detach()[:1] + 10 * SCALE_FLOOR)[:, 0].sum().backward()
        return leaf.log_scale.grad[0]

    assert (pull(covariance) > 0).all()
    torch.testing.assert_close(pull(covariance), pull("full"), rtol=1e-3, atol=0)


@pytest.mark.parametrize("covariance", KINDS)
def test_what_is_set_is_what_there_is(covariance):
    leaf, other = law_of(covariance).vectors[0], law_of(covariance).vectors[0].double()
    with torch.no_grad():
        other.log_scale.uniform_(-5, 1)
    leaf.double().set(other())
    for name, x in leaf().tensors.items():
        torch.testing.assert_close(x, other().tensors[name], msg=name)


def test_the_way_back_ends_above_the_floor():
    scale = torch.tensor([0.0, SCALE_FLOOR, 0.5], dtype=torch.float64)
    again = scale_of(log_scale_of(scale))
    torch.testing.assert_close(again, torch.tensor([1.01, 1.01, 0.5 / SCALE_FLOOR]).double() * SCALE_FLOOR)


@pytest.mark.parametrize("covariance", KINDS)
def test_rescaled_codes_have_the_density_of_before(covariance):
    """Where scales are near the floor too."""
    prior = law_of(covariance).double()
    with torch.no_grad():
        prior.vectors[0].log_scale[:, 0] = math.log(SCALE_FLOOR)
        rows, shift, scale = prior().sample((20,)), torch.randn(3).double(), torch.tensor([0.1, 1.0, 0.5]).double()
        before = prior().log_prob(rows)
        prior.vectors[0].rescale(shift, scale)
        after = prior().log_prob((rows - shift) / scale)
    torch.testing.assert_close(after, before + scale.log().sum())
