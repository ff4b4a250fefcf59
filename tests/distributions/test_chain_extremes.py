"""Finite and right where floats run out: far values, cores on other scales, long chains, sizes of one."""

import laws
import oracles
import pyro
import pytest
import torch
from cases import make_case, random_value
from catalogue import NAN

import pyro_priors as pp
from pyro_priors.distributions import Continuous, TensorRing, Variables

every_dtype = pytest.mark.parametrize("dtype", [torch.float64, torch.float32])
every_boundary = pytest.mark.parametrize("boundary", ["ring", "train"])


def score_and_gradients(case, value):
    leaves = [x.detach().clone().requires_grad_() for x in (case.log_cores, case.variables.loc, case.variables.scale)]
    cores, loc, scale = leaves
    score = TensorRing(cores, case.variables.bind(loc, scale), case.boundary, case.order).log_prob(value)
    return score.detach(), torch.autograd.grad(score.sum(), leaves)


def relative(actual, expected):
    return ((actual.double() - expected).abs() / expected.abs().clamp(min=1)).max().item()


@every_dtype
@every_boundary
def test_values_a_million_scales_away(boundary, dtype):
    case = make_case("cCdc", 3, boundary, dtype=dtype)
    value = random_value(case, 6, 0.2)
    value[:, 0] *= 1e6
    value[0, 1] = -1e6
    score, gradients = score_and_gradients(case, value)
    assert relative(score, oracles.log_prob(case, value)) < (1e-10 if dtype == torch.float64 else 1e-5)
    assert all(g.isfinite().all() for g in gradients)
    assert case.law.state_probs(value).isfinite().all()


@every_dtype
@every_boundary
@pytest.mark.parametrize("shift", [50.0, -50.0])
def test_all_cores_on_another_scale(boundary, dtype, shift):
    case = make_case("cCdc", 3, boundary, dtype=dtype)
    cores = case.log_cores + shift
    moved = case._replace(log_cores=cores, law=TensorRing(cores, case.variables, boundary, case.order))
    laws.check_log_prob(moved)
    assert all(g.isfinite().all() for g in score_and_gradients(moved, random_value(moved, 4))[1])


@every_dtype
@every_boundary
@pytest.mark.parametrize("shift", [50.0, -50.0, 150.0])
def test_one_state_on_another_scale(boundary, dtype, shift):
    case = make_case("cCdc", 3, boundary, dtype=dtype)
    cores = case.log_cores.clone()
    cores[1, 0] += shift
    cores[2, 1] -= shift
    moved = case._replace(log_cores=cores, law=TensorRing(cores, case.variables, boundary, case.order))
    value = random_value(moved, 8, 0.3)
    value[:3, 2] = 1.0  # the label that the cores say is all but impossible
    score, gradients = score_and_gradients(moved, value)
    assert relative(score, oracles.log_prob(moved, value)) < (1e-10 if dtype == torch.float64 else 1e-5)
    assert all(g.isfinite().all() for g in gradients)


@every_boundary
def test_cores_of_one_state_that_differ_by_e60_in_float32(boundary):
    case = make_case("cCdc", 3, boundary, dtype=torch.float32)
    cores = case.log_cores - 60 * (1 - torch.eye(3))
    moved = case._replace(log_cores=cores, law=TensorRing(cores, case.variables, boundary, case.order))
    value = random_value(moved, 8, 0.3)
    score, gradients = score_and_gradients(moved, value)
    assert relative(score, oracles.log_prob(moved, value)) < 1e-5
    assert all(g.isfinite().all() for g in gradients)


@every_dtype
@every_boundary
def test_a_thousand_variables(boundary, dtype):
    torch.manual_seed(0)
    size, components, rank = 1000, 3, 4
    cores = torch.randn(size, components, rank, rank, dtype=dtype)
    loc, scale = torch.randn(size, components, dtype=dtype), torch.rand(size, components, dtype=dtype) + 0.2
    variables = Variables({"z": [Continuous(components)] * size}, loc, scale)
    law = TensorRing(cores, variables, boundary)
    value = torch.randn(4, size, dtype=dtype)
    value[0, ::3] = NAN
    leaves = variables.bind(loc.double(), scale.double()).log_evidence(value.double(), tuple(range(size)), components)
    expected = oracles.log_chain(leaves, cores, boundary) - oracles.log_chain(leaves[:1] * 0, cores, boundary)
    assert relative(law.log_prob(value), expected) < (1e-10 if dtype == torch.float64 else 1e-5)
    cores.requires_grad_()
    TensorRing(cores, variables, boundary).log_prob(value).sum().backward()
    assert cores.grad.isfinite().all()
    assert law.sample((2,)).isfinite().all()
    laws.close(law.state_probs(value).sum(-1), torch.ones(4, size), torch.float32)


@every_boundary
@pytest.mark.parametrize("shift", [0.0, 50.0, -50.0])
@pytest.mark.parametrize("sizes", [(1000, 3, 4), (100, 10, 20)])
def test_few_entries_of_many_in_single_precision(boundary, shift, sizes):
    """Two numbers of thousands of nats are subtracted; what is left must keep its digits, without a floor of one."""
    torch.manual_seed(0)
    size, components, rank = sizes
    cores = torch.randn(size, components, rank, rank) + shift
    variables = Variables(
        {"z": [Continuous(components)] * size}, torch.randn(size, components), torch.ones(size, components)
    )
    value = torch.full((5, size), NAN)
    value[torch.arange(5), torch.arange(5) * 7] = torch.randn(5)
    leaves = variables.log_evidence(value, tuple(range(size)), components)
    expected = oracles.log_chain(leaves, cores, boundary) - oracles.log_chain(leaves[:1] * 0, cores, boundary)
    torch.testing.assert_close(
        TensorRing(cores, variables, boundary).log_prob(value).double(), expected, rtol=1e-4, atol=0
    )


@every_dtype
@every_boundary
@pytest.mark.parametrize("sizes", [(1, 1, 1), (1, 3, 1), (1, 1, 3), (4, 1, 1), (4, 1, 2), (1, 3, 2)])
def test_sizes_of_one(boundary, dtype, sizes):
    columns, components, rank = sizes
    torch.manual_seed(0)
    loc, scale = torch.randn(columns, components, dtype=dtype), torch.ones(columns, components, dtype=dtype)
    variables = Variables({"z": [Continuous(components)] * columns}, loc, scale)
    cores = torch.randn(columns, components, rank, rank, dtype=dtype)
    law = TensorRing(cores, variables, boundary)
    value = torch.randn(3, columns, dtype=dtype)
    leaves = variables.log_evidence(value, tuple(range(columns)), components)
    expected = oracles.log_chain(leaves, cores, boundary) - oracles.log_chain(leaves[:1] * 0, cores, boundary)
    laws.close(law.log_prob(value), expected, dtype)
    assert law.sample((2,)).shape == (2, columns)
    assert law.rsample((2,)).isfinite().all()


@every_boundary
def test_rows_without_entries_score_exactly_zero(boundary):
    torch.manual_seed(0)
    law = make_case("cCdcCbcc", 5, boundary, dtype=torch.float32).law
    assert (law.log_prob(torch.full((1000, 8), NAN)) == 0).all()
    assert (law.condition(v2=torch.tensor([0.0, 1.0])).log_prob(torch.full((7,), NAN)) == 0).all()


def test_missing_entries_leave_no_nan_in_gradients():
    case = make_case("cCdc", 3, "ring")
    value = random_value(case, 5, 0.6).requires_grad_()
    case.law.log_prob(value).sum().backward()
    assert value.grad.isfinite().all()
    assert (value.grad[value.isnan()] == 0).all()


def test_half_precision_values_are_scored_in_single():
    case = make_case("cCc", 3, "ring", dtype=torch.float32)
    value = random_value(case, 5)
    with torch.autocast("cpu", dtype=torch.bfloat16):
        score = case.law.log_prob(value)
        assert score.dtype == torch.float32
    assert relative(score, oracles.log_prob(case, value)) < 1e-5


def test_an_empty_batch_is_legal():
    law = make_case("cd", 2, "ring").law
    assert law.log_prob(torch.empty(0, 2)).shape == (0,)
    assert law.sample((0,)).shape == (0, 2)
    assert law.state_probs(torch.empty(0, 2)).shape == (0, 2, 3)
    assert law.impute(torch.empty(0, 2)).shape == (0, 2)
    assert law.marginal("v0").rsample((0,)).shape == (0, 1)


@every_boundary
def test_draws_under_contradictory_evidence_are_draws(boundary):
    """Validation would have refused it; without, a training that goes wrong must not end in an index error."""
    prior = pp.TTLP(2, {"digit": pp.Discrete(3)}, components=2, rank=3, boundary=boundary)
    with pyro.validation_enabled(False):
        law = prior().weigh(torch.full((5, 3, 3), -torch.inf))
        assert law.sample().shape == (5, 3)
        assert law.log_prob(prior().sample((5,))).shape == (5,)
