"""What a user gives a table besides its cells: values and ranges by a column's name, in the user's own spellings."""

from collections.abc import Collection, Mapping
from numbers import Real
from typing import Any, NamedTuple

import numpy as np

from pyro_priors.data.schema import Field
from pyro_priors.tables.frames.frames import Frame
from pyro_priors.tables.frames.schema import Schema


class Given(NamedTuple):
    """What is given in codes, by the column among those that take part.

    Args:
        values: of a cell.
        ranges: its least and its greatest value.
        choices: codes that it may have.
    """

    values: dict[int, float]
    ranges: dict[int, tuple[float, float]]
    choices: dict[int, list[float]]


def read_given(schema: Schema, given: Mapping[str, Any] | None) -> Given:
    """`{"class": "red", "age": (30, 40), "size": ["S", "M"]}` -> `Given`; None is an open end.

    Raises:
        ValueError: an unknown name, a column that takes no part, a value that its column cannot have, a range of
            categories without an order, its ends the wrong way round, a list of numbers.
    """
    read = Given({}, {}, {})
    if given is not None and not isinstance(given, Mapping):
        raise ValueError(f"given: expected a mapping from names to values, got {type(given).__name__}")
    for name, value in (given or {}).items():
        column, field = _column(schema, name)
        if isinstance(value, tuple):
            read.ranges[column] = _range(schema, field, value)
        elif isinstance(value, list | set | frozenset):
            read.choices[column] = _choices(schema, field, value)
        else:
            read.values[column] = _code(schema, field, value)
    return read


def add_given(schema: Schema, codes: np.ndarray, given: Given) -> tuple[np.ndarray, dict[int, Any]]:
    """Rows (n, C) with the values that are given where they know nothing, and what `Answers` takes as ranges.

    Raises:
        ValueError: a row knows something else.
    """
    codes, ranges = codes.copy(), {}
    for column, value in given.values.items():
        _check_rows(schema, column, ~np.isnan(codes[:, column]) & (codes[:, column] != value))
        codes[:, column] = value
    for column, (low, high) in given.ranges.items():
        _check_rows(schema, column, (codes[:, column] < low) | (codes[:, column] > high))
        ranges[column] = low, high
    for column, choices in given.choices.items():
        known = ~np.isnan(codes[:, column])
        _check_rows(schema, column, known & ~np.isin(codes[:, column], choices))
        ranges[column] = np.isin(np.arange(len(schema.active_fields[column].categories or ())), choices)
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
    try:
        frame = Frame.of(np.array([row], dtype=object), [other.name for other in schema.fields])
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


def _choices(schema: Schema, field: Field, values: Collection) -> list[float]:
    if field.categories is None:
        raise ValueError(
            f"given: expected a value or a range (low, high) of {field.name!r}, which is {field.kind}, got {values!r}"
        )
    if not values:
        raise ValueError(f"given: expected at least one category of {field.name!r}, got none")
    return [_code(schema, field, value) for value in values]


def _infinite(end: Any) -> bool:
    return isinstance(end, Real) and bool(np.isinf(float(end)))
