"""A column's leaf from its values: states, a normal score, or a score with states for values in excess."""

from typing import Literal

import torch
from torch import Tensor

from pyro_priors.data.schema import Field
from pyro_priors.tables.leaves.grids import find_atoms, find_resolution
from pyro_priors.tables.leaves.leaves import NumberLeaf, StateLeaf
from pyro_priors.tables.leaves.score_fitting import fit_scores, tally

Form = Literal["states", "scores", "atoms"]
MOST_STATES = 64  # different numbers that may be tried as states
UNSEEN = 0.005  # probability of a number that was never seen, below which there are no others


def forms(field: Field, x: Tensor, weight: Tensor | None = None) -> tuple[Form, ...]:
    """The forms that a column may take, by its kind and values; the default first.

    Example:
        >>> forms(Field("age", "count"), torch.tensor([31.0, 40.0, 52.0]))
        ('scores', 'states')
    """
    if field.categories is not None:  # ordered ones too, which want the mode of the law
        return ("states",)
    few = field.kind == "count" and len(tally(x, weight)[0]) <= MOST_STATES
    numbers: tuple[Form, ...] = ("atoms", "scores") if find_atoms(x, weight) else ("scores",)
    return (*numbers, "states") if few else numbers


def fit_leaf(field: Field, x: Tensor, weight: Tensor | None = None, form: Form | None = None) -> StateLeaf | NumberLeaf:
    """The leaf of a column.

    Args:
        field: what it is.
        x: its codes, NaN where missing.
        weight: of the rows.
        form: "states", "scores" or "atoms" (scores, with states for values in excess); None: states for what has
            categories, else scores with what atoms there are.

    Shapes:
        ``x, weight (n,)``

    Raises:
        ValueError: an unknown form, a score of categories, a column without values.

    Example:
        >>> fit_leaf(Field("age", "count"), torch.tensor([31.0, 40.0, 52.0])).kinds
        (Continuous(components=1),)
    """
    x = torch.as_tensor(x, dtype=torch.float64)
    if form not in (None, "states", "scores", "atoms"):
        raise ValueError(f"form: expected 'states', 'scores' or 'atoms', got {form!r}")
    if field.categories is not None and form not in (None, "states"):
        raise ValueError(f"form: expected 'states' of a {field.kind} column, {field.name}, got {form!r}")
    if field.categories is not None:
        return StateLeaf(len(field.categories), field.kind == "ordinal")
    values, _ = tally(x, weight)
    if not len(values):
        raise ValueError(f"x: expected a value of {field.name} that is not missing, got none")
    if form == "states":
        return StateLeaf(len(values), True, tuple(values.tolist()))
    return _number_leaf(x, weight, form or "atoms")


def _number_leaf(x: Tensor, weight: Tensor | None, form: Form) -> NumberLeaf:
    atoms = find_atoms(x, weight) if form == "atoms" else ()
    rest = x.masked_fill(torch.isin(x, torch.tensor(atoms, dtype=torch.float64)), torch.nan)
    values, counts = tally(rest, weight)
    step = find_resolution(rest, weight)
    return NumberLeaf(
        fit_scores(rest, weight),
        atoms,
        low=float(values[0]),
        high=float(values[-1]),
        whole=bool((values == values.round()).all()),
        resolution=step,
        origin=float(values[counts.argmax()]) if step else 0.0,
        values=tuple(values.tolist()) if step and _all_seen(counts) else None,
    )


def _all_seen(counts: Tensor) -> bool:
    """Whether hardly a further value is to be expected, by the share of those seen once (Good 1953)."""
    return len(counts) > 1 and float((counts < 2).sum()) <= UNSEEN * float(counts.sum())
