"""Ranges as evidence, against integration over grids of every path of a small chain."""

import numpy as np
import pytest
import torch
from hand_law import NAN, Paths, hand_law

from pyro_priors.tables.answers.answers import Answers
from pyro_priors.tables.answers.ranges import WeightedDrawsWarning

GRID = np.linspace(-12, 12, 1201)
SCORES, STATES, FLAG = {0: 0, 2: 1, 3: 2}, {1: 3, 4: 5}, 4
ROWS = np.array([[NAN, 1, 1.3, 20, NAN], [NAN, NAN, NAN, 31, 0], [NAN, NAN, 0, NAN, 1], [NAN] * 5])


@pytest.fixture(scope="module")
def hand():
    return hand_law(0)


@pytest.fixture(scope="module")
def paths():
    return Paths(hand_law(0))


def ends(leaf, low, high):
    half = (leaf.resolution or 0.0) / 2
    return [float(leaf.scores.encode(torch.tensor([x]))) for x in (low - half, high + half)]


def pieces_of(hand, rows, weights, c, bounds):
    """Rows of the law with c at points of its range, and their weights; rows of one list know the same."""
    leaf, parts = hand.leaves[c], []

    def with_points(column, points, steps, flag=None):
        every = np.repeat(rows, len(points), 0)
        every[:, column] = np.tile(points, len(rows))
        if flag is not None:
            every[:, FLAG] = flag
        return every, np.repeat(weights, len(points)) * np.tile(steps, len(rows))

    if c in STATES:
        states = [state for state in range(leaf.k) if bounds[0] <= state <= bounds[1]]
        return [with_points(STATES[c], states, np.ones(len(states)))]
    if leaf.atoms and bounds[0] <= leaf.atoms[0] <= bounds[1]:
        parts.append(with_points(FLAG, [0.0], [1.0]))
    low, high = ends(leaf, *bounds)
    grid = np.linspace(max(low, -12), min(high, 12), 161)
    steps = np.full(len(grid), grid[1] - grid[0])
    steps[[0, -1]] /= 2
    parts.append(with_points(SCORES[c], grid, steps, 1.0 if leaf.atoms else None))
    return parts


def expected(hand, paths, codes, ranges, wanted):
    """p(states of a category), or values of a number and their weights."""
    parts = [(hand.rows(codes[None]).numpy(), np.ones(1))]
    for c, bounds in ranges.items():
        parts = [piece for rows, weights in parts for piece in pieces_of(hand, rows, weights, c, bounds)]
    leaf, step = hand.leaves[wanted], GRID[1] - GRID[0]
    if wanted in STATES:
        total = np.zeros(leaf.k)
        for rows, weights in parts:
            for state in range(leaf.k):
                some = rows.copy()
                possible = np.isnan(some[:, STATES[wanted]]) | (some[:, STATES[wanted]] == state)
                some[:, STATES[wanted]] = state
                total[state] += (weights * possible * paths.density(some)).sum()
        return total / total.sum()
    values, masses = [], []
    for rows, weights in parts:
        if not np.isnan(rows[0, SCORES[wanted]]):
            values.append(leaf._number(torch.from_numpy(rows[:, SCORES[wanted]])).numpy())
            masses.append(weights * paths.density(rows))
            continue
        rows = rows.copy()
        if leaf.atoms and rows[0, FLAG] != 1:
            known = rows[0, FLAG] == 0
            rows[:, FLAG] = 0
            values.append(np.zeros(1))
            masses.append(np.array([(weights * paths.density(rows)).sum()]))
            if known:
                continue
            rows[:, FLAG] = 1
        values.append(leaf._number(torch.from_numpy(GRID)).numpy())
        masses.append(weights @ paths.on_grid(rows, SCORES[wanted], GRID) * step)
    masses, values = np.concatenate(masses), np.concatenate(values)
    low, high = ranges.get(wanted, (-np.inf, np.inf))
    if low > leaf.high or high < leaf.low:  # beyond what was seen
        values = values.clip(low, high)
    return values, masses / masses.sum()


ONE = [{0: (4.0, 8.0)}, {3: (18, 24)}, {2: (0.6, 1.5)}, {2: (-0.5, 1.0)}, {0: (60.0, 70.0)}, {1: (1, 2), 0: (2.0, 3.0)}]


@pytest.mark.parametrize("ranges", ONE)
@pytest.mark.parametrize("n", range(len(ROWS)))
def test_one_range_is_exact(hand, paths, ranges, n, recwarn):
    answers, codes = Answers([hand]), ROWS[n : n + 1]
    ranges = {c: bounds for c, bounds in ranges.items() if np.isnan(codes[0, c])}
    filled, levels = answers.fill(codes, ranges), (0.1, 0.5, 0.8)
    quantiles = answers.quantiles(codes, levels, ranges)
    for c in range(5):
        if not np.isnan(codes[0, c]):
            continue
        result = expected(hand, paths, codes[0], ranges, c)
        if c in STATES:
            np.testing.assert_allclose(answers.probs(codes, c, ranges)[0], result, rtol=2e-4, atol=1e-8)
            assert filled[0, c] == result.argmax()
            continue
        values, weights = result
        np.testing.assert_allclose(filled[0, c], weights @ values, rtol=2e-3)
        for place, level in enumerate(levels):
            x = quantiles[place, 0, c]
            assert weights[values <= x + 1e-9].sum() > level - 0.02
            assert weights[values < x - 1e-9].sum() < level + 0.02
    assert not recwarn.list


def test_two_ranges_of_one_vector_say_that_they_are_draws(hand, paths):
    answers, codes, ranges = Answers([hand]), ROWS[2:3].copy(), {0: (4.0, 8.0), 3: (15, 22)}
    with pytest.warns(WeightedDrawsWarning, match=r"in 1 rows several numbers .* worth \d\d\d+ equal"):
        filled = answers.fill(codes, ranges)
    with pytest.warns(WeightedDrawsWarning):
        quantiles = answers.quantiles(codes, (0.2, 0.7), ranges)
    with pytest.warns(WeightedDrawsWarning):
        probs = answers.probs(codes, 1, ranges)
    np.testing.assert_allclose(probs[0], expected(hand, paths, codes[0], ranges, 1), rtol=1e-3)
    for c in (0, 3):
        values, weights = expected(hand, paths, codes[0], ranges, c)
        np.testing.assert_allclose(filled[0, c], weights @ values, rtol=2e-3)
        for place, level in enumerate((0.2, 0.7)):
            assert abs(weights[values <= quantiles[place, 0, c]].sum() - level) < 0.02


def test_draws_within_ranges(hand):
    """Quantiles and means of draws within five standard errors: fails once in a million."""
    answers, many = Answers([hand, hand_law(1)]), 4000
    ranges = {0: (4.0, np.array([8.0, 6.0, NAN, 7.0])), 2: (-0.5, 1.2), 1: np.array([True, False, True])}
    codes = ROWS.copy()
    codes[:, 3] = [20, 31, NAN, NAN]
    with pytest.warns(WeightedDrawsWarning):
        draws = answers.draws(codes, many, torch.Generator().manual_seed(1), ranges)
    with pytest.warns(WeightedDrawsWarning):
        quantiles = answers.quantiles(codes, [0.3, 0.8], ranges)
    with pytest.warns(WeightedDrawsWarning):
        probs = answers.probs(codes, 4, ranges)
    assert (draws[:, 1:, 1] != 1).all()
    assert (draws[:, :2, 0] >= 4).all()
    assert (draws[:, 1, 0] <= 6).all()
    assert ((draws[:, 1, 2] >= -0.5) & (draws[:, 1, 2] <= 1.2)).all()
    assert (draws[:, 2, 0] >= 4).all()
    for row, c in ((0, 0), (1, 0), (1, 2), (2, 0), (2, 3), (3, 0), (3, 2), (3, 3)):
        for place, level in enumerate((0.3, 0.8)):
            x = quantiles[place, row, c]
            slack = 5 * np.sqrt(level * (1 - level) / many) + 0.01  # of the weighted draws
            assert (draws[:, row, c] <= x).mean() > level - slack
            assert (draws[:, row, c] < x).mean() < level + slack
    for row in (0, 3):
        p = probs[row, 1]
        assert abs((draws[:, row, 4] == 1).mean() - p) < 5 * np.sqrt(p * (1 - p) / many)


def test_a_range_of_a_known_cell_says_nothing(hand):
    answers, codes = Answers([hand]), np.array([[5.0, 1, 0, NAN, NAN]])
    assert np.array_equal(answers.fill(codes, {0: (8.0, 9.0), 1: (0, 0), 2: (1.0, 2.0)}), answers.fill(codes))


def test_bad_ranges(hand):
    answers = Answers([hand])
    with pytest.raises(ValueError, match="ranges: expected columns below 5, got 7"):
        answers.fill(ROWS, {7: (0, 1)})
    with pytest.raises(ValueError, match=r"ranges\[0\]: expected low <= high, got 3.0 and 2.0 in row 0"):
        answers.fill(ROWS, {0: (3, 2)})
    with pytest.raises(ValueError, match=r"ranges\[0\]: expected a pair"):
        answers.fill(ROWS, {0: 3})
    with pytest.raises(ValueError, match=r"bounds of shape \(4,\), got \(3,\)"):
        answers.fill(ROWS, {0: (np.zeros(3), 1.0)})
    with pytest.raises(ValueError, match=r"ranges\[1\]: expected a range with a category in it"):
        answers.fill(ROWS, {1: (0.2, 0.8)})
    with pytest.raises(ValueError, match="got booleans"):
        answers.fill(ROWS, {0: np.array([True, False])})
