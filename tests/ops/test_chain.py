"""The contraction's own adjoint against autograd on ordinary operations, in float64, at lengths of every kind."""

import pytest
import torch

from pyro_priors.ops import Cores, chain, log_contract, pairs, state_posterior, two_sided
from pyro_priors.ops.chain_sample import _pick
from pyro_priors.ops.layout import layout_of
from pyro_priors.ops.scaling import log_product

LENGTHS = (1, 2, 3, 15, 16, 17, 33, 50)
both_boundaries = pytest.mark.parametrize("ring", [True, False], ids=["ring", "train"])


def problem(length, ring=True, batch=3, states=3, rank=4, seed=0):
    """Weights, cores and an order; some weights are -inf, as those of absent states are."""
    generator = torch.Generator().manual_seed(seed + length)
    log_weights = 2 * torch.randn(batch, length, states, generator=generator).double()
    log_weights[0, 0, 1] = -torch.inf
    log_cores = torch.randn(length, states, rank, rank, generator=generator).double()
    order = tuple(torch.randperm(length, generator=generator).tolist())
    return log_weights.requires_grad_(), log_cores.requires_grad_(), ring, order


def check(length, ring):
    """Values and both gradients, each row with a factor of its own."""
    inputs = problem(length, ring)
    factor = torch.tensor([1.0, -2.0, 0.5]).double()
    ours, other = (f(*inputs) for f in (log_contract, plain))
    close(ours, other)
    for mine, theirs in zip(*(torch.autograd.grad(x @ factor, inputs[:2]) for x in (ours, other)), strict=True):
        close(mine, theirs)
    posterior = torch.autograd.grad(plain(*inputs).sum(), inputs[0])[0]
    close(state_posterior(*inputs).detach(), posterior)
    with torch.no_grad():
        close(state_posterior(*inputs), posterior)


def plain(log_weights, log_cores, ring, order):
    return chain._log_contract_plain(log_weights.flatten(1), Cores.of(log_cores), ring, order)


def close(a, b):
    torch.testing.assert_close(a, b, rtol=1e-10, atol=1e-12)


@both_boundaries
@pytest.mark.parametrize("length", LENGTHS)
def test_values_and_gradients(length, ring):
    check(length, ring)


def backward_with(change):
    """A kernel's `backward` with what goes in or comes out changed."""
    return lambda kernel: lambda self, met, grad, whole=kernel.backward: change(whole, self, met, grad)


def other_way_round(dim):
    def change(whole, self, met, grad):
        reached, used = whole(self, met, grad)
        return [part.unflatten(0, (-1, 2)).flip(dim).flatten(0, 1) for part in reached], used

    return change


BUGS = {
    "the pairs the wrong way round": ("backward", backward_with(other_way_round(0)), (3, 17, 50)),
    "the ends confused": ("backward", backward_with(other_way_round(1)), (2, 16, 33)),
    "weights left out of a step": (
        "push",
        lambda kernel: lambda self, t, here, there: there.copy_(here),
        (2, 3, 16),
    ),
    "rows' own gradients left out of the cores": (
        "backward",
        backward_with(lambda whole, self, met, grad: whole(self, met, None if grad is None else torch.ones_like(grad))),
        (1, 2, 17),
    ),
    "factors left out on the way back": (
        "backward",
        backward_with(
            lambda whole, self, met, grad: whole(self, met._replace(factors=[None] * len(met.factors)), grad)
        ),
        (2, 15, 50),
    ),
}


@both_boundaries
@pytest.mark.parametrize("bug", BUGS)
def test_planted_bugs_are_noticed(bug, ring, monkeypatch):
    name, broken, lengths = BUGS[bug]
    kernel = two_sided.RingKernel if ring else two_sided.TrainKernel
    monkeypatch.setattr(kernel, name, broken(kernel))
    for length in lengths:
        with pytest.raises(AssertionError):
            check(length, ring)


def test_a_neutral_variable_that_is_not_neutral_is_noticed(monkeypatch):
    def not_neutral(cores, weights):
        return cores[:1], weights[:1]

    monkeypatch.setattr(pairs, "_neutral", not_neutral)
    check(16, ring=True)
    for length in (1, 17):
        with pytest.raises(AssertionError):
            check(length, ring=True)


def sharp(length, ring):
    """A long chain in single precision, each step of which may lose thirty nats: it against double precision."""
    generator = torch.Generator().manual_seed(length)
    log_weights = 3 * torch.randn(5, length, 3, generator=generator)
    log_cores = -30 * torch.rand(length, 3, 4, 4, generator=generator)
    actual, wanted = [], []
    for results, kind in ((actual, torch.float32), (wanted, torch.float64)):
        inputs = [x.to(kind).requires_grad_() for x in (log_weights, log_cores)]
        total = log_contract(*inputs, ring)
        results += [total.detach(), *torch.autograd.grad(total.sum(), inputs)]
    for single, double in zip(actual, wanted, strict=True):
        torch.testing.assert_close(single.double(), double, rtol=1e-5, atol=2e-5)


@both_boundaries
def test_sums_are_set_to_one_before_they_leave_the_range(ring, monkeypatch):
    sharp(301, ring)
    monkeypatch.setattr(two_sided, "_rescaled", lambda pairs, _: [False] * (len(pairs.plan.steps) - 1) + [True])
    with pytest.raises(AssertionError):
        sharp(301, ring)


def test_which_steps_set_sums_to_one():
    def steps(cores, smallest):
        plan = pairs.plan_of(layout_of((1,) * 2 * len(cores)))
        whole = cores.flatten(0, 1)
        return two_sided._rescaled(pairs.Paired([whole], [whole], plan), [torch.tensor(smallest).to(cores)])

    flat, once = torch.full((6, 2, 1, 2, 2), 0.5), [False] * 5 + [True]  # sums of rows stay one
    assert steps(flat, 0.5) == once
    flat[3, 1, 0, 1] = 1e-14  # the fourth step may lose a row
    assert steps(flat, 1e-14) == [False, False, True, True, False, True]
    assert steps(1e4 * flat[:3], 0.5) == [False, False, True]
    assert steps(1.01e4 * flat[:3], 0.5) == [False, True, True]
    assert steps(1.1 * flat[:3], 1e-30) == [True, True, True]  # sharp cores leave no room
    assert steps(1.1 * flat[:3].double(), 1e-30) == [False, False, True]


@both_boundaries
def test_sums_do_not_grow_out_of_the_range(ring, monkeypatch):
    """Sixty steps, each of which may multiply sums by two hundred: log Z has a closed form."""

    def flat():
        total = log_contract(torch.zeros(2, 120, 10), torch.zeros(120, 10, 20, 20), ring)
        exact = 120 * torch.tensor(200.0).double().log() + (0 if ring else torch.tensor(20.0).double().log())
        torch.testing.assert_close(total, exact.expand(2), rtol=1e-6, atol=0)

    flat()
    monkeypatch.setattr(two_sided, "_rescaled", lambda pairs, _: [False] * (len(pairs.plan.steps) - 1) + [True])
    with pytest.raises(AssertionError):
        flat()


def narrow(ring):
    """All weight gathers at bond value 0, falls there step by step, and must leave through e^-80 to value 1."""
    log_cores = torch.full((50, 1, 3, 3), -80.0)
    log_cores[23:].diagonal(dim1=-2, dim2=-1).zero_()
    log_cores[0, :, :, 0] = 0
    log_cores[1:21, :, :2, 0], log_cores[1:21, :, 2, 2] = -1, 0
    log_cores[21:23, :, 1, 1] = 0
    single, double = (log_contract(torch.zeros(1, 50, 1).to(x), x, ring) for x in (log_cores, log_cores.double()))
    torch.testing.assert_close(single, double, rtol=1e-6, atol=0)


@both_boundaries
def test_sharp_cores_leave_no_room_for_sums_to_drift(ring, monkeypatch):
    narrow(ring)
    monkeypatch.setattr(
        two_sided, "_rescaled", lambda cores, _, whole=two_sided._rescaled: whole(cores, [torch.ones(())])
    )
    with pytest.raises(AssertionError):
        narrow(ring)


@both_boundaries
def test_weights_that_depend_on_the_cores(ring):
    """A graph that is made for second derivatives gives the same first ones."""
    _, log_cores, ring, order = problem(5, ring)
    log_weights = log_cores.sum((-1, -2)).expand(2, -1, -1) * torch.tensor([0.1, -0.2]).double()[:, None, None]
    total = log_contract(log_weights, log_cores, ring, order).sum()
    plain, recorded = (
        torch.autograd.grad(total, log_cores, create_graph=create, retain_graph=True)[0] for create in (False, True)
    )
    close(recorded, plain)


def test_a_graph_that_is_retained_can_be_walked_again():
    inputs = problem(5)
    total = log_contract(*inputs).sum()
    first = torch.autograd.grad(total, inputs[:2], retain_graph=True)
    for a, b in zip(first, torch.autograd.grad(total, inputs[:2]), strict=True):
        assert torch.equal(a, b)
    with pytest.raises(RuntimeError, match="second time"):
        torch.autograd.grad(total, inputs[:2])


@both_boundaries
def test_a_batch_of_gradients(ring):
    inputs = problem(18, ring)
    total = log_contract(*inputs)
    rows = torch.eye(len(total)).double()
    together = torch.autograd.grad(total, inputs[1], rows, retain_graph=True, is_grads_batched=True)[0]
    close(together, torch.stack([torch.autograd.grad(total, inputs[1], row, retain_graph=True)[0] for row in rows]))


def test_rows_of_a_ring_far_below_others():
    """A row that dominates but does not close: in the adjoint and in the posteriors that are recorded."""
    log_cores = torch.full((6, 2, 2, 2), -60.0)
    log_cores[:, :, 0, 1] = 0  # the first row moves on and never comes back
    log_cores[:, :, 1, 1] = -50
    log_weights = torch.randn(4, 6, 2, generator=torch.Generator().manual_seed(0))
    single = state_posterior(log_weights, log_cores, True)
    recorded = state_posterior(log_weights, log_cores.requires_grad_(), True)
    double = state_posterior(log_weights.double(), log_cores.detach().double(), True)
    for posterior in (single, recorded.detach()):
        torch.testing.assert_close(posterior.double(), double, rtol=1e-5, atol=1e-6)


@both_boundaries
@pytest.mark.parametrize("length", [4, 5])
def test_contradictory_evidence(length, ring):
    """Z = 0 for one row: minus infinity, a gradient of zero, and nothing spoiled in the others, to either order."""
    log_weights, log_cores, ring, order = problem(length, ring)
    consistent = log_contract(log_weights, log_cores, ring, order)
    wanted = torch.autograd.grad(consistent[[0, 2]].sum(), [log_weights, log_cores])
    for position in range(length):
        bad = log_weights.detach().clone()
        bad[1, position] = -torch.inf
        bad.requires_grad_()
        for create in (False, True):
            total = log_contract(bad, log_cores, ring, order)
            assert total[1] == -torch.inf
            gradients = torch.autograd.grad(total.sum(), [bad, log_cores], create_graph=create)
            close(gradients[0][[0, 2]], wanted[0][[0, 2]])
            close(gradients[1], wanted[1])
            assert (gradients[0][1] == 0).all()


@both_boundaries
def test_posteriors_with_gradients_stay_exact_under_autocast(ring):
    log_weights, log_cores, ring, order = (
        x.detach().float() if torch.is_tensor(x) and x.is_floating_point() else x for x in problem(20, ring)
    )
    wanted = state_posterior(log_weights, log_cores, ring, order)
    with torch.autocast("cpu", dtype=torch.bfloat16):
        posterior = state_posterior(log_weights, log_cores.requires_grad_(), ring, order)
    torch.testing.assert_close(posterior.detach(), wanted, rtol=1e-5, atol=1e-6)


@both_boundaries
def test_posteriors_of_a_long_chain_do_not_drift(ring):
    log_weights, log_cores, ring, order = (
        x.detach().float() if torch.is_tensor(x) and x.is_floating_point() else x for x in problem(1000, ring)
    )
    posterior = state_posterior(log_weights, log_cores, ring, order)
    torch.testing.assert_close(posterior.sum(-1), torch.ones(3, 1000), rtol=0, atol=1e-6)
    double = state_posterior(log_weights.double(), log_cores.double(), ring, order)
    torch.testing.assert_close(posterior.double(), double, rtol=1e-4, atol=1e-5)


@pytest.mark.parametrize("small", [1e-37, 1e37])
def test_products_of_scales_neither_vanish_nor_overflow(small):
    for factors in (torch.full((20, 2), small), torch.full((20, 2), small, dtype=torch.float64) ** 7):
        torch.testing.assert_close(log_product(factors), factors.double().log().sum(0), rtol=1e-12, atol=0)


@pytest.mark.parametrize("dtype", [torch.float32, torch.float64])
def test_what_has_no_weight_is_never_picked(dtype):
    weights = torch.tensor([0.0, 0.1, 0.2, 0.3, 0.0], dtype=dtype).repeat(3, 1)
    largest = 1 - torch.finfo(dtype).eps / 2  # of numbers below 1
    assert _pick(weights, torch.tensor([0.0, 0.5, largest], dtype=dtype)).tolist() == [1, 2, 3]


@both_boundaries
def test_no_rows(ring):
    log_weights, log_cores, ring, order = problem(3, ring)
    assert log_contract(log_weights[:0], log_cores, ring, order).shape == (0,)
    assert state_posterior(log_weights[:0].detach(), log_cores.detach(), ring, order).shape == (0, 3, 3)
