"""Draws from factored chains: goodness of fit, what cannot be drawn, pathwise gradients."""

import pytest
import torch
from factored_chains import close, full, grads, inputs_of, joint, problem

from pyro_priors.ops import (
    Factored,
    factored_sample,
    pathwise,
    pathwise_factored,
    sample_states_factored,
    state_posterior_factored,
)
from pyro_priors.ops.layout import layout_of

DRAWS = 20_000


def statistic(draws, table):
    """Chi square of counted states against a table of weights, in standard deviations from its mean."""
    place = torch.zeros(len(draws), dtype=torch.long)
    for column, states in enumerate(table.shape):
        place = place * states + draws[:, column]
    expected = len(draws) * (table / table.sum()).flatten()
    counts = torch.bincount(place, minlength=len(expected)).double()
    assert (counts[expected == 0] == 0).all()
    common = expected > 5
    rest = torch.stack([counts[~common].sum(), expected[~common].sum()])
    square = ((counts - expected)[common].square() / expected[common]).sum() + (rest[0] - rest[1]) ** 2 / (rest[1] + 1)
    return (square - common.sum()) / (2 * common.sum()) ** 0.5


def check_draws(sizes, batch, draws=DRAWS, missing=True):
    """Each row's draws: a failure of a right sampler is rarer than 1e-4 (five standard deviations of a chi square)."""
    log_weights, chained, order = problem(sizes, batch=batch)
    if missing:
        log_weights[0, 0] = -torch.inf if sizes[0] > 1 else 0
    tables = joint(log_weights, chained, order)
    torch.manual_seed(0)
    rows = torch.arange(batch).repeat_interleave(draws)
    states = sample_states_factored(log_weights, chained, rows, order)
    assert states.shape == (batch * draws, len(sizes))
    assert states.dtype == torch.long
    for row, table in enumerate(tables):
        assert statistic(states[rows == row], table) < 5


@pytest.mark.parametrize("batch", [1, 3])
@pytest.mark.parametrize("sizes", [(4,), (3, 2), (2, 3, 2, 4), (3, 3, 3)])
def test_goodness_of_fit(sizes, batch):
    check_draws(sizes, batch)


def test_goodness_of_fit_of_few_draws_at_a_time(monkeypatch):
    """As those of one row whose draws are too few for tables of sums."""
    monkeypatch.setattr(factored_sample, "MANY", 0)
    check_draws((2, 3, 2), 1)


BUGS = {
    "what comes from the ends left out": (
        "meet",
        lambda whole: lambda *a: (lambda way: way._replace(came=torch.ones_like(way.came)))(whole(*a)),
    ),
    "the sides confused": ("_from_tables", lambda whole: lambda *a: whole(*a).roll(DRAWS, 1)),
    "numbers that are not uniform": ("_below_one", lambda whole: lambda uniform: whole(uniform) ** 1.2),
    "a table without its last sum": (
        "_table",
        lambda whole: lambda weights: whole(weights.flip(-1)),
    ),
}


@pytest.mark.parametrize("bug", BUGS)
def test_planted_bugs_are_noticed(bug, monkeypatch):
    name, broken = BUGS[bug]
    monkeypatch.setattr(factored_sample, name, broken(getattr(factored_sample, name)))
    with pytest.raises(AssertionError):
        check_draws((2, 3, 2), 1)


@pytest.mark.parametrize("batch", [1, 2])
@pytest.mark.parametrize("dtype", [torch.float32, torch.float64])
def test_what_has_no_weight_is_never_drawn(batch, dtype):
    """A chain that has one path only, whatever the uniform numbers are, which lie at both ends of their range."""
    log_weights, chained, order = problem((3,) * 6, batch=batch)
    path = torch.randint(3, (6,), generator=torch.Generator().manual_seed(0))
    for position, column in enumerate(order):
        state = path[position]
        chained.emissions[0][column] *= torch.nn.functional.one_hot(state, 3)[:, None]
    chained = Factored.of([x.to(dtype) for x in chained.tensors], chained.layout)
    rows = torch.zeros(50, dtype=torch.long)
    largest = 1 - torch.finfo(dtype).eps / 2  # of numbers below 1
    for extreme in (0.0, largest):
        with pytest.MonkeyPatch.context() as patch:
            patch.setattr(torch, "rand", lambda *shape, extreme=extreme, **kind: torch.full(shape, extreme, **kind))
            states = sample_states_factored(log_weights.to(dtype), chained, rows, order)
        wanted = torch.zeros(6, dtype=torch.long)
        wanted[torch.tensor(order)] = path
        assert (states == wanted).all()


def test_long_chains_of_small_numbers():
    """Single precision, emissions down to e^-50: states are as frequent as their posteriors say.

    300 frequencies of 4,000 draws within five standard errors: a failure of a right sampler is rarer than 2e-4.
    """
    generator = torch.Generator().manual_seed(0)
    layout = layout_of((2,) * 300)
    emissions = (-50 * torch.rand(300, 2, 3, generator=generator)).exp()
    transitions = torch.randn(299, 3, 3, generator=generator).softmax(-1)
    chained = Factored(torch.ones(3), [emissions], transitions, layout)
    log_weights = 10 * torch.randn(1, 600, generator=generator)
    probs = state_posterior_factored(log_weights, chained).view(300, 2)[:, 1].double()
    torch.manual_seed(0)
    states = sample_states_factored(log_weights, chained, torch.zeros(4000, dtype=torch.long))
    error = (states.double().mean(0) - probs).abs()
    assert (error < 5 * (probs * (1 - probs) / 4000).sqrt() + 2 / 4000).all()


@pytest.mark.parametrize("place", range(4))
def test_nan_is_refused(place):
    log_weights, chained, order = problem((3, 2, 3))
    tensors = [log_weights, *chained.tensors]
    tensors[place] = tensors[place].clone()
    tensors[place].view(-1)[-1] = torch.nan
    with pytest.raises(ValueError, match="expected numbers, got NaN"):
        sample_states_factored(
            tensors[0], Factored.of(tensors[1:], chained.layout), torch.zeros(2, dtype=torch.long) + 2, order
        )


@pytest.mark.parametrize("sizes", [(2,), (2, 3, 2, 4), (3,) * 5])
@pytest.mark.parametrize("batch", [1, 4])
def test_pathwise_gradients_are_those_of_the_full_chain(sizes, batch):
    log_weights, chained, order = problem(sizes, batch=batch)
    generator = torch.Generator().manual_seed(1)
    loc = [torch.randn(n, generator=generator).double().requires_grad_() for n in sizes]
    scale = [(torch.rand(n, generator=generator).double() + 0.5).requires_grad_() for n in sizes]
    draws, factor = (torch.randn(4, len(sizes), generator=generator).double() for _ in range(2))
    inputs = inputs_of(log_weights, chained)
    held = Factored.of(inputs[1:], chained.layout)
    visible = [None if column == 1 else draw for column, draw in enumerate(draws.unbind(-1))]
    leaves = list(zip(loc, scale, strict=True))
    ours, theirs = (
        torch.stack([torch.zeros_like(draws[:, 0]) if part is None else part for part in moved], -1)
        for moved in (
            pathwise_factored(visible, leaves, inputs[0], held, order),
            pathwise(visible, leaves, inputs[0], full(held, order), False, order),
        )
    )
    seen = torch.tensor([column != 1 for column in range(len(sizes))])
    torch.testing.assert_close(ours.detach(), draws * seen, rtol=0, atol=1e-14)
    everything = [*inputs, *loc, *scale]
    for a, b in zip(grads((ours * factor).sum(), everything), grads((theirs * factor).sum(), everything), strict=True):
        close(a, b)
