"""The first pass over a table in pieces: some rows are drawn, every different cell is noted, the schema is found."""

from collections.abc import Mapping, Sequence
from typing import NamedTuple

import numpy as np

from pyro_priors.checks import UserError
from pyro_priors.data.columns import match
from pyro_priors.data.schema import NUMBERS, advice
from pyro_priors.tables import processes
from pyro_priors.tables.frames.cells import Column
from pyro_priors.tables.frames.frames import Frame
from pyro_priors.tables.frames.schema import Schema
from pyro_priors.tables.pieces.columns import MOST, Different, join, take, widened
from pyro_priors.tables.pieces.keys import Draw, ids_of, keys_of, place_and_row
from pyro_priors.tables.pieces.pieces import Pieces

ROWS = 100_000  # that a schema is found on, besides every different cell of columns that have few of them
CELLS = 2**22  # of these rows, at most
LINE = "line"


class Survey(NamedTuple):
    """What a table is, by some of its rows.

    Args:
        schema: what its columns are.
        frame: the rows that were drawn, read.
        rows: how many there are in all.
        said: columns whose kind somebody has said.
        distinct: other columns of numbers whose drawn cells all differ: they may count the rows.
    """

    schema: Schema
    frame: Frame
    rows: int
    said: frozenset[str]
    distinct: frozenset[str]


def survey(
    pieces: Pieces, kinds: Mapping[str, str] | None, also_missing: Sequence[str], seed: int, rows: int = ROWS
) -> Survey:
    """Draw rows evenly from all files, and find what the columns are.

    Kinds are decided on drawn rows and on every different cell of a column that has at most `MOST`, so that what occurs
    once in the whole table is known; of columns that have more (numbers, names, texts) the drawn ones decide.

    Raises:
        UserError: a file that cannot be read, at its line; what `Schema.find` refuses; categories without end.
    """
    said = frozenset(match(name, pieces.names, "kinds") for name in kinds or ())
    draw: Draw[list[Column]] = Draw(max(1, min(rows, CELLS // len(pieces.names))), take, join)
    different = {name: Different() for name in pieces.names}
    counts: dict[int, int] = {}
    with processes.together():
        for place, start, frame in pieces.frames(shared=True):
            keys, ids = keys_of(seed, place, start, len(frame)), ids_of(place, start, len(frame))
            lines = Column(LINE, "number", np.asarray(frame.lines, np.float64))
            for column in frame.columns:
                different[column.name].add(column, ids, lines.values)
            draw.add(keys, ids, [*frame.columns, lines])
            counts[place] = start + len(frame)
    if not (total := sum(processes.gathered(sum(counts.values())))):
        raise UserError(f"{pieces.where}: expected rows, got none")
    every = [each.first for each in different.values()]
    for others in processes.gathered(every):
        for seen, first in zip(different.values(), others, strict=True):
            seen.merge(first)
    drawn = draw.drawn()
    *columns, lines = drawn.cells
    at = [(int(id_), int(line)) for id_, line in zip(drawn.ids, lines.values, strict=True)]
    frame = _frame(pieces, columns, at)
    schema = _schema(pieces, frame, at, different, kinds, also_missing)
    numbers = {field.name for field in schema.active_fields if field.kind in NUMBERS} - said
    distinct = frozenset(column.name for column in columns if column.name in numbers and _all_differ(column))
    return Survey(schema, frame, total, said, distinct)


def _schema(pieces, frame, at, different, kinds, also_missing) -> Schema:
    wide = []
    for column in frame.columns:
        more, where = column, []
        if (first := different[column.name].first) is not None:
            more, where = widened(column, first)
        wide.append((_frame(pieces, [more], [*at, *where]), more))
    schema = Schema.of_columns(wide, kinds, also_missing)
    for field in schema.fields:
        if not field.aside and field.categories is not None and different[field.name].first is None:
            raise UserError(
                f"{pieces.where}: column {field.name}: expected at most {MOST:,} categories, got more, such as "
                f"{field.example!r} (leave it out, or {advice(field.name, 'text')})"
            )
    return schema


def _frame(pieces: Pieces, columns: Sequence[Column], at: Sequence[tuple[int, int]]) -> Frame:
    """Rows as a table whose messages say where each stands."""
    names = [source.name for source in pieces.sources]
    alone = len(names) == 1
    lines = [line if alone else f"{line} of {names[place_and_row(id_)[0]]}" for id_, line in at]
    first = pieces.sources[0]
    return Frame(first.holder, pieces.where, first.unit, lines, tuple(columns), first.empty())


def _all_differ(column: Column) -> bool:
    values = column.values[~np.isnan(column.values)] if column.numeric else column.values
    return len(np.unique(values)) == len(values)
