"""Rubin's rules against a published example, their limits, and simulated tables."""

import statistics

import numpy as np
import pytest
from scipy.stats import norm, t

from pyro_priors.tables import pool

# Means of 31 people and their standard errors in five completed tables: SAS/STAT User's Guide, MIANALYZE, example
# "Reading Means and Standard Errors".
MEANS = np.array(
    [
        [47.0120, 10.4441, 171.216],
        [47.2407, 10.5040, 171.244],
        [47.4995, 10.5922, 171.909],
        [47.1485, 10.5279, 171.146],
        [47.0042, 10.4913, 172.072],
    ]
)
ERRORS = np.array(
    [
        [0.95984, 0.28520, 1.59910],
        [0.93540, 0.26661, 1.75638],
        [1.00766, 0.26302, 1.85795],
        [0.95439, 0.26405, 1.75011],
        [0.96528, 0.27275, 1.84807],
    ]
)


def by_hand(means, errors, complete):
    """The formulas one after the other, for one estimate."""
    m = len(means)
    within = statistics.fmean(error**2 for error in errors)
    between = statistics.variance(means)
    total = within + (1 + 1 / m) * between
    increase = (1 + 1 / m) * between / within
    large = (m - 1) * (1 + 1 / increase) ** 2
    seen = (1 - increase / (1 + increase)) * complete * (complete + 1) / (complete + 3)
    degrees = 1 / (1 / large + 1 / seen)
    half = t(degrees).ppf(0.975) * total**0.5
    centre = statistics.fmean(means)
    missing = (increase + 2 / (large + 3)) / (increase + 1)
    return centre, total, within, between, degrees, centre - half, centre + half, missing


def test_a_published_example():
    pooled = pool(MEANS, ERRORS**2, complete=30)
    got = [*pooled[:5], *pooled.interval, pooled.missing_information]
    expected = [by_hand(means, errors, 30) for means, errors in zip(MEANS.T, ERRORS.T, strict=True)]
    np.testing.assert_allclose(np.transpose(got), expected, rtol=1e-9)
    np.testing.assert_allclose(pooled.degrees_of_freedom, [26.299, 26.503, 25.463], atol=6e-4)


def test_tables_that_agree_are_one_table():
    pooled = pool([3.0, 3.0, 3.0], [4.0, 4.0, 4.0])
    assert (pooled.estimate, pooled.variance, pooled.missing_information) == (3, 4, 0)
    np.testing.assert_allclose(pooled.interval, 3 + 2 * norm.ppf([0.025, 0.975]))
    small = pool([3.0, 3.0, 3.0], [4.0, 4.0, 4.0], complete=10)
    assert small.degrees_of_freedom == pytest.approx(10 * 11 / 13)  # Barnard and Rubin, with nothing missing


def test_variances_of_zero():
    assert pool([3.0, 3.0], [0.0, 0.0]).interval == (3, 3)
    assert pool([3.0, 4.0], [0.0, 0.0], complete=5).interval == (-np.inf, np.inf)


def test_intervals_cover_a_mean_from_tables_with_gaps():
    # 40 numbers of N(0, 1), half of them missing at random and drawn from their posterior: 95 % of the intervals hold
    # the mean. Of 2,000 tables between 93.5 and 96.5 %, but for a chance of 0.002.
    rng, rows, draws, tables = np.random.default_rng(0), 40, 10, 2000
    hits = 0
    for _ in range(tables):
        seen = rng.standard_normal(rows // 2)
        scale = np.sqrt(seen.var(ddof=1) * (len(seen) - 1) / rng.chisquare(len(seen) - 1, draws))
        centre = seen.mean() + scale * rng.standard_normal(draws) / np.sqrt(len(seen))
        filled = centre[:, None] + scale[:, None] * rng.standard_normal((draws, rows - len(seen)))
        full = np.concatenate([np.broadcast_to(seen, (draws, len(seen))), filled], 1)
        low, high = pool(full.mean(1), full.var(1, ddof=1) / rows, complete=rows - 1).interval
        hits += low < 0 < high
    assert 0.935 < hits / tables < 0.965


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (([1.0], [1.0]), "estimates: expected those of at least two completed tables"),
        ((1.0, 1.0), "estimates: expected those of at least two completed tables"),
        (([1.0, 2.0], [1.0]), r"variances: expected shape \(2,\)"),
        (([1.0, np.nan], [1.0, 1.0]), "estimates: expected finite numbers, got nan"),
        (([1.0, "x"], [1.0, 1.0]), "estimates: expected numbers"),
        (([1.0, 2.0], [1.0, -1.0]), "variances: expected none below 0, got -1"),
    ],
)
def test_what_cannot_be_pooled(arguments, message):
    with pytest.raises(ValueError, match=message):
        pool(*arguments)


@pytest.mark.parametrize("others", [{"level": 1}, {"level": 0}, {"complete": 0}])
def test_settings_out_of_range(others):
    with pytest.raises(ValueError, match=next(iter(others))):
        pool([1.0, 2.0], [1.0, 1.0], **others)
