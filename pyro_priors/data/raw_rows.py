"""Rows of a CSV file to the byte: cells as they stand there, with quotes and blanks, to be joined again."""

import csv
import io
import re
from collections.abc import Iterator

CELL = r'{0}("(?:[^"]|"")*"|[^{0}]*)'  # one cell of a row that has a separator put before it


def raw_rows(text: str, separator: str = ",") -> Iterator[tuple[list[str], str]]:
    """Rows of a CSV file as (cells, line end), quotes and blanks as they stand; a blank line has no cells.

    Example:
        >>> list(raw_rows('image,hair\\r\\n"a ""b"".png", 1\\n'))
        [(['image', 'hair'], '\\r\\n'), (['"a ""b"".png"', ' 1'], '\\n')]
    """
    read: list[str] = []

    def lines():
        for line in io.StringIO(text, newline=""):
            read.append(line)
            yield line

    cell = re.compile(CELL.format(re.escape(separator)))
    for row in csv.reader(lines(), strict=True, delimiter=separator):
        raw = "".join(read)  # a cell in quotes may hold line ends
        read.clear()
        body = raw.rstrip("\r\n")
        yield cell.findall(separator + body) if row else [], raw[len(body) :]


def quoted(text: str, separator: str = ",", *, always: bool = False) -> str:
    """A cell that holds a text, in quotes where it must be, or `always`."""
    needed = always or set(text) & {separator, '"', "\r", "\n"}
    return '"' + text.replace('"', '""') + '"' if needed else text
