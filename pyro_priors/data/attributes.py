"""What the labels of images mean, and how they are read from a CSV file and from the command line."""

import math
from collections.abc import Callable, Iterable, Sequence
from pathlib import Path
from typing import Any, NamedTuple

import torch
from torch import Tensor

import pyro_priors as pp
from pyro_priors.checks import UserError
from pyro_priors.data import csv_files
from pyro_priors.data.columns import choose, either, match, some
from pyro_priors.distributions.kinds import Kind

MOST_NUMBERS = 20  # a column with more distinct whole numbers is continuous
MOST_TEXTS = 1000  # a column with more distinct texts is an error
LARGEST = 1e15  # of what a model sees: densities of much larger numbers are 0 in 32 bits, whatever the state
BINARY, DIGITS = ("0", "1"), tuple("0123456789")


class Attribute(NamedTuple):
    """What one column of labels means; `config.json` of a run keeps it.

    Args:
        name: as the user wrote it.
        categories: texts of the states 0, 1, ...; None = continuous.
        loc, scale: of a continuous attribute; a model sees (value - loc) / scale.

    Example:
        >>> hair = Attribute("hair", ("black", "blond"))
        >>> hair.parse("blond"), hair.format(0.0), hair.kind(components=8)
        (1.0, 'black', Discrete(categories=2))
        >>> age = Attribute("age", None, loc=40.0, scale=10.0)
        >>> age.parse("35"), age.format(-0.5), age.kind(components=8)
        (-0.5, '35', Continuous(components=8))
    """

    name: str
    categories: tuple[str, ...] | None
    loc: float = 0.0
    scale: float = 1.0

    def kind(self, components: int) -> Kind:
        """What a prior calls this attribute; `components` is the number of Gaussians of a continuous one."""
        return pp.Continuous(components) if self.categories is None else pp.Discrete(len(self.categories))

    def parse(self, text: str) -> float:
        """The text of a cell -> the state, or the standardised value, as a float; an empty one -> nan.

        A number matches the category of the same value, "1.0" that of "1".

        Raises:
            ValueError: no finite number, one further than `LARGEST` scales from `loc`, or none of the categories.
        """
        text = text.strip()
        if not text:
            return math.nan
        number = _number(text)
        if self.categories is None:
            if number is None or not math.isfinite(number):
                raise ValueError(f"expected a finite number, got {text!r}")
            value = (number - self.loc) / self.scale
            if not abs(value) <= LARGEST:
                raise ValueError(
                    f"expected a number at most {LARGEST:.0e} standard deviations ({self.scale:.3g}) from the mean of "
                    f"the training data ({self.loc:.3g}), got {text!r}"
                )
            return value
        if text in self.categories:
            return float(self.categories.index(text))
        same = [state for state, known in enumerate(self.categories) if number is not None and number == _number(known)]
        if not same:
            raise ValueError(f"expected one of {some(self.categories)}, got {text!r}")
        return float(same[0])

    def format(self, value: float) -> str:
        """What `parse` reads as `value`, a float -> the text of a cell; nan -> an empty one.

        A continuous value is written to a millionth of `scale`.
        """
        value = float(value)
        if math.isnan(value):
            return ""
        if self.categories is not None:
            return self.categories[int(value)]
        decimals = max(0, 6 - math.floor(math.log10(self.scale)))
        text = f"{self.loc + self.scale * value:.{decimals}f}"
        text = text.rstrip("0").rstrip(".") if "." in text else text
        return "0" if text == "-0" else text


class Table(NamedTuple):
    """A CSV file of attributes: row i of `values` (n, n_attributes), float32, NaN = missing, is about `images[i]`.

    `lines[i]` is where in the file it stands.
    """

    images: list[str]
    attributes: tuple[Attribute, ...]
    values: Tensor
    lines: tuple[int, ...] = ()


def to_json(attributes: Iterable[Attribute]) -> list[dict[str, Any]]:
    """Attributes -> list of JSON values."""
    return [attribute._asdict() for attribute in attributes]


def from_json(values: Any) -> tuple[Attribute, ...]:
    """What `to_json` wrote -> tuple of `Attribute`; `UserError` where it is something else.

    Example:
        >>> from_json(to_json([Attribute("digit", ("0", "1"))]))
        (Attribute(name='digit', categories=('0', '1'), loc=0.0, scale=1.0),)
    """
    try:
        read = [Attribute(**value) for value in values]
        return tuple(a if a.categories is None else a._replace(categories=tuple(a.categories)) for a in read)
    except TypeError as error:
        raise UserError(f"attributes: expected name, categories, loc and scale of each, got {values!r}") from error


def kinds(attributes: Iterable[Attribute], components: int = 10) -> dict[str, Kind]:
    """Name -> `Discrete` or `Continuous`, as `pyro_priors.TTLP` takes them."""
    return {attribute.name: attribute.kind(components) for attribute in attributes}


def parse_given(attributes: Iterable[Attribute], text: str) -> dict[str, float]:
    """ "name=value,name=value" -> {name: what a model sees}.

    Names are matched exactly, else whatever their case.

    Raises:
        UserError: an unknown name or value (the known ones are listed), a name given twice, a part without `=`.

    Example:
        >>> parse_given([Attribute("male", ("0", "1")), Attribute("hair", ("black", "blond"))], "male=1,hair=blond")
        {'male': 1.0, 'hair': 1.0}
    """
    named, given = {attribute.name: attribute for attribute in attributes}, {}
    for part in text.split(","):
        name, equals, value = part.partition("=")
        if not equals or not value.strip():
            raise UserError(f"given: expected name=value,name=value, got {part!r}")
        name = match(name.strip(), named, "given")
        if name in given:
            raise UserError(f"given: expected each attribute once, got {name} twice")
        try:
            given[name] = named[name].parse(value)
        except ValueError as error:
            raise UserError(f"given: {name}: {error}") from None
    return given


def read_csv(
    path: str | Path, columns: Sequence[str] | None = (), attributes: Sequence[Attribute] | None = None
) -> Table:
    """Read a CSV file: a header, then a row for every image; column `image` names it, an empty cell is missing.

    Args:
        path: the file, UTF-8.
        columns: which columns to use, () = all but `image`, None = none; matched exactly, else whatever their case,
            and named as written here. `name=A|!B` makes a column `name` of binary ones: 1 where A is 1 or B is 0,
            missing where that depends on an empty cell, 0 elsewhere.
        attributes: of a trained run, which say what each column means; those without a column are missing. None:
            a column of at most 20 distinct whole numbers, or one of texts, has categories; other numbers are
            continuous, with the mean and standard deviation of the column as `loc` and `scale`.

    Raises:
        UserError: no such file, or none that can be read; an unknown column or value (line and column are named); a
            column that is empty throughout; an image or column that is there twice.
    """
    return table_of(csv_files.read(Path(path)), columns, attributes)


def table_of(
    file: csv_files.CsvFile, columns: Sequence[str] | None = (), attributes: Sequence[Attribute] | None = None
) -> Table:
    """What `read_csv` makes of a file that has been read."""
    where, _, _, lines, cells = file
    others = [name for name in cells if name != "image"]
    known = {attribute.name: attribute for attribute in attributes or ()}

    def read(column: str, meaning: Attribute) -> Tensor:
        return _parsed(where, lines, column, meaning.parse, cells[column])

    chosen: dict[str, tuple[Attribute, Tensor]] = {}
    for column in [] if columns is None else choose(f"{where}: column", columns, others):
        name, source = column.name, column.terms[0][0]
        if attributes is not None:
            name = match(name, known, f"{where}: column")
            if name in chosen:
                raise UserError(f"{where}: expected one column for {name}, got two")
            meaning = known[name]
        else:
            meaning = Attribute(name, BINARY) if column.combined else _infer(where, lines, name, cells[source])
        if column.combined:
            if meaning.categories != BINARY:
                raise UserError(
                    f"{where}: column {name}: expected {some(meaning.categories or ['numbers'])}, got 0 and 1"
                )
            values = either(column, lambda term: read(term, Attribute(term, BINARY)))
            _check_any(where, name, ~values.isnan() if attributes is None else [True])
        else:
            values = read(source, meaning)
        chosen[name] = meaning, values
    if attributes is None:
        if not chosen:
            raise UserError(f"{where}: expected a column for every attribute, got image alone")
        attributes = [meaning for meaning, _ in chosen.values()]
    missing = torch.full((len(lines),), torch.nan)
    values = [chosen[attribute.name][1] if attribute.name in chosen else missing for attribute in attributes]
    return Table(cells["image"], tuple(attributes), torch.stack(values, 1), lines)


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


def _infer(where: str, lines: Sequence[int], name: str, texts: Sequence[str]) -> Attribute:
    """What a column means: see `read_csv`."""
    distinct = {text for text in texts if text}
    numbers = {text: number for text in distinct if (number := _number(text)) is not None}
    _check_any(where, name, distinct)
    if len(numbers) < len(distinct):
        if len(distinct) > MOST_TEXTS:
            raise UserError(
                f"{where}: column {name}: expected numbers or at most {MOST_TEXTS} texts, got {len(distinct)}"
            )
        return Attribute(name, tuple(sorted(distinct)))
    _parsed(where, lines, name, _of_32_bits, texts)
    values = sorted(set(numbers.values()))
    if len(values) <= MOST_NUMBERS and all(value.is_integer() for value in values):
        return Attribute(name, tuple(str(int(value)) for value in values))
    loc, scale = moments([numbers[text] for text in texts if text])
    return Attribute(name, None, loc, scale)


def _check_any(where: str, name: str, known: Iterable[Any]) -> None:
    if not any(known):
        raise UserError(f"{where}: column {name}: expected a cell that says something, got empty ones (leave it out)")


def moments(values: Sequence[float] | Tensor) -> tuple[float, float]:
    """Mean and standard deviation of numbers, (the number, 1) if they are all the same."""
    values = torch.as_tensor(values, dtype=torch.float64)
    if (values == values[0]).all():
        return values[0].item(), 1.0
    deviation, mean = torch.std_mean(values, correction=0)
    return mean.item(), deviation.item() or 1.0


def _parsed(
    where: str, lines: Sequence[int], column: str, parse: Callable[[str], float], texts: Sequence[str]
) -> Tensor:
    """The column as a model sees it, (n,) float32."""
    values = {}
    for line, text in zip(lines, texts, strict=True):
        if text not in values:
            try:
                values[text] = parse(text)
            except ValueError as error:
                raise UserError(f"{where} line {line}, column {column}: {error}") from None
    return torch.tensor([values[text] for text in texts])


def _of_32_bits(text: str) -> float:
    """Of a column whose scale nobody knows yet, the numbers whose moments a model's float32 can hold."""
    number = float(text) if text else math.nan
    if text and not abs(number) <= torch.finfo(torch.float32).max:
        raise ValueError(f"expected a finite number of 32 bits, got {text!r}")
    return number


def _number(text: str) -> float | None:
    try:
        return None if "_" in text else float(text)  # Python's own 1_000 is a text
    except ValueError:
        return None
