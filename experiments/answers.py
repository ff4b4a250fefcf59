"""Sentences that answer the question of a page: comparisons that are computed from results."""

import statistics
from collections.abc import Callable
from typing import NamedTuple

from experiments import pages


class Entry(NamedTuple):
    """What is compared: a title, and a number for each seed."""

    title: str
    values: list[float]

    @property
    def mean(self):
        return statistics.mean(self.values)

    @property
    def error(self):
        """Standard error; None of one seed."""
        return statistics.stdev(self.values) / len(self.values) ** 0.5 if len(self.values) > 1 else None


class Measure(NamedTuple):
    """A figure: its name, function of a result -> number (None: it has none), digits, unit, and which way is better."""

    name: str
    read: Callable
    digits: int = 2
    unit: str = ""
    higher: bool = False

    def of(self, row, title=None):
        """The `Entry` of a row of a table."""
        values = [value for result in row.results if (value := self.read(result)) is not None]
        return Entry(title or row.cell.called, values)

    def number(self, value):
        """As text, with the unit."""
        return f"{pages.number(value, self.digits)}{self.unit}"

    def text(self, entry):
        """Mean and standard error of an entry."""
        return f"{pages.mean(entry.values, self.digits)}{self.unit}"

    def difference(self, value):
        """The same of a difference, without its sign."""
        return self._replace(unit=" points" if self.unit == " %" else self.unit).number(abs(value))


def entries(measure, rows, title=None):
    """An `Entry` for each row that has the figure; `title` is a function of a row."""
    made = [measure.of(row, title and title(row)) for row in rows]
    return [entry for entry in made if entry.values]


def best(measure, compared, *against):
    """Which entry is best, by how much beside the next, and beside those whose titles are named; "" of no entry.

    Example:
        >>> three = [Entry("a", [4.0, 4.2]), Entry("b", [3.0, 3.2]), Entry("c", [9.0])]
        >>> best(Measure("bound", None, 1, " nats"), three, "c")
        'b has the lowest bound, 3.1 nats, 1.0 nats below a and 5.9 nats below c (one seed)'
    """
    order = sorted(compared, key=lambda entry: entry.mean, reverse=measure.higher)
    if not order:
        return ""
    first, *others = order
    if not others:
        return f"{first.title} has the {measure.name} {measure.number(first.mean)}{single(first)}"
    words = f"{first.title} has the {'highest' if measure.higher else 'lowest'} {measure.name}"
    others = others[:1] + [entry for entry in others[1:] if entry.title in against]
    gaps = " and ".join(gap(measure, first, other) for other in others)
    return f"{words}, {measure.number(first.mean)}{single(first)}, {gaps}"


def gap(measure, entry, other):
    """How far an entry lies from another, and whether that is more than their noise.

    Example:
        >>> gap(Measure("bound", None), Entry("a", [1.0, 2.0]), Entry("b", [2.0, 3.0]))
        '1.00 below b (within two standard errors)'
    """
    difference = entry.mean - other.mean
    words = f"{measure.difference(difference)} {'below' if difference < 0 else 'above'} {other.title}"
    if entry.error is None or other.error is None:
        return words + single(other)
    noise = (entry.error**2 + other.error**2) ** 0.5
    return words + (" (within two standard errors)" if abs(difference) <= 2 * noise else "")


def counted(number, noun):
    """How many of something.

    Example:
        >>> counted(1, "seed"), counted(3, "kind of masks")
        ('1 seed', '3 kinds of masks')
    """
    first, *others = noun.split(" ")
    return " ".join((str(number), first if number == 1 else f"{first}s", *others))


def single(entry):
    """Said of an entry without a noise."""
    return " (one seed)" if entry.error is None else ""


def sentence(*parts):
    """One sentence of the parts that say anything.

    Example:
        >>> sentence("b is best", "", "c is next")
        'B is best; c is next.'
    """
    said = "; ".join(part for part in parts if part)
    return f"{said[0].upper()}{said[1:]}." if said else ""
