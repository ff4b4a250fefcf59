"""Ranges as evidence: what "between 30 and 40" says of the states and the scores of a law.

A range of a category or an ordinal leaves some of its states; one of a number truncates its score. A number with atoms
is either one of those in the range or none of them with a score between the bounds: these are branches, whose mixture
the answer is.
"""

from collections.abc import Mapping, Sequence
from itertools import product
from typing import Any

import numpy as np
import torch
from torch import Tensor

from pyro_priors.tables.beliefs import Evidence
from pyro_priors.tables.cuts import Cut
from pyro_priors.tables.wide_law import WideLaw

Ranges = Mapping[int, Any]  # by column: (low, high), each a number or (n,); of states also which, (n, k) or (k,)
BRANCHES = 6  # numbers with atoms that may have ranges in one row's table


class WeightedDrawsWarning(UserWarning):
    """Several numbers that stand in one vector have ranges: answers come from weighted draws and are not exact."""


class Allowed:
    """Checked ranges for n rows: bounds of numbers, states of the others.

    Args:
        wide: the law, of which the columns have leaves.
        ranges: as the user has them.
        count: n.

    Raises:
        ValueError: a column that is not there, other shapes, a range in which nothing lies.
    """

    def __init__(self, wide: WideLaw, ranges: Ranges | None, count: int):
        self.bounds: dict[int, tuple[Tensor, Tensor]] = {}  # of numbers, -inf and inf where there is none
        self.states: dict[int, Tensor] = {}  # (n, k) which are allowed
        for column, given in (ranges or {}).items():
            if not 0 <= column < len(wide.places):
                raise ValueError(f"ranges: expected columns below {len(wide.places)}, got {column}")
            place = wide.places[column]
            mask = np.asarray(given) if not isinstance(given, tuple) else None
            if mask is not None and (place.is_number or mask.dtype != bool):
                raise ValueError(f"ranges[{column}]: expected a pair (low, high), got {type(given).__name__}")
            if mask is not None:
                variable = place.variable
                assert variable is not None
                shape = (count, wide.variables.num_states[variable])
                try:
                    allowed = torch.from_numpy(np.broadcast_to(mask, shape).copy())
                except ValueError:
                    raise ValueError(f"ranges[{column}]: expected shape {shape}, got {mask.shape}") from None
                self._keep(column, allowed)
                continue
            low, high = _ends(column, given, count)
            if place.is_number:
                self.bounds[column] = low, high
            else:
                variable = place.variable
                assert variable is not None
                states = torch.arange(wide.variables.num_states[variable])
                self._keep(column, (states >= low.unsqueeze(-1)) & (states <= high.unsqueeze(-1)))

    def _keep(self, column: int, allowed: Tensor) -> None:
        if not bool(allowed.any(-1).all()):
            row = int((~allowed.any(-1)).nonzero()[0])
            raise ValueError(f"ranges[{column}]: expected a range with a category in it, got none in row {row}")
        self.states[column] = allowed

    def at(self, rows: np.ndarray) -> "Allowed":
        """Those of some rows."""
        part = object.__new__(Allowed)
        part.bounds = {column: (low[rows], high[rows]) for column, (low, high) in self.bounds.items()}
        part.states = {column: allowed[rows] for column, allowed in self.states.items()}
        return part

    def __bool__(self) -> bool:
        return bool(self.bounds or self.states)


def _ends(column: int, given: Any, count: int) -> tuple[Tensor, Tensor]:
    if len(given) != 2:
        raise ValueError(f"ranges[{column}]: expected a pair (low, high), got {len(given)} values")
    ends = []
    for end, missing in zip(given, (-np.inf, np.inf), strict=True):
        x = np.asarray(end, dtype=float)
        if x.shape not in ((), (count,)):
            raise ValueError(f"ranges[{column}]: expected bounds of shape ({count},), got {x.shape}")
        ends.append(np.broadcast_to(np.where(np.isnan(x), missing, x), (count,)))
    if (ends[0] > ends[1]).any():
        row = int((ends[0] > ends[1]).nonzero()[0][0])
        raise ValueError(f"ranges[{column}]: expected low <= high, got {ends[0][row]} and {ends[1][row]} in row {row}")
    return torch.from_numpy(ends[0].copy()), torch.from_numpy(ends[1].copy())


def evidence_of(wide: WideLaw, rows: Tensor, allowed: Allowed) -> list[Evidence]:
    """What is known of rows ``(n, W)``, in branches whose sum it is: one where no number with atoms has a range.

    A range of a cell that is known says nothing more.
    """
    weights: Tensor | None = None
    if allowed.states:
        weights = rows.new_zeros(len(rows), len(wide.variables), wide.states)
        for column, mask in allowed.states.items():
            place = wide.places[column]
            open_rows = rows[:, place.states].isnan().unsqueeze(-1)
            weights[:, place.variable, : mask.shape[-1]].masked_fill_(~mask & open_rows, -torch.inf)
    first = Evidence(rows, weights, {}, torch.ones(len(rows), dtype=torch.bool))
    split = [column for column in allowed.bounds if wide.places[column].atoms]
    if len(split) > BRANCHES:
        raise ValueError(f"ranges: expected at most {BRANCHES} numbers with values in excess, got {len(split)}")
    branches = []
    for at_atoms in product(*([False, True] for _ in split)):
        chosen = dict(zip(split, at_atoms, strict=True))
        part = first
        for column, (low, high) in allowed.bounds.items():
            part = _bounded(wide, part, column, low, high, chosen.get(column))
        branches.append(part)
    return branches


def _bounded(
    wide: WideLaw, evidence: Evidence, column: int, low: Tensor, high: Tensor, at_atom: bool | None
) -> Evidence:
    """Evidence with the range of a number: at an atom (yes, no) where it has any."""
    place, leaf, rows = wide.places[column], wide.leaves[column], evidence.rows
    assert place.vector is not None
    assert place.number is not None
    there = ((low != -torch.inf) | (high != torch.inf)) & rows[:, list(place.columns)].isnan().all(-1)
    if at_atom is not None:
        assert place.variable is not None
        values = wide.atoms(column)
        inside = (values >= low.unsqueeze(-1)) & (values <= high.unsqueeze(-1))
        weights = evidence.log_weights
        weights = rows.new_zeros(len(rows), len(wide.variables), wide.states) if weights is None else weights.clone()
        some = torch.cat([inside, torch.zeros(len(rows), 1, dtype=torch.bool)], -1)
        possible = inside.any(-1) | ~there
        if at_atom:
            drop = ~some & (there & inside.any(-1)).unsqueeze(-1)
            weights[:, place.variable, : place.atoms + 1].masked_fill_(drop, -torch.inf)
            return evidence._replace(log_weights=weights, possible=evidence.possible & possible)
        evidence = evidence._replace(possible=evidence.possible & there)
        flags = torch.where(there, float(place.atoms), rows[:, place.states])
        evidence = evidence.given((place.states,), flags.unsqueeze(-1))  # pyright: ignore[reportArgumentType]
    scores = wide.score_bounds(column, low, high)
    bounds = [torch.where(there, z, end) for z, end in zip(scores, (-torch.inf, torch.inf), strict=True)]
    size = len(wide.vector_columns(place.vector))
    shape = (len(rows), size)
    cut = evidence.cuts.get(place.vector) or Cut(rows.new_full(shape, -torch.inf), rows.new_full(shape, torch.inf))
    ends = []
    for end, z in zip(cut, bounds, strict=True):
        end = end.clone()
        end[:, place.number] = z
        ends.append(end)
    del leaf
    return evidence._replace(cuts={**evidence.cuts, place.vector: Cut(*ends)})


def draws_only(evidence: Evidence, wide: WideLaw) -> Tensor:
    """In which rows several numbers of one vector have ranges, ``(n,)``."""
    result = torch.zeros(len(evidence.rows), dtype=torch.bool)
    for variable, cut in evidence.cuts.items():
        bounded = cut.bounded & wide.value(evidence.rows, variable).isnan()
        result |= bounded.sum(-1) > 1
    return result


def columns_of(ranges: Ranges | None) -> Sequence[int]:
    """The columns that have ranges."""
    return tuple(ranges or ())
