"""A small law of a table, made by hand, and its oracle: every path of the bond by itself, numbers on a grid."""

from itertools import product

import numpy as np
import torch
from scipy.stats import multivariate_normal, norm

from pyro_priors.tables.laws.law import TableLaw
from pyro_priors.tables.leaves.leaves import NumberLeaf, StateLeaf
from pyro_priors.tables.leaves.scores import NormalScores

NAN = float("nan")
SCORES = [-6.0, -1.0, 0.0, 1.0, 6.0]
CODES = np.array(  # rows of a table with the columns of `hand_leaves`
    [
        [5.3, 1, NAN, 20, NAN],
        [NAN, 1, 0, NAN, 0],
        [4.0, NAN, 2.5, NAN, 1],
        [NAN, NAN, NAN, NAN, NAN],
        [NAN, 0, 1.2, 14, 1],
        [1.0, 2, 0, 26, 0],
        [5.3, 1, 1.5, 20, 0],
    ]
)


KNOTS = [[-20.0, 2.0, 5.0, 9.0, 40.0], [-3.0, 0.5, 1.0, 2.0, 20.0], [-40.0, 15.0, 20.0, 26.0, 90.0]]
OTHERS = [[-30.0, 1.0, 6.0, 12.0, 50.0], [-4.0, 0.3, 1.2, 3.0, 25.0], [-50.0, 12.0, 22.0, 30.0, 95.0]]


def hand_leaves(whole=1.0, knots=KNOTS):
    """Of a (a number), c (3 categories), b (a number with an atom at 0), d (whole numbers), e (2 categories)."""
    return [
        NumberLeaf(NormalScores(knots[0], SCORES), (), -20.0, 40.0),
        StateLeaf(3),
        NumberLeaf(NormalScores(knots[1], SCORES), (0.0,), -3.0, 20.0),
        NumberLeaf(NormalScores(knots[2], SCORES), (), -40.0, 90.0, True, whole),
        StateLeaf(2),
    ]


def hand_law(seed=0, leaves=None):
    """Scores of the numbers in one vector, then c, whether b is its atom, and e; four states of the bond."""
    law = TableLaw(leaves or hand_leaves(), rank=4)
    generator = torch.Generator().manual_seed(seed)
    for name, parameter in law.prior.named_parameters():
        size = {"loc": 1.0, "log_scale": 0.3, "coupling": 0.7}.get(name.split(".")[-1], 1.5)
        parameter.data = size * torch.randn(parameter.shape, generator=generator, dtype=parameter.dtype)
    return law


class Paths:
    """The law as a mixture over all paths of the bond."""

    def __init__(self, hand):
        law = hand.law()
        initial, transitions = (x.detach().numpy() for x in (law.initial, law.transitions))
        tables = [None if e is None else e.detach().numpy() for e in law.emissions]
        loc, factor = (x.detach().numpy() for x in law.variables.gaussians[0].triangular([0, 1, 2]))
        covariance = np.linalg.inv(factor.transpose(0, 2, 1) @ factor)
        self.gaussians = list(zip(loc, covariance, strict=True))
        every = np.array(list(product(range(len(initial)), repeat=4)))
        steps = [transitions[k, every[:, k], every[:, k + 1]] for k in range(3)]
        self.weights, self.first = initial[every[:, 0]] * np.prod(steps, 0), every[:, 0]
        self.tables = [tables[k][:, every[:, k]] for k in (1, 2, 3)]  # (states, paths)

    def _weights(self, rows):
        """Of each state of the vector, with the states that rows know: sums over the paths that start there."""
        weights = np.repeat(self.weights[None], len(rows), 0)
        for k, table in enumerate(self.tables):
            known = ~np.isnan(rows[:, 3 + k])
            weights[known] *= table[rows[known, 3 + k].astype(int)]
        return np.stack([weights[:, self.first == s].sum(1) for s in range(len(self.gaussians))], 1)

    def density(self, rows):
        """p(rows of scores and states), missing ones summed out; all know the same scores: ``(n, 6)`` or ``(6,)``"""
        rows = np.asarray(rows, dtype=float)
        if rows.ndim == 1:
            return self.density(rows[None])[0]
        there, weights = ~np.isnan(rows[0, :3]), self._weights(rows)
        for s, (loc, covariance) in enumerate(self.gaussians if there.any() else ()):
            weights[:, s] *= multivariate_normal.pdf(
                rows[:, :3][:, there], loc[there], covariance[np.ix_(there, there)]
            )
        return weights.sum(1)

    def on_grid(self, rows, column, grid):
        """`density` with a number at every point of a grid, ``(n, G)``: each state's conditional Gaussian there."""
        rows = np.array(rows, dtype=float)
        if rows.ndim == 1:
            return self.on_grid(rows[None], column, grid)[0]
        rows[:, column] = NAN
        there, weights = ~np.isnan(rows[0, :3]), self._weights(rows)
        total = np.zeros((len(rows), len(grid)))
        for weight, (loc, covariance) in zip(weights.T, self.gaussians, strict=True):
            mean, variance = np.full(len(rows), loc[column]), covariance[column, column]
            if there.any():
                known, x = covariance[np.ix_(there, there)], rows[:, :3][:, there]
                gain = np.linalg.solve(known, covariance[there, column])
                weight = weight * multivariate_normal.pdf(x, loc[there], known)
                mean, variance = mean + (x - loc[there]) @ gain, variance - gain @ covariance[there, column]
            total += weight[:, None] * norm.pdf(grid, mean[:, None], np.sqrt(variance))
        return total
