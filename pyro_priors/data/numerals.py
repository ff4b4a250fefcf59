"""Cells as people write them: spellings of a missing one, and numbers with points, commas and thousands."""

import re
from collections.abc import Iterable, Sequence
from typing import NamedTuple

MISSING = ("", "NA", "N/A", "NaN", "null", "#N/A")  # in every column
MISSING_NUMBERS = (*MISSING, "None", "?", "-")  # in a column of numbers
_MISSING = {form for text in MISSING for form in (text, text.lower(), text.upper())}  # "Na" is sodium
_MISSING_NUMBERS = {text.lower() for text in MISSING_NUMBERS}
LONGEST = max(map(len, MISSING_NUMBERS))
NEARLY = 0.8  # what "nearly all" means, of cells or of different ones
CODE = re.compile(r"[+\-−]?0[0-9]+")  # whole, with a leading zero
WHOLE = re.compile(r"[+\-−]?[0-9]+")
_GROUPS = {",": ",", ".": r"\.", " ": "[ \u00a0\u2009\u202f]", "'": "['\u2019]"}


class Style(NamedTuple):
    """How numbers are written: what stands between thousands, if anything does, and before decimals."""

    thousands: str = ""
    decimal: str = "."


PLAIN = Style()
STYLES = (PLAIN, Style("", ","), *(Style(mark, point) for mark in _GROUPS for point in ".," if mark != point))


def is_missing(text: str, *, numbers: bool) -> bool:
    """Whether a cell, without blanks around it, is a spelling of a missing one; more are in a column of numbers.

    Example:
        >>> [is_missing(text, numbers=False) for text in ("", "NA", "n/a", "?", "Na")]
        [True, True, True, False, False]
        >>> is_missing("?", numbers=True)
        True
    """
    return text.lower() in _MISSING_NUMBERS if numbers else text in _MISSING


def gaps_among(texts: Iterable[str], also_missing: Sequence[str] = (), *, numbers: bool) -> set[str]:
    """Those of the texts that are spellings of a missing cell, or are in `also_missing`."""
    also = set(also_missing)
    return {t for t in texts if (len(t) <= LONGEST and is_missing(t, numbers=numbers)) or (also and t in also)}


def _numeral(style: Style) -> str:
    """The regular expression of a number in that style; infinity is written in the plain one."""
    whole, point = r"[0-9]+", re.escape(style.decimal)
    if style.thousands:
        whole = rf"(?:[0-9]+|[1-9][0-9]{{0,2}}(?:{_GROUPS[style.thousands]}[0-9]{{3}})+)"
    after = "*" if style == PLAIN else "+"  # "5." is a number, "5," the beginning of a list
    infinite = "|(?ai:inf|infinity)" if style == PLAIN else ""
    return rf"[+\-−]?(?:(?:{whole}(?:{point}[0-9]{after})?|{point}[0-9]+)(?:[eE][+\-−]?[0-9]+)?{infinite})"


_READS = {style: re.compile(_numeral(style)).fullmatch for style in STYLES}
_NUMBER = re.compile("|".join(map(_numeral, STYLES)))


def number(text: str, style: Style = PLAIN) -> int | float | None:
    """The number that a text is in that style, None for none; a whole one is exact.

    Infinity, and what is beyond 64 bits, is infinite.

    Example:
        >>> number("1,204.5", Style(",", ".")), number("3,14", Style("", ",")), number("3,14"), number("1e400")
        (1204.5, 3.14, None, inf)
    """
    if not _READS[style](text):
        return None
    if style.thousands:
        text = re.sub(_GROUPS[style.thousands], "", text)
    text = text.replace(style.decimal, ".").replace("−", "-")
    return int(text) if WHOLE.fullmatch(text) and len(text) < 309 else float(text)


_PLAINLY = re.compile(r"(?:-?(?:0|[1-9][0-9]{0,14})(?:\.[0-9]+)?(?:[eE][+-]?[0-9]{1,2})?\n)*", re.ASCII)


def plain_numbers(texts: Iterable[str]) -> list[float] | None:
    """Numbers of texts that are all in the plain style, none of them a code or beyond 2^53; None where some may not be.

    What `number` says, at a tenth of the time.

    Example:
        >>> plain_numbers(["1.5", "-2"]), plain_numbers(["1.5", "02"])
        ([1.5, -2.0], None)
    """
    texts = list(texts)
    return list(map(float, texts)) if _PLAINLY.fullmatch("\n".join([*texts, ""])) else None


def is_number(text: str) -> bool:
    """Whether it is a number in some style."""
    return _NUMBER.fullmatch(text) is not None


def nearly_all_numbers(texts: Sequence[str]) -> bool:
    """Whether the cells, none of which is missing, or the different ones among them, are numbers but for a few."""
    different = dict.fromkeys(texts)
    numbers = {text for text in different if is_number(text)}
    cells = sum(text in numbers for text in texts)
    return bool(numbers) and (cells >= NEARLY * len(texts) or len(numbers) >= NEARLY * len(different))


class NotAlike(ValueError):
    """Numbers of a column that cannot be read in exactly one style; `text` is a cell that shows it.

    `mend` says how to write it in one way; with `count` all could be read as whole ones, if that is what they are.
    """

    def __init__(self, text: str, message: str, mend: str = "", count: bool = False):
        super().__init__(message)
        self.text, self.mend, self.count = text, mend, count


def style_of(texts: Iterable[str], *, counts: bool = False) -> Style:
    """The style that a column of numbers is written in: the plain one where that reads all, else the only one.

    With `counts` it is one in which all are whole, if there is any.

    Raises:
        NotAlike: none reads all, or two do and differ.

    Example:
        >>> style_of(["1,204.5", "950"]), style_of(["3,14", "2"])
        (Style(thousands=',', decimal='.'), Style(thousands='', decimal=','))
    """
    texts = list(dict.fromkeys(texts))
    if counts and (whole := _whole(texts)):
        return whole
    if all(map(_READS[PLAIN], texts)):
        return PLAIN
    possible = [style for style in STYLES if all(map(_READS[style], texts))]
    if not possible:
        best = max(STYLES, key=lambda style: sum(map(bool, map(_READS[style], texts))))
        odd = next(text for text in texts if number(text, best) is None)
        example = next((text for text in texts if number(text, best) is not None), None)
        beside = "" if example is None else f" beside {example!r}"
        raise NotAlike(odd, f"expected numbers that are all written alike, got {odd!r}{beside}")
    points: dict[str, Style] = {}  # two of one decimal sign read the same: neither meets a mark between thousands
    for style in possible:
        points.setdefault(style.decimal, style)
    for text in texts if len(points) > 1 else ():
        readings = list(dict.fromkeys(number(text, style) for style in points.values()))
        if len(readings) > 1:
            said = " or ".join(f"{reading:.15g}" for reading in readings)
            expected = "expected numbers that can be read in one way"
            raise NotAlike(text, f"{expected}, got {text!r}", f"write {said}", _whole(texts) is not None)
    return possible[0]


def _whole(texts: Sequence[str]) -> Style | None:
    """The first style in which all are whole numbers."""
    return next((style for style in STYLES if all(isinstance(number(text, style), int) for text in texts)), None)
