"""CSV files with a row for every picture: header first, a column `image` that names it."""

import csv

from pyro_priors.checks import UserError


def rows(path):
    """Cells as they stand -> the header, [(line, cells of one row), ...]; empty lines are skipped.

    Args:
        path: a `pathlib.Path`; the file is UTF-8, with a byte order mark or without.

    Raises:
        UserError: no such file, one of another kind, no column `image`, a column that is there twice, a row that is
            longer or shorter than the header (its line is named).
    """
    try:
        with path.open(newline="", encoding="utf-8-sig") as file:
            reader = csv.reader(file, strict=True)
            read = [(reader.line_num, row) for row in reader if row]
    except OSError as error:
        raise UserError(f"expected a CSV file at {path.absolute()}, got none ({error.strerror})") from error
    except UnicodeDecodeError as error:
        raise UserError(f"{path.name}: expected a CSV file in UTF-8, got other bytes ({error.reason})") from error
    except csv.Error as error:
        raise UserError(f"{path.name} line {reader.line_num}: expected a row of a CSV file, got {error}") from error
    header = read[0][1] if read else []
    names = [name.strip() for name in header]
    if "image" not in names:
        raise UserError(f"{path.name}: expected a column 'image', got {', '.join(names) or 'nothing'}")
    if twice := [name for name in names if names.count(name) > 1]:
        raise UserError(f"{path.name}: expected each column once, got {twice[0]!r} twice")
    for line, row in read[1:]:
        if len(row) != len(header):
            raise UserError(f"{path.name} line {line}: expected {len(header)} cells as in the header, got {len(row)}")
    return header, read[1:]


def columns(path):
    """The line of every row, {name of a column: its cells}; blanks around all but the names of pictures are stripped.

    Raises:
        UserError: as `rows`; no row at all; a picture without a name or one that is there twice.
    """
    header, read = rows(path)
    if not read:
        raise UserError(f"{path.name}: expected a row for every picture, got none")
    lines, cells = zip(*read, strict=True)
    texts = {
        name.strip(): list(column) if name.strip() == "image" else [text.strip() for text in column]
        for name, column in zip(header, zip(*cells, strict=True), strict=True)
    }
    seen = set()
    for line, name in zip(lines, texts["image"], strict=True):
        if not name.strip() or name in seen:
            got = f"{name!r} twice" if name.strip() else "an empty cell"
            raise UserError(f"{path.name} line {line}, column image: expected every picture once, got {got}")
        seen.add(name)
    return lines, texts
