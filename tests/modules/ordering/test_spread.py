"""Attributes that are spread among the latents, along what they say of each other."""

import pytest
import torch

import pyro_priors as pp
from pyro_priors.modules.prior import renewed

ATTRIBUTES = {name: pp.Discrete(2) for name in ("a", "b", "c", "d")}


def labels():
    """c follows a, and d follows b."""
    torch.manual_seed(0)
    first = torch.randint(0, 2, (400, 2)).float()
    return torch.cat([first, first], 1)


def names(prior):
    return [name for name in prior.order_names if not name.startswith("z")]


def test_vectors_among_attributes_are_spread_by_default():
    prior = pp.TTLP(12, ATTRIBUTES, rank=8)
    assert prior.order.tolist() == [0, 6, 1, 7, 2, 3, 8, 4, 9, 5]
    assert not prior.order_laid


def test_labels_alone_lay_the_attributes():
    prior = pp.TTLP(12, ATTRIBUTES, rank=8)
    prior.start_at(None, labels())
    places = [name in ATTRIBUTES for name in prior.order_names]
    assert places == [False, True, False, True, False, False, True, False, True, False]
    path = names(prior)
    assert abs(path.index("a") - path.index("c")) == abs(path.index("b") - path.index("d")) == 1
    assert prior.order_laid
    before = prior.order.clone()
    prior.start_at(None, labels()[:, [0, 2, 1, 3]])
    assert torch.equal(prior.order, before)  # laid once


def test_the_first_rows_lay_what_nothing_has_laid():
    torch.manual_seed(1)
    prior, y = pp.TTLP(4, ATTRIBUTES, rank=4, block_size=2), labels()
    prior.reinitialize(torch.randn(len(y), 4), y)
    assert prior.order_laid
    assert sorted(prior.order.tolist()) == list(range(6))
    assert {frozenset(names(prior)[:2]), frozenset(names(prior)[2:])} == {frozenset("ac"), frozenset("bd")}


def test_an_attribute_that_no_row_tells_lays_nothing():
    prior, y = pp.TTLP(12, ATTRIBUTES, rank=8), labels()
    y[:, 1] = torch.nan
    prior.start_at(None, y)
    assert not prior.order_laid


@pytest.mark.parametrize("make", [lambda: pp.TRIP(4, order="spread"), lambda: pp.TTLP(0, ATTRIBUTES, order="spread")])
def test_nothing_to_spread_is_refused(make):
    with pytest.raises(ValueError, match="order: expected latents and attributes to spread among them"):
        make()


def test_weights_of_before_there_was_a_spread_order_load_as_laid():
    """In a file too, which is compared shape by shape before it is loaded."""
    prior, other = (pp.TTLP(12, ATTRIBUTES, rank=8, order=order) for order in ("spread", "random"))
    before = other.state_dict()
    assert "order_laid" not in before
    assert set(renewed(prior, before)) == set(prior.state_dict())
    prior.load_state_dict(before)
    assert prior.order_laid
    assert torch.equal(prior.order, other.order)


def test_a_fixed_prior_keeps_its_order():
    prior = pp.TTLP(12, ATTRIBUTES, rank=8, fixed=True)
    before = prior.order.clone()
    prior.start_at(None, labels())
    assert torch.equal(prior.order, before)


def test_attributes_are_spread_beneath_a_flow():
    prior = pp.FlowTTLP(12, ATTRIBUTES, rank=8, layers=2, hidden=(4,))
    prior.start_at(None, labels())
    assert prior.base.order_laid
