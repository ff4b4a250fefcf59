"""Columns of a table in memory: numbers, or texts that are counted once each, with what is missing marked."""

import datetime
import math
from collections.abc import Callable, Mapping, Sequence
from decimal import Decimal
from numbers import Real
from typing import Any, NamedTuple

import numpy as np

from pyro_priors.data.judging import EXACT

NUMBERS = ("number", "datetime", "date", "time", "duration")  # sorts that are float64
EPOCH = datetime.date(1970, 1, 1).toordinal()
DAY = datetime.timedelta(days=1)
_NEVER_EMPTY = {str, int, bool, datetime.date, datetime.datetime, datetime.time, datetime.timedelta}
_ARRAYS = {"b": "bool", "i": "number", "u": "number", "f": "number", "M": "datetime", "m": "duration", "U": "text"}


class Column(NamedTuple):
    """A column of n cells.

    Args:
        name: of the column.
        sort: of its cells: "number"; "datetime", "date", "time", "duration", all of which are days; "text", "bool",
            "category".
        values: (n,) float64, NaN = missing; of texts, bools and categories (n,) int64, the index in `texts`, -1 =
            missing.
        texts: that differ, without blanks around them; categories in their own order.
        ordered: whether that order means something.
        originals: of texts that stand for something else, such as numbers among texts.
        make: from a number what such cells are in a column of objects.
    """

    name: str
    sort: str
    values: np.ndarray
    texts: Sequence[str] = ()
    ordered: bool = False
    originals: dict[str, Any] | None = None
    make: Callable[[float], Any] | None = None

    @property
    def numeric(self) -> bool:
        return self.sort in NUMBERS


def from_array(where: str, name: str, array: np.ndarray) -> Column:
    """A column of a numpy array (n,); `ValueError` at the row of a cell that is no number, text, date or bool."""
    kind = array.dtype.kind
    if kind == "c":
        raise ValueError(f"{where}, column {name}: Complex data not supported, expected real numbers")
    if kind == "O":
        return from_list(where, name, array.tolist())
    if kind not in _ARRAYS:
        raise ValueError(f"{where}, column {name}: expected numbers, texts or dates, got {array.dtype}")
    if kind in "bU":
        return from_list(where, name, array.tolist())
    if kind in "Mm":
        unit = np.timedelta64(1, "D") / np.timedelta64(1, "us")
        moment = array.astype("M8[us]" if kind == "M" else "m8[us]")
        values = np.where(np.isnat(moment), np.nan, moment.astype(np.int64) / unit)
        return Column(name, _ARRAYS[kind], values)
    if kind in "iu" and array.size and max(abs(int(array.max())), abs(int(array.min()))) > EXACT:
        return from_list(where, name, array.tolist())
    values = array.astype(np.float64)
    infinite = np.flatnonzero(np.isinf(values))
    if infinite.size:
        at, value = infinite[0], values[infinite[0]]
        raise ValueError(f"{where} row {at}, column {name}: expected a finite number, got {value}")
    return Column(name, "number", values)


def from_list(where: str, name: str, cells: Sequence[Any], categories: Sequence | None = None, ordered=False) -> Column:
    """A column of Python objects, of which None, NaN, NaT and pandas' NA are missing; categories in their order."""
    types = set(map(type, cells))
    if types & _NEVER_EMPTY != types:
        empty = [type(cell) not in _NEVER_EMPTY and is_empty(cell) for cell in cells]
        types = {type(cell) for cell, gap in zip(cells, empty, strict=True) if not gap}
    else:
        empty = [False] * len(cells)
    if categories is not None:
        return _coded(name, "category", cells, empty, categories, ordered)
    if types and types <= {bool, np.bool_}:
        return _coded(name, "bool", cells, empty)
    sort = _sort(where, name, cells, empty, types)
    if sort == "text":
        return _coded(name, sort, cells, empty)
    read = _DAYS[sort]
    values = np.array([math.nan if gap else read(cell) for cell, gap in zip(cells, empty, strict=True)], np.float64)
    whole = all(issubclass(type_, int | np.integer) for type_ in types)
    if sort == "number" and whole and np.abs(np.nan_to_num(values)).max(initial=0) > EXACT:
        return _coded(name, "text", cells, empty)  # 64 bits cannot tell it from the next
    column = from_array(where, name, values) if sort == "number" else Column(name, sort, values)
    return column._replace(make=_maker(where, name, sort, [cell for cell in cells if not is_empty(cell)]))


def is_empty(cell: Any) -> bool:
    """Whether an object stands for a missing cell: None, NaN, NaT, pandas' NA."""
    if cell is None or type(cell).__name__ in ("NAType", "NaTType"):
        return True
    if isinstance(cell, np.datetime64 | np.timedelta64):
        return bool(np.isnat(cell))
    return isinstance(cell, Real | Decimal) and cell != cell


def text_of(cell: Any) -> str:
    """An object as a cell of a CSV file would hold it; whole numbers have no decimals."""
    if isinstance(cell, float | np.floating):
        return str(int(cell)) if cell == int(cell) and abs(cell) <= EXACT else repr(float(cell))
    return str(cell).strip()


def _sort(where: str, name: str, cells: Sequence, empty: Sequence[bool], types: set[type]) -> str:
    """What all cells are; numbers, bools and texts together are texts."""
    for sort, of in _TYPES.items():
        without = (bool, datetime.datetime) if sort == "date" else bool
        if all(issubclass(type_, of) and not issubclass(type_, without) for type_ in types):
            return sort
    for row, cell in enumerate(cells):
        if not empty[row] and not isinstance(cell, str | Real | Decimal | np.bool_):
            others = sorted(type_.__name__ for type_ in types if type_ is not type(cell))
            beside = f" beside {', '.join(others)}" if others else ""
            raise ValueError(
                f"{where} row {row}, column {name}: expected numbers, texts or dates, got {_short(cell)}{beside} "
                "(every cell must be a number or a string, or all of them dates, times or durations)"
            )
        if not empty[row] and isinstance(cell, Real) and math.isinf(cell):
            raise ValueError(f"{where} row {row}, column {name}: expected a finite number, got {cell}")
    return "text"


def _short(cell: Any) -> str:
    text = repr(cell)
    return f"{text if len(text) <= 40 else text[:37] + '...'} ({type(cell).__name__})"


def _coded(name, sort, cells, empty, categories: Sequence = (), ordered=False) -> Column:
    """A column of texts, counted once each."""
    index = {text: place for place, text in enumerate(dict.fromkeys(map(text_of, categories)))}
    originals: dict[str, Any] = {text_of(cell): cell for cell in categories}
    known: dict[Any, int] = {}
    values = np.full(len(cells), -1, np.int64)
    for row, (cell, gap) in enumerate(zip(cells, empty, strict=True)):
        if gap:
            continue
        key = cell if type(cell) is str else (type(cell), cell)  # True is 1 to a dictionary
        place = known.get(key)
        if place is None:
            text = text_of(cell)
            place = known[key] = index.setdefault(text, len(index))
            originals.setdefault(text, cell)
        values[row] = place
    alike = all(isinstance(cell, str) for cell in originals.values())
    return Column(name, sort, values, tuple(index), ordered, None if alike and sort == "text" else originals)


def _days(moment: datetime.datetime) -> float:
    if moment.tzinfo is not None:
        moment = moment.astimezone(datetime.UTC).replace(tzinfo=None)
    return (moment - datetime.datetime(1970, 1, 1)) / DAY


_TYPES: dict[str, Any] = {
    "number": (Real, Decimal),
    "text": str,
    "datetime": (datetime.datetime, np.datetime64),
    "date": datetime.date,
    "time": datetime.time,
    "duration": (datetime.timedelta, np.timedelta64),
}
_DAYS = {
    "number": float,
    "datetime": lambda cell: _days(cell.astype("M8[us]").item() if isinstance(cell, np.datetime64) else cell),
    "date": lambda cell: float(cell.toordinal() - EPOCH),
    "time": lambda cell: (
        datetime.timedelta(hours=cell.hour, minutes=cell.minute, seconds=cell.second, microseconds=cell.microsecond)
        / DAY
    ),
    "duration": lambda cell: (cell.astype("m8[us]").item() if isinstance(cell, np.timedelta64) else cell) / DAY,
}


def objects(column: Column, values: Sequence) -> list[Any]:
    """What stands for texts or numbers in a column: bools, categories, dates, whole numbers where all are int."""
    if not column.numeric:
        known = column.originals or {}
        if column.sort == "bool":
            return [text == "True" for text in values]
        return [known.get(text, _like(text, known)) for text in values]
    make = column.make or _MOMENTS.get(column.sort, float)
    return [make(value) for value in np.asarray(values, np.float64).tolist()]


def _like(text: str, known: Mapping[str, Any]) -> Any:
    """A text that a column does not hold yet, as a number if the others are such."""
    if known and all(isinstance(cell, Real) for cell in known.values()):
        return int(text) if all(isinstance(cell, int | np.integer) for cell in known.values()) else float(text)
    return text


def _maker(where: str, name: str, sort: str, cells: Sequence) -> Callable[[float], Any] | None:
    """What makes further objects of the type of these: of whole numbers, decimals, dates with a zone."""
    types = set(map(type, cells))
    if sort == "number" and types:
        if all(issubclass(type_, int | np.integer) for type_ in types):
            return round
        if types == {Decimal}:
            places = max(0, *(-int(cell.as_tuple().exponent) for cell in cells))
            return lambda value: round(Decimal(repr(value)), places)
    if sort == "datetime":
        zones = [getattr(cell, "tzinfo", None) for cell in cells]
        if None in zones and any(zones):
            row = zones.index(None)
            raise ValueError(f"{where}, column {name}: expected times that all have a zone or none, got {cells[row]}")
        if zones and zones[0] is not None:
            return lambda days: _moment(days).replace(tzinfo=datetime.UTC).astimezone(zones[0])
    return None


def _moment(days: float) -> datetime.datetime:
    return datetime.datetime(1970, 1, 1) + datetime.timedelta(microseconds=round(days * 86_400_000_000))


_MOMENTS: dict[str, Any] = {
    "datetime": _moment,
    "date": lambda days: datetime.date.fromordinal(round(days) + EPOCH),
    "time": lambda days: _moment(min(max(days, 0.0), 1 - 1e-11)).time(),
    "duration": lambda days: datetime.timedelta(microseconds=round(days * 86_400_000_000)),
}
