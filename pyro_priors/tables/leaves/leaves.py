"""Leaves: how a column of a table is written in the law, as states, a normal score, or both, and read from it."""

from collections.abc import Sequence
from dataclasses import dataclass
from functools import cached_property
from typing import Any, NamedTuple, Protocol

import torch
from torch import Tensor

from pyro_priors.distributions.kinds import Continuous, Discrete
from pyro_priors.tables.leaves.few_values import SAME, FewValues
from pyro_priors.tables.leaves.score_means import ScoreMeans
from pyro_priors.tables.leaves.score_mixtures import Bounds
from pyro_priors.tables.leaves.scores import NormalScores

FINE = 256  # values from which on their steps are too small for a mean to tell


class ScoreRange(NamedTuple):
    """What a range of own units means in the law.

    Args:
        states: which states it allows, ``(n, k)``; None of a leaf without states.
        bounds: of the score, each ``(n,)``; None of a leaf without one.
    """

    states: Tensor | None
    bounds: Bounds | None


class Leaf(Protocol):
    """A column of codes and its columns in the law.

    `kinds` are those of the law's columns; `encode` ``(n,) -> (n, W)`` and `decode` ``(n, W) -> (n,)`` turn one into
    the other, NaN where missing; `log_jacobian` ``(n,) -> (n,)`` is what the law's density gains in own units, 0 where
    there is none; `score_range` says what a closed range of own units means.
    """

    @property
    def resolution(self) -> float | None: ...

    @property
    def kinds(self) -> tuple[Discrete | Continuous, ...]: ...

    def encode(self, x: Tensor) -> Tensor: ...

    def decode(self, columns: Tensor) -> Tensor: ...

    def log_jacobian(self, x: Tensor) -> Tensor: ...

    def score_range(self, low: Tensor, high: Tensor) -> ScoreRange: ...

    def to_json(self) -> dict[str, Any]: ...


@dataclass(frozen=True)
class StateLeaf:
    """A column of k states.

    Args:
        k: how many.
        ordered: whether their order means something.
        values: what number each stands for, rising; None: 0, 1, ..., k - 1.

    Example:
        >>> leaf = StateLeaf(3, ordered=True, values=(1.0, 2.0, 5.0))
        >>> leaf.encode(torch.tensor([5.0, 1.0])).tolist(), leaf.decode(torch.tensor([[2.0]])).tolist()
        ([[2.0], [0.0]], [5.0])
    """

    k: int
    ordered: bool = False
    values: tuple[float, ...] | None = None
    resolution: float | None = None

    @property
    def kinds(self) -> tuple[Discrete | Continuous, ...]:
        return (Discrete(self.k),)

    def numbers(self) -> Tensor:
        """What number each state stands for: ``(k,)``"""
        return torch.tensor(self.values or range(self.k), dtype=torch.float64)

    def encode(self, x: Tensor) -> Tensor:
        """Own units to states, a number that was never seen to the nearest one's: ``(n,) -> (n, 1)``

        Raises:
            ValueError: what is no state, of a column without values.
        """
        x = x.double()
        if self.values is None:
            wrong = ~x.isnan() & ((x != x.round()) | (x < 0) | (x >= self.k))
            if bool(wrong.any()):
                raise ValueError(f"x: expected states 0 to {self.k - 1} or NaN, got {float(x[wrong][0])}")
            return x.unsqueeze(-1)
        numbers = self.numbers().to(x.device)
        state = torch.searchsorted((numbers[1:] + numbers[:-1]) / 2, x.contiguous()).double()
        return torch.where(x.isnan(), torch.nan, state).unsqueeze(-1)

    def decode(self, columns: Tensor) -> Tensor:
        state = columns[..., 0].double()
        missing = state.isnan()
        place = state.nan_to_num(0.0).round().clamp(0, self.k - 1).long()
        return torch.where(missing, torch.nan, self.numbers().to(state.device)[place])

    def log_jacobian(self, x: Tensor) -> Tensor:
        return torch.zeros_like(x, dtype=torch.float64)

    def score_range(self, low: Tensor, high: Tensor) -> ScoreRange:
        low, high = _checked(low, high)
        return ScoreRange(_within(self.numbers(), low, high), None)

    def to_json(self) -> dict[str, Any]:
        return {"leaf": "states", "k": self.k, "ordered": self.ordered, "values": self.values and list(self.values)}


@dataclass(frozen=True)
class NumberLeaf:
    """A column of numbers: a normal score, with states for values in excess.

    In the law's columns state j < a is atom j and state a "none of them"; with an atom the score is missing. Without
    atoms there is the score alone.

    Args:
        scores: the transform.
        atoms: values that are states of their own, rising.
        low, high: the range seen of the numbers that are no atoms, within which `decode` and the means stay.
        whole: whether they are all whole.
        resolution: the step of the grid that they stand on, None of a continuous column.
        origin: a number on that grid.
        values: the only numbers there are, rising, atoms aside, where they come again and again; None: any within the
            range. A score stands for that whose own score is nearest.
    """

    scores: NormalScores
    atoms: tuple[float, ...]
    low: float
    high: float
    whole: bool = False
    resolution: float | None = None
    origin: float = 0.0
    values: tuple[float, ...] | None = None

    @property
    def kinds(self) -> tuple[Discrete | Continuous, ...]:
        return (Discrete(len(self.atoms) + 1), Continuous(1)) if self.atoms else (Continuous(1),)

    def encode(self, x: Tensor) -> Tensor:
        """Own units to law columns, ``(n,) -> (n, W)``; a number outside the range seen has a score in the tails."""
        x = x.double()
        score = self.scores.encode(x).unsqueeze(-1)
        if not self.atoms:
            return score
        state = self._state(x)
        atom = (state < len(self.atoms)).unsqueeze(-1)
        return torch.cat(
            [torch.where(x.isnan(), torch.nan, state).unsqueeze(-1), score.masked_fill(atom, torch.nan)], -1
        )

    def _state(self, x: Tensor) -> Tensor:
        """Which atom a number is, their count where it is none."""
        atoms = torch.tensor(self.atoms, dtype=torch.float64, device=x.device)
        same = (x.unsqueeze(-1) - atoms).abs() <= SAME * atoms.abs()
        none = torch.full_like(x, len(self.atoms))
        return torch.where(same.any(-1), same.double().argmax(-1).double(), none) if self.atoms else none

    def decode(self, columns: Tensor) -> Tensor:
        """Law columns to own units, ``(n, W) -> (n,)``, within the range seen; NaN where state or score is missing."""
        columns = columns.double()
        number = self._number(columns[..., -1])
        if not self.atoms:
            return number
        state = columns[..., 0]
        atoms = torch.tensor([*self.atoms, torch.nan], dtype=torch.float64, device=state.device)
        place = state.nan_to_num(0.0).round().clamp(0, len(self.atoms)).long()
        value = torch.where(place == len(self.atoms), number, atoms[place])
        return torch.where(state.isnan(), torch.nan, value)

    def _number(self, score: Tensor) -> Tensor:
        if self._few is None:
            return self.scores.decode(score).clamp(self.low, self.high)
        return self._few.decode(score)

    @cached_property
    def _few(self) -> FewValues | None:
        return None if self.values is None else FewValues(self.values, self.scores)

    def log_jacobian(self, x: Tensor) -> Tensor:
        x = x.double()
        none = x.isnan() | (self._state(x) < len(self.atoms))
        return torch.where(none, 0.0, self.scores.log_slope(x))

    @cached_property
    def _means(self) -> ScoreMeans:
        low, high = self.scores.encode(torch.tensor([self.low, self.high], dtype=torch.float64)).tolist()
        return ScoreMeans(self._number, low, high)

    def mean(self, w: Tensor, m: Tensor, s: Tensor, bounds: Bounds | None = None) -> Tensor:
        """The mean in own units of a mixture of Gaussians over the score, atoms aside.

        Shapes:
            ``w, m, s (n, K)``, ``bounds`` of ``(n,)``: of the score -> ``(n,)``
        """
        exact = self._few if self._few is not None and len(self._few.values) <= FINE else None
        return self._means(w, m, s, bounds) if exact is None else exact.mean(w, m, s, bounds)

    def cell(self, x: Tensor) -> Bounds:
        """The scores of the cell of the grid that a number is in: half a step on either side of the grid's number.

        Where the column has few `values`, those of one are all scores that stand for it; another number has its grid's.

        Raises:
            ValueError: a column without a grid.
        """
        if self.resolution is None:
            raise ValueError("x: expected a column of numbers on a grid, got a continuous one")
        centre = self.origin + ((x.double() - self.origin) / self.resolution).round() * self.resolution
        half = self.resolution / 2
        cell = Bounds(self.scores.encode(centre - half), self.scores.encode(centre + half))
        return cell if self._few is None else self._few.cell(x, cell)

    def beneath(self, x: Tensor) -> Bounds:
        """The scores beneath which numbers are less than x, and at most x; the same of a continuous column."""
        if self._few is not None:
            return self._few.beneath(x)
        if self.resolution is not None:
            half = self.resolution / 2
            return Bounds(self.scores.encode(x - half), self.scores.encode(x + half))
        score = self.scores.encode(x)
        return Bounds(score, score)

    def score_range(self, low: Tensor, high: Tensor) -> ScoreRange:
        """Scores of a closed range of own units; at a grid's column half a step more on both sides."""
        low, high = _checked(low, high)
        half = (self.resolution or 0.0) / 2
        bounds = Bounds(*(torch.where(x.isinf(), x, self.scores.encode(x)) for x in (low - half, high + half)))
        if self._few is not None:
            exact = self._few.within(low, high)
            holds = exact.low < exact.high
            if not self.atoms and not bool(holds.all()):
                k = int((~holds).nonzero()[0])
                raise ValueError(
                    f"range: expected one with a number in it that the column has, got none "
                    f"from {float(low[k]):g} to {float(high[k]):g}"
                )
            bounds = Bounds(*(torch.where(holds, x, other) for x, other in zip(exact, bounds, strict=True)))
        if not self.atoms:
            return ScoreRange(None, bounds)
        atoms = _within(torch.tensor(self.atoms, dtype=torch.float64), low, high)
        return ScoreRange(torch.cat([atoms, torch.ones_like(atoms[:, :1])], -1), bounds)

    def to_json(self) -> dict[str, Any]:
        return {
            "leaf": "number",
            "scores": self.scores.to_json(),
            "atoms": list(self.atoms),
            "low": self.low,
            "high": self.high,
            "whole": self.whole,
            "resolution": self.resolution,
            "origin": self.origin,
            "values": self.values and list(self.values),
        }


def leaf_from_json(value: dict[str, Any]) -> StateLeaf | NumberLeaf:
    """What a leaf's `to_json` wrote.

    Example:
        >>> leaf_from_json(StateLeaf(3).to_json()) == StateLeaf(3)
        True
    """
    value = dict(value)
    kind = value.pop("leaf", None)
    if kind == "states":
        values = value["values"]
        return StateLeaf(value["k"], value["ordered"], None if values is None else tuple(values))
    if kind == "number":
        scores = NormalScores.from_json(value.pop("scores"))
        atoms, values = tuple(value.pop("atoms")), value.pop("values", None)
        return NumberLeaf(scores, atoms, **value, values=None if values is None else tuple(values))
    raise ValueError(f"leaf: expected 'states' or 'number', got {kind!r}")


def _within(numbers: Tensor, low: Tensor, high: Tensor) -> Tensor:
    numbers = numbers.to(low.device)
    return (numbers >= low.unsqueeze(-1)) & (numbers <= high.unsqueeze(-1))


def _checked(low: Tensor | Sequence[float], high: Tensor | Sequence[float]) -> tuple[Tensor, Tensor]:
    low, high = (torch.as_tensor(end, dtype=torch.float64) for end in (low, high))
    wrong = ~(low <= high)
    if bool(wrong.any()):
        k = int(wrong.nonzero()[0])
        raise ValueError(f"range: expected low <= high, got {float(low[k])} and {float(high[k])}")
    return low, high
