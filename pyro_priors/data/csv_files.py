"""CSV files with a row for every image: header first, a column `image` that names it."""

import codecs
import csv
import io
from collections.abc import Iterable, Iterator
from pathlib import Path
from typing import NamedTuple

from pyro_priors.checks import UserError

SEPARATORS = (",", ";", "\t")
UTF16 = "UTF-16 (save it as 'CSV UTF-8')"
OTHERS = {  # what files of other kinds start with
    codecs.BOM_UTF16_LE: UTF16,
    codecs.BOM_UTF16_BE: UTF16,
    b"\x1f\x8b": "a gzip file (unpack it)",
    b"PK\x03\x04": "a ZIP file or an Excel workbook (unpack it, or save it as 'CSV UTF-8')",
    b"\xd0\xcf\x11\xe0": "an Excel workbook (save it as 'CSV UTF-8')",
    b"PAR1\x15": "a Parquet file (name it .parquet)",
}


class CsvFile(NamedTuple):
    """What stands in a file.

    Args:
        name: of the file.
        source: its bytes.
        header: names of its columns, as they stand.
        lines: where each row stands.
        cells: {name of a column: its cells}; blanks around all but the names of images are stripped.
        separator: what stands between cells.
    """

    name: str
    source: bytes
    header: list[str]
    lines: tuple[int, ...]
    cells: dict[str, list[str]]
    separator: str = ","


def read(path: Path) -> CsvFile:
    """Read a file in UTF-8, with a byte order mark or without; empty lines are skipped.

    Cells are separated by what makes `image` a column of the header: commas, else semicolons, else tabs.

    Raises:
        UserError: no such file, one of another kind, no column `image`, a column that is there twice, a row that is
            longer or shorter than the header (its line is named), no row at all, an image without a name or one that
            is there twice.
    """
    source = read_bytes(path)
    text = source.decode("utf-8-sig")
    separator = _separator(text)
    (first, header), *rows = list(rows_of(path.name, source, separator)) or [(1, [])]
    names = [name.strip() for name in header]
    if "image" not in names:
        raise UserError(f"{path.name}: expected a column 'image', got {', '.join(names) or 'nothing'}")
    if twice := [name for name in names if names.count(name) > 1]:
        raise UserError(f"{path.name} line {first}: expected each column once, got {twice[0]!r} twice")
    for line, row in rows:
        if len(row) != len(header):
            raise UserError(
                f"{path.name} line {line}: expected {len(header)} cells as in the header, got {len(row)} (a cell "
                "with a separator in it stands in quotes)"
            )
    if not rows:
        raise UserError(f"{path.name}: expected a row for every image, got none")
    lines, cells = zip(*rows, strict=True)
    columns = zip(names, zip(*cells, strict=True), strict=True)
    texts = {n: list(column) if n == "image" else [text.strip() for text in column] for n, column in columns}
    seen = set()
    for line, name in zip(lines, texts["image"], strict=True):
        if not name.strip() or name in seen:
            got = f"{name!r} twice" if name.strip() else "an empty cell"
            raise UserError(f"{path.name} line {line}, column image: expected every image once, got {got}")
        seen.add(name)
    return CsvFile(path.name, source, header, lines, texts, separator)


def read_bytes(path: Path) -> bytes:
    """Those of a file in UTF-8."""
    try:
        source = path.read_bytes()
    except OSError as error:
        raise missing(path.name, path, error) from error
    check_start(path.name, source)
    check_text(path.name, [source])
    return source


def missing(name: str, path: Path, error: OSError) -> UserError:
    """What is said of a file that cannot be read."""
    return UserError(f"{name}: expected a CSV file at {path.absolute()}, got none ({error.strerror})")


def check_start(name: str, start: bytes) -> None:
    """`UserError` where a file starts as one of another kind does."""
    if kind := next((kind for mark, kind in OTHERS.items() if start.startswith(mark)), None):
        raise UserError(f"{name}: expected a CSV file in UTF-8, got {kind}")


def check_text(name: str, blocks: Iterable[bytes]) -> None:
    """`UserError` at the line where the bytes of a file, in blocks, are no text in UTF-8."""
    decoder, lines = codecs.getincrementaldecoder("utf-8")(), 0
    try:
        for block in blocks:
            decoder.decode(block)
            if b"\0" in block:
                line = lines + block.count(b"\n", 0, block.index(b"\0")) + 1
                raise UserError(f"{name} line {line}: expected text, got a zero byte (is it UTF-16, or no CSV file?)")
            lines += block.count(b"\n")
        decoder.decode(b"", final=True)
    except UnicodeDecodeError as error:
        line, why = lines + error.object.count(b"\n", 0, error.start) + 1, f"{error.reason}; save it as 'CSV UTF-8'"
        raise UserError(f"{name} line {line}: expected a CSV file in UTF-8, got other bytes ({why})") from error


def _separator(text: str) -> str:
    """What makes `image` a column of the header, the comma where nothing does."""
    header = next((line for line in text.splitlines() if line.strip()), "")
    for separator in SEPARATORS:
        if "image" in [name.strip().strip('"').strip() for name in header.split(separator)]:
            return separator
    return SEPARATORS[0]


def rows_of(name: str, source: bytes, separator: str) -> Iterator[tuple[int, list[str]]]:
    """(line, cells of a row) of a file, the header first; `UserError` at the line where it is no CSV file."""
    return rows_in(name, io.TextIOWrapper(io.BytesIO(source), encoding="utf-8-sig", newline=""), separator)


def rows_in(name: str, lines: Iterable[str], separator: str) -> Iterator[tuple[int, list[str]]]:
    """The same of a file's lines, with their ends."""
    reader, begin = csv.reader(lines, strict=True, delimiter=separator), 1
    try:
        for row in reader:
            if row:
                yield reader.line_num, row
            begin = reader.line_num + 1
    except csv.Error as error:
        got, line = str(error), reader.line_num
        if got == "unexpected end of data" or got.startswith("field larger"):
            got, line = f"{got} (is a quote not closed?)", begin
        raise UserError(f"{name} line {line}: expected a row of a CSV file, got {got}") from error
