"""Labels of images in a CSV file: which columns are used, what they are, and their values."""

import hashlib
import json
import math
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import NamedTuple

import torch
from torch import Tensor

from pyro_priors.checks import UserError
from pyro_priors.data import csv_files
from pyro_priors.data.attributes import BINARY, Attribute, moments
from pyro_priors.data.columns import Column, choose, either, match, some
from pyro_priors.data.deciding import alike, decide
from pyro_priors.data.judging import Cells
from pyro_priors.data.numerals import PLAIN, Style, is_missing, is_number, number
from pyro_priors.data.schema import NUMBERS, Field, advice


class Table(NamedTuple):
    """A CSV file of attributes: row i of `values` (n, n_attributes), float32, NaN = missing, is about `images[i]`.

    `lines[i]` is where in the file it stands, `schema` what each of its columns that was looked at is, `hashes[i]` a
    hash of what the row says, in the units of the file: how its numbers are written and what stands in other rows is
    nothing to it.
    """

    images: list[str]
    attributes: tuple[Attribute, ...]
    values: Tensor
    lines: tuple[int, ...] = ()
    schema: tuple[Field, ...] = ()
    hashes: tuple[str, ...] = ()


def read_csv(
    path: str | Path,
    columns: Sequence[str] | None = (),
    attributes: Sequence[Attribute] | None = None,
    kinds: Mapping[str, str | Field] | None = None,
    also_missing: Sequence[str] = (),
) -> Table:
    """Read a CSV file: a header, then a row for every image; column `image` names it.

    Args:
        path: the file, UTF-8, its cells separated by commas, semicolons or tabs.
        columns: which columns to use, () = all but `image` that are no identifiers or free texts, None = none; matched
            exactly, else whatever their case, and named as written here. `name=A|!B` makes a column `name` of binary
            ones: 1 where A is 1 or B is 0, missing where that depends on a missing cell, 0 elsewhere.
        attributes: of a trained run, which say what each column means; those without a column are missing. None:
            `deciding.decide` says what a column is; a number has the mean and standard deviation of the column as
            `loc` and `scale`.
        kinds: what columns are where that is known, {name: one of `schema.KINDS`}; a `schema.Field` has categories too.
            Beside `attributes` it only says which numbers are counts, and whole if that can be.
        also_missing: spellings of a missing cell beside those of `numerals.is_missing`.

    Raises:
        UserError: no such file, or none that can be read; an unknown column or value (line and column are named); a
            column that is empty throughout, or that `deciding.decide` refuses; an image or column that is there twice;
            a column of identifiers or free text that is named in `columns`.
    """
    return table_of(csv_files.read(Path(path)), columns, attributes, kinds, also_missing)


def table_of(
    file: csv_files.CsvFile,
    columns: Sequence[str] | None = (),
    attributes: Sequence[Attribute] | None = None,
    kinds: Mapping[str, str | Field] | None = None,
    also_missing: Sequence[str] = (),
) -> Table:
    """What `read_csv` makes of a file that has been read."""
    where, lines = file.name, file.lines
    chosen = [] if columns is None else choose(f"{where}: column", columns, [n for n in file.cells if n != "image"])
    cells = {name: Cells(where, name, lines, texts) for name, texts in file.cells.items()}
    if attributes is None:
        said = _said(where, chosen, kinds or {})
        pairs = [_decided(column, cells, said.get(column.name), also_missing) for column in chosen]
        for column, (_, field) in zip(chosen, pairs, strict=True):
            if field.aside and columns:
                raise UserError(
                    f"{where}: column {column.name}: expected numbers, or texts that repeat, got a column that is "
                    f"{field.kind} ({field.reason}; leave it out, or {advice(column.name, 'categorical')})"
                )
    else:
        pairs = _known(where, chosen, cells, attributes, kinds or {}, also_missing)
    values = {
        meaning.name: _values(column, cells, meaning, field, also_missing)
        for column, (meaning, field) in zip(chosen, pairs, strict=True)
        if meaning is not None
    }
    for column, (meaning, _) in zip(chosen, pairs, strict=True):
        if meaning is not None and column.combined and attributes is None and values[meaning.name].isnan().all():
            raise UserError(f"{where}: column {column.name}: expected a cell that says something, got empty ones")
    if attributes is None:
        attributes = [meaning for meaning, _ in pairs if meaning is not None]
        if not attributes:
            left = "".join(
                f"; {field.name} is {field.kind} ({field.reason}; to use it, {advice(field.name, 'categorical')})"
                for _, field in pairs
            )
            raise UserError(f"{where}: expected a column for every attribute, got image alone{left}")
    missing = torch.full((len(lines),), torch.nan)
    table = torch.stack([values.get(attribute.name, missing) for attribute in attributes], 1)
    meant = {
        meaning.name: _meant(cells[column.terms[0][0]], meaning, field, values[meaning.name])
        for column, (meaning, field) in zip(chosen, pairs, strict=True)
        if meaning is not None
    }
    schema = tuple(field for _, field in pairs)
    return Table(file.cells["image"], tuple(attributes), table, lines, schema, _hashes(meant, len(lines)))


def _said(where: str, chosen: Sequence[Column], kinds: Mapping[str, str | Field]) -> dict[str, str | Field]:
    """What is said of the chosen columns, by their names; of a run's `Field`s some may have no column any more."""
    names, said = [column.name for column in chosen if not column.combined], {}
    for name, kind in kinds.items():
        if not isinstance(kind, Field):
            if not names:
                raise UserError(f"{where}: kind: expected a column that is used as it stands, got {name!r}")
            name = match(name, names, f"{where}: kind")
        said[name] = kind
    return said


def _decided(
    column: Column, cells: Mapping[str, Cells], kind: str | Field | None, also_missing: Sequence[str]
) -> tuple[Attribute | None, Field]:
    """What a column means, None where it takes no part, and what it is."""
    if column.combined:
        return Attribute(column.name, BINARY), Field(column.name, "binary", "as it is made", "1", categories=BINARY)
    texts = cells[column.terms[0][0]]
    if isinstance(kind, Field) and kind.categories is not None:
        field = kind._replace(style=_style(texts, also_missing, kind.kind))
    else:
        field = decide(texts, kind.kind if isinstance(kind, Field) else kind, also_missing)._replace(name=column.name)
    if field.aside or field.categories is not None:
        return None if field.aside else Attribute(column.name, field.categories), field
    numbers = [number(text, field.style) for text in _present(texts, also_missing)]
    return Attribute(column.name, None, *moments([value for value in numbers if value is not None])), field


def _known(
    where: str,
    chosen: Sequence[Column],
    cells: Mapping[str, Cells],
    attributes: Sequence[Attribute],
    kinds: Mapping[str, str | Field],
    also_missing: Sequence[str],
) -> list[tuple[Attribute, Field]]:
    """What the columns mean to a trained run, and how their numbers are written."""
    known, pairs = {attribute.name: attribute for attribute in attributes}, []
    for column in chosen:
        meaning = known[match(column.name, known, f"{where}: column")]
        if meaning in [other for other, _ in pairs]:
            raise UserError(f"{where}: expected one column for {meaning.name}, got two")
        if column.combined and meaning.categories != BINARY:
            expected = some(meaning.categories or ["numbers"])
            raise UserError(f"{where}: column {meaning.name}: expected {expected}, got 0 and 1")
        kind = kinds.get(meaning.name, "continuous" if meaning.categories is None else "categorical")
        kind = kind.kind if isinstance(kind, Field) else kind
        style = PLAIN if column.combined else _style(cells[column.terms[0][0]], also_missing, kind)
        pairs.append((meaning, Field(meaning.name, kind, "as in training", "", style, meaning.categories)))
    return pairs


def _style(cells: Cells, also_missing: Sequence[str], kind: str) -> Style:
    """In which the numbers of a column are written, the plain one where they may be texts that are not all alike."""
    texts = [text for text in _present(cells, also_missing) if is_number(text)]
    try:
        return alike(cells, texts, counts=kind == "count")
    except UserError:
        if kind not in NUMBERS:
            return PLAIN
        raise


def _present(cells: Cells, also_missing: Sequence[str]) -> list[str]:
    """The cells of a column of numbers that say something."""
    return [text for text in cells.texts if text not in also_missing and not is_missing(text, numbers=True)]


def _values(
    column: Column, cells: Mapping[str, Cells], meaning: Attribute, field: Field, also_missing: Sequence[str]
) -> Tensor:
    """A column as a model sees it, (n,) float32."""

    def read(source: str, meaning: Attribute, style: Style) -> Tensor:
        values = dict.fromkeys(also_missing, math.nan)
        for text in dict.fromkeys(cells[source].texts):
            try:
                values[text] = values[text] if text in values else meaning.parse(text, style)
            except ValueError as error:
                raise UserError(f"{cells[source].at(text)}: {error}") from None
        return torch.tensor([values[text] for text in cells[source].texts])

    if column.combined:
        return either(column, lambda term: read(term, Attribute(term, BINARY), PLAIN))
    return read(column.terms[0][0], meaning, field.style)


def _meant(cells: Cells, meaning: Attribute, field: Field, values: Tensor) -> list[str]:
    """What each cell of a column says: a category, or a number in the units of the file; "" where it is missing."""
    if meaning.categories is not None:
        texts = (*meaning.categories, "")
        return [texts[state] for state in values.nan_to_num(len(texts) - 1).long().tolist()]
    numbers = {text: repr(float(number(text, field.style) or 0)) for text in dict.fromkeys(cells.texts)}
    missing = values.isnan().tolist()
    return ["" if empty else numbers[text] for text, empty in zip(cells.texts, missing, strict=True)]


def _hashes(meant: Mapping[str, Sequence[str]], count: int) -> tuple[str, ...]:
    """A hash of each of `count` rows of these columns, whatever their order."""
    names = sorted(meant)
    rows = zip(*(meant[name] for name in names), strict=True) if names else [()] * count
    return tuple(hashlib.blake2b(json.dumps([names, row]).encode(), digest_size=8).hexdigest() for row in rows)


def select(
    where: str, attributes: Sequence[Attribute], values: Tensor, columns: Sequence[str]
) -> tuple[tuple[Attribute, ...], Tensor]:
    """The `columns` of values (n, n_attributes) that are in memory, as `read_csv` understands them.

    Returns:
        tuple of `Attribute`, (n, len(columns))
    """
    index = {attribute.name: column for column, attribute in enumerate(attributes)}
    chosen = []
    for column in choose(where, columns, index):
        sources = [attributes[index[name]] for name, _ in column.terms]
        if not column.combined:
            chosen.append((sources[0]._replace(name=column.name), values[:, index[sources[0].name]]))
        elif all(source.categories == BINARY for source in sources):
            chosen.append((Attribute(column.name, BINARY), either(column, lambda name: values[:, index[name]])))
        else:
            raise UserError(f"{where}: expected binary attributes in name=A|!B, got {column.name}")
    return tuple(meaning for meaning, _ in chosen), torch.stack([value for _, value in chosen], 1)
