"""What a column of a table is: `data.deciding` on its texts, or on numbers that need no reading."""

import math

import numpy as np

from pyro_priors.checks import UserError
from pyro_priors.data import writing
from pyro_priors.data.dates import DAY, UNITS, DateForm
from pyro_priors.data.deciding import decide
from pyro_priors.data.judging import FEW, LARGEST, Cells, judge
from pyro_priors.data.numerals import gaps_among, is_number, number, plain_numbers
from pyro_priors.data.schema import ASIDE, CATEGORIES, Field
from pyro_priors.data.writing import EXACT, NumberForm
from pyro_priors.tables.frames.cells import Column, text_of
from pyro_priors.tables.frames.frames import Frame

MOMENTS = ("datetime", "date", "time")


def find_field(frame: Frame, column: Column, kind: str | None, also_missing: tuple[str, ...]) -> Field:
    """What a column is, or of a `kind` that somebody has said it is; `UserError` as `data.deciding.decide`."""
    if column.numeric:
        return _of_numbers(frame, column, kind, also_missing)
    cells = frame.cells(column)
    gaps = gaps_among(column.texts, also_missing, numbers=False)
    if len(gaps) == len(column.texts):
        return nothing(column.name, len(cells.texts))
    if column.sort == "category":
        return _of_categories(cells, column, kind, also_missing)
    field = decide(cells, kind, also_missing, read_dates=True)
    if field.categories is None and not field.aside and field.form is None:
        gaps |= gaps_among(column.texts, numbers=True)
        texts = [text for text in column.texts if text not in gaps]
        values = plain_numbers(texts) or [number(text, field.style) or 0 for text in texts]
        whole = all(value == int(value) for value in values)
        field = field._replace(form=writing.form_of(texts, field.style, whole=whole))
    return field


def nothing(name: str, cells: int) -> Field:
    """A column that is empty throughout, which stands aside."""
    return Field(name, "constant", f"all of {cells} cells missing: it stays as it is", categories=())


def _of_categories(cells: Cells, column: Column, kind: str | None, also_missing: tuple[str, ...]) -> Field:
    """A column of a categorical type, ordinal where that has an order."""
    if kind is not None and kind not in CATEGORIES:
        return decide(cells, kind, also_missing)
    if kind is None and not column.ordered and len(column.texts) > FEW:
        free = decide(cells, None, also_missing)
        if free.aside:
            return free
    field = decide(cells, kind or "categorical", also_missing)
    known = field.categories or ()
    if column.ordered:
        known = tuple(text for text in column.texts if text in known)
    if kind is None:
        kind = {1: "constant", 2: "binary"}.get(len(known), "ordinal" if column.ordered else "categorical")
    said = ", in the order of its type" if column.ordered else ""
    return field._replace(kind=kind, categories=known, reason=field.reason + said)


def _of_numbers(frame: Frame, column: Column, kind: str | None, also_missing: tuple[str, ...]) -> Field:
    values = without(column, also_missing)
    present = values[~np.isnan(values)]
    if not present.size:
        return nothing(column.name, len(values))
    large = np.flatnonzero(np.abs(values) > LARGEST)
    if large.size:
        at = frame.at(large[0], column.name)
        raise UserError(f"{at}: expected a finite number of 32 bits, got {values[large[0]]}")
    every, counts = np.unique(present, return_counts=True)
    form = form_of(column, every)
    write = form.write if isinstance(form, DateForm) else text_of
    if kind in CATEGORIES:
        texts = ["" if math.isnan(value) else write(value) for value in values.tolist()]
        cells = Cells(frame.where, column.name, frame.lines, texts, frame.unit)
        field = decide(cells, kind, read_dates=isinstance(form, DateForm))
        return field._replace(form=form)
    if kind == "count":
        odd = np.flatnonzero((values < 0) | (values != np.round(values)) & ~np.isnan(values))
        if odd.size or isinstance(form, DateForm):
            row = odd[0] if odd.size else 0
            got = write(values[row])
            raise UserError(f"{frame.at(row, column.name)}: expected a whole number, 0 or more, of a count, got {got}")
    often, what = dict(zip(every.tolist(), counts.tolist(), strict=True)), _what(column, form)
    spelled = None if what else lambda value: [write(value)] * often[value]
    judged = judge(every.tolist(), write, len(present), kind, what, spelled)
    missing = len(values) - len(present)
    reason = judged.reason + (f", {missing} of {len(values)} cells missing" if missing else "")
    states = None if judged.states is None or judged.kind in ASIDE else tuple(judged.states)
    return Field(column.name, judged.kind, reason, write(present[0]), categories=states, form=form)


def without(column: Column, also_missing: tuple[str, ...]) -> np.ndarray:
    """The numbers of a column, those that are said to be missing NaN."""
    gaps = [number(text) for text in also_missing if is_number(text)]
    gaps = [value for value in gaps if value is not None]
    return np.where(np.isin(column.values, gaps), np.nan, column.values) if gaps else column.values


def form_of(column: Column, every: np.ndarray) -> NumberForm | DateForm:
    """How numbers of a type of their own are written, given those that differ."""
    whole = bool((every == np.round(every)).all())
    if column.sort not in (*MOMENTS, "duration"):
        return NumberForm(whole=whole, decimals=EXACT)
    unit = DAY
    for moment in np.round(every * DAY).astype(np.int64).tolist():
        unit = math.gcd(unit, moment)
    unit = next(size for size in UNITS if unit % size == 0)
    if column.sort == "duration":
        return NumberForm(whole=whole, decimals=EXACT, unit="days", step=unit)
    decimals = 0 if unit >= 1_000_000 else 6
    if column.sort == "time":
        return DateForm("", "", 4, True, "", 3, decimals, "", min(unit, UNITS[1]))
    join = None if column.sort == "date" or unit == DAY else " "
    return DateForm("ymd", "-", 4, True, join, 3, decimals, "", unit)


def _what(column: Column, form: NumberForm | DateForm) -> str:
    if not isinstance(form, DateForm):
        return "durations in days" if column.sort == "duration" else ""
    return "times" if not form.order else "dates" if form.join is None else "dates with times"
