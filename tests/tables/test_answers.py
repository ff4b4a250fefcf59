"""Answers about rows with gaps, against every path of a small chain by itself and integration over a grid."""

from dataclasses import replace

import numpy as np
import pytest
import torch
from hand_law import CODES, NAN, OTHERS, Paths, hand_law, hand_leaves
from scipy.integrate import trapezoid

from pyro_priors.tables.answers import vector_cells
from pyro_priors.tables.answers.answers import Answers

GRID = np.linspace(-20, 20, 8001)
NUMBERS, STATES, FLAG = {0: 0, 2: 1, 3: 2}, {1: 3, 4: 5}, 4  # columns of codes, and of the law


@pytest.fixture(scope="module")
def laws():
    return [hand_law(0), hand_law(1, hand_leaves(knots=OTHERS))]  # each with scores of its own


@pytest.fixture(scope="module")
def paths(laws):
    return [Paths(law) for law in laws]


def slope(hand, codes):
    """Of the scores of what is known, multiplied."""
    known = [c for c in NUMBERS if not np.isnan(codes[c])]
    return np.exp(sum(float(hand.leaves[c].log_jacobian(torch.tensor([codes[c]]))) for c in known))


def oracle(hand, path, codes, c):
    """Of one missing number: values of its grid, their weights, its atom's probability (both of them joint)."""
    row = hand.rows(codes[None])[0].numpy()
    leaf, column = hand.leaves[c], NUMBERS[c]
    atom = 0.0
    if leaf.atoms:
        at = row.copy()
        at[FLAG] = 0.0
        atom, row[FLAG] = path.density(at), 1.0
    weights = path.on_grid(row, column, GRID)
    share = slope(hand, codes)
    return leaf._number(torch.from_numpy(GRID)).numpy(), weights * share, atom * share


@pytest.mark.parametrize("count", [1, 2])
def test_means_quantiles_and_probabilities(laws, paths, count):
    answers = Answers(laws[:count])
    levels = (0.05, 0.5, 0.9)
    filled, quantiles = answers.fill(CODES), answers.quantiles(CODES, levels)
    known = ~np.isnan(CODES)
    assert np.array_equal(filled[known], CODES[known])
    assert np.isnan(quantiles[:, :, list(STATES)]).all()
    for n, codes in enumerate(CODES):
        share = [0.0] * count
        for member in range(count):  # evidence in own units
            row = laws[member].rows(codes[None])[0].numpy()
            share[member] = paths[member].density(row) * slope(laws[member], codes)
        for c in NUMBERS:
            if not np.isnan(codes[c]):
                assert (quantiles[:, n, c] == codes[c]).all()
                continue
            values, weights, atoms = zip(*(oracle(laws[m], paths[m], codes, c) for m in range(count)), strict=True)
            atom, total = sum(atoms), sum(share)
            np.testing.assert_allclose(sum(trapezoid(w, GRID) for w in weights) + atom, total, rtol=1e-6)
            mean = sum(trapezoid(w * v, GRID) for w, v in zip(weights, values, strict=True)) / total
            np.testing.assert_allclose(filled[n, c], mean, rtol=1e-3)
            for place, level in enumerate(levels):
                x = quantiles[place, n, c]
                parts = zip(weights, values, strict=True)
                below = sum(trapezoid(np.where(v <= x, w, 0), GRID) for w, v in parts) / total
                if atom and x == 0:
                    assert below < level <= below + atom / total + 1e-9
                else:
                    assert abs(below + (x > 0) * atom / total - level) < 2e-3
    for c, column in STATES.items():
        probs = answers.probs(CODES, c)
        expected = np.zeros_like(probs)
        for member in range(count):
            rows = laws[member].rows(CODES).numpy()
            for state in range(probs.shape[1]):
                rows[:, column] = state
                slopes = [slope(laws[member], codes) for codes in CODES]
                expected[:, state] += [paths[member].density(row) * x for row, x in zip(rows, slopes, strict=True)]
        expected /= expected.sum(1, keepdims=True)
        np.testing.assert_allclose(probs, expected, rtol=1e-6)
        gaps = np.isnan(CODES[:, c])
        assert np.array_equal(filled[gaps, c], expected[gaps].argmax(1))


def test_cumulative_probabilities_are_those_of_draws(laws):
    """Of a grid's cell where there is one; 20,000 draws, five standard errors of a share at most."""
    leaves = hand_leaves()
    leaves[3] = replace(leaves[3], resolution=1.0, origin=20.0)
    answers = Answers([hand_law(0, leaves)])
    at = np.where(np.isnan(CODES), [4.0, np.nan, 0.0, 21.0, np.nan], CODES)
    at[3] = [leaves[0].high, np.nan, 2.5, leaves[3].low, np.nan]
    below, upto = answers.cumulative(CODES, at)
    draws = answers.draws(CODES, 20_000, torch.Generator().manual_seed(0))
    half = np.array([0, np.nan, 0, 0.5, np.nan])
    for n, c in np.argwhere(np.isnan(CODES)):
        if c in STATES:
            assert np.isnan([below[n, c], upto[n, c]]).all()
            continue
        edges = (leaves[c].low, at[n, c] - half[c]), (at[n, c] + half[c], leaves[c].high)
        x = draws[:, n, c]
        less = x < at[n, c] - half[c] if edges[0][1] > edges[0][0] else np.zeros_like(x, bool)
        more = x > at[n, c] + half[c] if edges[1][1] > edges[1][0] else np.zeros_like(x, bool)
        assert below[n, c] == pytest.approx(less.mean(), abs=0.018)
        assert upto[n, c] == pytest.approx(1 - more.mean(), abs=0.018)
    assert upto[1, 0] == pytest.approx(below[1, 0])  # a density
    assert upto[3, 0] == pytest.approx(1)
    assert below[3, 3] == 0 < upto[3, 3]


def test_a_row_alone_and_among_others(laws):
    answers = Answers(laws)
    ranges = {0: (np.full(len(CODES), 3.0), np.full(len(CODES), 6.0))}
    together = answers.fill(CODES), answers.quantiles(CODES, [0.2])[0], answers.fill(CODES, ranges)
    scores = answers.log_score(CODES), answers.cell_scores(CODES)
    for n in (0, 2, 3, 6):
        row = CODES[n : n + 1]
        alone = answers.fill(row), answers.quantiles(row, [0.2])[0], answers.fill(row, {0: (3.0, 6.0)})
        for some, every in zip(alone, together, strict=True):
            np.testing.assert_allclose(some[0], every[n], rtol=1e-9, atol=1e-9)
        np.testing.assert_allclose(answers.log_score(row)[0], scores[0][n], rtol=1e-9, atol=1e-12)
        np.testing.assert_allclose(answers.cell_scores(row)[0], scores[1][n], rtol=1e-9)


def test_the_same_numbers_in_another_shape_are_other_rows(laws):
    """Work that answers to the same rows share is told apart by more than its bytes."""
    answers = Answers(laws)
    hidden = np.full_like(CODES, np.nan)
    answers.fill(np.vstack([hidden, CODES]))
    expected = Answers(laws).probs(CODES, 1)
    np.testing.assert_array_equal(answers.probs(CODES, 1), expected)


@pytest.mark.parametrize("shared", [0, 10**9])
def test_rows_by_patterns_and_many_patterns_at_a_time_are_alike(laws, monkeypatch, shared):
    answers = Answers(laws)
    expected = answers.log_score(CODES), answers.cell_scores(CODES)
    monkeypatch.setattr(vector_cells, "SHARED", shared)
    np.testing.assert_allclose(answers.log_score(CODES), expected[0], rtol=1e-10, atol=1e-12)
    np.testing.assert_allclose(answers.cell_scores(CODES), expected[1], rtol=1e-10, atol=1e-12)


def test_pieces_of_a_table_answer_as_the_whole(laws, monkeypatch):
    answers = Answers(laws)
    whole = answers.fill(CODES), answers.log_score(CODES), answers.cell_scores(CODES)
    monkeypatch.setattr("pyro_priors.tables.answers.answers.ENTRIES", 40)
    for part, every in zip(
        (answers.fill(CODES), answers.log_score(CODES), answers.cell_scores(CODES)), whole, strict=True
    ):
        np.testing.assert_allclose(part, every, rtol=1e-9, atol=1e-12)


# ---- scores


def cell_mass(hand, path, codes, c):
    """p(a cell and the rest of its row) in own units: of d that of its interval."""
    row = hand.rows(codes[None])[0].numpy()
    if c != 3:
        return path.density(row) * slope(hand, codes)
    leaf = hand.leaves[3]
    ends = leaf.scores.encode(torch.tensor([codes[3] - 0.5, codes[3] + 0.5])).numpy()
    grid = np.linspace(*ends, 201)
    others = slope(hand, codes) / np.exp(float(leaf.log_jacobian(torch.tensor([codes[3]]))))
    return trapezoid(path.on_grid(row, 2, grid), grid) * others


@pytest.mark.parametrize("count", [1, 2])
def test_scores_of_rows_and_cells(laws, paths, count):
    answers = Answers(laws[:count])
    rows, cells = answers.log_score(CODES), answers.cell_scores(CODES)
    assert answers.measures == ("density", "mass", "mixed", "mass", "mass")
    assert rows[3] == 0
    for n, codes in enumerate(CODES):
        last = 3 if not np.isnan(codes[3]) else 0  # its interval, or points alone
        total = sum(cell_mass(laws[m], paths[m], codes, last) for m in range(count)) / count
        np.testing.assert_allclose(rows[n], np.log(total), rtol=1e-6, atol=1e-6)
        for c in range(5):
            if np.isnan(codes[c]):
                assert np.isnan(cells[n, c])
                continue
            rest = codes.copy()
            rest[c] = NAN
            both = sum(cell_mass(laws[m], paths[m], codes, c) for m in range(count))
            without = sum(cell_mass(laws[m], paths[m], rest, 0) for m in range(count))
            np.testing.assert_allclose(cells[n, c], np.log(both / without), rtol=1e-5, atol=1e-6)


def test_intervals_of_several_numbers_sum_to_one():
    leaves = hand_leaves(whole=6.0)
    leaves[0] = replace(leaves[0], resolution=2.0)
    hand = hand_law(2, leaves)
    a, d = np.meshgrid(np.arange(-80, 100, 2.0), np.arange(-180, 240, 6.0))
    codes = np.full((a.size, 5), NAN)
    codes[:, 0], codes[:, 3] = a.ravel(), d.ravel()
    assert abs(np.exp(Answers([hand]).log_score(codes)).sum() - 1) < 1e-6


def test_an_outlier_far_away_has_a_finite_score(laws):
    codes = CODES[6:].repeat(3, 0)
    codes[1, 0], codes[2, 3] = 1e5, -1e5
    cells = Answers(laws).cell_scores(codes)
    assert np.isfinite(cells).all()
    assert cells[1, 0] < -100
    assert cells[2, 3] < -100


# ---- draws


@pytest.mark.parametrize("count", [1, 2])
def test_draws_follow_the_law(laws, count):
    """Chance of failure 1e-6 for each figure: means within 5 standard errors."""
    answers, many = Answers(laws[:count]), 4000
    codes = CODES[[0, 2, 3, 4]]
    draws = answers.draws(codes, many, torch.Generator().manual_seed(0))
    assert draws.shape == (many, *codes.shape)
    known = ~np.isnan(codes)
    assert (draws[:, known] == codes[known]).all()
    for column in STATES:
        probs = answers.probs(codes, column)
        rows = np.isnan(codes[:, column])
        for state in range(probs.shape[1]):
            share, p = (draws[:, rows, column] == state).mean(0), probs[rows, state]
            assert (np.abs(share - p) < 5 * np.sqrt(p * (1 - p) / many)).all()
    for level in (0.1, 0.6, 0.95):
        goal = answers.quantiles(codes, [level])[0]
        for column in NUMBERS:
            rows = np.isnan(codes[:, column])
            below = (draws[:, rows, column] <= goal[rows, column]).mean(0)
            before = (draws[:, rows, column] < goal[rows, column]).mean(0)
            slack = 5 * np.sqrt(level * (1 - level) / many)
            assert (below > level - slack).all()
            assert (before < level + slack).all()
    again = answers.draws(codes, many, torch.Generator().manual_seed(0))
    assert np.array_equal(draws, again)


def test_bad_arguments(laws):
    answers = Answers(laws)
    with pytest.raises(ValueError, match="laws: expected at least one"):
        Answers([])
    with pytest.raises(ValueError, match=r"codes: expected shape \(n, 5\), got \(3, 4\)"):
        answers.fill(np.zeros((3, 4)))
    with pytest.raises(ValueError, match="column of categories, got 0"):
        answers.probs(CODES, 0)
    with pytest.raises(ValueError, match="levels: expected numbers between 0 and 1"):
        answers.quantiles(CODES, [0.0])
    with pytest.raises(ValueError, match="count"):
        answers.draws(CODES, 0, torch.Generator())


def test_no_rows(laws):
    answers, none = Answers(laws), np.zeros((0, 5))
    assert answers.fill(none).shape == (0, 5)
    assert answers.log_score(none).shape == (0,)
    assert answers.cell_scores(none).shape == (0, 5)
    assert answers.probs(none, 1).shape == (0, 3)
    assert answers.draws(none, 2, torch.Generator()).shape == (2, 0, 5)
