"""Tables without rows: the kind in which generated rows come, remembered without the data."""

import csv
import io
import re
from collections.abc import Sequence
from typing import Any

import numpy as np

from pyro_priors.tables.frames.cells import Column
from pyro_priors.tables.frames.csv_frame import CsvTable
from pyro_priors.tables.frames.frames import Frame
from pyro_priors.tables.frames.schema import Schema

PLAIN = (bool, int, float, str)  # what stands for a text in JSON


def template(schema: Schema, frame: Frame) -> Frame:
    """A table without rows, of the kind and types of another; texts stay only where they are categories."""
    columns = []
    for column, field in zip(frame.columns, schema.fields, strict=True):
        known = None if field.aside or column.originals is None else dict(column.originals)
        columns.append(Column(column.name, column.sort, column.values[:0], (), column.ordered, known))
    return Frame(frame.holder, frame.where, frame.unit, (), tuple(columns), _empty(frame))


def numbers_like(frame: Frame, values: np.ndarray, names: Sequence[str]) -> Any:
    """Numbers (n, columns) as a table of the kind of another with as many rows; an array where there are no names."""
    if isinstance(frame.native, CsvTable):
        written = io.StringIO()
        writer = csv.writer(written, delimiter=frame.native.separator, lineterminator="\n")
        writer.writerows([names, *values.tolist()])
        return written.getvalue()
    if frame.holder != "data frame":
        return values
    import narwhals.stable.v2 as nw

    native = nw.from_native(frame.native, eager_only=True)
    made = nw.from_numpy(values, schema=list(names), backend=native.implementation).to_native()
    return made.set_axis(frame.native.index, axis=0) if hasattr(made, "iloc") else made


def _empty(frame: Frame) -> Any:
    if isinstance(frame.native, CsvTable):
        nothing = {"source": b"", "lines": np.zeros(0, np.int64), "columns": []}
        return frame.native._replace(**nothing)
    native = frame.native
    return native.iloc[:0].copy() if hasattr(native, "iloc") else native[:0]


def to_json(frame: Frame) -> dict[str, Any]:
    """JSON values that `from_json` makes a table without rows of."""
    columns = []
    for column in frame.columns:
        known = {text: cell.item() if isinstance(cell, np.generic) else cell for text, cell in _originals(column)}
        plain = all(isinstance(cell, PLAIN) for cell in known.values())
        columns.append([column.name, column.sort, column.ordered, known if known and plain else None])
    made = {"holder": frame.holder, "where": frame.where, "unit": frame.unit, "columns": columns}
    if isinstance(frame.native, CsvTable):
        return {**made, "separator": frame.native.separator, "header": list(frame.native.header)}
    if frame.holder == "array":
        return {**made, "dtype": frame.native.dtype.str}
    if frame.holder == "data frame":
        library = type(frame.native).__module__.partition(".")[0]
        return {**made, "library": library, "types": _types(frame.native)}
    return made


def from_json(values: dict[str, Any], schema: Schema) -> Frame:
    """A table without rows; columns of a data frame whose type cannot be said in a word are objects or texts."""
    nothing = np.zeros(0, np.float64)
    columns = tuple(Column(name, sort, nothing, (), ordered, known) for name, sort, ordered, known in values["columns"])
    names = [column.name for column in columns]
    holder, native = values["holder"], []
    if holder == "csv":
        native = CsvTable(values["where"], b"", values["separator"], values["header"], np.zeros(0, np.int64), [])
    elif holder == "array":
        native = np.empty((0, len(columns)), np.dtype(values["dtype"]))
    elif holder == "data frame":
        seen = [field.categories for field in schema.fields]
        categories = [list((c.originals or {}).values()) or states for c, states in zip(columns, seen, strict=True)]
        native = _MAKERS[values["library"]](names, values["types"], categories, [column.ordered for column in columns])
    return Frame(holder, values["where"], values["unit"], (), columns, native)


def _originals(column: Column) -> list[tuple[str, Any]]:
    return list((column.originals or {}).items())


def _types(native: Any) -> list[str]:
    if hasattr(native, "iloc"):
        return [str(dtype) for dtype in native.dtypes]
    return list(map(str, native.schema.types if hasattr(native.schema, "types") else native.schema.dtypes()))


def _pandas(names: list[str], types: list[str], categories: list, ordered: list[bool]) -> Any:
    import pandas as pd

    parts = {}
    for place, (type_, states, rising) in enumerate(zip(types, categories, ordered, strict=True)):
        try:
            parts[place] = pd.Series([], dtype=pd.CategoricalDtype(states, rising) if type_ == "category" else type_)
        except TypeError:
            parts[place] = pd.Series([], dtype=object)
    return pd.DataFrame(parts).set_axis(names, axis=1)


def _polars(names: list[str], types: list[str], categories: list, ordered: list[bool]) -> Any:
    import polars as pl

    schema: dict[str, Any] = {}
    for name, type_, states in zip(names, types, categories, strict=True):
        word = type_.partition("(")[0]
        schema[name] = pl.Enum(list(states)) if word == "Enum" and states else getattr(pl, word, pl.String)
    return pl.DataFrame(schema=schema)


def _pyarrow(names: list[str], types: list[str], categories: list, ordered: list[bool]) -> Any:
    import pyarrow as pa

    def named(word: str) -> Any:
        coded = re.fullmatch("dictionary<values=(.+), indices=(.+), ordered=([01])>", word)
        if coded:
            return pa.dictionary(named(coded[2]), named(coded[1]), coded[3] == "1")
        try:
            return pa.type_for_alias(word)
        except ValueError:
            return pa.string()

    return pa.schema([(name, named(word)) for name, word in zip(names, types, strict=True)]).empty_table()


_MAKERS = {"pandas": _pandas, "polars": _polars, "pyarrow": _pyarrow}
