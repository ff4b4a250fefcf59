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

from pyro_priors.tables.answers.beliefs import Evidence
from pyro_priors.tables.answers.cuts import Cut
from pyro_priors.tables.laws.wide_law import WideLaw
from pyro_priors.tables.leaves.score_mixtures import Bounds

Ranges = Mapping[int, Any]  # by column: (low, high), each a number or (n,); of states also which, (n, k) or (k,)
BRANCHES = 6  # numbers with atoms that may have ranges in one row's table


class WeightedDrawsWarning(UserWarning):
    """Several numbers that stand in one vector have ranges: answers come from weighted draws and are not exact."""


class Allowed:
    """Checked ranges for n rows.

    Args:
        wide: a law, of which the columns have leaves.
        ranges: as the user has them.
        count: n.

    Raises:
        ValueError: a column that is not there, other shapes, low above high.
    """

    def __init__(self, wide: WideLaw, ranges: Ranges | None, count: int):
        self.bounds: dict[int, tuple[Tensor, Tensor]] = {}  # (n,), -inf and inf where there is none
        self.states: dict[int, Tensor] = {}  # (n, k): which categories are allowed
        for column, given in (ranges or {}).items():
            if not 0 <= column < len(wide.places):
                raise ValueError(f"ranges: expected columns below {len(wide.places)}, got {column}")
            if isinstance(given, np.ndarray) and given.dtype == bool:
                self.states[column] = _mask(wide, column, given, count)
            else:
                self.bounds[column] = _ends(column, given, count)

    def at(self, rows: np.ndarray) -> "Allowed":
        """Those of some rows."""
        part = object.__new__(Allowed)
        part.bounds = {column: (low[rows], high[rows]) for column, (low, high) in self.bounds.items()}
        part.states = {column: allowed[rows] for column, allowed in self.states.items()}
        return part


def _mask(wide: WideLaw, column: int, given: np.ndarray, count: int) -> Tensor:
    place = wide.places[column]
    if place.is_number or place.variable is None:
        raise ValueError(f"ranges[{column}]: expected a pair (low, high) of numbers, got booleans")
    shape = (count, wide.variables.num_states[place.variable])
    try:
        return torch.from_numpy(np.broadcast_to(given, shape).copy())
    except ValueError:
        raise ValueError(f"ranges[{column}]: expected shape {shape}, got {given.shape}") from None


def _ends(column: int, given: Any, count: int) -> tuple[Tensor, Tensor]:
    if not isinstance(given, Sequence) or len(given) != 2:
        raise ValueError(f"ranges[{column}]: expected a pair (low, high), got {given!r}")
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

    Raises:
        ValueError: a range in which a column has no category, or too many numbers with atoms.
    """
    evidence = Evidence(rows, None, {}, torch.ones(len(rows), dtype=torch.bool))
    for column, mask in allowed.states.items():
        evidence = _only(wide, evidence, column, mask)
    split = [column for column in allowed.bounds if wide.places[column].atoms]
    if len(split) > BRANCHES:
        raise ValueError(f"ranges: expected at most {BRANCHES} numbers with values in excess, got {len(split)}")
    branches = []
    for at_atoms in product(*([False, True] for _ in split)):
        chosen, part = dict(zip(split, at_atoms, strict=True)), evidence
        for column, ends in allowed.bounds.items():
            states, bounds = wide.leaves[column].score_range(*ends)
            missing = rows[:, list(wide.places[column].columns)].isnan().all(-1)
            there = missing & ((ends[0] != -torch.inf) | (ends[1] != torch.inf))
            if column in chosen:
                assert states is not None
                part = _at_atom(wide, part, column, states, there, chosen[column])
            elif states is not None:
                part = _only(wide, part, column, states)
            if bounds is not None and not chosen.get(column):
                part = _bounded(wide, part, column, bounds, there)
        branches.append(part)
    return branches


def _only(wide: WideLaw, evidence: Evidence, column: int, allowed: Tensor) -> Evidence:
    """Evidence that leaves a column, where it is missing, only some of its states, ``(n, k)``."""
    place, rows = wide.places[column], evidence.rows
    missing = rows[:, place.states].isnan().unsqueeze(-1)
    none = ~(allowed.any(-1, keepdim=True) | ~missing)
    if bool(none.any()):
        raise ValueError(f"ranges[{column}]: expected a range with a category in it, got one with none")
    weights = evidence.log_weights
    weights = rows.new_zeros(len(rows), len(wide.variables), wide.states) if weights is None else weights.clone()
    weights[:, place.variable, : allowed.shape[-1]].masked_fill_(~allowed & missing, -torch.inf)
    return evidence._replace(log_weights=weights)


def _at_atom(wide: WideLaw, evidence: Evidence, column: int, states: Tensor, there: Tensor, at_atom: bool) -> Evidence:
    """Evidence of the rows in which a number is one of its atoms within its range, or in which it is none of them.

    Rows without a range are in the first branch.
    """
    place = wide.places[column]
    assert place.states is not None
    if not at_atom:
        flags = torch.where(there, float(place.atoms), evidence.rows[:, place.states])
        return evidence.given((place.states,), flags.unsqueeze(-1))._replace(possible=evidence.possible & there)
    inside = states[:, :-1].any(-1)
    states = torch.where((there & inside).unsqueeze(-1), states, True)
    states[there & inside, -1] = False
    return _only(wide, evidence, column, states)._replace(possible=evidence.possible & (inside | ~there))


def _bounded(wide: WideLaw, evidence: Evidence, column: int, bounds: Bounds, there: Tensor) -> Evidence:
    """Evidence with bounds of a number's score in some rows."""
    place, rows = wide.places[column], evidence.rows
    assert place.vector is not None
    assert place.number is not None
    shape = (len(rows), len(wide.vector_columns(place.vector)))
    cut = evidence.cuts.get(place.vector) or Cut(rows.new_full(shape, -torch.inf), rows.new_full(shape, torch.inf))
    cut = Cut(*(end.clone() for end in cut))
    for end, bound, none in zip(cut, bounds, (-torch.inf, torch.inf), strict=True):
        end[:, place.number] = torch.where(there, bound, none)
    return evidence._replace(cuts={**evidence.cuts, place.vector: cut})


def columns_of(ranges: Ranges | None) -> Sequence[int]:
    """The columns that have ranges."""
    return tuple(ranges or ())
