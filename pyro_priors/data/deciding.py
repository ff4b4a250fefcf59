"""What a column of a table is, decided from its cells before anything is fitted."""

import re
import shlex
from collections.abc import Iterable, Sequence
from typing import Any

from pyro_priors.checks import UserError
from pyro_priors.data.date_columns import dates_column, nearly_all_dates
from pyro_priors.data.judging import EXACT, FEW, LARGEST, Cells, different, few_enough, field_of, judge
from pyro_priors.data.numerals import (
    CODE,
    NEARLY,
    PLAIN,
    WHOLE,
    NotAlike,
    Style,
    gaps_among,
    is_number,
    nearly_all_numbers,
    number,
    plain_numbers,
    style_of,
)
from pyro_priors.data.schema import (
    ASIDE,
    KINDS,
    NUMBERS,
    Field,
    advice,
)

RARE = 0.05  # of the different cells: fewer leading zeros than that are slips of the pen rather than codes
NARROW = 2  # digits that all ages have, or all hours: only more than that, in every cell, are codes
UNIT = re.compile(r"([^\w\s.,+\-−]?)\s*[+\-−]?\d[\d.,]*\s*([^\W\d]{0,3}|[^\w\s.,]{0,2})")


def decide(
    cells: Cells, kind: str | None = None, also_missing: Sequence[str] = (), *, read_dates: bool = False
) -> Field:
    """What a column is, by its cells, or of a `kind` that somebody has said it is.

    Texts are missing as in `numerals.is_missing`, and those of `also_missing`. Whole numbers are codes, which are
    texts, where leading zeros are not rare, or all have equally many digits and one a leading zero, or one is so large
    that 64 bits cannot tell it from the next. With `read_dates`, dates and times are numbers (`dates.DateForm`), else
    texts.

    Raises:
        UserError: nothing but missing cells, a text or a rare leading zero among numbers, numbers that can be read in
            no way or in two, too many categories, cells that are not of `kind`. The line is named.

    Example:
        >>> decide(Cells("faces.csv", "age", range(2, 7), ["31", "?", "52", "31.5", "NA"]))[1:4]
        ('continuous', '3 different numbers from 31 to 52, 2 of 5 cells missing', '31')
        >>> decide(Cells("faces.csv", "zip", [2, 3, 4], ["007", "7", "07"])).categories
        ('007', '07', '7')
    """
    if kind is not None and kind not in KINDS:
        raise UserError(f"{cells.where}: column {cells.name}: expected one of {', '.join(KINDS)}, got {kind!r}")
    every = set(cells.texts)
    gaps = gaps_among(every, also_missing, numbers=False)
    texts = [text for text in cells.texts if text not in gaps]
    if not texts:
        raise UserError(
            f"{cells.where}: column {cells.name}: expected a cell that says something, got empty ones (leave it out)"
        )
    gaps |= gaps_among(every, numbers=True)
    present = [text for text in texts if text not in gaps]
    if kind in ASIDE:
        return field_of(cells, texts, kind, different(set(texts), "texts"))
    if kind in (None, *NUMBERS) and (plain := plain_numbers(dict.fromkeys(present))) and max(map(abs, plain)) < LARGEST:
        first: dict[Any, str] = {}
        for value, text in zip(plain, dict.fromkeys(present), strict=True):
            first.setdefault(value, text)
        return _of_values(cells, present, kind, first, PLAIN)
    if read_dates and kind != "count" and nearly_all_dates(present):
        return dates_column(cells, present, kind)
    if kind in NUMBERS or (kind is None and nearly_all_numbers(present) and not _codes(present)):
        return _numbers(cells, present or texts, kind)
    return _categories(cells, present if present and all(map(is_number, set(present))) else texts, kind)


def _codes(texts: Sequence[str]) -> bool:
    """Whether digits are names, as leading zeros say, or one beyond 2^53; a few names may have letters, as "2A"."""
    every = dict.fromkeys(texts)
    if not all(WHOLE.fullmatch(text) or not is_number(text) for text in every):
        return False
    zeros = sum(bool(CODE.fullmatch(text)) for text in every)
    if zeros and zeros >= RARE * len(every):
        return True
    if not all(map(WHOLE.fullmatch, every)):
        return False
    widths = set(map(len, every))
    return bool(zeros and len(widths) == 1 and max(widths) > NARROW) or _beyond(every)


def _beyond(texts: Iterable[str]) -> bool:
    """Whether one of these whole numbers is so large that 64 bits cannot tell it from the next."""
    return any(abs(number(text) or 0) > EXACT for text in texts)


def _numbers(cells: Cells, texts: Sequence[str], kind: str | None) -> Field:
    """A column of numbers but for a few texts, which are refused."""
    every = dict.fromkeys(texts)
    if odd := next((text for text in every if not is_number(text)), None):
        raise UserError(
            f"{cells.at(odd)}: expected a number as in the other cells, or a spelling of a missing one, got {odd!r} "
            f"(mend it, or say what it is: --also-missing {shlex.quote(odd)}, {advice(cells.name, 'categorical')})"
        )
    if kind is None and (odd := next(filter(CODE.fullmatch, every), None)):
        raise UserError(
            f"{cells.at(odd)}: expected a number as in the other cells, got {odd!r}, which has a leading zero (mend "
            f"it, or say what the column is: {advice(cells.name, 'categorical')}, or "
            f"{advice(cells.name, 'continuous')})"
        )
    style = alike(cells, texts, counts=kind == "count")
    first: dict[int | float, str] = {}  # value: how it is written first
    for text in every:
        value = number(text, style)
        if value is None or not abs(value) <= LARGEST:
            raise UserError(f"{cells.at(text)}: expected a finite number of 32 bits, got {text!r}")
        first.setdefault(value, text)
    return _of_values(cells, texts, kind, first, style)


def _of_values(cells: Cells, texts: Sequence[str], kind: str | None, first: dict[Any, str], style: Style) -> Field:
    """A column of numbers: those that differ, and how each is written first."""
    if kind == "count" and (odd := next((v for v in first if not (v >= 0 and v == int(v))), None)) is not None:
        text = first[odd]
        raise UserError(f"{cells.at(text)}: expected a whole number, 0 or more, of a count, got {text!r}")

    def spelled(value: int | float) -> list[str]:
        return [text for text in texts if number(text, style) == value]

    judged = judge(sorted(first), first.__getitem__, len(texts), kind, spelled=spelled)
    return field_of(cells, texts, judged.kind, judged.reason, style, judged.states)


def alike(cells: Cells, texts: Sequence[str], *, counts: bool) -> Style:
    """The style of numbers of a column, as `style_of`; `UserError` at the line of one that shows that there is none."""
    try:
        return style_of(texts, counts=counts)
    except NotAlike as error:
        count = f", or say that it is a count: {advice(cells.name, 'count')}" if error.count else ""
        mend = f" ({error.mend}{count})" if error.mend else ""
        raise UserError(f"{cells.at(error.text)}: {error}{mend}") from None


def _categories(cells: Cells, texts: Sequence[str], kind: str | None) -> Field:
    """A column of texts, or of numbers that shall be categories; those of equal numbers are one, as written first."""
    digits, style, first = all(map(WHOLE.fullmatch, texts)), _style(texts), {}
    codes = any(map(CODE.fullmatch, texts)) or (digits and _beyond(texts))  # equal numbers are no equal categories
    for text in dict.fromkeys(texts):  # {what a category is ordered by: how it is written first}
        first.setdefault(text if codes or style is None else number(text, style), text)
    categories = [first[value] for value in sorted(first)]
    what = "codes" if codes and digits else "texts" if codes or style is None else "numbers"
    count, said = len(categories), different(categories, what)
    if kind is None and count > FEW and (aside := _aside(cells, texts, said, count)):
        return aside
    kind = kind or {1: "constant", 2: "binary"}.get(count, "categorical")
    few_enough(cells, kind, first.values(), said)
    return field_of(cells, texts, kind, said, style or PLAIN, categories)


def _style(texts: Sequence[str]) -> Style | None:
    """That of numbers, None where a text is none."""
    try:
        return style_of(texts) if all(map(is_number, set(texts))) else None
    except NotAlike:
        return None


def _aside(cells: Cells, texts: Sequence[str], said: str, count: int) -> Field | None:
    """Texts that name rows or are free, or dates; numbers with a unit are refused."""
    every = set(texts)
    marks = {match.groups() if (match := UNIT.fullmatch(text)) else None for text in every}
    if len(marks) == 1 and any(marks.pop() or ()):
        raise UserError(
            f"{cells.at(texts[0])}: expected numbers without a unit, got {texts[0]!r} (write the number alone, or "
            f"say what it is: {advice(cells.name, 'categorical')})"
        )
    if nearly_all_dates(texts):
        return field_of(cells, texts, "text", f"{said}, dates or times (to use them, write them as numbers)")
    if count < NEARLY * len(texts):
        return None
    words = sorted(len(text.split()) for text in every)[count // 2]
    kind, why = ("text", "of several words") if words > 2 else ("identifier", "which hardly repeat")
    return field_of(cells, texts, kind, f"{said} in {len(texts)} cells, {why}")
