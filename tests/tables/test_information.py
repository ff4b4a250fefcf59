"""Mutual information of columns against sums over all paths of a small chain, and integration over grids."""

import numpy as np
import pytest
from hand_law import NAN, Paths, hand_law

from pyro_priors.tables.answers.answers import Answers
from pyro_priors.tables.answers.information import mutual_information
from pyro_priors.tables.laws.wide_law import WideLaw

GRID = np.linspace(-9, 9, 401)
STEP = GRID[1] - GRID[0]
STATES, FLAG = {1: 3, 4: 5}, 4


@pytest.fixture(scope="module")
def laws():
    return [WideLaw(hand_law(seed)) for seed in (0, 1)]


@pytest.fixture(scope="module")
def estimate(laws):
    return mutual_information(laws[:1], draws=4000)


def table(paths, c, d):
    """Joint probabilities of two columns, of numbers on a grid: ``(states or points, states or points)``"""
    joint = np.stack([given_row(paths, row, d) for row in points(c)])
    if c not in STATES:
        joint[: len(GRID)] *= STEP
    return joint


def points(c):
    """Rows that know one column: each category, an atom, points of a grid."""
    if c in STATES:
        rows = np.full((3 if c == 1 else 2, 6), NAN)
        rows[:, STATES[c]] = np.arange(len(rows))
        return rows
    rows = np.full((len(GRID) + (c == 2), 6), NAN)
    rows[: len(GRID), {0: 0, 2: 1, 3: 2}[c]] = GRID
    if c == 2:
        rows[:, FLAG] = 1
        rows[-1, FLAG] = 0
    return rows


def given_row(paths, row, d):
    """Joint probabilities of what a row knows and a column, at the points of it."""
    if d in STATES:
        rows = np.repeat(row[None], 3 if d == 1 else 2, 0)
        rows[:, STATES[d]] = np.arange(len(rows))
        return paths.density(rows)
    if d == 2:
        some, atom = row.copy(), row.copy()
        some[FLAG], atom[FLAG] = 1, 0
        return np.append(paths.on_grid(some, 1, GRID) * STEP, paths.density(atom))
    return paths.on_grid(row, {0: 0, 3: 2}[d], GRID) * STEP


def expected(paths, c, d):
    joint = table(paths, c, d)
    joint = joint / joint.sum()
    product = joint.sum(1, keepdims=True) * joint.sum(0, keepdims=True)
    return (joint * np.log(np.where(joint > 0, joint / product, 1.0))).sum()


def test_categories_are_exact(estimate):
    value = expected(Paths(hand_law(0)), 1, 4)
    np.testing.assert_allclose(estimate.nats[1, 4], value, rtol=1e-9)
    assert estimate.standard_error[1, 4] == 0


@pytest.mark.parametrize(("c", "d"), [(0, 3), (0, 1), (3, 4), (0, 2), (2, 1), (2, 3)])
def test_numbers_within_five_standard_errors(estimate, c, d):
    """Fails once in a million for each pair."""
    value = expected(Paths(hand_law(0)), c, d)
    error = estimate.standard_error[c, d]
    assert 0 < error < 0.05
    assert abs(estimate.nats[c, d] - value) < 5 * error + 1e-4
    assert estimate.nats[c, d] == estimate.nats[d, c]


def test_several_laws_in_the_mean(laws):
    both = mutual_information(laws, draws=200)
    first, second = (mutual_information([law], draws=200, seed=k) for k, law in enumerate(laws))
    np.testing.assert_allclose(both.nats, (first.nats + second.nats) / 2)
    assert (both.standard_error[~np.eye(5, dtype=bool)] > 0).all()
    assert np.isnan(both.nats.diagonal()).all()
    assert np.array_equal(Answers([hand_law(0)]).information(200), first.nats, equal_nan=True)
