"""Cells of a column as codes, when it is known what the column is."""

import math
import warnings
from collections.abc import Sequence

import numpy as np

from pyro_priors.checks import UserError
from pyro_priors.data import writing
from pyro_priors.data.attributes import Attribute
from pyro_priors.data.columns import some
from pyro_priors.data.date_columns import alike_dates
from pyro_priors.data.dates import DateForm, form_of, is_date
from pyro_priors.data.deciding import alike
from pyro_priors.data.numerals import PLAIN, Style, gaps_among, is_missing, is_number, number, plain_numbers
from pyro_priors.data.schema import NUMBERS, Field
from pyro_priors.data.writing import EXACT, NumberForm
from pyro_priors.tables.frames.cells import Column, text_of
from pyro_priors.tables.frames.fields import without
from pyro_priors.tables.frames.frames import Frame


def value_of(text: str, field: Field) -> float:
    """The number that a category, or the only value of a constant, is; `ValueError` for a text."""
    if isinstance(field.form, DateForm):
        value = field.form.read(text)
    elif text in ("True", "False"):
        value = float(text == "True")
    else:
        value = number(text, field.style)
    if value is None:
        raise ValueError(f"column {field.name}: expected a number, got {text!r}")
    return float(value)


def read_column(frame: Frame, column: Column, field: Field, also_missing: tuple[str, ...]) -> np.ndarray:
    """The codes of a column, (n,); `ValueError` at the row or line of a cell that has none."""
    if column.numeric:
        return _numbers(frame, column, field, also_missing)
    codes = np.full(len(column.texts) + 1, np.nan)
    seen: list[int] = [place for place in np.unique(column.values).tolist() if place >= 0]
    if field.categories is None and field.style == PLAIN and not isinstance(field.form, DateForm):
        gaps = gaps_among(column.texts, also_missing, numbers=True)
        known = [place for place in seen if column.texts[place] not in gaps]
        if (plain := plain_numbers(column.texts[place] for place in known)) is not None:
            codes[known] = plain
            return codes[column.values]
    reader = _Reader(frame, column, field, also_missing)
    for place in seen:
        codes[place] = reader.read(column.texts[place])
    return codes[column.values]


class _Reader:
    """Texts of a column -> codes."""

    def __init__(self, frame: Frame, column: Column, field: Field, also_missing: tuple[str, ...]):
        self.frame, self.column, self.field, self.also_missing = frame, column, field, also_missing
        known = field.categories or ()
        self.meaning = None if field.categories is None else Attribute(field.name, known)
        self.numbers = not known or isinstance(field.form, DateForm) or all(map(is_number, known))
        self.style, self.form = PLAIN, None
        if self.numbers:
            self.style, self.form = styles(frame, column, field, also_missing)
        self.states = {value_of(text, field): i for i, text in enumerate(known)} if self.form else {}
        ordered = field.kind == "ordinal" and self.numbers and not self.form
        self.ordered = {value_of(text, field): i for i, text in enumerate(known)} if ordered else {}

    def read(self, text: str) -> float:
        if text in self.also_missing:
            return math.nan
        if self.meaning is not None and self.form is None:
            value = number(text, self.style) if self.ordered else None
            if value is not None and math.isfinite(value):
                return float(_nearest(self.frame, self.column, self.field, [value], self.ordered)[0])
            try:
                return self.meaning.parse(text, self.style)
            except ValueError as error:
                raise UserError(f"{self._at(text)}: {error}") from None
        if is_missing(text, numbers=True):
            return math.nan
        value = number(text, self.style) if self.form is None else self.form.read(text)
        if self.meaning is not None:
            if value not in self.states:
                raise UserError(f"{self._at(text)}: expected one of {some(self.field.categories or ())}, got {text!r}")
            return float(self.states[value])
        if value is None or not math.isfinite(value):
            what = "a finite number" if self.form is None else "a date or time as in training"
            raise UserError(f"{self._at(text)}: expected {what}, got {text!r}")
        return float(value)

    def _at(self, text: str) -> str:
        row = int(np.argmax(self.column.values == list(self.column.texts).index(text)))
        return self.frame.at(row, self.column.name)


def styles(frame: Frame, column: Column, field: Field, also_missing: tuple[str, ...]) -> tuple[Style, DateForm | None]:
    """In which the numbers or dates of a column are written: as in training where that reads all."""
    texts = present(column, also_missing)
    if isinstance(field.form, DateForm):
        if all(field.form.read(text) is not None for text in texts):
            return PLAIN, field.form

        if all(map(is_date, texts)):
            return PLAIN, alike_dates(frame.cells(column), texts)
        return PLAIN, field.form
    if field.style == PLAIN and plain_numbers(texts) is not None:
        return PLAIN, None
    if all(number(text, field.style) is not None for text in texts) or not all(map(is_number, texts)):
        return field.style, None
    try:
        return alike(frame.cells(column), texts, counts=field.kind == "count"), None
    except UserError:
        if field.kind in NUMBERS:
            raise
        return field.style, None


def present(column: Column, also_missing: Sequence[str]) -> list[str]:
    """The texts of a column of numbers that say something."""
    seen: list[int] = np.unique(column.values).tolist()
    texts = [column.texts[place] for place in seen if place >= 0]
    gaps = gaps_among(texts, also_missing, numbers=True)
    return [text for text in texts if text not in gaps]


def _numbers(frame: Frame, column: Column, field: Field, also_missing: tuple[str, ...]) -> np.ndarray:
    """Codes of numbers that need no reading."""
    values = without(column, also_missing)
    if field.kind == "constant":
        return values
    known, what, got = field.categories, _what(field), _WHAT.get(column.sort, column.sort)
    if what != got and not np.isnan(values).all():
        row = int(np.argmax(~np.isnan(values)))
        raise UserError(f"{frame.at(row, column.name)}: expected a {what} as in training, got a {got}")
    if known is None:
        return values
    try:
        states = {value_of(text, field): place for place, text in enumerate(known)}
    except ValueError:
        states = {}
    every, inverse = np.unique(values, return_inverse=True)
    if field.kind == "ordinal" and states and what == "number":
        return _nearest(frame, column, field, every.tolist(), states)[inverse.reshape(-1)]
    codes = np.array([math.nan if math.isnan(v) else states.get(v, -1) for v in every.tolist()])[inverse.reshape(-1)]
    odd = np.flatnonzero(codes == -1)
    if odd.size:
        value = float(values[odd[0]])
        got = field.form.write(value) if isinstance(field.form, DateForm) else text_of(value)
        raise UserError(f"{frame.at(odd[0], column.name)}: expected one of {some(known)}, got {got}")
    return codes


def _nearest(
    frame: Frame, column: Column, field: Field, values: Sequence[float], states: dict[float, int]
) -> np.ndarray:
    """The states of numbers that are ordered categories; one never seen has the nearest one's, with a warning."""
    known = np.array(sorted(states))
    finite = np.nan_to_num(np.array(values, dtype=np.float64), nan=known[0])
    place = np.abs(finite[:, None] - known).argmin(1)
    if new := [v for v, k in zip(values, known[place], strict=True) if not math.isnan(v) and v != k]:
        warnings.warn(
            f"{frame.where}: column {column.name}: {text_of(float(new[0]))} was not seen in training, and is taken as "
            f"the nearest of {some(field.categories or ())}",
            stacklevel=2,
        )
    codes = np.array([states[value] for value in known.tolist()], dtype=np.float64)[place]
    return np.where(np.isnan(np.array(values, dtype=np.float64)), np.nan, codes)


_WHAT = {"datetime": "date"}


def _what(field: Field) -> str:
    """What the numbers of a column are, as `Column.sort` says it."""
    if isinstance(field.form, DateForm):
        return "date" if field.form.order else "time"
    return "duration" if field.form is not None and field.form.unit else "number"


def form_at(frame: Frame, column: Column, field: Field, also_missing: tuple[str, ...]) -> NumberForm | DateForm | None:
    """How new cells of a column are written: as its others, with the decimals of the training table too."""
    if column.numeric or field.categories is not None or field.form is None:
        return field.form
    style, dates = styles(frame, column, field, also_missing)
    texts = present(column, also_missing)
    if isinstance(field.form, DateForm):
        return form_of(texts) if texts and dates is not field.form else field.form
    if not texts:
        return field.form
    form = writing.form_of(texts, style, whole=field.form.whole)
    return form if field.form.decimals >= EXACT else form.over(field.form)
