"""Rows that were seen, as a law: a kernel about each of them, which copies a cell or asks the chain anew."""

import copy
import math
from collections.abc import Sequence
from typing import NamedTuple

import numpy as np
import torch
from torch import Tensor, nn

from pyro_priors.tables.laws.kernel_densities import copies, interval_masses, log_density, log_mass

NARROWEST = 0.02  # standard deviation of a copied score
FAR, SAME = 1e3, 1e-4  # a score beyond all, and how near one is the same
LEAST = 1e-12  # probability of a state under an exemplar


class Slabs(NamedTuple):
    """What a chain expects of every cell of some rows given the other cells of its row.

    Args:
        mean, scale: of the scores, ``(M, S)``.
        probs: of the states of each column that has some, ``(M, k)``, by column of the law.
    """

    mean: Tensor
    scale: Tensor
    probs: dict[int, Tensor]


class Exemplars(nn.Module):
    """A law of rows that are like one that was seen: near-equal rows of a table tell more than any few states.

    p(x) = sum_i w_i prod_c [(1 - l_c) K_c(x_c | x_ic) + l_c q_ic(x_c)]

    With probability 1 - l_c a cell is a copy of that of the exemplar i: K_c is the same state, or a Gaussian of width
    h_c about the score. Else it is drawn as a chain has it: q_ic is what that expects there given the other cells of
    row i, and all there is where x_ic is missing. Given its exemplar the cells of a row are independent, so that every
    marginal, conditional and draw is exact.

    Args:
        rows: of the law ``(M, W)``, NaN = missing; the first S columns are scores, the others have states.
        slabs: q of these rows.
        weight: w, in relation, ``(M,)``; None: all alike.

    Shapes:
        `log_width (S,)` and `copied (W,)`, the logit of 1 - l, are learned; so is `share`, the logit of this law's part
        in its mixture with the chain.

    References:
        Aitchison, Aitken, "Multivariate binary discrimination by the kernel method", Biometrika 63, 1976, eq. 3
        (kernels of categories); Hjort, Glad, "Nonparametric density estimation with a parametric start", Annals of
        Statistics 23, 1995; Norouzi, Fleet, Norouzi, "Exemplar VAE", 2020, eq. 2.

    Example:
        >>> slabs = Slabs(torch.zeros(2, 1), torch.ones(2, 1), {1: torch.full((2, 3), 1 / 3)})
        >>> law = Exemplars(torch.tensor([[0.0, 2.0], [1.0, float("nan")]]), slabs)
        >>> law.state_probs(1).shape, len(law)
        (torch.Size([2, 3]), 2)
    """

    rows: Tensor
    mean: Tensor
    scale: Tensor
    log_weight: Tensor

    def __init__(self, rows: Tensor, slabs: Slabs, weight: Tensor | None = None):
        super().__init__()
        weight = torch.ones(len(rows), dtype=torch.float64) if weight is None else weight.double()
        self.log_width = nn.Parameter(torch.full((slabs.mean.shape[1],), math.log(0.1), dtype=torch.float64))
        self.copied = nn.Parameter(torch.zeros(rows.shape[1], dtype=torch.float64))
        self.share = nn.Parameter(torch.zeros((), dtype=torch.float64))
        self.columns = tuple(slabs.probs)
        self.register_buffer("rows", rows.double())
        self.register_buffer("log_weight", (weight / weight.sum()).log())
        self.register_buffer("mean", slabs.mean.double())
        self.register_buffer("scale", slabs.scale.double())
        for column, probs in slabs.probs.items():
            self.register_buffer(f"probs{column}", probs.double())

    @classmethod
    def empty(cls, count: int, scores: int, states: Sequence[int]) -> "Exemplars":
        """One of so many rows, scores, and columns of so many states, to load values into."""
        mean = torch.ones(count, scores, dtype=torch.float64)
        probs = {scores + place: mean.new_ones(count, k) for place, k in enumerate(states)}
        return cls(mean.new_ones(count, scores + len(states)), Slabs(mean, mean, probs))

    def __len__(self) -> int:
        return len(self.rows)

    @property
    def log_shares(self) -> tuple[Tensor, Tensor]:
        """Of this law and of the chain, in their mixture."""
        sigmoid = torch.nn.functional.logsigmoid
        return sigmoid(self.share), sigmoid(-self.share)

    def at(self, index: Tensor) -> "Exemplars":
        """The same kernels about some of the rows."""
        part = copy.copy(self)
        part._buffers = {name: buffer[index] for name, buffer in self._buffers.items() if buffer is not None}
        part.log_weight = part.log_weight - part.log_weight.logsumexp(0)
        return part

    # ---- kernels

    def states(self, column: int) -> int:
        """How many states a column has."""
        return self.probs(column).shape[-1]

    def probs(self, column: int) -> Tensor:
        """What the chain expects in a column: ``(M, k)``"""
        return getattr(self, f"probs{column}")

    def width(self, column: int) -> Tensor:
        """Standard deviation of a copy of a score."""
        return self.log_width[column].exp().clamp_min(NARROWEST)

    def log_copied(self, column: int) -> tuple[Tensor, Tensor]:
        """log of the probabilities that a cell is a copy, and that it is not: ``(M,)`` twice."""
        sigmoid, logit = torch.nn.functional.logsigmoid, self.copied[column]
        missing = self.rows[:, column].isnan()
        return torch.where(missing, -torch.inf, sigmoid(logit)), torch.where(missing, 0.0, sigmoid(-logit))

    def state_probs(self, column: int) -> Tensor:
        """Of a column's states, under each exemplar: ``(M, k)``"""
        probs, same = self.probs(column), self.rows[:, column].nan_to_num(0.0).long()
        copy_, anew = (x.exp().unsqueeze(-1) for x in self.log_copied(column))
        return (copy_ * torch.nn.functional.one_hot(same, probs.shape[-1]) + anew * probs).clamp_min(LEAST)

    def log_density(self, column: int, score: Tensor) -> Tensor:
        """Of scores of a column under each exemplar: ``(n,) -> (n, M)``"""
        mean, scale = self.mean[:, column], self.scale[:, column]
        return log_density(score, self._centre(column), self.width(column), mean, scale, self._log_parts(column))

    def log_mass(self, column: int, low: Tensor, high: Tensor) -> Tensor:
        """Of intervals of a column's score under each exemplar: ``(n,) x 2 -> (n, M)``"""
        ends = _finite(low, high)
        slab = interval_masses(ends, self.mean[:, column], self.scale[:, column])
        return log_mass(ends, self._centre(column), self.width(column), slab, self._log_parts(column))

    def masses(self, column: int, low: Tensor, high: Tensor) -> tuple[Tensor, Tensor]:
        """Of intervals, the copies' part and the chain's: ``(n,) x 2 -> (n, M)`` twice"""
        ends, (copied, anew) = _finite(low, high), self._log_parts(column).exp()
        slab = interval_masses(ends, self.mean[:, column], self.scale[:, column])
        return copies(ends, self._centre(column), self.width(column)) * copied, slab * anew

    def _centre(self, column: int) -> Tensor:
        return self.rows[:, column].nan_to_num(0.0)

    def _log_parts(self, column: int) -> Tensor:
        return torch.stack(self.log_copied(column))  # (2, M)


def find(rows: Tensor, among: Tensor) -> Tensor:
    """Where a row stands among others that know exactly what it knows, -1 for nowhere: ``(n, W), (M, W) -> (n,)``

    Example:
        >>> nan = float("nan")
        >>> find(torch.tensor([[1.0, nan], [1.0, 2.0]]), torch.tensor([[0.0, 0.0], [1.0, nan]])).tolist()
        [1, -1]
    """
    return looked_up(rows, places_of(among))


def places_of(rows: Tensor) -> dict[bytes, int]:
    """Where each of some rows stands, ``(M, W)``, for `looked_up`."""
    return {key: place for place, key in enumerate(_keys(rows))}


def looked_up(rows: Tensor, places: dict[bytes, int]) -> Tensor:
    """As `find`, among rows whose places are known."""
    return torch.tensor([places.get(key, -1) for key in _keys(rows)], dtype=torch.long)


def _keys(rows: Tensor) -> list[bytes]:
    """Equal for equal rows, ``(n, W)``: scores to `SAME`, as another machine or float32 may have them."""
    cells = np.ascontiguousarray((rows.double() / SAME).round().nan_to_num(nan=torch.inf).numpy()) + 0.0  # no -0
    return [row.tobytes() for row in cells]


def _finite(low: Tensor, high: Tensor) -> tuple[Tensor, Tensor]:
    return low.clamp(-FAR, FAR), high.clamp(-FAR, FAR)  # gradients at infinity are none
