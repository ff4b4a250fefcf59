"""Rows drawn without replacement from a table that is read once: those with the smallest keys."""

from collections.abc import Callable
from typing import Generic, NamedTuple, TypeVar

import numpy as np

from pyro_priors.tables import processes

FILE = 40  # bits of the number of a row in its file
STEP = np.uint64(0x9E3779B97F4A7C15)
T = TypeVar("T")


def keys_of(seed: int, place: int, start: int, count: int) -> np.ndarray:
    """Keys of rows of a file, uint64 (count,): uniform, and the same however many read it (SplitMix64).

    Args:
        seed: that draws.
        place: of the file among all.
        start, count: the first row, how many.

    References:
        Steele, Lea, Flood, "Fast Splittable Pseudorandom Number Generators", OOPSLA 2014.
    """
    base = _mixed(np.array([seed], np.uint64))
    base = _mixed(base + STEP * np.array([place + 1], np.uint64))
    return _mixed(base + STEP * np.arange(start + 1, start + count + 1, dtype=np.uint64))


def _mixed(value: np.ndarray) -> np.ndarray:
    value = (value ^ (value >> np.uint64(30))) * np.uint64(0xBF58476D1CE4E5B9)
    value = (value ^ (value >> np.uint64(27))) * np.uint64(0x94D049BB133111EB)
    return value ^ (value >> np.uint64(31))


def ids_of(place: int, start: int, count: int) -> np.ndarray:
    """Numbers of rows among all of a table, int64, in the order of files and rows.

    Example:
        >>> place_and_row(ids_of(3, 7, 2)[1])
        (3, 8)
    """
    return (place << FILE) + np.arange(start, start + count, dtype=np.int64)


def place_and_row(id_: int) -> tuple[int, int]:
    """The file of a row, and its number there."""
    return int(id_) >> FILE, int(id_) & ((1 << FILE) - 1)


class Rows(NamedTuple, Generic[T]):
    """Rows with their keys and numbers (n,), and what they hold."""

    keys: np.ndarray
    ids: np.ndarray
    cells: T


class Draw(Generic[T]):
    """The rows of the smallest keys among those that are added: a draw without replacement.

    Args:
        count: how many.
        take: of what rows hold, those at some places, (n,) int64.
        join: what several such hold as one.
    """

    def __init__(self, count: int, take: Callable[[T, np.ndarray], T], join: Callable[[list[T]], T]):
        self.count, self.take, self.join = count, take, join
        self.below = np.uint64(2**64 - 1)
        self.parts: list[Rows[T]] = []

    def add(self, keys: np.ndarray, ids: np.ndarray, cells: T) -> None:
        """Rows of a piece."""
        rows = np.flatnonzero(keys <= self.below)
        if not rows.size:
            return
        self.parts.append(Rows(keys[rows], ids[rows], self.take(cells, rows)))
        if sum(len(part.keys) for part in self.parts) > 2 * self.count:
            self.parts = [self._smallest(self.parts)]
            self.below = self.parts[0].keys.max()

    def drawn(self) -> Rows[T]:
        """Those of all processes, in the order of files and rows."""
        mine = [self._smallest(self.parts)] if self.parts else []
        parts = [part for parts in processes.gathered(mine) for part in parts]
        return _taken(self._smallest(parts), lambda rows: np.argsort(rows.ids), self.take)

    def _smallest(self, parts: list[Rows[T]]) -> Rows[T]:
        keys, ids = (np.concatenate(arrays) for arrays in zip(*((p.keys, p.ids) for p in parts), strict=True))
        rows = Rows(keys, ids, parts[0].cells if len(parts) == 1 else self.join([part.cells for part in parts]))
        return _taken(rows, lambda rows: np.lexsort((rows.ids, rows.keys))[: self.count], self.take)


def _taken(rows: Rows[T], order: Callable[[Rows[T]], np.ndarray], take: Callable[[T, np.ndarray], T]) -> Rows[T]:
    places = order(rows)
    return Rows(rows.keys[places], rows.ids[places], take(rows.cells, places))
