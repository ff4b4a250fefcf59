"""What every law on a chain obeys, written once; a law raises AssertionError where it is broken."""

from collections.abc import Iterable

import oracles
import torch
from cases import Case, random_value
from catalogue import NAN
from scipy import stats

ALPHA = 1e-4
"""Failure rate of each statistical test under a right sampler and a random seed; the seeds are fixed."""


def close(actual, expected, dtype=torch.float64):
    tolerance = {"rtol": 1e-10, "atol": 1e-10} if dtype == torch.float64 else {"rtol": 1e-4, "atol": 1e-5}
    torch.testing.assert_close(actual.double(), expected.double(), **tolerance, equal_nan=True)


def check_log_prob(case: Case, rows: int = 8, missing: float = 0.4):
    """Every row's density with its own NaN pattern equals enumeration; an all-NaN row scores exactly 0."""
    value = random_value(case, rows, missing)
    value[0] = NAN
    score = case.law.log_prob(value)
    close(score, oracles.log_prob(case, value), value.dtype)
    assert score[0] == 0
    complete = random_value(case, rows)
    close(case.law.log_prob(complete), oracles.log_prob(case, complete), value.dtype)


def check_marginal(case: Case, columns: list[int]):
    value = random_value(case, 5)
    observed = torch.full_like(value, NAN)
    observed[:, columns] = value[:, columns]
    marginal = case.law.marginal(columns[::-1])
    assert marginal.event_shape == (len(columns),)
    close(marginal.log_prob(value[:, sorted(columns)]), oracles.log_prob(case, observed), value.dtype)


def check_condition(case: Case, variables: list[int], missing: float = 0.3):
    """log p(rest given some) = log p(all observed) - log p(given), with NaN on either side, inside vectors too."""
    value = random_value(case, 6, missing)
    columns = [c for v in variables for c in case.variables.columns_of[v]]
    rest = [c for c in range(value.shape[-1]) if c not in columns]
    given = torch.full_like(value, NAN)
    given[:, columns] = value[:, columns]
    conditioned = case.law.condition(**given_values(case, value, variables))
    assert conditioned.batch_shape == (6,)
    assert conditioned.event_shape == (len(rest),)
    expected = oracles.log_prob(case, value) - oracles.log_prob(case, given)
    close(conditioned.log_prob(value[:, rest]), expected, value.dtype)
    mean, variance = oracles.moments(case, given)
    close(conditioned.mean, mean[:, rest], value.dtype)
    close(conditioned.variance, variance[:, rest], value.dtype)


def given_values(case: Case, value: torch.Tensor, variables: Iterable[int]) -> dict[str, torch.Tensor]:
    """What `condition` takes of some variables."""
    parts = {v: value[..., list(case.variables.columns_of[v])] for v in variables}
    return {f"v{v}": part if v in case.variables.vectors else part[..., 0] for v, part in parts.items()}


def check_state_probs(case: Case):
    value = random_value(case, 6, 0.5)
    probs = case.law.state_probs(value)
    for column, expected in enumerate(oracles.state_probs(case, value)):
        close(probs[:, column, : expected.shape[-1]], expected, value.dtype)
        assert (probs[:, column, expected.shape[-1] :] == 0).all()


def check_moments(case: Case):
    nothing = torch.full((1, case.variables.width), NAN)
    mean, variance = oracles.moments(case, nothing)
    close(case.law.mean, mean[0], case.dtype)
    close(case.law.variance, variance[0], case.dtype)


def check_gradients(case: Case, rows: int = 5, missing: float = 0.3):
    """Gradients with respect to tables, locs and scales are those of the enumeration."""
    value = random_value(case, rows, missing)
    leaves = case.leaves()
    moved = case.of(leaves)
    ours = torch.autograd.grad(moved.law.log_prob(value).sum(), leaves, allow_unused=True, materialize_grads=True)
    theirs = oracles.log_prob(moved, value).sum()
    theirs = torch.autograd.grad(theirs, leaves, allow_unused=True, materialize_grads=True)
    for actual, expected in zip(ours, theirs, strict=True):
        close(actual, expected, value.dtype)


def check_samples(case: Case, draws: torch.Tensor):
    """Every column fits its law given all the others: transforms are uniform, states as often as predicted."""
    for column, variable in enumerate(case.variables.variable_of):
        n = case.variables.num_states[variable]
        if case.variables.is_continuous[column]:
            uniform = oracles.conditional_cdf(case, draws, column)
            assert stats.kstest(uniform.numpy(), "uniform").pvalue > ALPHA, f"column {column}"
            continue
        others = draws.clone()
        others[:, column] = NAN
        predicted = oracles.state_probs(case, others)[variable]
        hits = (draws[:, column, None] == torch.arange(n)).double()
        spread = (predicted * (1 - predicted)).sum(0).sqrt().clamp(min=1e-9)
        z = (hits - predicted).sum(0).abs() / spread
        assert (z < stats.norm.isf(ALPHA / 2 / n)).all(), f"column {column}"
    if not any(case.variables.is_continuous):
        check_counts(draws.long(), oracles.log_table(case).exp())


def check_counts(cells: torch.Tensor, table: torch.Tensor):
    """Chi-square test of integer rows against the probabilities of all cells; rare cells are counted together."""
    counts = (
        torch.zeros_like(table).index_put(tuple(cells.T), torch.ones(len(cells)).double(), accumulate=True).flatten()
    )
    expected = table.flatten() * len(cells)
    rare = expected < 5
    counts, expected = (torch.cat([x[~rare], x[rare].sum(0, keepdim=True)]) for x in (counts, expected))
    possible = expected > 0
    assert stats.chisquare(counts[possible].numpy(), expected[possible].numpy()).pvalue > ALPHA
