"""Columns added to the text of a CSV file: all that stands there stays as it is, to the byte."""

from collections.abc import Mapping, Sequence

from pyro_priors.checks import UserError
from pyro_priors.data.raw_rows import quoted, raw_rows


def add_columns(text: str, columns: Mapping[str, Sequence[str]], separator: str) -> str:
    """A CSV text with columns after its last.

    Args:
        text: of the file, its header first.
        columns: {name: a text for every row}; one with a separator, a quote or a line end in it is put in quotes.
        separator: what stands between cells.

    Example:
        >>> add_columns('a,b\\r\\n"1, 2",3\\r\\n\\r\\n5,6', {"a_low": ["0", ""]}, ",")
        'a,b,a_low\\r\\n"1, 2",3,0\\r\\n\\r\\n5,6,'
    """
    pieces, row = [], -1
    for cells, end in raw_rows(text, separator):
        if cells:
            added = columns if row < 0 else [column[row] for column in columns.values()]
            cells = [*cells, *(quoted(cell, separator) for cell in added)]
            row += 1
        pieces += [separator.join(cells), end]
    return "".join(pieces)


def check_added(names: Sequence[str], added: Sequence[str]) -> None:
    """`UserError` where a column to be added is there, or another of the same name is added."""
    for place, name in enumerate(added):
        if name in names or name in added[:place]:
            raise UserError(f"file: expected no column {name!r}, the name of one to be added")
