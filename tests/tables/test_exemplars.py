"""Exemplars beside a chain, against sums over every exemplar and every path of the bond by themselves."""

import math
from dataclasses import replace

import numpy as np
import pytest
import torch
from hand_law import CODES, NAN, Paths, hand_law, hand_leaves
from scipy.integrate import trapezoid
from scipy.stats import norm

from pyro_priors.tables.answers.answers import Answers
from pyro_priors.tables.laws.exemplars import Exemplars, Slabs, find
from pyro_priors.tables.laws.law import with_exemplars

GRID = np.linspace(-12, 12, 24_001)
ROWS = [[5.3, 1, 1.0, 20, 0], [5.3, NAN, 0, 20, NAN], [NAN, 2, 3.0, 14, 1], [1.0, 0, NAN, NAN, 1]]
CODES = CODES[:6]  # none of which is an exemplar
SCORES, FLAG = {0: 0, 2: 1, 3: 2}, 4  # columns of codes, and of the law; whether b is its atom
STATES = {1: (3, 3), 4: (5, 2)}


def remembering(share=0.3, seed=0, leaves=None):
    """A hand-made law with four exemplars, weights and kernels drawn."""
    leaves = hand_leaves(whole=None) if leaves is None else leaves
    law, generator = hand_law(seed, leaves), torch.Generator().manual_seed(seed)

    def draw(*shape):
        return torch.randn(shape, generator=generator, dtype=torch.float64)

    probs = {column: draw(4, k).softmax(-1) for column, k in ((3, 3), (4, 2), (5, 2))}
    exemplars = Exemplars(law.rows(ROWS), Slabs(draw(4, 3), (0.3 * draw(4, 3)).exp(), probs), draw(4).exp())
    for parameter, value in ((exemplars.log_width, draw(3) - 1), (exemplars.copied, draw(6))):
        parameter.data = value
    exemplars.share.data = torch.tensor(float(share), dtype=torch.float64)
    return with_exemplars(law, exemplars.requires_grad_(False))


class Kernels:
    """The exemplars of a law one by one, with scipy."""

    def __init__(self, law):
        made = law.exemplars
        self.rows, self.mean, self.scale = (x.numpy() for x in (made.rows, made.mean, made.scale))
        self.weight = made.log_weight.exp().numpy()
        self.width = np.maximum(made.log_width.exp().numpy(), 0.02)
        self.copied = 1 / (1 + np.exp(-made.copied.numpy()))
        self.probs = {column: made.probs(column).numpy() for column in (3, 4, 5)}

    def density(self, i, column, value):
        """Of a cell under an exemplar."""
        same = 0.0 if np.isnan(self.rows[i, column]) else self.copied[column]
        if column in self.probs:
            table = self.probs[column][i]
            return same * (value == self.rows[i, column]) + (1 - same) * table[int(value)]
        near = 0.0 if same == 0 else norm.pdf(value, self.rows[i, column], self.width[column])
        return same * near + (1 - same) * norm.pdf(value, self.mean[i, column], self.scale[i, column])

    def joint(self, row):
        """Of each exemplar and what a row of the law knows."""
        known = np.flatnonzero(~np.isnan(row))
        return np.array([w * np.prod([self.density(i, c, row[c]) for c in known]) for i, w in enumerate(self.weight)])

    def on_grid(self, row, column):
        """Of a row, and a number at every point of the grid."""
        return sum(w * self.density(i, column, GRID) for i, w in enumerate(self.joint(row)))


@pytest.fixture(scope="module")
def law():
    return remembering()


def both(law, row):
    """p(what a row of the law knows), in scores."""
    share = 1 / (1 + math.exp(-float(law.exemplars.share)))
    return share * Kernels(law).joint(row).sum() + (1 - share) * Paths(law).density(row)


def slope(law, codes):
    known = [c for c in SCORES if not np.isnan(codes[c])]
    return np.exp(sum(float(law.leaves[c].log_jacobian(torch.tensor([codes[c]]))) for c in known))


def test_means_quantiles_and_probabilities(law):
    answers, share = Answers([law]), 1 / (1 + math.exp(-0.3))
    filled, quantiles, paths, kernels = (
        answers.fill(CODES),
        answers.quantiles(CODES, (0.1, 0.7)),
        Paths(law),
        Kernels(law),
    )
    for n, row in enumerate(law.rows(CODES).numpy()):
        total = both(law, row)
        for c, column in SCORES.items():
            if not np.isnan(CODES[n, c]):
                continue
            given, atom = row.copy(), 0.0
            if c == 2:
                given[FLAG] = 0
                atom, given[FLAG] = both(law, given) / total, 1
            weights = (
                share * kernels.on_grid(given, column) + (1 - share) * paths.on_grid(given, column, GRID)
            ) / total
            values = law.leaves[c]._number(torch.from_numpy(GRID)).numpy()
            assert abs(trapezoid(weights, GRID) + atom - 1) < 1e-6
            assert filled[n, c] == pytest.approx(trapezoid(weights * values, GRID), rel=1e-3)
            for x, level in zip(quantiles[:, n, c], (0.1, 0.7), strict=True):
                below = trapezoid(np.where(values <= x, weights, 0), GRID)
                assert below - 2e-3 < level < below + (x >= 0) * atom + 2e-3
    for c, (column, k) in STATES.items():
        probs = answers.probs(CODES, c)
        for n, row in enumerate(law.rows(CODES).numpy()):
            states = []
            for state in range(k):
                row[column] = state
                states.append(both(law, row))
            np.testing.assert_allclose(probs[n], np.array(states) / sum(states), rtol=1e-6)


def test_scores_of_rows_and_cells(law):
    answers = Answers([law])
    rows, cells = answers.log_score(CODES), answers.cell_scores(CODES)
    for n, codes in enumerate(CODES):
        total = both(law, law.rows(codes[None])[0].numpy()) * slope(law, codes)
        assert rows[n] == pytest.approx(np.log(total) if n != 3 else 0, abs=1e-6)
        for c in np.flatnonzero(~np.isnan(codes)):
            rest = codes.copy()
            rest[c] = NAN
            without = both(law, law.rows(rest[None])[0].numpy()) * slope(law, rest)
            assert cells[n, c] == pytest.approx(np.log(total / without), abs=1e-5)


def test_cells_of_a_grid_sum_to_one():
    leaves = hand_leaves(whole=6.0)
    leaves[0] = replace(leaves[0], resolution=2.0)
    a, d = np.meshgrid(np.arange(-80, 100, 2.0), np.arange(-180, 240, 6.0))
    codes = np.full((a.size, 5), NAN)
    codes[:, 0], codes[:, 3] = a.ravel(), d.ravel()
    for share in (-40.0, 0.3, 40.0):
        assert abs(np.exp(Answers([remembering(share, leaves=leaves)]).log_score(codes)).sum() - 1) < 1e-6


def test_a_row_learns_nothing_from_itself(law):
    """All that is asked of an exemplar is answered as if it had never been seen."""
    rest = law.exemplars.at(torch.tensor([1, 2, 3]))
    rest.log_weight = law.exemplars.log_weight[1:] - law.exemplars.log_weight[1:].logsumexp(0)
    less, codes = Answers([with_exemplars(law, rest)]), np.array(ROWS[:1])
    answers, gaps = Answers([law]), np.array(ROWS[2:3])
    assert answers.log_score(codes) == pytest.approx(less.log_score(codes), rel=1e-9)
    np.testing.assert_allclose(answers.cell_scores(codes), less.cell_scores(codes), rtol=1e-9)
    np.testing.assert_allclose(answers.probs(codes, 1), less.probs(codes, 1), rtol=1e-9)
    assert abs(answers.fill(gaps) - Answers([with_exemplars(law, None)]).fill(gaps)).max() > 1e-3
    for digits in (0.0, 1e-7):  # those of float32
        assert find(law.rows(ROWS) + digits, law.exemplars.rows).tolist() == [0, 1, 2, 3]
    assert find(law.rows(CODES), law.exemplars.rows).tolist() == [-1] * len(CODES)


@pytest.mark.filterwarnings("ignore::pyro_priors.tables.answers.ranges.WeightedDrawsWarning")  # of the chain
@pytest.mark.parametrize("ranges", [None, {0: (3.0, 6.0), 2: (-0.5, 1.5), 3: (15.0, 30.0)}])
def test_draws_follow_the_answers(ranges):
    """Every number and category, also where several numbers have ranges; five standard errors of 4,000 draws."""
    answers, many = Answers([remembering(share=40.0)]), 4000
    codes = CODES[:5]
    draws = answers.draws(codes, many, torch.Generator().manual_seed(0), ranges)
    filled, goal = answers.fill(codes, ranges), answers.quantiles(codes, [0.6], ranges)[0]
    for n, c in np.argwhere(np.isnan(codes)):
        x = draws[:, n, c]
        if c in STATES:
            p = answers.probs(codes, c, ranges)[n]
            share = (x[:, None] == np.arange(len(p))).mean(0)
            assert (np.abs(share - p) < 5 * np.sqrt(p * (1 - p) / many) + 1e-9).all()
            continue
        assert abs(x.mean() - filled[n, c]) < 5 * x.std() / many**0.5 + 1e-3 * abs(filled[n, c])
        slack = 5 * (0.24 / many) ** 0.5
        assert (x < goal[n, c]).mean() - slack < 0.6 < (x <= goal[n, c]).mean() + slack
        if ranges and c in ranges:
            assert ((ranges[c][0] <= x) & (x <= ranges[c][1])).all()


@pytest.mark.filterwarnings("ignore::pyro_priors.tables.answers.ranges.WeightedDrawsWarning")
def test_ranges_leave_what_is_within_them():
    """The law under ranges is the law's own draws that lie within: five standard errors of those."""
    answers, nothing = Answers([remembering(share=40.0)]), np.full((1, 5), NAN)
    ranges = {0: (3.0, 6.0), 3: (15.0, 30.0)}
    free = answers.draws(nothing, 60_000, torch.Generator().manual_seed(1))[:, 0]
    within = free[(free[:, 0] >= 3) & (free[:, 0] <= 6) & (free[:, 3] >= 15) & (free[:, 3] <= 30)]
    assert len(within) > 2000
    for c in STATES:
        p = answers.probs(nothing, c, ranges)[0]
        share = (within[:, c, None] == np.arange(len(p))).mean(0)
        assert (np.abs(share - p) < 5 * np.sqrt(p * (1 - p) / len(within))).all()
    filled = answers.fill(nothing, ranges)[0]
    for c in SCORES:
        assert abs(within[:, c].mean() - filled[c]) < 5 * within[:, c].std() / len(within) ** 0.5


def test_a_row_alone_and_among_others(law):
    answers = Answers([law])
    together = answers.fill(CODES), answers.quantiles(CODES, [0.2])[0], answers.cell_scores(CODES)
    for n in range(len(CODES)):
        row = CODES[n : n + 1]
        alone = answers.fill(row), answers.quantiles(row, [0.2])[0], answers.cell_scores(row)
        for some, every in zip(alone, together, strict=True):
            np.testing.assert_allclose(some[0], every[n], rtol=1e-7, atol=1e-9)
