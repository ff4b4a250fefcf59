"""Columns of pieces: some rows of one, several as one, and what different cells a column of all pieces holds."""

from collections.abc import Sequence

import numpy as np

from pyro_priors.tables.frames.cells import Column, text_of

MOST = 50_000  # different cells of a column that may be categories


def take(columns: Sequence[Column], rows: np.ndarray) -> list[Column]:
    """Those rows of columns; texts that are left over are dropped, but for categories that have an order."""
    return [_taken(column, rows) for column in columns]


def _taken(column: Column, rows: np.ndarray) -> Column:
    values = column.values[rows]
    if column.numeric or column.sort == "category":
        return column._replace(values=values)
    used, inverse = np.unique(values, return_inverse=True)
    known = used[used >= 0].tolist()
    values = inverse.reshape(-1).astype(np.int64) - (len(used) - len(known))
    return column._replace(values=values, texts=tuple(column.texts[place] for place in known))


def join(parts: Sequence[Sequence[Column]]) -> list[Column]:
    """The columns of several tables, of the same names, below each other."""
    return [_joined(columns) for columns in zip(*parts, strict=True)]


def _joined(parts: Sequence[Column]) -> Column:
    sorts = dict.fromkeys(column.sort for column in parts if not is_blank(column))
    first = next((column for column in parts if column.sort in sorts), parts[0])
    if first.numeric and len(sorts) < 2:
        return first._replace(values=np.concatenate([np.asarray(c.values, np.float64) * _nan(c) for c in parts]))
    parts = [_as_text(column) if column.numeric else column for column in parts]
    texts: dict[str, int] = {}
    values = []
    for column in parts:
        places = np.array([*(texts.setdefault(text, len(texts)) for text in column.texts), -1], np.int64)
        values.append(places[column.values])
    originals = {text: cell for column in parts for text, cell in (column.originals or {}).items()}
    sort = first.sort if len(sorts) < 2 else "text"
    known = originals if sort != "text" or originals else None
    return Column(first.name, sort, np.concatenate(values), tuple(texts), first.ordered, known)


def _nan(column: Column) -> float:
    """What makes a blank column of texts one of numbers."""
    return 1.0 if column.numeric else np.nan


def _as_text(column: Column) -> Column:
    """Whole numbers of a piece, where others have some that 64 bits cannot hold."""
    every, inverse = np.unique(column.values, return_inverse=True)
    texts = tuple(text_of(value) for value in every[~np.isnan(every)].tolist())
    values = inverse.reshape(-1).astype(np.int64)
    return Column(column.name, "text", np.where(np.isnan(column.values), -1, values), texts)


def is_blank(column: Column) -> bool:
    """Whether it says nothing."""
    return bool(np.isnan(column.values).all() if column.numeric else (column.values < 0).all())


class Different:
    """The different cells of a column of all pieces, and where each stands first; None where they are very many."""

    def __init__(self):
        self.first: dict[str | float, tuple[int, int]] | None = {}

    def add(self, column: Column, ids: np.ndarray, lines: np.ndarray) -> None:
        """The cells of a piece: the numbers of its rows, and their lines, (n,)."""
        if self.first is None:
            return
        known = np.flatnonzero(~np.isnan(column.values) if column.numeric else column.values >= 0)
        every, places = np.unique(column.values[known], return_index=True)
        if len(every) > MOST:
            self.first = None
            return
        distinct: list[int] = every.tolist()
        cells = distinct if column.numeric else [column.texts[place] for place in distinct]
        rows = known[places].tolist()
        self.merge({cell: (int(ids[row]), int(lines[row])) for cell, row in zip(cells, rows, strict=True)})

    def merge(self, first: dict[str | float, tuple[int, int]] | None) -> None:
        """What another has seen."""
        if first is None or self.first is None:
            self.first = None
            return
        for cell, at in first.items():
            if cell not in self.first or at < self.first[cell]:
                self.first[cell] = at
        if len(self.first) > MOST:
            self.first = None


def widened(column: Column, first: dict[str | float, tuple[int, int]]) -> tuple[Column, list[tuple[int, int]]]:
    """A column of drawn rows, below them the cells that these lack, and where such stand."""
    used = np.unique(column.values).tolist()
    there = set(used) if column.numeric else {column.texts[place] for place in used if place >= 0}
    more = {cell: at for cell, at in sorted(first.items(), key=lambda pair: pair[1]) if cell not in there}
    if column.numeric:
        return column._replace(values=np.concatenate([column.values, np.array([*more], np.float64)])), [*more.values()]
    texts = {text: place for place, text in enumerate(column.texts)}
    new = np.array([texts.setdefault(str(text), len(texts)) for text in more], np.int64)
    return column._replace(values=np.concatenate([column.values, new]), texts=tuple(texts)), [*more.values()]
