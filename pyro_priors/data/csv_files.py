"""CSV files with a row for every image: header first, a column `image` that names it."""

import csv
import io
from pathlib import Path
from typing import NamedTuple

from pyro_priors.checks import UserError


class CsvFile(NamedTuple):
    """What stands in a file.

    Args:
        name: of the file.
        source: its bytes.
        header: names of its columns, as they stand.
        lines: where each row stands.
        cells: {name of a column: its cells}; blanks around all but the names of images are stripped.
    """

    name: str
    source: bytes
    header: list[str]
    lines: tuple[int, ...]
    cells: dict[str, list[str]]


def read(path: Path) -> CsvFile:
    """Read a file in UTF-8, with a byte order mark or without; empty lines are skipped.

    Raises:
        UserError: no such file, one of another kind, no column `image`, a column that is there twice, a row that is
            longer or shorter than the header (its line is named), no row at all, an image without a name or one that
            is there twice.
    """
    source, header, rows = _rows(path)
    names = [name.strip() for name in header]
    if "image" not in names:
        raise UserError(f"{path.name}: expected a column 'image', got {', '.join(names) or 'nothing'}")
    if twice := [name for name in names if names.count(name) > 1]:
        raise UserError(f"{path.name}: expected each column once, got {twice[0]!r} twice")
    for line, row in rows:
        if len(row) != len(header):
            raise UserError(f"{path.name} line {line}: expected {len(header)} cells as in the header, got {len(row)}")
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
    return CsvFile(path.name, source, header, lines, texts)


def _rows(path: Path) -> tuple[bytes, list[str], list[tuple[int, list[str]]]]:
    """-> the bytes of a file, its header, [(line, cells of a row), ...]."""
    name = path.name
    try:
        source = path.read_bytes()
        reader = csv.reader(io.StringIO(source.decode("utf-8-sig"), newline=""), strict=True)
    except OSError as error:
        raise UserError(f"{name}: expected a CSV file at {path.absolute()}, got none ({error.strerror})") from error
    except UnicodeDecodeError as error:
        raise UserError(f"{name}: expected a CSV file in UTF-8, got other bytes ({error.reason})") from error
    try:
        rows = [(reader.line_num, row) for row in reader if row]
    except csv.Error as error:
        raise UserError(f"{name} line {reader.line_num}: expected a row of a CSV file, got {error}") from error
    return source, rows[0][1] if rows else [], rows[1:]
