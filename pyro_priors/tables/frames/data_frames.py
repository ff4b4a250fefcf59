"""Data frames of pandas, polars and pyarrow: read through narwhals, given back with their own types."""

import datetime
from collections.abc import Mapping, Sequence
from decimal import Decimal
from typing import Any

import numpy as np

from pyro_priors.tables.frames.cells import Column, from_array, from_list, objects


def read(where: str, native: Any) -> tuple[list[str], list[Column]]:
    """Names and columns of a data frame.

    Raises:
        ValueError: none that narwhals knows, one that is not in memory yet.
    """
    names = [str(name) for name in _names(native)]
    if twice := next((name for name in names if names.count(name) > 1), None):
        raise ValueError(f"{where}: expected each column once, got {twice!r} twice")
    if not len(native):
        return names, []
    frame = _narwhals().from_native(native, eager_only=True)
    return names, [_column(where, name, series) for name, series in zip(names, frame.iter_columns(), strict=True)]


def _names(native: Any) -> Sequence:
    if type(native).__module__.startswith("scipy.sparse") or hasattr(native, "tocsr"):
        raise TypeError("X: sparse data is not supported, expected a dense array or a data frame (X.toarray())")
    if not hasattr(native, "__len__") or not hasattr(native, "columns") or isinstance(native, type):
        what = "a lazy frame (collect it)" if hasattr(native, "collect") else type(native).__name__
        raise ValueError(
            f"X: expected a data frame, a 2D array, a list of rows or the path of a CSV file, got {what}. Reshape your "
            "data"
        )
    return native.column_names if hasattr(native, "column_names") else list(native.columns)


def _narwhals():
    try:
        import narwhals.stable.v2 as narwhals
    except ImportError as error:
        raise ImportError("data frames need narwhals: pip install 'pyro-priors[tables]'") from error
    return narwhals


def _column(where: str, name: str, series: Any) -> Column:
    nw, native = _narwhals(), series.to_native()
    dtype = series.dtype
    if isinstance(dtype, nw.Categorical | nw.Enum):
        categories, ordered = _categories(native)
        return from_list(where, name, series.to_list(), categories, ordered)
    if dtype.is_float():
        return from_array(where, name, series.to_numpy().astype(np.float64))
    if dtype.is_integer():
        array = series.to_numpy()
        big = array.dtype.kind == "f" and np.abs(np.nan_to_num(array)).max(initial=0) >= 2**53
        return from_list(where, name, series.to_list()) if big else from_array(where, name, array)
    if dtype == nw.Datetime or dtype == nw.Duration or dtype == nw.Date:
        column = from_array(where, name, series.to_numpy())
        return column._replace(sort="date") if dtype == nw.Date else column
    if dtype == nw.String and hasattr(native, "dictionary_encode"):
        return _arrow_texts(name, native)
    return from_list(where, name, series.to_list())


def _arrow_texts(name: str, native: Any) -> Column:
    """A column of pyarrow's texts, of which only those that differ are made texts of Python."""
    coded = native.dictionary_encode().combine_chunks()
    texts: dict[str, int] = {}
    places = [texts.setdefault(text.strip(), len(texts)) for text in coded.dictionary.to_pylist()]
    values = np.asarray(coded.indices.fill_null(len(places)).to_numpy(zero_copy_only=False), np.int64)
    return Column(name, "text", np.array([*places, -1], np.int64)[values], tuple(texts))


def _categories(native: Any) -> tuple[list, bool]:
    """Those of a categorical column in their order, and whether that means something."""
    dtype: Any = getattr(native, "dtype", None)
    if hasattr(native, "cat") and hasattr(dtype, "ordered"):  # pandas
        return list(dtype.categories), bool(dtype.ordered)
    if dtype is not None:  # polars, whose enumerations have an order
        known: Any = getattr(dtype, "categories", None)
        return (known.to_list(), True) if hasattr(known, "to_list") else (native.unique().sort().to_list(), False)
    return native.unify_dictionaries().chunk(0).dictionary.to_pylist(), bool(native.type.ordered)


def filled(native: Any, columns: Sequence[Column], cells: Mapping[int, tuple[np.ndarray, Sequence]]) -> Any:
    """A copy of a data frame with other cells, as `frames.Frame.filled`; types, index and other cells are kept."""
    if _is_pandas(native):
        frame = native.copy()
        for place, (rows, values) in cells.items():
            series = native.iloc[:, place].copy()
            new = _pandas(series, columns[place], values)
            if isinstance(getattr(series.dtype, "ordered", 0), bool):
                series = series.cat.set_categories(new.dtype.categories)
            series.iloc[rows] = new
            frame.isetitem(place, series)
        return frame
    parts = []
    for place, column in enumerate(columns):
        series = native[:, place] if hasattr(native, "get_columns") else native.column(place)
        if place in cells:
            rows, values = cells[place]
            if hasattr(series, "dictionary_encode") and not hasattr(series.type, "value_type"):
                parts.append(_arrow_filled(series, rows, _objects(series, column, values)))
                continue
            every = series.to_list() if hasattr(series, "to_list") else series.to_pylist()
            for row, value in zip(rows.tolist(), _objects(series, column, values), strict=True):
                every[row] = value
            series = _built(series, every)
        parts.append(series)
    return _joined(native, parts)


def made(native: Any, columns: Sequence[Column], cells: Sequence[Sequence | None], count: int) -> Any:
    """A new data frame with columns of the same types, as `frames.Frame.made`."""
    if _is_pandas(native):
        import pandas as pd

        parts = {}
        for place, (column, values) in enumerate(zip(columns, cells, strict=True)):
            series = native.iloc[:, place]
            if values is not None:
                parts[place] = pd.Series(_pandas(series, column, values))
            else:
                empty = series.iloc[:0].reindex(range(count))  # of the type that has missing cells
                parts[place] = empty
        frame = pd.concat(parts, axis=1)
        frame.columns = native.columns
        return frame
    parts = []
    for place, (column, values) in enumerate(zip(columns, cells, strict=True)):
        series = native[:, place] if hasattr(native, "get_columns") else native.column(place)
        every = [None] * count if values is None else _objects(series, column, values)
        parts.append(_built(series, every))
    return _joined(native, parts)


def _is_pandas(native: Any) -> bool:
    return hasattr(native, "iloc")


def _pandas(series: Any, column: Column, values: Sequence) -> Any:
    """An array of the type of a pandas column."""
    import pandas as pd

    dtype = series.dtype
    every = _objects(series, column, values)
    if isinstance(dtype, pd.CategoricalDtype):
        known = list(dtype.categories)
        more = [cell for cell in dict.fromkeys(every) if cell not in known]
        return pd.Categorical(every, categories=[*known, *more], ordered=bool(dtype.ordered))
    if column.sort == "datetime" and getattr(dtype, "tz", None) is not None:
        return pd.DatetimeIndex(every).tz_localize("UTC").tz_convert(dtype.tz).astype(dtype).array
    if dtype.kind == "O" and isinstance(dtype, np.dtype):
        array = np.empty(len(every), object)
        array[:] = every
        return array
    return pd.array(every, dtype=dtype)


def _objects(series: Any, column: Column, values: Sequence) -> list[Any]:
    """Cells of the type of a column: whole numbers where it holds such, decimals with as many places as it has."""
    every = objects(column, values)
    dtype = str(getattr(series, "dtype", getattr(series, "type", ""))).lower()
    if "decimal" in dtype and column.sort == "number":
        places = _scale(series)
        return [round(Decimal(repr(float(value))), places) for value in every]
    if dtype.lstrip("u").startswith("int") and column.sort in ("number", "text"):
        return [round(value) if isinstance(value, float) else int(value) for value in every]
    if column.sort == "datetime" and not _is_pandas(series):
        zone = getattr(getattr(series, "dtype", None), "time_zone", None) or getattr(
            getattr(series, "type", None), "tz", None
        )
        return [moment.replace(tzinfo=datetime.UTC) for moment in every] if zone else every
    return every


def _scale(series: Any) -> int:
    dtype = getattr(series, "dtype", getattr(series, "type", None))
    dtype = getattr(dtype, "pyarrow_dtype", dtype)
    return int(getattr(dtype, "scale", 0))


def _built(series: Any, every: list) -> Any:
    """A polars or pyarrow column of the type of another."""
    if hasattr(series, "to_list"):
        return type(series)(series.name, every, dtype=series.dtype)
    import pyarrow as pa

    return pa.chunked_array([pa.array(every, type=series.type)])


def _arrow_filled(series: Any, rows: np.ndarray, values: list) -> Any:
    """A column of pyarrow with other cells; those that stay are never made objects, which hold less than some types."""
    import pyarrow as pa

    places = np.arange(len(series))
    places[rows] = len(series) + np.arange(len(rows))
    every = pa.chunked_array([*series.chunks, pa.array(values, type=series.type)])
    try:
        return every.take(pa.array(places))
    except pa.ArrowNotImplementedError:  # of views of texts, which lose nothing as objects
        cells = every.to_pylist()
        return _built(series, [cells[place] for place in places.tolist()])


def _joined(native: Any, parts: Sequence) -> Any:
    if hasattr(native, "get_columns"):
        return type(native)(parts)
    return type(native).from_arrays(parts, schema=native.schema)
