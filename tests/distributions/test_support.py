"""Which values a law allows, as its support says it."""

import math

import pytest
import torch
from torch.distributions import constraints

import pyro_priors as pp

NAN = math.nan
both_forms = pytest.mark.parametrize("cores", ["full", "factored"])


def law(cores="full"):
    return pp.TTLP(
        2, {"digit": pp.Discrete(3), "age": pp.Continuous(2)}, components=2, rank=2, order="declared", cores=cores
    )()


@both_forms
def test_numbers_and_states_mixed(cores):
    support = law(cores).support
    rows = torch.tensor(
        [
            [0.0, -5.0, 2.0, 7.5],
            [NAN, 1.0, NAN, NAN],
            [0.0, 0.0, 3.0, 0.0],
            [0.0, 0.0, -1.0, 0.0],
            [0.0, 0.0, 0.5, 0.0],
            [math.inf, 0.0, 0.0, 0.0],
            [0.0, 0.0, 0.0, -math.inf],
        ]
    )
    assert support.check(rows).tolist() == [True, True, False, False, False, False, False]
    assert (support.event_dim, support.is_discrete) == (1, False)


@both_forms
def test_it_is_that_of_the_columns_left(cores):
    joint = law(cores)
    only = joint.marginal("digit").support
    assert only.check(torch.tensor([[2.0], [3.0], [NAN]])).tolist() == [True, False, True]
    assert only.is_discrete
    given = joint.condition(digit=torch.tensor(1.0))
    assert given.support is constraints.real_vector
    moved = joint.marginal(["digit", "age"]).support
    assert moved.check(torch.tensor([[2.0, 7.5], [7.5, 2.0]])).tolist() == [True, False]
    assert not moved.is_discrete


@both_forms
@pytest.mark.parametrize("bad", [3.0, 0.5, math.inf])
def test_a_density_refuses_what_the_support_does_not_hold(bad, cores):
    value = torch.zeros(4)
    value[2] = bad
    with pytest.raises(ValueError, match="expected"):
        law(cores).log_prob(value)


@both_forms
def test_it_is_printed_with_the_variables_left(cores):
    joint = law(cores)
    assert repr(joint.support) == "VariablesSupport(z: 2 x Continuous(2), digit: Discrete(3), age: Continuous(2))"
    assert repr(joint.marginal("digit").support) == "VariablesSupport(digit: Discrete(3))"
