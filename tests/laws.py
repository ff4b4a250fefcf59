"""What every tensor ring obeys, written once; a law raises AssertionError where it is broken."""

import oracles
import torch
from catalogue import NAN, Ring, random_value
from scipy import stats

ALPHA = 1e-4
"""Failure rate of each statistical test under a right sampler and a random seed; the seeds are fixed."""


def close(actual, expected, dtype=torch.float64):
    tolerance = {"rtol": 1e-10, "atol": 1e-10} if dtype == torch.float64 else {"rtol": 1e-4, "atol": 1e-5}
    torch.testing.assert_close(actual.double(), expected.double(), **tolerance, equal_nan=True)


def check_log_prob(ring: Ring, rows: int = 8, missing: float = 0.4):
    """Every row's density with its own NaN pattern equals enumeration; an all-NaN row scores exactly 0."""
    value = random_value(ring, rows, missing)
    value[0] = NAN
    score = ring.ring.log_prob(value)
    close(score, oracles.log_prob(ring, value), value.dtype)
    assert score[0] == 0
    complete = random_value(ring, rows)
    close(ring.ring.log_prob(complete), oracles.log_prob(ring, complete), value.dtype)


def check_marginal(ring: Ring, columns: list[int]):
    value = random_value(ring, 5)
    observed = torch.full_like(value, NAN)
    observed[:, columns] = value[:, columns]
    marginal = ring.ring.marginal(columns[::-1])
    assert marginal.event_shape == (len(columns),)
    close(marginal.log_prob(value[:, sorted(columns)]), oracles.log_prob(ring, observed), value.dtype)


def check_condition(ring: Ring, columns: list[int], missing: float = 0.3):
    """log p(rest given some) = log p(all observed) - log p(given), with NaN on either side."""
    value = random_value(ring, 6, missing)
    rest = [c for c in range(value.shape[-1]) if c not in columns]
    given = torch.full_like(value, NAN)
    given[:, columns] = value[:, columns]
    conditioned = ring.ring.condition(**{f"v{c}": value[:, c] for c in columns})
    assert conditioned.batch_shape == (6,)
    assert conditioned.event_shape == (len(rest),)
    expected = oracles.log_prob(ring, value) - oracles.log_prob(ring, given)
    close(conditioned.log_prob(value[:, rest]), expected, value.dtype)
    mean, variance = oracles.moments(ring, given)
    close(conditioned.mean, mean[:, rest], value.dtype)
    close(conditioned.variance, variance[:, rest], value.dtype)


def check_state_probs(ring: Ring):
    value = random_value(ring, 6, 0.5)
    probs = ring.ring.state_probs(value)
    for column, expected in enumerate(oracles.state_probs(ring, value)):
        close(probs[:, column, : expected.shape[-1]], expected, value.dtype)
        assert (probs[:, column, expected.shape[-1] :] == 0).all()


def check_moments(ring: Ring):
    nothing = torch.full((1, len(ring.variables)), NAN)
    mean, variance = oracles.moments(ring, nothing)
    close(ring.ring.mean, mean[0], ring.log_cores.dtype)
    close(ring.ring.variance, variance[0], ring.log_cores.dtype)


def check_samples(ring: Ring, draws: torch.Tensor):
    """Every column fits its law given all the others: transforms are uniform, states as often as predicted."""
    for column, n in enumerate(ring.variables.num_states):
        if ring.variables.is_continuous[column]:
            uniform = oracles.conditional_cdf(ring, draws, column)
            assert stats.kstest(uniform.numpy(), "uniform").pvalue > ALPHA, f"column {column}"
            continue
        others = draws.clone()
        others[:, column] = NAN
        predicted = oracles.state_probs(ring, others)[column]
        hits = (draws[:, column, None] == torch.arange(n)).double()
        spread = (predicted * (1 - predicted)).sum(0).sqrt().clamp(min=1e-9)
        z = (hits - predicted).sum(0).abs() / spread
        assert (z < stats.norm.isf(ALPHA / 2 / n)).all(), f"column {column}"
    if not any(ring.variables.is_continuous):
        check_counts(draws.long(), oracles.log_table(ring).exp())


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
