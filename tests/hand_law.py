"""A small law of a table, made by hand, and its oracle: every path of the bond by itself, numbers on a grid."""

from itertools import product

import numpy as np
import torch
from scipy.stats import multivariate_normal, norm
from torch import nn

from pyro_priors import TTLP, Continuous, Discrete, Vector

NAN = float("nan")


class States:
    resolution, atoms = None, ()

    def __init__(self, count):
        self.kinds = (Discrete(count),)

    def encode(self, x):
        return x.unsqueeze(-1)

    def decode(self, rows):
        return rows[:, 0]

    def to_json(self):
        return {"states": self.kinds[0].categories}


class Scaled:
    """x = shift + scale z, or shift + exp(scale z)."""

    def __init__(self, shift, scale, curved=False, atoms=(), resolution=None):
        self.shift, self.scale, self.curved, self.resolution = shift, scale, curved, resolution
        self.atoms = torch.tensor(atoms, dtype=torch.float64)
        self.kinds = ((Discrete(len(atoms) + 1),) if atoms else ()) + (Continuous(1),)

    def score(self, x):
        moved = x.double() - self.shift
        return moved.clamp_min(1e-300).log() / self.scale if self.curved else moved / self.scale

    def value(self, z):
        return self.shift + ((self.scale * z).exp() if self.curved else self.scale * z)

    def encode(self, x):
        x = x.double()
        if not len(self.atoms):
            return self.score(x).unsqueeze(-1)
        equal = x.unsqueeze(-1) == self.atoms
        flag = torch.where(equal.any(-1), equal.double().argmax(-1).double(), float(len(self.atoms)))
        score = torch.where(equal.any(-1), NAN, self.score(x))
        return torch.stack([torch.where(x.isnan(), NAN, flag), score], -1)

    def decode(self, rows):
        value = self.value(rows[:, -1])
        if not len(self.atoms):
            return value
        flag = rows[:, 0].long()
        return torch.where(flag < len(self.atoms), self.atoms[flag.clamp_max(len(self.atoms) - 1)], value)

    def log_jacobian(self, x):
        slope = -(x - self.shift).log() - np.log(self.scale) if self.curved else torch.full_like(x, -np.log(self.scale))
        atom = (x.unsqueeze(-1) == self.atoms).any(-1)
        return torch.where(atom, 0.0, slope)

    def mean(self, w, m, s):
        moved = (self.scale * m + (self.scale * s) ** 2 / 2).exp() if self.curved else self.scale * m
        return (w * (self.shift + moved)).sum(-1)

    def to_json(self):
        return {"shift": self.shift, "scale": self.scale, "curved": self.curved}


class HandLaw(nn.Module):
    """Codes: a (a number), c (3 categories), b (a number with an atom at 0), d (whole numbers), e (2 categories)."""

    def __init__(self, seed=0, rank=4, covariance="full", resolution=1.0):
        super().__init__()
        torch.manual_seed(seed)
        kinds = {"v0": Vector(3, covariance), "c0": Discrete(3), "c1": Discrete(2), "c2": Discrete(2)}
        self.prior = TTLP(0, kinds, rank=rank, order="declared")
        for name, parameter in self.prior.named_parameters():
            parameter.data = torch.randn_like(parameter) * (0.3 if "scale" in name or "factor" in name else 1.5)
        self.leaves = [
            Scaled(5.0, 2.0),
            States(3),
            Scaled(1.0, 0.7, curved=True, atoms=(0.0,)),
            Scaled(20.0, 3.0, resolution=resolution),
            States(2),
        ]
        self.columns = [(0,), (3,), (5, 1), (2,), (4,)]

    def law(self):
        return self.prior()

    def rows(self, codes):
        rows = torch.full((len(codes), 6), NAN, dtype=torch.float64)
        for c, leaf in enumerate(self.leaves):
            rows[:, list(self.columns[c])] = leaf.encode(torch.from_numpy(np.asarray(codes, dtype=float)[:, c]))
        return rows

    def codes(self, rows):
        parts = [
            leaf.decode(rows[:, list(columns)]) for leaf, columns in zip(self.leaves, self.columns, strict=True)
        ]
        return torch.stack(parts, -1).double().numpy()


class Paths:
    """The law as a mixture over all paths of the bond."""

    def __init__(self, hand):
        law = hand.prior.double()()
        initial, transitions = (x.detach().numpy() for x in (law.initial, law.transitions))
        tables = [None if e is None else e.detach().numpy() for e in law.emissions]
        loc, factor = (x.detach().numpy() for x in law.variables.gaussians[0].triangular([0, 1, 2]))
        covariance = np.linalg.inv(factor.transpose(0, 2, 1) @ factor)
        self.gaussians = list(zip(loc, covariance, strict=True))
        every = np.array(list(product(range(len(initial)), repeat=4)))
        steps = [transitions[k, every[:, k], every[:, k + 1]] for k in range(3)]
        self.weights, self.first = initial[every[:, 0]] * np.prod(steps, 0), every[:, 0]
        self.tables = [tables[k][:, every[:, k]] for k in (1, 2, 3)]  # (states, paths)

    def _weights(self, row):
        """Of each state of the vector, with the states that a row knows: sums over the paths that start there."""
        weights = self.weights
        for k, table in enumerate(self.tables):
            if not np.isnan(row[3 + k]):
                weights = weights * table[int(row[3 + k])]
        return np.bincount(self.first, weights)

    def density(self, row):
        """p(row of scores and states), missing ones summed out."""
        row = np.asarray(row, dtype=float)
        there, weights = ~np.isnan(row[:3]), self._weights(row)
        if not there.any():
            return weights.sum()
        laws = ((loc[there], covariance[np.ix_(there, there)]) for loc, covariance in self.gaussians)
        return sum(w * multivariate_normal.pdf(row[:3][there], *law) for w, law in zip(weights, laws, strict=True))

    def on_grid(self, row, column, grid):
        """`density` with a number at every point of a grid: each state's conditional Gaussian there."""
        row = np.array(row, dtype=float)
        row[column] = NAN
        there, weights = ~np.isnan(row[:3]), self._weights(row)
        total = np.zeros(len(grid))
        for weight, (loc, covariance) in zip(weights, self.gaussians, strict=True):
            mean, variance = loc[column], covariance[column, column]
            if there.any():
                known = covariance[np.ix_(there, there)]
                gain = np.linalg.solve(known, covariance[there, column])
                weight *= multivariate_normal.pdf(row[:3][there], loc[there], known)
                mean, variance = mean + gain @ (row[:3][there] - loc[there]), variance - gain @ covariance[there, column]
            total += weight * norm.pdf(grid, mean, np.sqrt(variance))
        return total
