"""A table of mixed kinds, as everything here speaks of it: numbers and codes of categories, nothing missing."""

from typing import NamedTuple

import numpy as np

NUMBER, ORDINAL, CATEGORY = "number", "ordinal", "category"


class Column(NamedTuple):
    """A name, a kind, and the labels of the categories in the order of their codes; a number has none."""

    name: str
    kind: str
    labels: tuple[str, ...] = ()

    @property
    def is_number(self):
        """Scored by its error in own units; anything else by whether it is right."""
        return self.kind == NUMBER


class Table(NamedTuple):
    """What is hidden in part, and filled.

    Args:
        name: of the table.
        columns: a `Column` each.
        values: float64 ``(n, C)``; a number in its own units, or the code of a category.
        target: the column whose prediction from completed others is scored.
    """

    name: str
    columns: tuple[Column, ...]
    values: np.ndarray
    target: int

    @property
    def numbers(self):
        """Where the numbers stand."""
        return [place for place, column in enumerate(self.columns) if column.is_number]

    @property
    def categories(self):
        """Where categories stand, ordered or not."""
        return [place for place, column in enumerate(self.columns) if not column.is_number]


def target_of(columns):
    """The last column of unordered categories with ten of them at most; without any the last of categories.

    Example:
        >>> sexes, towns = tuple("fm"), tuple(map(str, range(40)))
        >>> target_of([Column("age", NUMBER), Column("sex", CATEGORY, sexes), Column("town", CATEGORY, towns)])
        1
    """
    categories = [place for place, column in enumerate(columns) if not column.is_number]
    few = [p for p in categories if columns[p].kind == CATEGORY and len(columns[p].labels) <= 10]
    return (few or categories)[-1]


def frame(table, values):
    """As a data frame of pandas, such as a user would have: texts for categories, ordered ones as such.

    Args:
        table: says what the columns are.
        values: float64 ``(n, C)`` of its columns, NaN where missing.
    """
    import pandas as pd  # here, since a page is made without

    columns = {}
    for place, column in enumerate(table.columns):
        cells = values[:, place]
        if column.is_number:
            columns[column.name] = cells
        else:
            codes = np.where(np.isnan(cells), -1, cells).astype(int)
            ordered = column.kind == ORDINAL
            columns[column.name] = pd.Categorical.from_codes(codes, list(column.labels), ordered=ordered)
    return pd.DataFrame(columns)


def codes_of(table, filled):
    """The float64 ``(n, C)`` of such a data frame, the inverse of `frame`; what is missing is NaN.

    Example:
        >>> columns = Column("age", NUMBER), Column("sex", CATEGORY, ("f", "m"))
        >>> table = Table("people", columns, np.array([[31.0, 1.0], [np.nan, 0.0]]), 1)
        >>> codes_of(table, frame(table, table.values)).tolist()
        [[31.0, 1.0], [nan, 0.0]]
    """
    parts = []
    for column in table.columns:
        cells = filled[column.name]
        if column.is_number:
            parts.append(cells.to_numpy(dtype=float, na_value=np.nan))
        else:
            codes = {label: float(code) for code, label in enumerate(column.labels)}
            parts.append(np.array([codes.get(cell, np.nan) for cell in cells.astype(object)]))
    return np.column_stack(parts)
