"""Finite and right where floats run out: far values, cores on other scales, long chains, sizes of one."""

import laws
import oracles
import pyro
import pytest
import torch
from cases import FORMS, Case, build, make_case, random_value
from catalogue import NAN

from pyro_priors.distributions import Continuous, Variables

every_dtype = pytest.mark.parametrize("dtype", [torch.float64, torch.float32])
every_form = pytest.mark.parametrize("form", FORMS)


def score_and_gradients(case, value):
    leaves = case.leaves()
    score = case.of(leaves).law.log_prob(value)
    return score.detach(), torch.autograd.grad(score.sum(), leaves)


def random_latents(form, size, components, rank, dtype=torch.float64):
    """A law of latents in declared order whose tables say nothing of each other."""
    loc, scale = torch.randn(size, components, dtype=dtype), torch.rand(size, components, dtype=dtype) + 0.2
    variables = Variables({"z": [Continuous(components)] * size}, loc, scale)
    if form == "factored":
        shapes = [(rank,), (size, components, rank), (size - 1, rank, rank)]
    else:
        shapes = [(size, components, rank, rank)]
    tables, order = tuple(torch.randn(shape, dtype=dtype) for shape in shapes), tuple(range(size))
    return Case(build(tables, variables, form, order), tables, variables, form, order)


def by_walking(case, value):
    """Log densities of values of a law of `random_latents`, one variable after the other in log space."""
    loc, scale = (x.double() for x in case.parts()[-2:])
    leaves = case.variables.bind(loc, scale).log_evidence(value.double(), tuple(range(len(loc))), loc.shape[-1])
    if case.form == "factored":
        return oracles.log_factored_chain(leaves, *case.tables)
    (cores,) = case.tables
    return oracles.log_chain(leaves, cores, case.form) - oracles.log_chain(leaves[:1] * 0, cores, case.form)


def relative(actual, expected):
    return ((actual.double() - expected).abs() / expected.abs().clamp(min=1)).max().item()


@every_dtype
@every_form
def test_values_a_million_scales_away(form, dtype):
    case = make_case("cCdc", 3, form, dtype=dtype)
    value = random_value(case, 6, 0.2)
    value[:, 0] *= 1e6
    value[0, 1] = -1e6
    score, gradients = score_and_gradients(case, value)
    assert relative(score, oracles.log_prob(case, value)) < (1e-10 if dtype == torch.float64 else 1e-5)
    assert all(g.isfinite().all() for g in gradients)
    assert case.law.state_probs(value).isfinite().all()


@every_dtype
@every_form
@pytest.mark.parametrize("shift", [50.0, -50.0])
def test_all_cores_on_another_scale(form, dtype, shift):
    case = make_case("cCdc", 3, form, dtype=dtype)
    moved = case.of([*(table + shift for table in case.tables), *case.parts()[-2:]])
    laws.check_log_prob(moved)
    assert all(g.isfinite().all() for g in score_and_gradients(moved, random_value(moved, 4))[1])


@every_dtype
@every_form
@pytest.mark.parametrize("shift", [50.0, -50.0, 150.0])
def test_one_state_on_another_scale(form, dtype, shift):
    """Of one variable; for factored cores: of emissions, which underflow in single precision beyond e^-87."""
    if form == "factored" and dtype == torch.float32:
        shift = max(-50.0, min(shift, 80.0))
    case = make_case("cCdc", 3, form, dtype=dtype)
    tables = [table.clone() for table in case.tables]
    states = tables[1 if form == "factored" else 0]
    states[1, 0] += shift
    states[2, 1] -= shift
    moved = case.of([*tables, *case.parts()[-2:]])
    value = random_value(moved, 8, 0.3)
    value[:3, 2] = 1.0  # the label that the tables say is all but impossible
    score, gradients = score_and_gradients(moved, value)
    assert relative(score, oracles.log_prob(moved, value)) < (1e-10 if dtype == torch.float64 else 1e-5)
    assert all(g.isfinite().all() for g in gradients)
    laws.check_state_probs(moved)


@every_dtype
@every_form
def test_entries_of_one_state_that_differ_by_e50(form, dtype):
    """All but the diagonal of cores; emissions that tell bonds apart, and transitions that are nearly shut."""
    case = make_case("cCdc", 3, form, dtype=dtype)
    apart = (1 - torch.eye(3, dtype=dtype)) * (60 if form != "factored" else 50)
    if form == "factored":
        initial, emissions, transitions = case.tables
        tables = [initial, emissions - apart[:, :3], transitions - apart]
    else:
        tables = [case.tables[0] - apart]
    moved = case.of([*tables, *case.parts()[-2:]])
    value = random_value(moved, 8, 0.3)
    score, gradients = score_and_gradients(moved, value)
    assert relative(score, oracles.log_prob(moved, value)) < (1e-10 if dtype == torch.float64 else 1e-5)
    assert all(g.isfinite().all() for g in gradients)


@every_dtype
@every_form
def test_a_thousand_variables(form, dtype):
    torch.manual_seed(0)
    case = random_latents(form, 1000, 3, 4, dtype)
    value = torch.randn(4, 1000, dtype=dtype)
    value[0, ::3] = NAN
    score, gradients = score_and_gradients(case, value)
    assert relative(score, by_walking(case, value)) < (1e-10 if dtype == torch.float64 else 1e-5)
    assert all(g.isfinite().all() for g in gradients)
    assert case.law.sample((2,)).isfinite().all()
    laws.close(case.law.state_probs(value).sum(-1), torch.ones(4, 1000), torch.float32)


@every_form
@pytest.mark.parametrize("shift", [0.0, 50.0, -50.0])
@pytest.mark.parametrize("sizes", [(1000, 3, 4), (100, 10, 20)])
def test_few_entries_of_many_in_single_precision(form, shift, sizes):
    """Two numbers of thousands of nats are subtracted; what is left must keep its digits, without a floor of one."""
    torch.manual_seed(0)
    size = sizes[0]
    case = random_latents(form, *sizes, dtype=torch.float32)
    case = case.of([*(table + shift for table in case.tables), *case.parts()[-2:]])
    value = torch.full((5, size), NAN)
    value[torch.arange(5), torch.arange(5) * 7] = torch.randn(5)
    torch.testing.assert_close(case.law.log_prob(value).double(), by_walking(case, value), rtol=1e-4, atol=0)


@every_dtype
@every_form
@pytest.mark.parametrize("sizes", [(1, 1, 1), (1, 3, 1), (1, 1, 3), (4, 1, 1), (4, 1, 2), (1, 3, 2)])
def test_sizes_of_one(form, dtype, sizes):
    torch.manual_seed(0)
    case = random_latents(form, *sizes, dtype)
    value = torch.randn(3, sizes[0], dtype=dtype)
    laws.close(case.law.log_prob(value), by_walking(case, value), dtype)
    assert case.law.sample((2,)).shape == (2, sizes[0])
    assert case.law.rsample((2,)).isfinite().all()
    assert all(g.isfinite().all() for g in score_and_gradients(case, value)[1])


@every_form
def test_rows_without_entries_score_exactly_zero(form):
    torch.manual_seed(0)
    law = make_case("cCdcCbcc", 5, form, dtype=torch.float32).law
    assert (law.log_prob(torch.full((1000, 8), NAN)) == 0).all()
    assert (law.condition(v2=torch.tensor([0.0, 1.0])).log_prob(torch.full((7,), NAN)) == 0).all()


@every_form
def test_missing_entries_leave_no_nan_in_gradients(form):
    case = make_case("cCdc", 3, form)
    value = random_value(case, 5, 0.6).requires_grad_()
    case.law.log_prob(value).sum().backward()
    assert value.grad.isfinite().all()
    assert (value.grad[value.isnan()] == 0).all()


@every_form
def test_half_precision_values_are_scored_in_single(form):
    case = make_case("cCc", 3, form, dtype=torch.float32)
    value = random_value(case, 5)
    with torch.autocast("cpu", dtype=torch.bfloat16):
        score = case.law.log_prob(value)
        assert score.dtype == torch.float32
    assert relative(score, oracles.log_prob(case, value)) < 1e-5


@every_form
def test_an_empty_batch_is_legal(form):
    law = make_case("cd", 2, form).law
    assert law.log_prob(torch.empty(0, 2)).shape == (0,)
    assert law.sample((0,)).shape == (0, 2)
    assert law.state_probs(torch.empty(0, 2)).shape == (0, 2, 3)
    assert law.impute(torch.empty(0, 2)).shape == (0, 2)
    assert law.marginal("v0").rsample((0,)).shape == (0, 1)


@every_form
def test_draws_under_contradictory_evidence_are_draws(form):
    """Validation would have refused it; without, a training that goes wrong must not end in an index error."""
    with pyro.validation_enabled(False):
        case = make_case("ccd", 3, form, dtype=torch.float32)
        law = case.law.weigh(torch.full((5, 3, 3), -torch.inf))
        assert law.sample().shape == (5, 3)
        assert law.log_prob(case.law.sample((5,))).shape == (5,)
