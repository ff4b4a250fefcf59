"""A fitted law of a table in double precision, and where each column of codes stands in it."""

import copy
from collections.abc import Sequence
from functools import cached_property
from typing import Any, Literal, NamedTuple

import numpy as np
import torch
from torch import Tensor

from pyro_priors.distributions import Discrete
from pyro_priors.distributions.chain_law import ChainLaw
from pyro_priors.distributions.diagonal_gaussians import DiagonalGaussians
from pyro_priors.distributions.gaussians import Gaussians
from pyro_priors.tables.laws.exemplars import Exemplars, looked_up, places_of
from pyro_priors.tables.leaves.leaves import NumberLeaf, StateLeaf
from pyro_priors.tables.leaves.score_mixtures import Bounds

Measure = Literal["mass", "density", "mixed"]


class Place(NamedTuple):
    """Where a column of codes stands in the law: None where there is no such part."""

    states: int | None  # law column of its category, or of which atom it is
    score: int | None  # law column of its score
    variable: int | None  # of the chain, to which the states belong
    vector: int | None  # variable of the chain to which the score belongs
    number: int | None  # which number of that variable
    atoms: int  # values in excess that have a state of their own; the state after them is "none of them"
    is_number: bool  # whether codes are in own units, not indices of categories

    @property
    def columns(self) -> tuple[int, ...]:
        return tuple(c for c in (self.states, self.score) if c is not None)


class WideLaw:
    """What answers need of a `TableLaw`: its distribution in double precision, its leaves, and its columns.

    A copy: that the law is trained on changes no answers of before.

    Args:
        table_law: `leaves`, `columns`, `prior`, `exemplars` and `rows(codes)` are used.
    """

    exemplars: Exemplars | None = None

    def __init__(self, table_law: Any):
        self.table_law = table_law
        self.leaves: Sequence[StateLeaf | NumberLeaf] = table_law.leaves
        with torch.no_grad():
            self.law: ChainLaw = copy.deepcopy(table_law.prior).double().requires_grad_(False)()
        variables = self.law.variables
        self.variables, self.width = variables, variables.width
        self.places = [self._place(leaf, places) for leaf, places in zip(self.leaves, table_law.columns, strict=True)]
        self.states = max(variables.num_states)
        if table_law.exemplars is not None:
            self.exemplars = copy.deepcopy(table_law.exemplars).requires_grad_(False)
        self._gaussians: dict[int, Gaussians] = {}

    def _place(self, leaf: StateLeaf | NumberLeaf, columns: Sequence[int]) -> Place:
        states = score = variable = vector = number = None
        for column in columns:
            at = self.variables.variable_of[column]
            if self.variables.is_continuous[column]:
                score, vector, number = column, at, self.variables.columns_of[at].index(column)
            else:
                states, variable = column, at
        if isinstance(leaf, StateLeaf):
            return Place(states, score, variable, vector, number, 0, leaf.values is not None)
        return Place(states, score, variable, vector, number, len(leaf.atoms), True)

    def number_leaf(self, column: int) -> NumberLeaf:
        """The leaf of a column that has a score."""
        leaf = self.leaves[column]
        assert isinstance(leaf, NumberLeaf)
        return leaf

    def values(self, column: int) -> Tensor:
        """What numbers the states of a column stand for, but for "none of them": ``(k,)``"""
        leaf = self.leaves[column]
        return leaf.numbers() if isinstance(leaf, StateLeaf) else torch.tensor(leaf.atoms, dtype=torch.float64)

    def decode(self, column: int, score: Tensor) -> Tensor:
        """Scores in a column's own units: ``(n,) -> (n,)``"""
        parts = [score] if not self.places[column].atoms else [torch.full_like(score, self.places[column].atoms), score]
        return self.leaves[column].decode(torch.stack(parts, -1))

    def rows(self, codes: np.ndarray) -> Tensor:
        """Codes ``(n, C)`` as rows of the law, ``(n, W)``."""
        return self.table_law.rows(codes).double()

    def codes(self, rows: Tensor) -> np.ndarray:
        """And back."""
        return np.asarray(self.table_law.codes(rows), dtype=np.float64)

    @property
    def entries(self) -> int:
        """How many numbers a row takes in a contraction, or beside the exemplars, about."""
        return max(len(self.variables) * self.states, 0 if self.exemplars is None else len(self.exemplars) // 2)

    def log_jacobians(self, codes: np.ndarray) -> Tensor:
        """log |d score / d value| of what is known, 0 elsewhere: ``(n, C) -> (n, C)``"""
        result = torch.zeros(codes.shape, dtype=torch.float64)
        for column, leaf in enumerate(self.leaves):
            x = torch.from_numpy(codes[:, column])
            known = ~x.isnan()
            if self.places[column].score is not None and bool(known.any()):
                result[known, column] = leaf.log_jacobian(x[known])
        return result

    def cell(self, column: int, score: Tensor) -> Bounds | None:
        """The scores of the cells in which those of a column of the law are, ``(n,)``; None where it has densities."""
        leaf = self.leaves[self.codes_of[column]]
        if not leaf.resolution:
            return None
        assert isinstance(leaf, NumberLeaf)
        return leaf.cell(leaf.scores.decode(score))

    def remembering(self, exemplars: Exemplars) -> "WideLaw":
        """The same law with other exemplars, which are not copied."""
        made = copy.copy(self)
        made.exemplars = exemplars
        vars(made).pop("_exemplar_places", None)
        return made

    def own(self, rows: Tensor) -> Tensor:
        """Which exemplar each row is itself, -1 for none: ``(n, W) -> (n,)``"""
        return looked_up(rows, self._exemplar_places)

    @cached_property
    def _exemplar_places(self) -> dict[bytes, int]:
        return {} if self.exemplars is None else places_of(self.exemplars.rows)

    @cached_property
    def codes_of(self) -> dict[int, int]:
        """Which column of codes a column of the law belongs to."""
        return {column: c for c, place in enumerate(self.places) for column in place.columns}

    def measure(self, column: int) -> Measure:
        """Whether a column's scores are probabilities or densities."""
        if self.places[column].score is None or self.leaves[column].resolution:
            return "mass"
        return "mixed" if self.places[column].atoms else "density"

    def gaussians(self, variable: int) -> Gaussians:
        """Those of a variable of numbers, one number or several."""
        if variable in self.variables.gaussians:
            return self.variables.gaussians[variable]
        if variable not in self._gaussians:
            count = self.variables.num_states[variable]
            loc, scale = (x[0, :count].unsqueeze(-1) for x in self.variables.leaves((variable,), count))
            self._gaussians[variable] = DiagonalGaussians(loc, scale)
        return self._gaussians[variable]

    @property
    def vectors(self) -> list[int]:
        """The variables of numbers."""
        return [v for v, kind in enumerate(self.variables.kinds) if not isinstance(kind, Discrete)]

    def vector_columns(self, variable: int) -> tuple[int, ...]:
        """The columns of the law in which the numbers of a variable stand."""
        return self.variables.columns_of[variable]

    def value(self, rows: Tensor, variable: int) -> Tensor:
        """The numbers of a variable: ``(n, W) -> (n, k)``"""
        return rows[:, list(self.vector_columns(variable))]

    def numbers_of(self, variable: int) -> list[tuple[int, int]]:
        """The numbers of a variable, and the columns of codes whose scores they are."""
        return [(p.number, c) for c, p in enumerate(self.places) if p.vector == variable and p.number is not None]

    def without(self, rows: Tensor, columns: Sequence[int]) -> Tensor:
        """Rows that know nothing of some columns of the law."""
        rows = rows.clone()
        rows[:, list(columns)] = torch.nan
        return rows
