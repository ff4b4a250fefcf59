"""Files of a table, their gaps filled piece by piece: all of them are written, or none."""

import os
from collections.abc import Callable, Sequence
from contextlib import suppress
from pathlib import Path
from typing import Any

from pyro_priors.checks import UserError
from pyro_priors.tables import processes
from pyro_priors.tables.frames.frames import Frame
from pyro_priors.tables.pieces.arrow_source import FragmentSource, ParquetSource
from pyro_priors.tables.pieces.pieces import PARQUET, Pieces
from pyro_priors.training.files import Unfinished, check_folder, check_output

Filled = Callable[[Frame], Any]


def targets(pieces: Pieces, out: str | os.PathLike) -> list[Path]:
    """The file that each file of a table is written to.

    Raises:
        UserError: a data set, which has no files of its own; no path; a file that cannot be written, or is one of the
            table's; a file of types that pyarrow reads and does not write.
    """
    if not isinstance(out, str | os.PathLike):
        raise UserError(f"out: expected a folder or a file to write to, got {type(out).__name__}")
    out, path = Path(out), pieces.path
    if path is None:
        raise UserError("X: expected a folder or a file, which are written as they are, got a data set of pyarrow")
    if path.is_dir():
        check_folder("out", out)
        if out.is_file():
            raise UserError(f"out: expected a folder to write to, got a file, {out.absolute()}")
        if Path(os.path.realpath(out)).is_relative_to(os.path.realpath(path)):
            raise UserError(f"out: expected a folder outside of the one that is read, got {out.absolute()}")
        files = [out / source.name for source in pieces.sources]
    else:
        if (out.suffix.lower() in PARQUET) != (path.suffix.lower() in PARQUET):
            raise UserError(f"out: expected a file of the kind of {path.name}, got {out.absolute()}")
        files = [out]
    inputs = [source.path for source in pieces.sources if not isinstance(source, FragmentSource)]
    for file in files:
        check_output("out", file, inputs)
    for source in pieces.sources:
        if isinstance(source, ParquetSource):
            source.check()
    return files


def fill(pieces: Pieces, files: Sequence[Path], restored: Filled) -> None:
    """Write a table's files again.

    Each process writes its own share to temporary files beside their places; they get their names when all are whole.

    Args:
        pieces: the table.
        files: where to, as `targets` says.
        restored: a piece -> the same with other cells.

    Raises:
        UserError: a file of the table that cannot be read, at its line.
        OSError: the system refuses to write; then, as after the former, nothing is written.
    """
    mine: list[Unfinished] = []
    made = [folder for file in files for folder in _lacking(file.parent)]
    done = False
    try:
        with processes.together():
            for place in pieces.places(shared=True):
                mine.append(Unfinished.of(files[place]))
                pieces.fill(place, restored, mine[-1].temporary)
                mine[-1].settle()
        with processes.together():
            for file in mine:
                file.rename()
        done = True
    finally:
        for file in mine:
            file.remove()
        for folder in () if done else sorted(set(made), reverse=True):
            with suppress(OSError):  # it holds something
                folder.rmdir()


def _lacking(folder: Path) -> list[Path]:
    """The folders that are to be made for one."""
    return [path for path in (folder, *folder.parents) if not path.exists()]
