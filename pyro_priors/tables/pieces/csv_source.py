"""A CSV file in pieces of whole rows, read and written by the rules of `frames.csv_frame`."""

import codecs
import dataclasses
from collections.abc import Callable, Iterator
from itertools import islice
from pathlib import Path
from typing import Any, TextIO

import numpy as np

from pyro_priors.checks import UserError
from pyro_priors.data.csv_files import check_start, check_text, missing, rows_in
from pyro_priors.tables.frames.cells import Column
from pyro_priors.tables.frames.csv_frame import (
    CsvTable,
    check_header,
    names_of,
    quoted_columns,
    read_rows,
    separator_of,
)
from pyro_priors.tables.frames.frames import Frame

BLOCK = 2**22  # bytes that are looked at together


class CsvSource:
    """A file of a table.

    Args:
        path: where it lies.
        name: what messages call it.

    Raises:
        UserError: no such file, no text in UTF-8, no header or one that cannot be.
    """

    holder, unit = "csv", "line"

    def __init__(self, path: Path, name: str):
        self.path, self.name, self.checked = path, name, False
        try:
            with path.open("rb") as file:
                start = file.read(BLOCK)
                whole = not file.read(1)
        except OSError as error:
            raise missing(name, path, error) from error
        self.bom = start.startswith(codecs.BOM_UTF8)
        check_start(name, start)
        try:
            self.separator = separator_of(name, start if whole else start[: start.rfind(b"\n") + 1])
            with self._open() as stream:
                self.line, self.header = next(rows_in(name, stream, self.separator), (1, []))
        except UnicodeDecodeError:
            self._check()  # which says where
            raise
        self.names = names_of(name, self.line, self.header)

    def empty(self) -> CsvTable:
        """The file without its rows."""
        return CsvTable(self.name, b"", self.separator, self.header, np.zeros(0, np.int64), [])

    def frames(self, rows: int) -> Iterator[Frame]:
        """Tables of so many rows; `UserError` at the line where the file is broken."""
        some = False
        for frame, _ in self._parts(rows):
            if len(frame):
                some = True
                yield frame
        if not some:
            raise UserError(f"{self.name}: expected a header and rows, got a header alone")

    def fill(self, rows: int, restored: Callable[[Frame], Any], path: Path) -> None:
        """The same file again, its tables as they are `restored`; all else to the byte."""
        with path.open("wb") as file:
            file.write(codecs.BOM_UTF8 if self.bom else b"")
            head, waiting, quoted = 0, set(range(len(self.names))), set()
            for frame, start in self._parts(rows):
                quoted |= quoted_columns(frame.native, waiting)
                frame = dataclasses.replace(frame, native=frame.native._replace(quoted=frozenset(quoted)))
                text = restored(frame) if len(frame) else frame.native.source.decode()
                file.write(text[head:].encode())
                head = start  # the header stands before every piece, and is written once

    def _parts(self, rows: int) -> Iterator[tuple[Frame, int]]:
        """Tables whose source is the header and their lines, how long the former is; the last may be without rows."""
        if not self.checked:
            self._check()
        with self._open() as stream:
            raw: list[str] = []
            read = rows_in(self.name, _noted(stream, raw), self.separator)
            next(read)
            head = "".join(raw)
            first = True
            while True:
                raw.clear()
                lines, columns = read_rows(self.name, self.names, islice(read, rows))
                if not raw and not first:
                    return
                if first:
                    check_header(self.name, self.line, self.header, lines, columns)
                first = False
                yield self._frame(head + "".join(raw), lines, columns), len(head)

    def _frame(self, text: str, lines: np.ndarray, columns: list[Column]) -> Frame:
        table = CsvTable(self.name, text.encode(), self.separator, self.header, lines, columns)
        return Frame(self.holder, self.name, self.unit, lines.tolist(), tuple(columns), table)

    def _open(self) -> TextIO:
        return self.path.open(encoding="utf-8-sig", newline="")

    def _check(self) -> None:
        """`UserError` at the line of bytes that are no text; once, before any row is read."""
        with self.path.open("rb") as file:
            check_text(self.name, iter(lambda: file.read(BLOCK), b""))
        self.checked = True


def _noted(stream: TextIO, raw: list[str]) -> Iterator[str]:
    """The lines of a stream, which stand in `raw` too."""
    for line in stream:
        raw.append(line)
        yield line
