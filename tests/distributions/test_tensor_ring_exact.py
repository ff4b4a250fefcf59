"""Densities and queries of the tensor ring equal brute-force enumeration."""

import copy

import laws
import oracles
import pytest
import torch
from catalogue import NAN, RINGS, make_ring, random_value
from hypothesis import given, settings
from hypothesis import strategies as st

every_ring = pytest.mark.parametrize("name", RINGS)
every_dtype = pytest.mark.parametrize("dtype", [torch.float64, torch.float32])

shapes = st.fixed_dictionaries(
    {
        "kinds": st.text("cCbdD", min_size=1, max_size=4),
        "rank": st.integers(1, 4),
        "boundary": st.sampled_from(["ring", "train"]),
        "seed": st.integers(0, 10**6),
        "dtype": st.sampled_from([torch.float64, torch.float32]),
    }
)


@settings(max_examples=60, deadline=None, derandomize=True)
@given(shape=shapes, missing=st.floats(0, 1))
def test_log_prob_of_any_shape(shape, missing):
    laws.check_log_prob(make_ring(**shape), missing=missing)


@settings(max_examples=60, deadline=None, derandomize=True)
@given(shape=shapes, data=st.data())
def test_queries_of_any_shape(shape, data):
    ring = make_ring(**shape)
    laws.check_state_probs(ring)
    laws.check_moments(ring)
    count = len(shape["kinds"])
    columns = data.draw(st.lists(st.integers(0, count - 1), min_size=1, max_size=count, unique=True))
    laws.check_marginal(ring, columns)
    if len(columns) < count:
        laws.check_condition(ring, columns)


@every_ring
@every_dtype
def test_log_prob(name, dtype):
    laws.check_log_prob(make_ring(*RINGS[name], dtype=dtype))


@every_ring
def test_state_probs(name):
    laws.check_state_probs(make_ring(*RINGS[name]))


@every_ring
def test_moments(name):
    laws.check_moments(make_ring(*RINGS[name]))


def test_density_integrates_to_one():
    ring = make_ring("cC", 3, "ring")
    grid = torch.linspace(-9, 9, 400, dtype=torch.float64)
    value = torch.cartesian_prod(grid, grid)
    total = torch.trapezoid(torch.trapezoid(ring.ring.log_prob(value).exp().reshape(400, 400), grid), grid)
    laws.close(total, torch.tensor(1.0), torch.float32)


def test_mean_and_variance_by_quadrature():
    ring = make_ring("dCc", 3, "train").ring.condition(v0=torch.tensor(2.0)).marginal("v1")
    grid = torch.linspace(-12, 12, 20_000, dtype=torch.float64)
    density = ring.log_prob(grid[:, None]).exp()
    mean = torch.trapezoid(density * grid, grid)
    laws.close(ring.mean[0], mean)
    laws.close(ring.variance[0], torch.trapezoid(density * (grid - mean) ** 2, grid))


def test_condition_broadcasts_and_chains():
    ring = make_ring("cdCb", 3, "ring").ring
    a, b = torch.randn(4, 1).double(), torch.tensor([0.0, 2.0, NAN]).double()
    both = ring.condition(v0=a, v1=b)
    assert both.batch_shape == (4, 3)
    value = torch.tensor([0.3, 1.0]).double()
    laws.close(both.log_prob(value), ring.condition(v1=b).condition(v0=a).log_prob(value))
    laws.close(
        ring.condition(v1=torch.tensor(NAN)).log_prob(value.new_ones(3)),
        ring.marginal(["v0", "v2", "v3"]).log_prob(value.new_ones(3)),
    )


def test_condition_is_the_hard_case_of_weigh():
    ring = make_ring("cdC", 2, "train").ring
    weights = torch.zeros(3, 3).double()
    weights[1] = torch.tensor([-torch.inf, 0.0, -torch.inf])
    value = torch.randn(5, 2).double()
    hard = ring.condition(v1=torch.tensor(1.0)).log_prob(value)
    laws.close(ring.weigh(weights).marginal(["v0", "v2"]).log_prob(value), hard)


def test_weigh_multiplies_states():
    case = make_ring("dC", 3, "ring")
    weights = torch.randn(2, 3).double()
    table = oracles.log_table(case) + weights[0, :, None] + weights[1]
    table = table - table.flatten().logsumexp(0)
    law = case.ring.weigh(weights)
    laws.close(law.categorical("v0").probs, table.logsumexp(1).exp())
    value = torch.tensor([[2.0, 0.4], [NAN, 0.1], [0.0, NAN]]).double()
    leaves = oracles.log_leaves(case, value)
    expected = (table + leaves[0][:, :, None] + leaves[1][:, None]).logsumexp((-1, -2))
    laws.close(law.log_prob(value), expected)
    assert case.ring.weigh(torch.zeros(4, 2, 3)).batch_shape == (4,)


@pytest.mark.parametrize("boundary", ["ring", "train"])
def test_weigh_after_marginal_and_condition_with_padding(boundary):
    """Weights follow the visible columns; entries for states that a variable lacks change nothing."""
    case = make_ring("bDcC", 3, boundary)
    left = case.ring.condition(v1=torch.tensor(2.0)).marginal(["v0", "v3"])
    weights = torch.randn(2, 4).double()
    wild = weights.clone()
    wild[0, 2:], wild[1, 3:] = NAN, -torch.inf
    moved = case.log_cores.clone()
    moved[[0, 3]] += weights[..., None, None]
    moved = case._replace(log_cores=moved)
    value = random_value(case, 6, 0.3)
    value[:, 1:3] = torch.tensor([2.0, NAN]).double()
    given = torch.where(torch.tensor([False, True, False, False]), value, NAN)
    expected = oracles.log_prob(moved, value) - oracles.log_prob(moved, given)
    for weighed in (left.weigh(weights), left.weigh(wild)):
        laws.close(weighed.log_prob(value[:, [0, 3]]), expected)


@pytest.mark.slow
@settings(max_examples=3000, deadline=None)
@given(shape=shapes, missing=st.floats(0, 1))
def test_log_prob_of_any_shape_at_length(shape, missing):
    laws.check_log_prob(make_ring(**shape), missing=missing)


def test_two_walks_back_and_copies():
    """One distribution may serve several losses, and be copied after use."""
    case = make_ring("cdC", 2, "ring")
    cores = case.log_cores.clone().requires_grad_()
    ring = type(case.ring)(cores, case.variables, "ring", case.order)
    value = random_value(case, 4, 0.3)
    first, second = (torch.autograd.grad(ring.log_prob(value).sum(), cores)[0] for _ in range(2))
    torch.autograd.grad(ring.marginal("v0").log_prob(value[:, :1]).sum(), cores)
    laws.close(first, second)
    laws.close(copy.deepcopy(case.ring).log_prob(value), case.ring.log_prob(value))


def test_most_probable_fills_each_entry_by_itself():
    case = make_ring("cDCb", 3, "ring")
    value = random_value(case, 7, 0.5)
    filled = case.ring.most_probable(value)
    probs, mean = oracles.state_probs(case, value), oracles.moments(case, value)[0]
    for column in range(4):
        best = mean[:, column] if case.variables.is_continuous[column] else probs[column].argmax(-1).double()
        laws.close(filled[:, column], torch.where(value[:, column].isnan(), best, value[:, column]))


def test_categorical_keeps_the_batch_and_enumerates():
    case = make_ring("cDc", 3, "ring")
    x = torch.randn(6).double()
    law = case.ring.condition(v0=x).categorical("v1")
    given = torch.stack([x, *torch.full((2, 6), NAN).double()], -1)
    assert law.batch_shape == (6,)
    laws.close(law.probs, oracles.state_probs(case, given)[1])
    assert law.enumerate_support().shape == (4, 6)


def test_expand_keeps_the_law():
    ring = make_ring("cd", 2, "ring").ring
    wide = ring.condition(v1=torch.tensor([0.0, 1.0])).expand((3, 2))
    assert wide.batch_shape == (3, 2)
    assert wide.sample((4,)).shape == (4, 3, 2, 1)
    assert wide.mean.shape == (3, 2, 1)
    nothing = torch.full((1,), torch.nan).double()
    assert wide.most_probable(nothing).shape == wide.impute(nothing).shape == (3, 2, 1)
    laws.close(
        wide.log_prob(torch.zeros(1).double())[0],
        ring.condition(v1=torch.tensor([0.0, 1.0])).log_prob(torch.zeros(1).double()),
    )


@pytest.mark.parametrize("boundary", ["ring", "train"])
def test_gradients_to_second_order(boundary):
    case = make_ring("cdC", 2, boundary)
    cores = case.log_cores.clone().requires_grad_()
    loc, scale = (x.clone().requires_grad_() for x in (case.variables.loc, case.variables.scale))
    value = random_value(case, 3, 0.3)

    def score(cores, loc, scale):
        ring = type(case.ring)(cores, case.variables.bind(loc, scale), boundary, case.order)
        return ring.log_prob(value)

    assert torch.autograd.gradcheck(score, (cores, loc, scale))
    assert torch.autograd.gradgradcheck(score, (cores, loc, scale))


def test_state_probs_are_differentiable_and_work_without_gradients():
    case = make_ring("cdC", 2, "ring")
    value = random_value(case, 3, 0.5)

    def probs(cores):
        return type(case.ring)(cores, case.variables, "ring", case.order).state_probs(value)

    assert torch.autograd.gradcheck(probs, (case.log_cores.clone().requires_grad_(),))
    with torch.inference_mode():
        laws.close(case.ring.state_probs(value), probs(case.log_cores))


def test_normaliser_asked_first_without_gradients_keeps_them():
    case = make_ring("cd", 2, "ring")
    value = random_value(case, 4)

    def gradient(warm_up):
        cores = case.log_cores.clone().requires_grad_()
        ring = type(case.ring)(cores, case.variables, "ring", case.order)
        with warm_up():
            ring.log_prob(value)
        return torch.autograd.grad(ring.log_prob(value).sum(), cores)[0]

    laws.close(gradient(torch.no_grad), gradient(torch.enable_grad))
    laws.close(gradient(torch.inference_mode), gradient(torch.enable_grad))


@pytest.mark.parametrize("warm_up", [torch.no_grad, torch.inference_mode, torch.enable_grad])
@pytest.mark.parametrize("rows", [False, True])
def test_the_kept_normaliser_of_cores_that_do_not_learn(warm_up, rows):
    """A value that learns can be scored again and again; with evidence of its own in every row too."""
    value = random_value(make_ring("ccc", 2, "ring"), 4)
    rest = (value[:, 1:] if rows else value).clone().requires_grad_()

    def law():
        ring = make_ring("ccc", 2, "ring").ring
        return ring.condition(v0=value[:, 0]) if rows else ring

    wanted = torch.autograd.grad(law().log_prob(rest).sum(), rest)[0]
    ring = law()
    with warm_up():
        first = ring.log_prob(rest)
    for _ in range(2):
        score = ring.log_prob(rest)
        laws.close(score.detach(), first.detach())
        laws.close(torch.autograd.grad(score.sum(), rest)[0], wanted)
