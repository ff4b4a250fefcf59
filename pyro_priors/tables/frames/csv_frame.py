"""A CSV file as a table: its columns, and the same file again, to the byte, with other cells in the gaps."""

import codecs
import contextlib
from array import array
from collections import defaultdict
from collections.abc import Iterable, Mapping, Sequence
from itertools import islice, pairwise
from pathlib import Path
from typing import NamedTuple

import numpy as np

from pyro_priors.checks import UserError
from pyro_priors.data.csv_files import read_bytes, rows_of
from pyro_priors.data.numerals import is_missing, is_number, nearly_all_numbers
from pyro_priors.data.raw_rows import quoted, raw_rows
from pyro_priors.tables.frames.cells import Column

SEPARATORS = (",", ";", "\t", "|")
BLOCK = 10_000  # rows that are looked at together
FIRST, LAST = 1000, 2999  # years that may be names of columns
LOOKED_AT = 200  # rows that say which separator it is
TIMES = 16  # memory that a file takes until it is filled, in sizes of the file: measured on numbers that all differ


class CsvTable(NamedTuple):
    """What stands in a file: its bytes, what separates cells, the line of each row, its columns.

    Of a piece of a file also which columns are in quotes; None: those that are so in what stands here.
    """

    name: str
    source: bytes
    separator: str
    header: list[str]
    lines: np.ndarray
    columns: list[Column]
    quoted: frozenset[int] | None = None


def read(path: str | Path) -> CsvTable:
    """Read a file in UTF-8 that has a header, with a byte order mark or without; empty lines are skipped.

    Raises:
        UserError: no such file, one of another kind or too big for the memory that is free; no header, or one with a
            name twice; a row longer or shorter than the header, or no row at all. The line is named.
    """
    path = Path(path)
    if path.is_file():
        check_room(path)
    source = read_bytes(path)
    separator = separator_of(path.name, source)
    rows = rows_of(path.name, source, separator)
    first, header = next(rows, (1, []))
    lines, columns = read_rows(path.name, names_of(path.name, first, header), rows)
    if not len(lines):
        raise UserError(f"{path.name}: expected a header and rows, got a header alone")
    check_header(path.name, first, header, lines, columns)
    return CsvTable(path.name, source, separator, header, lines, columns)


def read_rows(
    where: str, names: Sequence[str], rows: Iterable[tuple[int, list[str]]]
) -> tuple[np.ndarray, list[Column]]:
    """The line of each of some rows of a file, and their columns; `UserError` at one longer or shorter than others."""
    rows, lines = iter(rows), array("q")
    counted: list[defaultdict[str, int]] = [defaultdict() for _ in names]
    for known in counted:
        known.default_factory = known.__len__  # a text that is new gets the next number
    places = [array("i") for _ in names]
    while block := list(islice(rows, BLOCK)):
        for line, row in block:
            if len(row) != len(names):
                raise UserError(
                    f"{where} line {line}: expected {len(names)} cells as in the header, got {len(row)} (a cell "
                    "with a separator in it stands in quotes)"
                )
            lines.append(line)
        for known, place, cells in zip(counted, places, zip(*(row for _, row in block), strict=True), strict=True):
            place.extend(map(known.__getitem__, cells))
    return np.array(lines), [_column(*parts) for parts in zip(names, counted, places, strict=True)]


def check_room(path: Path):
    """`UserError` where a file is too big for the memory that is free."""
    size, free = path.stat().st_size, _free_bytes()
    if free is not None and not fits_memory(path):
        raise UserError(
            f"{path.name}: expected a file of at most {free / TIMES / 1e9:.2f} GB, which takes the {free / 1e9:.1f} GB "
            f"of memory that are free, got {size / 1e9:.2f} GB (in pieces: `impute`, in Python fit and fill_files)"
        )


def fits_memory(path: Path) -> bool:
    """Whether the memory that is free is enough for a file."""
    free = _free_bytes()
    return free is None or path.stat().st_size * TIMES <= free


def _free_bytes() -> int | None:
    """Memory that is free to this process, None where the system does not say."""
    free = []
    with contextlib.suppress(OSError, ValueError, IndexError):
        lines = Path("/proc/meminfo").read_text().splitlines()
        free += [int(line.split()[1]) * 1024 for line in lines if line.startswith("MemAvailable:")]
    with contextlib.suppress(OSError, ValueError):  # of a container
        limit, used = (Path(f"/sys/fs/cgroup/memory.{name}").read_text() for name in ("max", "current"))
        free.append(int(limit) - int(used))
    return min(free, default=None)


def separator_of(name: str, source: bytes) -> str:
    """What splits most rows into as many cells as the header, with the fewest that may be several.

    Raises:
        UserError: lines stand before the header.
    """
    best, chosen, looked_at = (-1.0, 0.0, 0), SEPARATORS[0], {}
    for separator in SEPARATORS:
        rows: list[tuple[int, list[str]]] = []
        with contextlib.suppress(UserError):  # said when it is read
            rows.extend(islice(rows_of(name, source, separator), LOOKED_AT))
        looked_at[separator] = rows
        if rows and (score := _fits([row for _, row in rows])) > best:
            best, chosen = score, separator
    if looked_at[chosen] and _cells(looked_at[chosen][0][1]) > 1:
        return chosen
    for rows in looked_at.values():
        if place := _late_header([row for _, row in rows]):
            first, got = rows[0]
            raise UserError(
                f"{name} line {first}: expected a header, the names of the columns, got {got[0]!r} (take away what "
                f"stands before line {rows[place][0]})"
            )
    return chosen


def _cells(row: Sequence[str]) -> int:
    """How many say something."""
    return sum(bool(cell.strip()) for cell in row)


def _late_header(rows: Sequence[Sequence[str]]) -> int:
    """Which row is the header where rows of one cell stand before it and a column of numbers below; else 0."""
    place = next((place for place, row in enumerate(rows) if _cells(row) > 1), 0)
    names, below = [cell.strip() for cell in rows[place]] if rows else [], rows[place + 1 :]
    if not below or any(len(row) != len(names) for row in below):
        return 0
    if any(is_number(name) or is_missing(name, numbers=True) for name in names):  # a row, as "Anna, NA" is one
        return 0
    columns = ([cell.strip() for cell in column] for column in zip(*below, strict=True))
    return place if any(nearly_all_numbers(_known(column)) for column in columns) else 0


def _fits(rows: Sequence[Sequence[str]]) -> tuple[float, float, int]:
    """How well a separator fits that makes these rows, the header first: the more the better."""
    width = len(rows[0])
    alike = [row for row in rows[1:] if len(row) == width]
    if width == 1:
        return (0.5 if len(alike) == len(rows) - 1 else 0.0), 0.0, 0
    if len(rows) > 1 and 2 * len(alike) < len(rows) - 1:
        return 0.0, 0.0, width
    cells = [cell.strip() for row in alike for cell in row]
    # A cell that holds another separator, and is no number with a comma, may be several.
    several = sum(any(mark in cell for mark in SEPARATORS) and not is_number(cell) for cell in cells)
    return 1.0, -several / max(1, len(alike)), width


def names_of(where: str, line: int, header: Sequence[str]) -> list[str]:
    """Names of the columns; those without one are named by their place.

    A header of numbers alone is one where they count, or are years, after an empty cell above the names of the rows;
    whether these are names `check_header` sees.
    """
    cells = [cell.strip() for cell in header]
    if not cells:
        raise UserError(f"{where}: expected a header and rows, got an empty file")
    alone = all(is_number(cell) or is_missing(cell, numbers=True) for cell in cells) and any(map(is_number, cells))
    if alone and not _count_on(cells):
        raise _no_header(where, line, "numbers", cells)
    names = [cell or f"column {place}" for place, cell in enumerate(cells, 1)]
    if twice := next((name for name in names if names.count(name) > 1), None):
        raise UserError(f"{where} line {line}: expected each column once, got {twice!r} twice")
    return names


def _count_on(cells: Sequence[str]) -> bool:
    """Whether an empty cell stands before 0, 1, 2, ..., or 1, 2, ..., or years at equal distances.

    Example:
        >>> _count_on(["", "0", "1"]), _count_on(["", "1990", "1995", "2000"]), _count_on(["", "3", "4"])
        (True, True, False)
    """
    if len(cells) < 3 or cells[0] or not all(cell.isascii() and cell.isdigit() for cell in cells[1:]):
        return False
    counts = [int(cell) for cell in cells[1:]]
    even = len({after - before for before, after in pairwise(counts)}) == 1 and counts[1] > counts[0]
    return even and (counts[:2] in ([0, 1], [1, 2]) or (counts[0] >= FIRST and counts[-1] <= LAST))


def check_header(
    where: str, line: int, header: Sequence[str], lines: Sequence[int] | np.ndarray, columns: Sequence[Column]
) -> None:
    """`UserError` where the header is a row as all others: numbers above numbers, texts that stand below them too."""
    cells = [cell.strip() for cell in header]
    if not any(map(is_number, cells)):
        return
    if _count_on(cells):
        if int(cells[1]) < FIRST and not _names_rows(columns[0]):
            raise _no_header(where, line, "numbers", cells)
        return

    def fits(cell: str, below: Sequence[str]) -> bool:
        return cell in below if not is_number(cell) else nearly_all_numbers(_known(below))

    if all(map(fits, cells, (column.texts for column in columns))):
        again = _again(cells, columns)
        other = "" if again is None else f", that of line {lines[again]}: take it away if it is the names again"
        raise _no_header(where, line, "a row like the others", cells, other)


def _known(texts: Sequence[str]) -> list[str]:
    return [text for text in texts if not is_missing(text, numbers=True)]


def _names_rows(column: Column) -> bool:
    """Whether a column may be an index: whole numbers or texts of which none comes again."""
    whole = all(text.isascii() and text.isdigit() for text in column.texts)
    return len(column.texts) == len(column.values) and (whole or not any(map(is_number, column.texts)))


def _again(cells: Sequence[str], columns: Sequence[Column]) -> int | None:
    """The first row that says what the header says; None where there is none."""
    places = [
        column.texts.index(cell) if cell in column.texts else -1 for cell, column in zip(cells, columns, strict=True)
    ]
    same = np.logical_and.reduce([column.values == place for place, column in zip(places, columns, strict=True)])
    return int(same.argmax()) if same.any() else None


def _no_header(where: str, line: int, got: str, cells: Sequence[str], other: str = "") -> UserError:
    return UserError(
        f"{where} line {line}: expected a header, the names of the columns, got {got} ({', '.join(cells[:5])}{other}; "
        "write a line of names before them)"
    )


def _column(name: str, counted: Mapping[str, int], places: Sequence[int]) -> Column:
    """A column of texts, those that differ in blanks alone counted as one."""
    texts: dict[str, int] = {}
    moved = np.array([texts.setdefault(cell.strip(), len(texts)) for cell in counted], np.int64)
    return Column(name, "text", moved[np.asarray(places, np.int64)], tuple(texts))


def filled(table: CsvTable, columns: Mapping[int, tuple[np.ndarray, Sequence[str]]]) -> str:
    """The text of a file with other cells: {column: (rows, a text for each of them)}; all else as it stands."""
    cells: dict[int, list[tuple[int, str]]] = {}
    for column, (rows, texts) in columns.items():
        for row, text in zip(rows.tolist(), texts, strict=True):
            cells.setdefault(row, []).append((column, text))
    every = quoted_columns(table, set(range(len(table.header)))) if table.quoted is None else table.quoted
    # A mark of the order of bytes belongs to the file: before a quote it would be a part of the first name.
    written, row = ["\ufeff" if table.source.startswith(codecs.BOM_UTF8) else ""], -1
    for raw, end in raw_rows(table.source.decode("utf-8-sig"), table.separator):
        if raw:
            for column, text in cells.get(row, ()):
                always = raw[column].startswith('"') or column in every
                raw[column] = quoted(text, table.separator, always=always)
            row += 1
        written.append(table.separator.join(raw) + end)
    return "".join(written)


def quoted_columns(table: CsvTable, waiting: set[int]) -> set[int]:
    """Those of the waiting columns whose first cell that says something stands in quotes; without one they wait on."""
    always = set()
    rows = raw_rows(table.source.decode("utf-8-sig"), table.separator)
    next(row for row, _ in rows if row)
    for row, _ in rows:
        for column in [column for column in waiting if row and row[column].strip().strip('"')]:
            waiting.discard(column)
            if row[column].startswith('"'):
                always.add(column)
        if not waiting:
            break
    return always


def made(like: CsvTable, columns: Sequence[Sequence[str]]) -> str:
    """The text of a new file with the header of another: for each column its cells."""
    head = like.separator.join(quoted(name.strip(), like.separator) for name in like.header)
    rows = (like.separator.join(quoted(cell, like.separator) for cell in row) for row in zip(*columns, strict=True))
    single = len(like.header) == 1  # of which an empty cell is no blank line
    return "\n".join([head, *((row or '""') if single else row for row in rows), ""])
