"""What a user gives a table besides its cells: values and ranges by a column's name, in the user's own spellings."""

from collections.abc import Mapping
from numbers import Real
from typing import Any, NamedTuple

import numpy as np

from pyro_priors.data.schema import Field
from pyro_priors.tables.frames import Frame
from pyro_priors.tables.schema import Schema

Ranges = dict[int, tuple[np.ndarray, np.ndarray]]


class Given(NamedTuple):
    """Values and ranges in codes, by the column among those that take part."""

    values: dict[int, float]
    ranges: dict[int, tuple[float, float]]


def read_given(schema: Schema, given: Mapping[str, Any] | None) -> Given:
    """`{"class": "red", "age": (30, 40)}` -> `Given`; None is an open end.

    Raises:
        ValueError: an unknown name, a column that takes no part, a value that its column cannot have, a range of
            categories without an order, its ends the wrong way round.
    """
    values, ranges = {}, {}
    if given is not None and not isinstance(given, Mapping):
        raise ValueError(f"given: expected a mapping from names to values, got {type(given).__name__}")
    for name, value in (given or {}).items():
        column, field = _column(schema, name)
        if isinstance(value, tuple):
            ranges[column] = _range(schema, field, value)
        else:
            values[column] = _code(schema, field, value)
    return Given(values, ranges)


def add_given(schema: Schema, codes: np.ndarray, given: Given) -> tuple[np.ndarray, Ranges]:
    """Rows (n, C) with what is given where they know nothing, and the ranges of their cells, each (n,).

    Raises:
        ValueError: a row knows something else.
    """
    codes = codes.copy()
    for column, value in given.values.items():
        _check_rows(schema, column, ~np.isnan(codes[:, column]) & (codes[:, column] != value))
        codes[:, column] = value
    ranges = {}
    for column, (low, high) in given.ranges.items():
        cells = codes[:, column]
        known = ~np.isnan(cells)
        _check_rows(schema, column, known & ((cells < low) | (cells > high)))
        ranges[column] = np.where(known, -np.inf, low), np.where(known, np.inf, high)
    return codes, ranges


def _check_rows(schema: Schema, column: int, wrong: np.ndarray) -> None:
    if wrong.any():
        name = schema.active_fields[column].name
        raise ValueError(f"given: expected what the rows of X know, got another {name!r} in row {wrong.argmax()}")


def _column(schema: Schema, name: Any) -> tuple[int, Field]:
    """Where a column stands among those that take part."""
    for column, field in enumerate(schema.active_fields):
        if field.name == name:
            return column, field
    for field in schema.fields:
        if field.name == name:
            raise ValueError(f"given: expected columns that take part, got {name!r}, which is {field.kind}")
    names = ", ".join(repr(field.name) for field in schema.active_fields)
    raise ValueError(f"given: expected names of columns ({names}), got {name!r}")


def _code(schema: Schema, field: Field, value: Any) -> float:
    """The code of one cell."""
    row = [value if other.name == field.name else None for other in schema.fields]
    frame = Frame.of(np.array([row], dtype=object), [other.name for other in schema.fields])
    try:
        code = schema.encode(frame)[0]
    except ValueError as error:
        raise ValueError(f"given: expected a value of {field.name!r}, got {value!r} ({error})") from error
    known = code[~np.isnan(code)]
    if not len(known):
        raise ValueError(f"given: expected a value of {field.name!r}, got {value!r}, which is a missing cell")
    return float(known[0])


def _range(schema: Schema, field: Field, ends: tuple) -> tuple[float, float]:
    if field.kind in ("categorical", "binary"):
        raise ValueError(f"given: expected one value of {field.name!r}, which is {field.kind}, got the range {ends}")
    if len(ends) != 2:
        raise ValueError(f"given: expected a range (low, high) of {field.name!r}, got {ends}")
    low, high = (
        bound if end is None else float(end) if _infinite(end) else _code(schema, field, end)
        for end, bound in zip(ends, (-np.inf, np.inf), strict=True)
    )
    if not low <= high:
        raise ValueError(f"given: expected a range (low, high) of {field.name!r}, the lower end first, got {ends}")
    return low, high


def _infinite(end: Any) -> bool:
    return isinstance(end, Real) and bool(np.isinf(float(end)))
