"""Parquet files, and fragments of pyarrow's data sets, in pieces of some rows, with their types."""

from collections.abc import Callable, Iterator
from itertools import chain
from pathlib import Path
from typing import Any

import numpy as np

from pyro_priors.checks import UserError
from pyro_priors.tables.frames import data_frames
from pyro_priors.tables.frames.frames import Frame


def pyarrow() -> Any:
    """The package, with its module of Parquet files; `UserError` where it is not there."""
    try:
        import pyarrow
        import pyarrow.parquet
    except ModuleNotFoundError as error:
        raise UserError("Parquet files need pyarrow: pip install pyarrow") from error
    return pyarrow


class ParquetSource:
    """A file of a table; arguments and errors as of `CsvSource`."""

    holder, unit = "data frame", "row"

    def __init__(self, path: Path, name: str):
        self.path, self.name = path, name
        with self._open() as file:
            self.schema = file.schema_arrow
            groups = file.metadata.num_row_groups and file.metadata.num_columns
            compression = file.metadata.row_group(0).column(0).compression if groups else "SNAPPY"
        self.compression = "NONE" if compression == "UNCOMPRESSED" else compression
        self.names = list(self.schema.names)
        if not self.names:
            raise UserError(f"{name}: expected columns, got none")

    def empty(self) -> Any:
        """The table without its rows."""
        return self.schema.empty_table()

    def frames(self, rows: int) -> Iterator[Frame]:
        """Tables of so many rows, none of a file without; `UserError` where the file is broken."""
        return frames_of(self.name, self._tables(rows))

    def fill(self, rows: int, restored: Callable[[Frame], Any], path: Path) -> None:
        """The same file again, its tables as they are `restored`; types and metadata are those of the file.

        A column whose type holds nothing gets another where its gaps are filled.
        """
        tables = map(restored, frames_of(self.name, self._tables(rows)))
        first = next(tables, self.empty())
        schema = _of_filled(self.schema, first)
        with self._writer(path, schema) as writer:
            for table in chain([first], tables):
                writer.write_table(_cast(table, schema))

    def check(self) -> None:
        """`UserError` where pyarrow reads this file's types or compression, but writes none such."""
        try:
            with self._writer(pyarrow().BufferOutputStream(), self.schema) as writer:
                writer.write_table(self.empty())
        except (OSError, ValueError, NotImplementedError) as error:
            got = " ".join(str(error).split())
            raise UserError(f"{self.name}: expected a file that pyarrow can write again, got {got:.200}") from error

    def _writer(self, where: Any, schema: Any) -> Any:
        return pyarrow().parquet.ParquetWriter(where, schema, compression=self.compression)

    def _tables(self, rows: int) -> Iterator[Any]:
        with self._open() as file:
            try:
                for batch in file.iter_batches(rows):
                    if batch.num_rows:
                        yield pyarrow().Table.from_batches([batch]).cast(self.schema)
            except (OSError, ValueError) as error:
                raise _broken(self.name, self.path, error) from error

    def _open(self) -> Any:
        try:
            return pyarrow().parquet.ParquetFile(self.path)
        except (OSError, ValueError) as error:
            raise _broken(self.name, self.path, error) from error


class FragmentSource:
    """A part of a `pyarrow.dataset.Dataset`, whose columns of partitions it has too."""

    holder, unit = "data frame", "row"

    def __init__(self, fragment: Any, schema: Any, place: int):
        self.fragment, self.schema = fragment, schema
        self.name = getattr(fragment, "path", None) or f"fragment {place}"
        self.names = list(schema.names)

    def empty(self) -> Any:
        """The table without its rows."""
        return self.schema.empty_table()

    def frames(self, rows: int) -> Iterator[Frame]:
        """Tables of at most so many rows."""
        batches = self.fragment.to_batches(schema=self.schema, batch_size=rows)
        tables = (pyarrow().Table.from_batches([batch], self.schema) for batch in batches if batch.num_rows)
        return frames_of(self.name, tables)

    def fill(self, rows: int, restored: Callable[[Frame], Any], path: Path) -> None:
        """It has no file of its own."""
        raise UserError(f"{self.name}: expected a file, got a fragment of a data set")


def frames_of(name: str, tables: Iterator[Any]) -> Iterator[Frame]:
    """Tables of pyarrow, read; their rows are counted through."""
    start = 0
    for table in tables:
        _check_finite(name, start, table)
        _, columns = data_frames.read(name, table)
        yield Frame("data frame", name, "row", range(start, start + len(table)), tuple(columns), table)
        start += len(table)


def _of_filled(schema: Any, table: Any) -> Any:
    """Of a file, the columns without a type as those of the filled table, where it knows cells of them."""
    for place, field in enumerate(schema):
        column = table.column(place)
        if pyarrow().types.is_null(field.type) and column.null_count < len(column):
            schema = schema.set(place, field.with_type(column.type))
    return schema


def _cast(table: Any, schema: Any) -> Any:
    """With those types; of none, no other may be made."""
    columns = [
        pyarrow().nulls(len(table)) if pyarrow().types.is_null(field.type) else column.cast(field.type)
        for field, column in zip(schema, table.columns, strict=True)
    ]
    return pyarrow().Table.from_arrays(columns, schema=schema)


def _check_finite(name: str, start: int, table: Any) -> None:
    """`UserError` at the row of an infinite number: the table itself counts from its own first row."""
    for column, values in zip(table.column_names, table.columns, strict=True):
        if pyarrow().types.is_floating(values.type):
            odd = np.flatnonzero(np.isinf(values.to_numpy().astype(np.float64)))
            if odd.size:
                at = f"{name} row {start + odd[0]}, column {column}"
                raise UserError(f"{at}: expected a finite number, got {values[int(odd[0])]}")


def _broken(name: str, path: Path, error: Exception) -> UserError:
    got = " ".join(str(error).split())
    return UserError(f"{name}: expected a Parquet file at {path.absolute()}, got {got:.200}")
