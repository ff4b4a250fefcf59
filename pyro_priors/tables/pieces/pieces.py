"""A table that lies in files and is read in pieces."""

import os
from collections.abc import Callable, Iterator, Sequence
from pathlib import Path
from typing import Any

from pyro_priors.checks import UserError
from pyro_priors.data.columns import some
from pyro_priors.data.hidden import is_hidden
from pyro_priors.tables import processes
from pyro_priors.tables.frames.csv_frame import fits_memory
from pyro_priors.tables.frames.frames import Frame
from pyro_priors.tables.pieces.arrow_source import FragmentSource, ParquetSource, pyarrow
from pyro_priors.tables.pieces.csv_source import CsvSource

ROWS, CELLS = 100_000, 2**21  # of a piece, at most
PARQUET = (".parquet", ".pq")
SUFFIXES = (".csv", *PARQUET)

Source = CsvSource | ParquetSource | FragmentSource


class Pieces:
    """A table in files, of which one piece at a time is in memory; make it with `Pieces.of`.

    Args:
        where: what messages call it.
        sources: its files, in their order.
        path: the folder or file, None of a data set.

    Raises:
        UserError: no files, a file whose columns are not those of the first; it is named, and so is a column.
    """

    def __init__(self, where: str, sources: Sequence[Source], path: Path | None = None):
        if not sources:
            raise UserError(f"{where}: expected a file of a table at least, got none")
        self.where, self.sources, self.path = where, list(sources), path
        self.names = list(self.sources[0].names)
        for source in self.sources[1:]:
            _check_columns(self.sources[0], source)
        _check_types([source for source in self.sources if isinstance(source, ParquetSource)])

    @staticmethod
    def of(X: Any) -> "Pieces":
        """The pieces of a table.

        Args:
            X: a folder of .csv or of .parquet files, not of both, in the order of their names (those that begin with a
                dot or `_` are no data); a file of either kind; a `pyarrow.dataset.Dataset`.

        Raises:
            UserError: no such folder or file, one that cannot be read; something else.
        """
        if isinstance(X, Pieces):
            return X
        if is_dataset(X):
            fragments = enumerate(X.get_fragments())
            return Pieces("X", [FragmentSource(fragment, X.schema, place) for place, fragment in fragments])
        if not isinstance(X, str | os.PathLike):
            raise UserError(f"X: expected a folder, a file or a data set of pyarrow, got {type(X).__name__}")
        path = Path(X)
        if not path.is_dir():
            return Pieces(path.name, [_source(path, path.name)], path)
        files = files_of(path)
        kinds = {"Parquet" if file.suffix.lower() in PARQUET else "CSV": file for file in reversed(files)}
        if len(kinds) > 1:
            names = " and ".join(file.relative_to(path).as_posix() for file in kinds.values())
            raise UserError(f"{path.name}: expected files of one kind, .csv or .parquet, got {names}")
        if not files:
            raise UserError(f"{path.name}: expected .csv or .parquet files in {path.absolute()}, got none")
        return Pieces(path.name, [_source(file, file.relative_to(path).as_posix()) for file in files], path)

    @property
    def rows(self) -> int:
        """Of a piece, at most."""
        return max(1, min(ROWS, CELLS // len(self.names)))

    def frames(self, *, shared: bool = False) -> Iterator[tuple[int, int, Frame]]:
        """(place of the file, rows of it before these, table) of each piece; shared: of this process's own files."""
        for place in self.places(shared=shared):
            start = 0
            for frame in self.sources[place].frames(self.rows):
                yield place, start, frame
                start += len(frame)

    def fill(self, place: int, restored: Callable[[Frame], Any], path: Path) -> None:
        """Write a file again, its pieces as they are `restored`."""
        self.sources[place].fill(self.rows, restored, path)

    def places(self, *, shared: bool) -> range:
        """Places of all files, or of those that this process reads."""
        first, step = (processes.rank(), processes.count()) if shared else (0, 1)
        return range(first, len(self.sources), step)


def is_dataset(X: Any) -> bool:
    """Whether it is a `pyarrow.dataset.Dataset`."""
    return type(X).__module__.startswith("pyarrow._dataset") and hasattr(X, "get_fragments")


def in_pieces(X: Any) -> bool:
    """Whether a table is read in pieces: a folder, a Parquet file, a data set, a CSV file that outgrows memory."""
    if isinstance(X, Pieces) or is_dataset(X):
        return True
    if not isinstance(X, str | os.PathLike):
        return False
    path = Path(X)
    return path.is_dir() or path.suffix.lower() in PARQUET or (path.is_file() and not fits_memory(path))


def files_of(folder: Path) -> list[Path]:
    """The files of a table below a folder, in their order."""
    files = []
    for path in sorted(folder.rglob("*")):
        name = path.relative_to(folder)
        parts = name.parts
        if any(part.startswith("_") for part in parts) or is_hidden(name.as_posix()):
            continue
        if path.suffix.lower() not in SUFFIXES:
            continue
        if any("=" in part for part in parts[:-1]):
            raise UserError(
                f"{folder.name}: expected files whose columns all stand in them, got a folder "
                f"{name.parent} (in Python: pyarrow.dataset.dataset(PATH, partitioning='hive'))"
            )
        if path.is_file():
            files.append(path)
    return files


def _source(path: Path, name: str) -> Source:
    return ParquetSource(path, name) if path.suffix.lower() in PARQUET else CsvSource(path, name)


def _check_columns(first: Source, other: Source) -> None:
    """The same columns in the same order."""
    for names, there, what in ((first.names, other.names, "missing"), (other.names, first.names, "not among them")):
        if odd := [name for name in names if name not in there]:
            verb = "is" if len(odd) == 1 else "are"
            raise UserError(
                f"{other.name}: expected the columns of {first.name}, got others: {some(odd)} {verb} {what}"
            )
    if moved := [pair for pair in zip(first.names, other.names, strict=True) if pair[0] != pair[1]]:
        raise UserError(f"{other.name}, column {moved[0][1]}: expected the order of {first.name}, {moved[0][0]} there")


def _check_types(sources: Sequence[ParquetSource]) -> None:
    """The same types in all files; a column without one, whose cells are all missing, gets that of the others."""
    for place, name in enumerate(sources[0].names if sources else ()):
        first = None
        for source in sources:
            type_ = source.schema.field(place).type
            if first is None and not pyarrow().types.is_null(type_):
                first = source.name, type_
            elif first is not None and not pyarrow().types.is_null(type_) and _plain(first[1]) != _plain(type_):
                before, now = _plain(first[1]), _plain(type_)
                raise UserError(f"{source.name}, column {name}: expected {before} as in {first[0]}, got {now}")
        for source in sources:
            field = source.schema.field(place)
            if first is not None and pyarrow().types.is_null(field.type):
                source.schema = source.schema.set(place, field.with_type(first[1]))


def _plain(type_: Any) -> Any:
    """Of a dictionary, which may count its texts in other numbers, the type of these."""
    return type_.value_type if pyarrow().types.is_dictionary(type_) else type_
