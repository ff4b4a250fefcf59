"""Densities and queries of laws on a chain, of full cores and of factored ones, equal brute-force enumeration."""

import copy
import pickle

import laws
import oracles
import pytest
import torch
from cases import CASES, FORMS, make_case, random_value
from catalogue import NAN
from hypothesis import given, settings
from hypothesis import strategies as st

every_case = pytest.mark.parametrize("name", CASES)
every_form = pytest.mark.parametrize("form", FORMS)
every_dtype = pytest.mark.parametrize("dtype", [torch.float64, torch.float32])

shapes = st.fixed_dictionaries(
    {
        "kinds": st.text("ncCabdDouvwV", min_size=1, max_size=4),
        "rank": st.integers(1, 4),
        "form": st.sampled_from(FORMS),
        "seed": st.integers(0, 10**6),
        "dtype": st.sampled_from([torch.float64, torch.float32]),
    }
)


@settings(max_examples=60, deadline=None, derandomize=True)
@given(shape=shapes, missing=st.floats(0, 1))
def test_log_prob_of_any_shape(shape, missing):
    laws.check_log_prob(make_case(**shape), missing=missing)


@settings(max_examples=60, deadline=None, derandomize=True)
@given(shape=shapes, data=st.data())
@pytest.mark.slow
def test_queries_of_any_shape(shape, data):
    case = make_case(**shape)
    laws.check_state_probs(case)
    laws.check_moments(case)
    count, width = len(shape["kinds"]), case.variables.width
    columns = data.draw(st.lists(st.integers(0, width - 1), min_size=1, max_size=width, unique=True))
    laws.check_marginal(case, columns)
    variables = data.draw(st.lists(st.integers(0, count - 1), min_size=1, max_size=count, unique=True))
    if len(variables) < count:
        laws.check_condition(case, variables)


@every_case
@every_dtype
def test_log_prob(name, dtype):
    laws.check_log_prob(make_case(*CASES[name], dtype=dtype))


@every_case
def test_state_probs(name):
    laws.check_state_probs(make_case(*CASES[name]))


@every_case
def test_moments(name):
    laws.check_moments(make_case(*CASES[name]))


@every_case
def test_gradients(name):
    laws.check_gradients(make_case(*CASES[name]))


@pytest.mark.parametrize("name", [name for name in CASES if len(CASES[name][0]) > 1])
def test_marginals_and_conditions(name):
    case = make_case(*CASES[name])
    for variable in range(len(case.variables)):
        laws.check_condition(case, [variable])
    for column in range(case.variables.width):
        laws.check_marginal(case, [(column + 1) % case.variables.width, column])


@every_form
def test_density_integrates_to_one(form):
    law = make_case("cC", 3, form).law
    grid = torch.linspace(-9, 9, 400, dtype=torch.float64)
    value = torch.cartesian_prod(grid, grid)
    total = torch.trapezoid(torch.trapezoid(law.log_prob(value).exp().reshape(400, 400), grid), grid)
    laws.close(total, torch.tensor(1.0), torch.float32)


@every_form
def test_mean_and_variance_by_quadrature(form):
    law = make_case("dCc", 3, form).law.condition(v0=torch.tensor(2.0)).marginal("v1")
    grid = torch.linspace(-12, 12, 20_000, dtype=torch.float64)
    density = law.log_prob(grid[:, None]).exp()
    mean = torch.trapezoid(density * grid, grid)
    laws.close(law.mean[0], mean)
    laws.close(law.variance[0], torch.trapezoid(density * (grid - mean) ** 2, grid))


@every_form
def test_condition_broadcasts_and_chains(form):
    law = make_case("cdCb", 3, form).law
    a, b = torch.randn(4, 1).double(), torch.tensor([0.0, 2.0, NAN]).double()
    both = law.condition(v0=a, v1=b)
    assert both.batch_shape == (4, 3)
    value = torch.tensor([0.3, 1.0]).double()
    laws.close(both.log_prob(value), law.condition(v1=b).condition(v0=a).log_prob(value))
    laws.close(
        law.condition(v1=torch.tensor(NAN)).log_prob(value.new_ones(3)),
        law.marginal(["v0", "v2", "v3"]).log_prob(value.new_ones(3)),
    )


@every_form
def test_condition_is_the_hard_case_of_weigh(form):
    law = make_case("cdC", 2, form).law
    weights = torch.zeros(3, 3).double()
    weights[1] = torch.tensor([-torch.inf, 0.0, -torch.inf])
    value = torch.randn(5, 2).double()
    hard = law.condition(v1=torch.tensor(1.0)).log_prob(value)
    laws.close(law.weigh(weights).marginal(["v0", "v2"]).log_prob(value), hard)


@every_form
def test_weigh_multiplies_states(form):
    case = make_case("dC", 3, form)
    weights = torch.randn(2, 3).double()
    table = oracles.log_table(case) + weights[0, :, None] + weights[1]
    table = table - table.flatten().logsumexp(0)
    law = case.law.weigh(weights)
    laws.close(law.categorical("v0").probs, table.logsumexp(1).exp())
    value = torch.tensor([[2.0, 0.4], [NAN, 0.1], [0.0, NAN]]).double()
    leaves = oracles.log_leaves(case, value)
    expected = (table + leaves[0][:, :, None] + leaves[1][:, None]).logsumexp((-1, -2))
    laws.close(law.log_prob(value), expected)
    assert case.law.weigh(torch.zeros(4, 2, 3)).batch_shape == (4,)


@every_form
def test_weigh_after_marginal_and_condition_with_padding(form):
    """Weights follow the visible columns; entries for states that a variable lacks change nothing."""
    case = make_case("bDcC", 3, form)
    left = case.law.condition(v1=torch.tensor(2.0)).marginal(["v0", "v3"])
    weights = torch.randn(2, 4).double()
    wild = weights.clone()
    wild[0, 2:], wild[1, 3:] = NAN, -torch.inf
    every = torch.zeros(4, 4).double().index_copy(0, torch.tensor([0, 3]), weights)
    moved = case._replace(log_weights=every)
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
    laws.check_log_prob(make_case(**shape), missing=missing)


@every_form
def test_two_walks_back_and_copies(form):
    """One distribution may serve several losses, and be copied after use."""
    case = make_case("cdC", 2, form)
    leaves = case.leaves()
    law = case.of(leaves).law
    value = random_value(case, 4, 0.3)
    for _ in range(2):
        first, second = (torch.autograd.grad(law.log_prob(value).sum(), leaves, retain_graph=True) for _ in range(2))
        torch.autograd.grad(law.marginal("v0").log_prob(value[:, :1]).sum(), leaves[0], retain_graph=True)
        for one, other in zip(first, second, strict=True):
            laws.close(one, other)
    for copied in (copy.deepcopy(case.law), copy.copy(case.law), pickle.loads(pickle.dumps(case.law))):
        laws.close(copied.log_prob(value), case.law.log_prob(value))


@every_form
def test_most_probable_fills_each_entry_by_itself(form):
    case = make_case("cDCb", 3, form)
    value = random_value(case, 7, 0.5)
    filled = case.law.most_probable(value)
    probs, mean = oracles.state_probs(case, value), oracles.moments(case, value)[0]
    for column in range(4):
        best = mean[:, column] if case.variables.is_continuous[column] else probs[column].argmax(-1).double()
        laws.close(filled[:, column], torch.where(value[:, column].isnan(), best, value[:, column]))


@every_form
def test_categorical_keeps_the_batch_and_enumerates(form):
    case = make_case("cDc", 3, form)
    x = torch.randn(6).double()
    law = case.law.condition(v0=x).categorical("v1")
    given = torch.stack([x, *torch.full((2, 6), NAN).double()], -1)
    assert law.batch_shape == (6,)
    laws.close(law.probs, oracles.state_probs(case, given)[1])
    assert law.enumerate_support().shape == (4, 6)


@every_form
def test_expand_keeps_the_law(form):
    law = make_case("cd", 2, form).law
    wide = law.condition(v1=torch.tensor([0.0, 1.0])).expand((3, 2))
    assert wide.batch_shape == (3, 2)
    assert wide.sample((4,)).shape == (4, 3, 2, 1)
    assert wide.mean.shape == (3, 2, 1)
    nothing = torch.full((1,), torch.nan).double()
    assert wide.most_probable(nothing).shape == wide.impute(nothing).shape == (3, 2, 1)
    laws.close(
        wide.log_prob(torch.zeros(1).double())[0],
        law.condition(v1=torch.tensor([0.0, 1.0])).log_prob(torch.zeros(1).double()),
    )


@every_form
def test_masks_and_event_dimensions(form):
    law = make_case("cd", 2, form).law.condition(v1=torch.tensor([0.0, 1.0, 2.0]))
    value = torch.randn(3, 1).double()
    score, seen = law.log_prob(value), torch.tensor([True, False, True])
    laws.close(law.mask(seen).log_prob(value), score.where(seen, 0.0))
    together = law.to_event(1)
    assert (together.batch_shape, together.event_shape) == ((), (3, 1))
    laws.close(together.log_prob(value), score.sum())
    assert together.rsample((4,)).shape == (4, 3, 1)


@every_form
def test_gradients_to_second_order(form):
    case = make_case("cdC", 2, form)
    value = random_value(case, 3, 0.3)

    def score(*parts):
        return case.of(parts).law.log_prob(value)

    assert torch.autograd.gradcheck(score, case.leaves())
    assert torch.autograd.gradgradcheck(score, case.leaves())


@every_form
def test_state_probs_are_differentiable_and_work_without_gradients(form):
    case = make_case("cdC", 2, form)
    value = random_value(case, 3, 0.5)

    def probs(*parts):
        return case.of(parts).law.state_probs(value)

    assert torch.autograd.gradcheck(probs, case.leaves())
    with torch.inference_mode():
        laws.close(case.law.state_probs(value), probs(*case.parts()))


@every_form
def test_normaliser_asked_first_without_gradients_keeps_them(form):
    case = make_case("cd", 2, form)
    value = random_value(case, 4)

    def gradient(warm_up):
        leaves = case.leaves()
        law = case.of(leaves).law
        with warm_up():
            law.log_prob(value)
        return torch.autograd.grad(law.log_prob(value).sum(), leaves)[0]

    laws.close(gradient(torch.no_grad), gradient(torch.enable_grad))
    laws.close(gradient(torch.inference_mode), gradient(torch.enable_grad))


@every_form
@pytest.mark.parametrize("warm_up", [torch.no_grad, torch.inference_mode, torch.enable_grad])
@pytest.mark.parametrize("rows", [False, True])
def test_the_kept_normaliser_of_cores_that_do_not_learn(form, warm_up, rows):
    """A value that learns can be scored again and again; with evidence of its own in every row too."""
    value = random_value(make_case("ccc", 2, form), 4)
    rest = (value[:, 1:] if rows else value).clone().requires_grad_()

    def law():
        law = make_case("ccc", 2, form).law
        return law.condition(v0=value[:, 0]) if rows else law

    wanted = torch.autograd.grad(law().log_prob(rest).sum(), rest)[0]
    law = law()
    with warm_up():
        first = law.log_prob(rest)
    for _ in range(2):
        score = law.log_prob(rest)
        laws.close(score.detach(), first.detach())
        laws.close(torch.autograd.grad(score.sum(), rest)[0], wanted)
