"""A user's table, whatever holds it: a data frame, an array, a list of rows or a CSV file."""

import os
from collections.abc import Hashable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

import numpy as np

from pyro_priors.data.judging import Cells
from pyro_priors.tables.frames import csv_frame, data_frames
from pyro_priors.tables.frames.cells import Column, from_array, from_list, objects
from pyro_priors.tables.frames.csv_frame import CsvTable


@dataclass(frozen=True, eq=False)
class Frame:
    """A table of n rows, read; make it with `Frame.of`.

    Args:
        holder: what holds it: "data frame", "array", "lists" or "csv".
        where: what messages call it.
        unit: what they count, "row" (from 0) or "line" (of the file).
        lines: that number of each row; a text where it stands in several files.
        columns: its columns.
        native: the table itself; of a CSV file `csv_frame.CsvTable`.
        codes: columns that have been read as codes, by what they were taken for.
    """

    holder: str
    where: str
    unit: str
    lines: Sequence[int | str]
    columns: tuple[Column, ...]
    native: Any
    codes: dict[Hashable, np.ndarray] = field(default_factory=dict, repr=False)

    @staticmethod
    def of(X: Any, feature_names: Sequence[str] | None = None) -> "Frame":
        """Read a table.

        Args:
            X: a data frame (pandas, polars, pyarrow and what else narwhals knows), an array (n, columns) of numbers,
                texts or objects, a list of rows, or the path of a CSV file with a header.
            feature_names: of an array or list, else "x0", "x1", ...

        Raises:
            ValueError: no such table, one without columns or rows, a name that is there twice, an infinite number, a
                cell that is no number, text, date or bool. The row, or the line, and the column are named.

        Example:
            >>> Frame.of([[1.5, "red"], [None, "blue"]], ["size", "color"]).names
            ('size', 'color')
        """
        if isinstance(X, Frame):
            return X
        if isinstance(X, str | os.PathLike):
            table = csv_frame.read(os.fspath(X))
            return Frame("csv", table.name, "line", table.lines.tolist(), tuple(table.columns), table)
        if isinstance(X, np.ndarray):
            return _array(X, feature_names)
        if isinstance(X, list | tuple):
            return _lists(X, feature_names)
        names, columns = data_frames.read("X", X)
        return _checked("data frame", names, columns, len(X), X)

    @property
    def names(self) -> tuple[str, ...]:
        """Of the columns."""
        return tuple(column.name for column in self.columns)

    def __len__(self) -> int:
        """How many rows there are."""
        return len(self.lines)

    def cells(self, column: Column) -> Cells:
        """A column of texts as `deciding.decide` takes it, "" = missing."""
        texts = [*column.texts, ""]
        return Cells(self.where, column.name, self.lines, [texts[i] for i in column.values.tolist()], self.unit)

    def at(self, row: int, name: str) -> str:
        """Where a cell stands, for a message."""
        return f"{self.where} {self.unit} {self.lines[row]}, column {name}"

    def filled(self, cells: Mapping[int, tuple[np.ndarray, Sequence]]) -> Any:
        """The same table with other cells, a copy: {column: (rows, for each of them a text, or a number)}.

        Texts go to columns of texts, bools and categories, numbers (of dates: days) to the others.
        """
        if self.holder == "csv":
            return csv_frame.filled(self.native, cells)
        if self.holder == "data frame":
            return data_frames.filled(self.native, self.columns, cells)
        if self.holder == "array":
            return _filled_array(self.native, self.columns, cells)
        table = [list(row) for row in self.native]
        for place, (rows, values) in cells.items():
            for row, value in zip(rows.tolist(), objects(self.columns[place], values), strict=True):
                table[row][place] = value
        return table

    def made(self, cells: Sequence[Sequence | None], count: int) -> Any:
        """A new table of the same kind with `count` rows: of each column texts or numbers, None = all missing."""
        if self.holder == "csv":
            assert isinstance(self.native, CsvTable)
            return csv_frame.made(self.native, [[""] * count if column is None else column for column in cells])
        if self.holder == "data frame":
            return data_frames.made(self.native, self.columns, cells, count)
        columns = [
            [None] * count if values is None else objects(column, values)
            for column, values in zip(self.columns, cells, strict=True)
        ]
        rows = [list(row) for row in zip(*columns, strict=True)]
        if self.holder == "lists":
            return rows
        table = np.empty((count, len(columns)), object)
        for place, column in enumerate(columns):
            table[:, place] = column
        return table if self.native.dtype.kind in "OU" else table.astype(self.native.dtype)


def _checked(holder: str, names: Sequence[str], columns: Sequence[Column], rows: int, native: Any) -> Frame:
    if not names:
        raise ValueError(f"X: expected columns, got 0 feature(s) (shape=({rows}, 0)) while a minimum of 1 is required.")
    if not rows:
        raise ValueError(
            f"X: expected rows, got 0 sample(s) (shape=(0, {len(names)})) while a minimum of 1 is required."
        )
    if twice := next((name for name in names if list(names).count(name) > 1), None):
        raise ValueError(f"X: expected each column once, got {twice!r} twice")
    return Frame(holder, "X", "row", range(rows), tuple(columns), native)


def _names(count: int, feature_names: Sequence[str] | None) -> list[str]:
    names = [f"x{place}" for place in range(count)] if feature_names is None else list(map(str, feature_names))
    if len(names) != count:
        raise ValueError(f"feature_names: expected {count} names, as X has columns, got {len(names)}")
    return names


def _array(X: np.ndarray, feature_names: Sequence[str] | None) -> Frame:
    if X.ndim != 2:
        raise ValueError(
            f"X: expected a 2D array (rows, columns), got a {X.ndim}D one of shape {X.shape}. Reshape your data: "
            "array.reshape(-1, 1) if it has a single feature, array.reshape(1, -1) if it is a single sample"
        )
    if isinstance(X, np.ma.MaskedArray):
        raise ValueError("X: expected an array with NaN where cells are missing, got a masked one (X.filled(np.nan))")
    names = _names(X.shape[1], feature_names)
    plain = np.asarray(X)
    columns = [from_array("X", name, plain[:, place]) for place, name in enumerate(names)] if len(plain) else []
    return _checked("array", names, columns, len(plain), plain)


def _lists(X: Sequence, feature_names: Sequence[str] | None) -> Frame:
    width = len(X[0]) if len(X) and isinstance(X[0], list | tuple | np.ndarray) else 0
    for row, cells in enumerate(X):
        if not isinstance(cells, list | tuple | np.ndarray):
            raise ValueError(f"X row {row}: expected a list of cells, got {type(cells).__name__}. Reshape your data")
        if len(cells) != width:
            raise ValueError(f"X row {row}: expected {width} cells as in the first row, got {len(cells)}")
    names = _names(width, feature_names)
    columns = [from_list("X", name, cells) for name, cells in zip(names, zip(*X, strict=True), strict=False)]
    return _checked("lists", names, columns, len(X), X)


def _filled_array(X: np.ndarray, columns: Sequence[Column], cells: Mapping) -> np.ndarray:
    table = X.astype(object) if X.dtype.kind in "UO" else X.copy()
    for place, (rows, values) in cells.items():
        if X.dtype.kind in "UO":
            for row, value in zip(rows.tolist(), objects(columns[place], values), strict=True):
                table[row, place] = value
        elif X.dtype.kind in "Mm":
            days = np.round(np.asarray(values) * 86_400e6).astype(f"{X.dtype.kind}8[us]")
            table[rows, place] = days.astype(X.dtype)
        else:
            table[rows, place] = np.asarray(values, np.float64)
    return table.astype(str) if X.dtype.kind == "U" else table
