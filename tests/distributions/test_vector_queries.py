"""Laws with vectors held over a change, copied, and asked of parts of their vectors."""

import copy
import pickle

import oracles
import pytest
import torch
from cases import FORMS, make_case, random_value
from catalogue import NAN

import pyro_priors as pp

every_form = pytest.mark.parametrize("form", FORMS)


# ---- laws held and copied


@every_form
def test_a_law_held_over_a_change_of_a_vector_refuses(form):
    case = make_case("vdw", 3, form)
    leaves = case.leaves()
    law = case.of(leaves).law
    for place in range(len(case.tables), len(leaves)):
        if leaves[place].dim() == 3 and leaves[place].shape[-1] == leaves[place].shape[-2]:
            continue  # the test makes another tensor of it
        law = case.of(leaves).law
        law.log_prob(random_value(case, 2))
        with torch.no_grad():
            leaves[place].add_(0.01)
        for query in (lambda: law.log_prob(random_value(case, 2)), law.sample, lambda: law.condition(v1=1).mean):
            with pytest.raises(ValueError, match="as it was when the law was built, got other numbers"):
                query()


@every_form
def test_copies_score_alike(form):
    case = make_case("vdw", 3, form)
    value = random_value(case, 5, 0.3)
    for twin in (pickle.loads(pickle.dumps(case.law)), copy.deepcopy(case.law), copy.copy(case.law)):
        assert torch.equal(twin.log_prob(value), case.law.log_prob(value))


def test_repr_names_vectors():
    law = make_case("vwo", 3, "factored").law
    text = "v0: Vector(2, components=3), v1: Vector(3, low-rank of 1, components=3), v2: Vector(1, components=3)"
    assert text in repr(law)
    assert "v1[0, 2]: Vector(3, low-rank of 1, components=3)" in repr(law.marginal([2, 4]))
    assert "2 of 6 columns" in repr(law.marginal([2, 4]))
    assert "z: 2 x Vector(2, components=4) + 1 x Vector(1, components=4), rank=4" in repr(
        pp.TRIP(5, rank=4, block_size=2)
    )


# ---- queries of parts


@every_form
def test_what_is_left_of_a_vector_may_be_given(form):
    """A marginal of some numbers takes those numbers, and is a law of vectors itself."""
    case = make_case("wdv", 3, form)
    value = random_value(case, 5)
    part = case.law.marginal([0, 2, 3])
    left = part.condition(v0=value[:, [0, 2]])
    both, alone = (torch.full_like(value, NAN) for _ in range(2))
    both[:, [0, 2, 3]], alone[:, [0, 2]] = value[:, [0, 2, 3]], value[:, [0, 2]]
    expected = oracles.log_prob(case, both) - oracles.log_prob(case, alone)
    torch.testing.assert_close(left.log_prob(value[:, 3:4]), expected, rtol=1e-10, atol=1e-10)
    mean, variance = oracles.moments(case, torch.full((1, 6), NAN).double())
    torch.testing.assert_close(part.mean[:2], mean[0, [0, 2]])
    torch.testing.assert_close(part.variance[:2], variance[0, [0, 2]])


@every_form
def test_most_probable_inside_a_vector(form):
    case = make_case("wdv", 3, form)
    value = random_value(case, 9, 0.5)
    probs, mean = oracles.state_probs(case, value), oracles.moments(case, value)[0]
    best = torch.where(mean.isnan(), probs[1].argmax(-1).double()[:, None], mean)
    expected = torch.where(value.isnan(), best, value)
    torch.testing.assert_close(case.law.most_probable(value), expected, rtol=1e-10, atol=1e-10)


@every_form
def test_weights_of_the_states_of_a_vector(form):
    case = make_case("vdw", 3, form)
    weights = torch.randn(3, case.law._chain.width, generator=torch.Generator().manual_seed(0)).double()
    weighed, value = case._replace(log_weights=weights), random_value(case, 6, 0.4)
    law = case.law.weigh(weights)
    torch.testing.assert_close(law.log_prob(value), oracles.log_prob(weighed, value), rtol=1e-10, atol=1e-10)
    given = value.clone()
    given[:, [0, 1, 3, 4, 5]] = torch.where(given[:, [0, 1, 3, 4, 5]].isnan(), NAN, given[:, [0, 1, 3, 4, 5]])
    given[:, 2] = NAN
    categories = law.condition(v0=given[:, :2], v2=given[:, 3:]).categorical("v1").probs
    torch.testing.assert_close(categories, oracles.state_probs(weighed, given)[1], rtol=1e-10, atol=1e-10)
    wide = law.condition(v0=given[:, :2]).expand((3, 6))
    assert wide.sample((2,)).shape == (2, 3, 6, 4)
    assert wide.mean.shape == wide.variance.shape == (3, 6, 4)
    assert wide.most_probable(torch.full((4,), NAN).double()).shape == (3, 6, 4)
