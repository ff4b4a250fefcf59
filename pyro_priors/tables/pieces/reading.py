"""The second pass over a table in pieces: every cell is read, and rows are drawn for the fit."""

from typing import NamedTuple

import numpy as np

from pyro_priors.checks import UserError
from pyro_priors.data.dates import DateForm, is_date
from pyro_priors.data.judging import unbroken
from pyro_priors.data.numerals import PLAIN, is_number, number, plain_numbers
from pyro_priors.data.schema import NUMBERS, Field
from pyro_priors.tables import processes
from pyro_priors.tables.fits.batches import BATCH
from pyro_priors.tables.fits.fitting import MOST
from pyro_priors.tables.frames.cells import text_of
from pyro_priors.tables.frames.frames import Frame
from pyro_priors.tables.frames.reading import present
from pyro_priors.tables.frames.schema import Schema
from pyro_priors.tables.pieces.keys import Draw, ids_of, keys_of
from pyro_priors.tables.pieces.pieces import Pieces
from pyro_priors.tables.pieces.survey import Survey

ROWS = MOST * BATCH  # as many as the longest fit looks at
CELLS = 2**24  # of the rows that are drawn, at most


class Drawn(NamedTuple):
    """Rows for a fit.

    Args:
        schema: what the columns are, now that every cell has been read.
        codes: rows ``(n, C)``, NaN = missing.
        rows: how many the table has.
        missing: of the active columns, how many cells of the whole table are.
    """

    schema: Schema
    codes: np.ndarray
    rows: int
    missing: np.ndarray


def read(pieces: Pieces, schema: Schema, seed: int, survey: Survey | None = None) -> Drawn:
    """Read all cells, and draw rows evenly: so many that a fit looks at each about once.

    Rows that hold the least or the greatest number of a column, or a category that no drawn row has, join them, so that
    the fit knows every category and range of the table.

    Args:
        pieces: the table.
        schema: of the survey, or of an earlier fit.
        seed: that draws.
        survey: which found the schema: columns of numbers may turn out to count the rows, or not to count; None: they
            stay what they are.

    Raises:
        UserError: a cell that cannot be read, at its file and line.
    """
    width = max(len(schema.active), 1)
    draw: Draw[np.ndarray] = Draw(min(ROWS, CELLS // width), lambda x, rows: x[rows], np.concatenate)
    ends = _Ends(schema)
    with processes.together():
        for place, start, frame in pieces.frames(shared=True):
            _check(frame, schema)
            codes, ids = schema.encode(frame), ids_of(place, start, len(frame))
            if survey is not None:
                _check_counts(frame, schema, survey.said, codes)
            draw.add(keys_of(seed, place, start, len(frame)), ids, codes)
            ends.add(codes, ids)
    if not any(processes.gathered(ends.rows)):
        raise UserError(f"{pieces.where}: expected rows, got none")
    rows = draw.drawn()
    ends.merge(processes.gathered(ends))
    codes = np.concatenate([rows.cells, ends.lacking(rows.ids, rows.cells)])
    if survey is not None:
        schema, left = _corrected(schema, ends, survey)
        codes, missing = codes[:, left], ends.missing[left]
    else:
        missing = ends.missing
    return Drawn(schema, codes, ends.rows, missing)


class _Ends:
    """Of each active column of all pieces: rows that hold each category, or the least and the greatest number."""

    def __init__(self, schema: Schema):
        self.numbers = [field.categories is None for field in schema.active_fields]
        self.rows, self.missing = 0, np.zeros(len(self.numbers), np.int64)
        self.whole = np.ones(len(self.numbers), bool)
        self.held: list[dict[float, tuple[int, np.ndarray]]] = [{} for _ in self.numbers]  # value: first row with it

    def add(self, codes: np.ndarray, ids: np.ndarray) -> None:
        """A piece's rows, and their numbers."""
        self.rows += len(codes)
        gone = np.isnan(codes)
        self.missing += gone.sum(0)
        for place, column in enumerate(codes.T):
            known = np.flatnonzero(~gone[:, place])
            if not known.size:
                continue
            if self.numbers[place]:
                values = column[known]
                self.whole[place] &= bool((values == np.round(values)).all())
                at = known[[values.argmin(), values.argmax()]]
            else:
                at = known[np.unique(column[known], return_index=True)[1]]
            self._hold(place, {float(column[row]): (int(ids[row]), codes[row].copy()) for row in at.tolist()})

    def merge(self, others: list["_Ends"]) -> None:
        """What other processes have seen, this one among them."""
        self.rows = sum(other.rows for other in others)
        self.missing = np.sum([other.missing for other in others], 0)
        self.whole = np.all([other.whole for other in others], 0)
        for other in others:
            for place, held in enumerate(other.held):
                self._hold(place, held)

    def _hold(self, place: int, rows: dict[float, tuple[int, np.ndarray]]) -> None:
        held = self.held[place]
        for value, row in rows.items():
            if value not in held or row[0] < held[value][0]:
                held[value] = row
        if self.numbers[place] and len(held) > 2:
            self.held[place] = {value: held[value] for value in (min(held), max(held))}

    def lacking(self, ids: np.ndarray, codes: np.ndarray) -> np.ndarray:
        """Rows that hold what none of the drawn ones does, each once."""
        more: dict[int, np.ndarray] = {}
        for held, column in zip(self.held, codes.T, strict=True):
            there = set(np.unique(column).tolist())
            more |= {id_: row for value, (id_, row) in held.items() if value not in there}
        rows = [more[id_] for id_ in sorted(set(more) - set(ids.tolist()))]
        return np.array(rows, np.float64).reshape(len(rows), codes.shape[1])


def _corrected(schema: Schema, ends: _Ends, survey: Survey) -> tuple[Schema, list[int]]:
    """What only the whole table says of columns of numbers; which columns still take part."""
    fields, left = list(schema.fields), []
    for place, (at, field, held) in enumerate(zip(schema.active, schema.active_fields, ends.held, strict=True)):
        if field.kind in NUMBERS and held:
            known, least, greatest = int(ends.rows - ends.missing[place]), min(held), max(held)
            field = _as_whole(field, bool(ends.whole[place]), least)
            counts = ends.whole[place] and field.name in survey.distinct and not isinstance(field.form, DateForm)
            if counts and unbroken(known, least, greatest):
                reason = f"whole numbers from {text_of(least)} to {text_of(greatest)}, each once: they count the rows"
                fields[at] = field._replace(kind="identifier", reason=reason)
                continue
        fields[at] = field
        left.append(place)
    return schema._replace(fields=tuple(fields)), left


def _as_whole(field: Field, whole: bool, least: float) -> Field:
    """A column of numbers that are whole, and count something, only among the drawn rows."""
    if isinstance(field.form, DateForm):
        return field
    if field.form is not None and not whole:
        field = field._replace(form=field.form._replace(whole=False))
    if field.kind == "count" and not (whole and least >= 0):
        return field._replace(kind="continuous")
    return field


def _check_counts(frame: Frame, schema: Schema, said: frozenset[str], codes: np.ndarray) -> None:
    """`UserError` at a number that counts nothing, in a column that is said to count."""
    for field, values in zip(schema.active_fields, codes.T, strict=True):
        if field.kind == "count" and field.name in said:
            odd = np.flatnonzero((values < 0) | (values != np.round(values)) & ~np.isnan(values))
            if odd.size:
                got = text_of(float(values[odd[0]]))
                at = frame.at(int(odd[0]), field.name)
                raise UserError(f"{at}: expected a whole number, 0 or more, of a count, got {got}")


def _check(frame: Frame, schema: Schema) -> None:
    """`UserError` at a cell that is written as no other piece has it: a table alone would be read in its own way."""
    columns = {column.name: column for column in frame.columns}
    for field in schema.active_fields:
        column = columns[field.name]
        if column.numeric or field.categories is not None:
            continue
        texts = present(column, schema.also_missing)
        if isinstance(field.form, DateForm):
            odd = [text for text in texts if field.form.read(text) is None and is_date(text)]
        elif field.style == PLAIN and plain_numbers(texts) is not None:
            continue
        else:
            odd = [text for text in texts if number(text, field.style) is None and is_number(text)]
        if odd:
            at = frame.cells(column).at(odd[0])
            raise UserError(f"{at}: expected cells that are all written as {field.example!r} is, got {odd[0]!r}")
