"""Columns in which everything is missing, as a single row has them: no cell says what they hold, the fit does."""

from typing import Any

import numpy as np

from pyro_priors.tables.frames.cells import Column
from pyro_priors.tables.frames.frames import Frame


def as_fitted(frame: Frame, fitted: Frame) -> Frame:
    """The table, its blank columns of the sort that they have in another; their types hold such cells."""
    blank = {}
    for place, (column, before) in enumerate(zip(frame.columns, fitted.columns, strict=True)):
        if _is_blank(column) and (column.sort != before.sort or _is_untyped(frame.native, place)):
            values = (
                np.full(len(column.values), np.nan) if before.numeric else np.full(len(column.values), -1, np.int64)
            )
            blank[place] = before._replace(name=column.name, values=values)
    if not blank or frame.holder == "csv":
        return frame
    columns = tuple(blank.get(place, column) for place, column in enumerate(frame.columns))
    return Frame(frame.holder, frame.where, frame.unit, frame.lines, columns, _native(frame, blank))


def _is_blank(column: Column) -> bool:
    return bool(np.isnan(column.values).all() if column.numeric else (column.values < 0).all())


def _is_untyped(native: Any, place: int) -> bool:
    """Whether a column of polars or pyarrow is of the type that holds nothing."""
    types = getattr(native, "dtypes", None) if hasattr(native, "get_columns") else None
    types = native.schema.types if hasattr(native, "set_column") else types
    return types is not None and str(types[place]).lower() == "null"


def _native(frame: Frame, blank: dict[int, Column]) -> Any:
    native = frame.native
    if frame.holder == "array":
        return native.astype(object)
    if frame.holder != "data frame":
        return native
    if hasattr(native, "iloc"):
        native = native.copy()
        for place in blank:
            native.isetitem(place, native.iloc[:, place].astype(object))
        return native
    return _arrow(native, blank) if hasattr(native, "set_column") else _polars(native, blank)


def _polars(native: Any, blank: dict[int, Column]) -> Any:
    import polars as pl

    types = {"bool": pl.Boolean, "datetime": pl.Datetime("us"), "date": pl.Date, "time": pl.Time, "number": pl.Float64}
    types["duration"] = pl.Duration("us")
    names = {place: native.columns[place] for place in blank}
    return native.with_columns(
        pl.lit(None, dtype=types.get(column.sort, pl.String)).alias(names[place]) for place, column in blank.items()
    )


def _arrow(native: Any, blank: dict[int, Column]) -> Any:
    import pyarrow as pa

    types = {"bool": pa.bool_(), "datetime": pa.timestamp("us"), "date": pa.date32(), "time": pa.time64("us")}
    types |= {"number": pa.float64(), "duration": pa.duration("us")}
    for place, column in blank.items():
        nothing = pa.nulls(len(native), types.get(column.sort, pa.string()))
        native = native.set_column(place, native.column_names[place], nothing)
    return native
