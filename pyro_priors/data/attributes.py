"""What the labels of images mean, and how they are read from a cell and from the command line."""

import math
import re
from collections.abc import Iterable, Sequence
from typing import Any, NamedTuple

import torch
from torch import Tensor

import pyro_priors as pp
from pyro_priors.checks import UserError
from pyro_priors.data.columns import match, some
from pyro_priors.data.numerals import PLAIN, Style, is_missing, is_number, number
from pyro_priors.distributions.kinds import Kind

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

    def parse(self, text: str, style: Style = PLAIN) -> float:
        """The text of a cell -> the state, or the standardised value, as a float; a missing one -> nan.

        A number, in that style, matches the only category of the same value, "1.0" that of "1".

        Raises:
            ValueError: no finite number, one further than `LARGEST` scales from `loc`, or none of the categories.
        """
        text = text.strip()
        if self.categories is not None and text in self.categories:
            return float(self.categories.index(text))
        if is_missing(text, numbers=self.categories is None or all(map(is_number, self.categories))):
            return math.nan
        value = number(text, style)
        if self.categories is not None:
            return self._state(text, value, style)
        if value is None or not math.isfinite(value):
            raise ValueError(f"expected a finite number, got {text!r}")
        scaled = (value - self.loc) / self.scale
        if not abs(scaled) <= LARGEST:
            raise ValueError(
                f"expected a number at most {LARGEST:.0e} standard deviations ({self.scale:.3g}) from the mean of "
                f"the training data ({self.loc:.3g}), got {text!r}"
            )
        return scaled

    def _state(self, text: str, value: float | None, style: Style) -> float:
        """That of the only category of a value."""
        known = self.categories or ()
        same = [state for state, other in enumerate(known) if value is not None and value == number(other, style)]
        if len(same) > 1:
            raise ValueError(f"expected one of {some(known[state] for state in same)} as it is written, got {text!r}")
        if not same:
            raise ValueError(f"expected one of {some(known)}, got {text!r}")
        return float(same[0])

    def format(self, value: float, style: Style = PLAIN) -> str:
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
        return "0" if text == "-0" else text.replace(".", style.decimal)


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


_PART = re.compile(r'\s*([^=,]*?)\s*=\s*(?:"((?:[^"]|"")*)"|([^,]*?))\s*(,|$)')  # name, value in quotes or bare, comma


def parse_given(attributes: Iterable[Attribute], text: str) -> dict[str, float]:
    """ "name=value,name=value" -> {name: what a model sees}.

    A value may stand in quotes, between which a comma is part of it and a quote stands twice. Names are matched
    exactly, else whatever their case.

    Raises:
        UserError: an unknown name or value (the known ones are listed), a missing value, a name given twice, a part
            without `=`.

    Example:
        >>> city = Attribute("city", ("Oslo", "Rome, Italy"))
        >>> parse_given([Attribute("male", ("0", "1")), city], 'male=1,city="Rome, Italy"')
        {'male': 1.0, 'city': 1.0}
    """
    named, given = {attribute.name: attribute for attribute in attributes}, {}
    for name, value in _parts(text):
        name = match(name, named, "given")
        if name in given:
            raise UserError(f"given: expected each attribute once, got {name} twice")
        try:
            given[name] = named[name].parse(value)
        except ValueError as error:
            raise UserError(f"given: {name}: {error}") from None
        if math.isnan(given[name]):
            raise UserError(f"given: {name}: expected a value, got {value!r}, which is a missing one")
    return given


def _parts(text: str) -> list[tuple[str, str]]:
    """Names and values of `parse_given`."""
    parts, start, more = [], 0, True
    while more:
        part = _PART.match(text, start)
        if part is None or (not part[2] and not part[3]):
            wrong = text[start:].partition(",")[0]
            raise UserError(
                f'given: expected name=value,name=value, a value with a comma in quotes as city="Rome, Italy", got '
                f"{wrong!r}"
            )
        parts.append((part[1], part[3] if part[2] is None else part[2].replace('""', '"')))
        start, more = part.end(), part[4]
    return parts


def moments(values: Sequence[float] | Tensor) -> tuple[float, float]:
    """Mean and standard deviation of numbers, (the number, 1) if they are all the same."""
    values = torch.as_tensor(values, dtype=torch.float64)
    if (values == values[0]).all():
        return values[0].item(), 1.0
    deviation, mean = torch.std_mean(values, correction=0)
    return mean.item(), deviation.item() or 1.0
