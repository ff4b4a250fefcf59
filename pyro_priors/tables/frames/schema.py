"""What the columns of a table are, and its cells as codes: numbers in their own units, indices of categories."""

from collections.abc import Mapping, Sequence
from typing import Any, NamedTuple

import numpy as np

from pyro_priors.checks import UserError
from pyro_priors.data import schema as fields_of_data
from pyro_priors.data.columns import match, some
from pyro_priors.data.dates import DateForm
from pyro_priors.data.numerals import Style
from pyro_priors.data.schema import KINDS, Field
from pyro_priors.data.writing import NumberForm
from pyro_priors.tables.frames.cells import Column
from pyro_priors.tables.frames.fields import find_field
from pyro_priors.tables.frames.frames import Frame
from pyro_priors.tables.frames.reading import form_at, read_column, value_of


class Schema(NamedTuple):
    """What the columns of a table are.

    Args:
        fields: all of them, in their order; identifiers, free texts and constants stand aside.
        also_missing: texts that are missing cells beside the usual spellings.

    Example:
        >>> frame = Frame.of([["red", 1.5], ["blue", None], [None, 2.25]], ["color", "size"])
        >>> schema = Schema.find(frame)
        >>> [(field.name, field.kind) for field in schema.fields]
        [('color', 'binary'), ('size', 'continuous')]
        >>> codes = schema.encode(frame)
        >>> codes.tolist()
        [[1.0, 1.5], [0.0, nan], [nan, 2.25]]
        >>> schema.restore(frame, np.nan_to_num(codes, nan=1.0))
        [['red', 1.5], ['blue', 1.0], ['red', 2.25]]
    """

    fields: tuple[Field, ...]
    also_missing: tuple[str, ...] = ()

    @staticmethod
    def find(frame: Frame, kinds: Mapping[str, str] | None = None, also_missing: Sequence[str] = ()) -> "Schema":
        """Decide what each column is.

        Args:
            frame: the table.
            kinds: what columns are where that is known, {name: one of `data.schema.KINDS`}.
            also_missing: texts, or numbers as texts, that stand for missing cells too.

        Raises:
            ValueError: `kinds` has an unknown name (the columns are listed), or kind; a column that cannot be read in
                exactly one way (`data.deciding.decide`), at its row or line.
        """
        return Schema.of_columns([(frame, column) for column in frame.columns], kinds, also_missing)

    @staticmethod
    def of_columns(
        columns: Sequence[tuple[Frame, Column]],
        kinds: Mapping[str, str] | None = None,
        also_missing: Sequence[str] = (),
    ) -> "Schema":
        """As `find`, of columns that need not be of one table: each with what says where its cells stand."""
        said: dict[str, str] = {}
        for name, kind in (kinds or {}).items():
            if kind not in KINDS:
                raise UserError(f"kinds: expected one of {', '.join(KINDS)}, got {kind!r} of {name}")
            said[match(name, [column.name for _, column in columns], "kinds")] = kind
        if isinstance(also_missing, str):
            raise UserError(f"also_missing: expected a list of texts, got {also_missing!r}")
        missing = tuple(map(str, also_missing))
        return Schema(tuple(find_field(where, c, said.get(c.name), missing) for where, c in columns), missing)

    @property
    def active(self) -> tuple[int, ...]:
        """Places of the columns that take part in a law."""
        return tuple(i for i, field in enumerate(self.fields) if not field.aside and field.kind != "constant")

    @property
    def active_fields(self) -> tuple[Field, ...]:
        return tuple(self.fields[place] for place in self.active)

    def describe(self) -> list[str]:
        """A line for every column: what it is, why, an example, and how to say that it is something else."""
        return fields_of_data.describe(self.fields)

    def to_json(self) -> dict[str, Any]:
        """JSON values that `from_json` reads."""
        fields = []
        for field in self.fields:
            form = None if field.form is None else {"type": type(field.form).__name__, **field.form._asdict()}
            fields.append({**field._asdict(), "style": list(field.style), "form": form})
        return {"fields": fields, "also_missing": list(self.also_missing)}

    @staticmethod
    def from_json(values: Any) -> "Schema":
        """What `to_json` wrote; `UserError` where it is something else."""
        try:
            fields = tuple(_field_of_json(dict(value)) for value in values["fields"])
            return Schema(fields, tuple(values["also_missing"]))
        except (TypeError, KeyError, ValueError) as error:
            raise UserError(f"schema: expected what Schema.to_json wrote, got {values!r:.200}") from error

    def places(self, frame: Frame) -> list[int]:
        """Where in a table the column of each field stands; those of arrays and lists by their order.

        Raises:
            ValueError: a column is missing, or one more than there were; it is named.
        """
        names = [field.name for field in self.fields]
        if frame.holder in ("array", "lists"):
            if len(frame.names) != len(names):
                raise ValueError(
                    f"X has {len(frame.names)} features, but TableImputer is expecting {len(names)} features as input"
                )
            return list(range(len(names)))
        for wanted, there, what in ((names, frame.names, "is missing"), (frame.names, names, "is not")):
            if odd := [name for name in wanted if name not in there]:
                raise UserError(
                    f"{frame.where}: expected the columns {some(names)}, as in training, got others: {some(odd)} {what}"
                    + ("" if what == "is missing" else " one of them")
                )
        return [frame.names.index(name) for name in names]

    def encode(self, frame: Frame) -> np.ndarray:
        """The cells of the active columns as codes.

        Returns:
            (n, C) float64: a number in its own units (dates: days since 1970-01-01), or the index of a category;
            NaN = missing.

        Raises:
            ValueError: another column set than in training; a cell that is no number, or none of the categories. Its
                row or line and its column are named.
        """
        places = self.places(frame)
        columns = [self._read(frame, places, place) for place in self.active]
        return np.stack(columns, 1) if columns else np.empty((len(frame), 0))

    def _read(self, frame: Frame, places: Sequence[int], place: int) -> np.ndarray:
        key = places[place], self.fields[place], self.also_missing
        if key not in frame.codes:
            frame.codes[key] = read_column(frame, frame.columns[places[place]], self.fields[place], self.also_missing)
        return frame.codes[key]

    def restore(self, frame: Frame, codes: np.ndarray, names: Sequence[str] | None = None) -> Any:
        """A table of the same kind in which missing cells are filled, and nothing else differs.

        The only value of a constant column stands in its gaps too.

        Args:
            frame: the table.
            codes: (n, C), of which only those of missing cells are looked at; NaN = stays missing.
            names: of the columns that are filled, None = all.

        Returns:
            A data frame with its types and index, an array, a list of rows; of a CSV file its text.
        """
        places = self.places(frame)
        self._check(codes, len(frame))
        cells = {}
        for place, field in enumerate(self.fields):
            if field.aside or (names is not None and field.name not in names) or _says_nothing(field):
                continue
            known = self._read(frame, places, place)
            answers = np.zeros(len(frame)) if field.kind == "constant" else codes[:, self.active.index(place)]
            rows = np.flatnonzero(np.isnan(known) & ~np.isnan(answers))
            if rows.size:
                column = frame.columns[places[place]]
                form = form_at(frame, column, field, self.also_missing)
                cells[places[place]] = rows, cells_of(field, form, answers[rows], numeric=column.numeric)
        return frame.filled(cells)

    def constant_gaps(self, frame: Frame) -> dict[str, int]:
        """How many gaps of each constant column get its only value, of those that have some."""
        places, counts = self.places(frame), {}
        for place, field in enumerate(self.fields):
            if field.kind == "constant" and not _says_nothing(field):
                counts[field.name] = int(np.isnan(self._read(frame, places, place)).sum())
        return {name: count for name, count in counts.items() if count}

    def table(self, codes: np.ndarray, like: Frame) -> Any:
        """A new table of the kind of another from codes alone; columns that stand aside are empty.

        Args:
            codes: (n, C), none of them NaN.
            like: the table whose columns, types and spellings the new one has.
        """
        places, count = self.places(like), len(codes)
        self._check(codes, count)
        if np.isnan(codes).any():
            raise ValueError("codes: expected a value for every cell, got NaN")
        cells: list[Sequence | None] = [None] * len(places)
        for place, field in enumerate(self.fields):
            if not field.aside and not _says_nothing(field):
                column = like.columns[places[place]]
                form = form_at(like, column, field, self.also_missing)
                values = np.zeros(count) if field.kind == "constant" else codes[:, self.active.index(place)]
                cells[places[place]] = cells_of(field, form, values, numeric=column.numeric)
        return like.made(cells, count)

    def _check(self, codes: np.ndarray, rows: int):
        if codes.shape != (rows, len(self.active)):
            raise ValueError(f"codes: expected shape {(rows, len(self.active))}, got {tuple(codes.shape)}")


def cells_of(field: Field, form: NumberForm | DateForm | None, codes: np.ndarray, *, numeric: bool) -> Any:
    """Codes of a column as numbers (n,), dates in days, or as the texts of cells."""
    if field.kind == "constant" or field.categories is not None:
        known = field.categories or (field.example,)
        texts = [known[state] for state in np.clip(np.round(codes), 0, len(known) - 1).astype(int).tolist()]
        return np.array([value_of(text, field) for text in texts], np.float64) if numeric else texts
    assert form is not None
    if numeric:
        return np.array([form.round(code) for code in codes.tolist()], np.float64)
    return [form.write(code) for code in codes.tolist()]


def _says_nothing(field: Field) -> bool:
    """Whether all its cells were missing."""
    return field.kind == "constant" and field.categories == ()


def _field_of_json(value: dict) -> Field:
    form = value["form"] and dict(value["form"])
    if form:
        form = {"NumberForm": NumberForm, "DateForm": DateForm}[form.pop("type")](**form)
    categories = value["categories"]
    style, known = Style(*value["style"]), None if categories is None else tuple(map(str, categories))
    field = Field(**{**value, "style": style, "form": form or None, "categories": known})
    if field.kind not in KINDS:
        raise ValueError(field.kind)
    return field
