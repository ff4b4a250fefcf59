"""A column as it is written, and what its numbers are taken for."""

from collections.abc import Callable, Iterable, Sequence
from typing import NamedTuple

import torch

from pyro_priors.checks import UserError
from pyro_priors.data.gap_codes import codes_of_gaps, may_mean_a_gap
from pyro_priors.data.numerals import NEARLY, PLAIN, Style
from pyro_priors.data.schema import MOST_BYTES, Field, advice, cost, size

FEW = 20  # different whole numbers, or texts, that are always categories
MANY = 150  # whole numbers in an unbroken row, each once: more than there are ages
EXACT = 2**53  # whole numbers beyond run together in 64 bits
LARGEST = torch.finfo(torch.float32).max


class Cells(NamedTuple):
    """A column as it is written: texts without blanks around them, and the line of each in the table `where`.

    What is no file has a `unit` other than lines.
    """

    where: str
    name: str
    lines: Sequence[int | str]
    texts: Sequence[str]
    unit: str = "line"

    def at(self, text: str) -> str:
        """Where that text stands for the first time, for a message."""
        return f"{self.where} {self.unit} {self.lines[self.texts.index(text)]}, column {self.name}"


class Judged(NamedTuple):
    """What numbers are taken for, with the reason, and as what they are written if they are states."""

    kind: str
    reason: str
    states: list[str] | None


def judge(
    values: Sequence[int | float],
    write: Callable[[int | float], str],
    count: int,
    kind: str | None,
    what: str = "",
    spelled: Callable[[int | float], Sequence[str]] | None = None,
) -> Judged:
    """What numbers are, or how they are described where their kind is known.

    Args:
        values: those that differ, in order.
        write: what one is written as.
        count: of cells that say something.
        kind: that somebody has said, else None.
        what: they are, "" = numbers; others, such as dates, neither count things nor rows.
        spelled: the cells that have a value, as they are written; None: nothing is said of those that may mean a gap.
    """
    whole = all(value == int(value) for value in values)
    said = different(values, what or ("whole numbers" if whole else "numbers"))
    said += f" from {write(values[0])} to {write(values[-1])}" if len(values) > 1 else ""
    states = [write(value) for value in values] if whole and len(values) <= FEW and kind is None else None
    if kind is None:
        kind = "count" if whole and values[0] >= 0 and not what else "continuous"
        if len(values) == 1:
            kind = "constant"
        elif states is not None:
            kind = "binary" if len(values) == 2 else "ordinal"
        elif whole and len(values) == count and unbroken(len(values), values[0], values[-1]) and not what:
            kind, said = "identifier", f"{said}, each once: they count the rows"
    if spelled is not None:
        said += "".join(may_mean_a_gap(spelled(code), count) for code in codes_of_gaps(values, spelled, count))
    return Judged(kind, said, states)


def unbroken(count: int, first: float, last: float) -> bool:
    """Whether hardly a whole number between the first and the last is left out, as where rows are numbered."""
    dense = count > NEARLY * (last - first + 1)
    return dense and (first in (0, 1) or count > MANY)


def different(values, what: str) -> str:
    return f"{len(values)} different {what}" if len(values) > 1 else "always the same"


def few_enough(cells: Cells, kind: str, categories: Iterable[str], said: str):
    """Refuse more categories than memory holds, or than a kind has."""
    every = list(categories)
    count = len(every)
    if size(count) > MOST_BYTES:
        raise UserError(
            f"{cells.where}: column {cells.name}: expected categories that take at most {MOST_BYTES / 1e9:.1f} GB of "
            f"memory, got {count}, which take {cost(count)} (leave it out, or {advice(cells.name, 'text')})"
        )
    most = {"constant": 1, "binary": 2}.get(kind, count)
    if count > most:
        odd = every[most]
        raise UserError(f"{cells.at(odd)}: expected a {kind} column, got {said}, such as {odd!r}")


def field_of(
    cells: Cells,
    texts: Sequence[str],
    kind: str,
    reason: str,
    style: Style = PLAIN,
    categories: Sequence[str] | None = None,
) -> Field:
    missing = len(cells.texts) - len(texts)
    reason += f", {missing} of {len(cells.texts)} cells missing" if missing else ""
    return Field(cells.name, kind, reason, texts[0], style, None if categories is None else tuple(categories))
