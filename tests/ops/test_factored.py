"""The factored chain against enumeration of all states and against the full chain with the same cores, in float64."""

import math

import pytest
import torch
from factored_chains import close, each, full, grads, inputs_of, joint, problem

from pyro_priors.ops import (
    Factored,
    factored,
    factored_two_sided,
    factored_weights,
    log_contract,
    log_contract_factored,
    sample_states_factored,
    state_posterior,
    state_posterior_factored,
)
from pyro_priors.ops.layout import layout_of

SIZES = ((2,), (1, 1), (3, 2), (3, 3, 3), (2, 4, 1, 2), (2, 3, 2, 4, 3), (2,) * 9, (3, 2) * 4)
sizes = pytest.mark.parametrize("sizes", SIZES, ids=lambda sizes: "-".join(map(str, sizes)))


def check(sizes, order=None):
    """Values, gradients with a factor for each row, posteriors."""
    log_weights, chained, along = problem(sizes)
    order = along if order is None else order
    inputs = inputs_of(log_weights, chained)
    factor = torch.tensor([1.0, -2.0, 0.5]).double()
    held = Factored.of(inputs[1:], chained.layout)
    total, table = log_contract_factored(inputs[0], held, order), joint(inputs[0], held, order)
    wanted = table.flatten(1).sum(1).log()
    close(total, wanted)
    for mine, theirs in zip(grads(total @ factor, inputs), grads(wanted @ factor, inputs), strict=True):
        close(mine, theirs)
    with torch.inference_mode():
        close(log_contract_factored(log_weights, chained, order), wanted.detach())
        posterior = state_posterior_factored(log_weights, chained, order)
    close(state_posterior_factored(*inputs[:1], held, order).detach(), posterior)
    axes = range(1, table.dim())
    for column, part in enumerate(each(chained.layout.split(posterior), chained.layout, dim=1)):
        close(part.sum(1), torch.ones(3).double())
        others = [axis for axis in axes if axis != column + 1]
        marginal = (table.sum(others) if others else table) / table.flatten(1).sum(1)[:, None]
        close(part, marginal.detach())


@sizes
def test_against_enumeration(sizes):
    check(sizes)


def test_declared_order():
    assert torch.equal(
        log_contract_factored(*problem((2, 3, 2))[:2]), log_contract_factored(*problem((2, 3, 2))[:2], (0, 1, 2))
    )
    check((2, 3, 2), (0, 1, 2))


@sizes
def test_against_the_full_chain(sizes):
    log_weights, chained, order = problem(sizes)
    inputs = inputs_of(log_weights, chained)
    held = Factored.of(inputs[1:], chained.layout)
    ours = log_contract_factored(inputs[0], held, order)
    theirs = log_contract(inputs[0], full(held, order), False, order)
    close(ours, theirs)
    for mine, other in zip(grads(ours.sum(), inputs), grads(theirs.sum(), inputs), strict=True):
        close(mine, other)
    with torch.no_grad():
        wanted = state_posterior(log_weights, full(chained, order), False, order)
        close(state_posterior_factored(log_weights, chained, order), wanted)


BUGS = {
    "the ends confused": (factored_two_sided, "_pairs", lambda whole: lambda *a: [x.flip(0) for x in whole(*a)]),
    "weights left out on the way back": (
        factored,
        "back",
        lambda whole: lambda way, *a, **kind: whole(way._replace(weights=torch.ones_like(way.weights)), *a, **kind),
    ),
    "rows' own gradients left out of the transitions": (
        factored,
        "back",
        lambda whole: lambda way, grad, **kind: whole(way, torch.ones_like(grad), **kind),
    ),
    "the largest emission left in the gradient": (
        factored,
        "emission_usage",
        lambda whole: lambda leaves, *a: whole(leaves._replace(tops=[torch.ones_like(top) for top in leaves.tops]), *a),
    ),
    "groups as they come": (
        factored_weights,
        "inverse",
        lambda whole: lambda order: list(range(len(order))),
    ),
}


@pytest.mark.parametrize("bug", BUGS)
def test_planted_bugs_are_noticed(bug, monkeypatch):
    module, name, broken = BUGS[bug]
    monkeypatch.setattr(module, name, broken(getattr(module, name)))
    with pytest.raises((AssertionError, RuntimeError)):
        check((2, 3, 2, 4, 3))


@pytest.mark.parametrize("sizes", [(2,), (2, 3), (2, 1, 2), (2,) * 4])
def test_derivatives_of_both_orders(sizes):
    log_weights, chained, order = problem(sizes, rank=2, batch=2)
    inputs = inputs_of(log_weights, chained)

    def contract(log_weights, *tensors):
        return log_contract_factored(log_weights, Factored.of(tensors, chained.layout), order)

    def posterior(log_weights, *tensors):
        return state_posterior_factored(log_weights, Factored.of(tensors, chained.layout), order)

    assert torch.autograd.gradcheck(contract, inputs)
    assert torch.autograd.gradgradcheck(contract, inputs)
    assert torch.autograd.gradcheck(posterior, inputs)


def test_emissions_times_gradients_are_expected_counts():
    log_weights, chained, order = problem((3, 2, 3, 2))
    inputs = inputs_of(log_weights, chained)
    total = log_contract_factored(inputs[0], Factored.of(inputs[1:], chained.layout), order).sum()
    _, *counts = [x * grad for x, grad in zip(inputs, grads(total, inputs), strict=True)]
    for count in (counts[0], *counts[1], *counts[2], *counts[3]):
        close(count.sum(), torch.tensor(3.0).double())  # one for each row


def test_a_state_that_no_bond_emits_has_a_gradient():
    log_weights, chained, order = problem((3, 3))
    chained.emissions[0][0, 1] = 0
    inputs = inputs_of(log_weights, chained)
    held = Factored.of(inputs[1:], chained.layout)
    wanted = joint(inputs[0], held, order).flatten(1).sum(1).log().sum()
    total = log_contract_factored(inputs[0], held, order).sum()
    for mine, theirs in zip(grads(total, inputs), grads(wanted, inputs), strict=True):
        close(mine, theirs)


@pytest.mark.parametrize("sizes", [(2,), (2, 3), (3, 2, 3), (2,) * 4])
def test_transforms(sizes):
    log_weights, chained, order = problem(sizes)
    inputs = inputs_of(log_weights, chained)
    held = Factored.of(inputs[1:], chained.layout)
    total = log_contract_factored(inputs[0], held, order)
    posterior = state_posterior_factored(log_weights, chained, order)
    close(torch.func.grad(lambda x: log_contract_factored(x, chained, order).sum())(log_weights), posterior)
    close(torch.func.vmap(lambda x: log_contract_factored(x[None], chained, order)[0])(log_weights), total.detach())
    close(torch.func.vmap(lambda x: state_posterior_factored(x[None], chained, order)[0])(log_weights), posterior)
    rows = torch.eye(3).double()
    together = torch.autograd.grad(
        total, inputs, rows, retain_graph=True, is_grads_batched=True, allow_unused=True, materialize_grads=True
    )
    for row, factor in enumerate(rows):
        for mine, theirs in zip(together, grads(total, inputs, grad_outputs=factor, retain_graph=True), strict=True):
            close(mine[row], theirs)


def test_a_graph_that_is_retained_can_be_walked_again():
    log_weights, chained, order = problem((3,) * 5)
    inputs = inputs_of(log_weights, chained)
    total = log_contract_factored(inputs[0], Factored.of(inputs[1:], chained.layout), order).sum()
    first = torch.autograd.grad(total, inputs, retain_graph=True)
    for a, b in zip(first, torch.autograd.grad(total, inputs), strict=True):
        assert torch.equal(a, b)
    with pytest.raises(RuntimeError, match="second time"):
        torch.autograd.grad(total, inputs)


@pytest.mark.parametrize("length", [1, 4, 5])
def test_contradictory_evidence(length):
    """Z = 0 for one row: minus infinity, a gradient of zero, and nothing spoiled in the others, to either order."""
    log_weights, chained, order = problem((3,) * length)
    clean = inputs_of(log_weights[[0, 2]], chained)
    wanted = grads(log_contract_factored(clean[0], Factored.of(clean[1:], chained.layout), order).sum(), clean)
    for column in range(length):
        bad = log_weights.clone()
        bad[1, 3 * column : 3 * column + 3] = -torch.inf
        inputs = inputs_of(bad, chained)
        for create in (False, True):
            total = log_contract_factored(inputs[0], Factored.of(inputs[1:], chained.layout), order)
            assert total[1] == -torch.inf
            found = grads(total.sum(), inputs, create_graph=create)
            assert (found[0][1] == 0).all()
            for mine, theirs in zip([found[0][[0, 2]], *found[1:]], wanted, strict=True):
                close(mine, theirs)
        posterior = state_posterior_factored(bad, chained, order)
        assert not posterior.isnan().any()
        assert sample_states_factored(bad, chained, torch.tensor([0, 1]), order).shape == (2, length)


def in_log_space(log_weights, chained):
    """Declared order, one group."""
    weights = log_weights.double().unflatten(1, chained.emissions[0].shape[:2])
    message = chained.initial.double().log()
    for position, emissions in enumerate(chained.emissions[0].double().log().unbind()):
        if position:
            message = (message[..., None] + chained.transitions[position - 1].double().log()).logsumexp(-2)
        message = message + (weights[:, position, :, None] + emissions).logsumexp(1)
    return message.logsumexp(-1)


@pytest.mark.parametrize(("length", "states", "rank"), [(1000, 3, 4), (1000, 1, 1), (1, 4, 3), (300, 5, 16)])
def test_extremes_in_single_precision(length, states, rank):
    """Emissions of e^-50 beside others, weights a million apart, hard evidence; it against double precision."""
    generator = torch.Generator().manual_seed(length)
    emissions = (-50 * torch.rand(length, states, rank, generator=generator)).exp()
    transitions = (5 * torch.randn(length - 1, rank, rank, generator=generator)).softmax(-1)
    chained = Factored(torch.full((rank,), 1 / rank), [emissions], transitions, layout_of((states,) * length))
    log_weights = torch.randn(3, length, states, generator=generator)
    log_weights[0] *= 1e6
    hard = torch.randint(states, (length, 1), generator=generator)
    log_weights[1] = torch.where(torch.arange(states) == hard, 0.0, -torch.inf)
    log_weights = log_weights.flatten(1)
    total = log_contract_factored(log_weights, chained)
    torch.testing.assert_close(total, in_log_space(log_weights, chained), rtol=2e-7, atol=1e-5)
    results = []
    for kind in (torch.float32, torch.float64):
        inputs = [x.detach().to(kind, copy=True).requires_grad_() for x in (log_weights, *chained.tensors)]
        total = log_contract_factored(inputs[0], Factored.of(inputs[1:], chained.layout)).sum()
        results.append(
            [x.detach().double() * g.double() for x, g in zip(inputs, grads(total, inputs), strict=True)][1:]
        )
    for single, double in zip(*results, strict=True):
        torch.testing.assert_close(single, double, rtol=1e-4, atol=1e-5)
    posterior = state_posterior_factored(log_weights, chained).unflatten(1, (length, states))
    torch.testing.assert_close(posterior.sum(-1), torch.ones(3, length), rtol=0, atol=1e-6)


def stuck(length=14):
    """All weight stays where each variable of the left half costs e^-50; to a state out of reach it costs nothing."""
    emissions = torch.ones(length, 1, 2)
    emissions[: length // 2, 0, 0] = math.exp(-50)
    transitions = torch.eye(2).expand(length - 1, 2, 2)
    chained = Factored(torch.tensor([1.0, 0.0]), [emissions], transitions, layout_of((1,) * length))
    total = log_contract_factored(torch.zeros(1, length), chained)
    torch.testing.assert_close(total, torch.tensor([-25.0 * length]).double(), rtol=1e-6, atol=0)
    torch.testing.assert_close(state_posterior_factored(torch.zeros(1, length), chained), torch.ones(1, length))


def test_sums_are_set_to_one_before_they_leave_the_range(monkeypatch):
    stuck()
    whole = factored_two_sided._meet
    monkeypatch.setattr(factored_two_sided, "_meet", lambda *a: whole(*a[:-1], 4))
    with pytest.raises(AssertionError):
        stuck()


def test_half_precision_around_it_changes_nothing():
    log_weights, chained, order = problem((3, 2, 3, 2))
    log_weights, tensors = log_weights.float(), [x.float() for x in chained.tensors]
    inputs = [x.requires_grad_() for x in (log_weights, *tensors)]
    held = Factored.of(inputs[1:], chained.layout)
    wanted = log_contract_factored(log_weights, held, order), state_posterior_factored(log_weights, held, order)
    with torch.autocast("cpu", dtype=torch.bfloat16):
        total, posterior = (f(log_weights, held, order) for f in (log_contract_factored, state_posterior_factored))
        gradient = torch.autograd.grad(total.sum(), log_weights)[0]
    assert torch.equal(total, wanted[0])
    assert torch.equal(posterior, wanted[1])
    torch.testing.assert_close(gradient, wanted[1].detach(), rtol=1e-5, atol=1e-6)


@pytest.mark.parametrize("length", [1, 2, 3])
def test_no_rows(length):
    log_weights, chained, order = problem((3,) * length)
    inputs = inputs_of(log_weights[:0], chained)
    total = log_contract_factored(inputs[0], Factored.of(inputs[1:], chained.layout), order)
    assert total.shape == (0,)
    assert all((x == 0).all() for x in grads(total.sum(), inputs))
    assert state_posterior_factored(log_weights[:0], chained, order).shape == (0, 3 * length)
    nothing = torch.zeros(0, dtype=torch.long)
    assert sample_states_factored(log_weights[:1], chained, nothing, order).shape == (0, length)


def test_math_of_the_docstring():
    """Two variables by hand."""
    log_weights, chained, _ = problem((2, 2))
    first, second = ((log_weights[0, 2 * k : 2 * k + 2].exp() @ chained.emissions[0][k]) for k in range(2))
    by_hand = (chained.initial * first) @ chained.transitions[0] @ second
    assert math.isclose(by_hand.log(), log_contract_factored(log_weights, chained)[0], rel_tol=1e-12)
