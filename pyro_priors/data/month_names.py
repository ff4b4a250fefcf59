"""Days whose month is an English name, such as "12 Mar 2020": read as those of numbers, and written back alike."""

import datetime
import re
from collections import Counter
from collections.abc import Sequence
from typing import NamedTuple

MONTHS = ("january", "february", "march", "april", "may", "june", "july", "august", "september", "october")
MONTHS += ("november", "december")
NUMBERS = {name[:size]: number for number, name in enumerate(MONTHS, 1) for size in (3, len(name))} | {"sept": 9}
CENTURY = 69  # years of two digits from here on are of the last one
SEPARATORS = (" ", "-", "/", ".", ",", ", ", ". ")
# Names (M) and numbers of one or two (d) and of four digits (y) -> day, month and year.
ORDERS = {"dMd": "dMy", "dMy": "dMy", "yMd": "yMd", "Mdy": "Mdy", "My": "My", "yM": "yM"}
_WORD = re.compile(r"\d+|[A-Za-z]+", re.ASCII)
_TOKEN = re.compile(rf"{_WORD.pattern}|[^\dA-Za-z]+", re.ASCII)
_CLOCK = re.compile(r"(?:T|(?<=\d) +)\d{1,2}:", re.ASCII)
_FIELD = re.compile(r"(?i:march|mar)(?:\.(?= ))?|d+|y+")


class NamedDay(NamedTuple):
    """A day, with a time where there is one.

    Args:
        plain: as it is written in numbers, such as "2020-03-12 10:30"; without a day the first of the month.
        template: how it was written, with d or dd, yyyy or yy, and the name of March: "d Mar yyyy".
        sure: whether it shows if names are abbreviated, as that of May does not.
    """

    plain: str
    template: str
    sure: bool


def named_day(text: str) -> NamedDay | None:
    """What a text says that has the name of a month; None where it is no such day.

    Example:
        >>> named_day("12-MAR-20").plain, named_day("12-MAR-20").template, named_day("March 2020").plain
        ('2020-03-12', 'dd-MAR-yy', '2020-03-01')
    """
    clock = _CLOCK.search(text)
    days, rest = (text, "") if clock is None else (text[: clock.start()], text[clock.start() :])
    tokens = _TOKEN.findall(days)
    fields = [token for token in tokens if _WORD.fullmatch(token)]
    names = [field for field in fields if field.isalpha()]
    if len(names) != 1 or names[0].lower() not in NUMBERS or len(fields) not in (2, 3) or fields[0] != tokens[0]:
        return None
    if any(token not in SEPARATORS for token in tokens if not _WORD.fullmatch(token)) or fields[-1] != tokens[-1]:
        return None
    order = _order(fields)
    if order is None or (rest and "d" not in order):  # a time is one of a day
        return None
    parts = dict(zip(order, fields, strict=True))
    year, name, day = parts["y"], parts["M"], parts.get("d", "1")
    full = int(year) if len(year) == 4 else int(year) + (1900 if int(year) >= CENTURY else 2000)
    number, where = NUMBERS[name.lower()], iter(order)
    shown = {"d": "d" * len(day), "y": "y" * len(year), "M": _march(name)}
    template = "".join(shown[next(where)] if _WORD.fullmatch(token) else token for token in tokens)
    return NamedDay(f"{full:04d}-{number:02d}-{int(day):02d}{rest}", template, number != 5)


def _order(fields: Sequence[str]) -> str | None:
    """Which is the day (d), the month (M) and the year (y); None where they are none."""
    kinds = {1: "d", 2: "d", 4: "y"}
    return ORDERS.get("".join("M" if field.isalpha() else kinds.get(len(field), "?") for field in fields))


def _march(name: str) -> str:
    """The third month, cased and abbreviated as another."""
    march = "march" if name.lower() in MONTHS else "mar"
    return march.upper() if name.isupper() else march if name.islower() else march.capitalize()


def usual_template(days: Sequence[NamedDay]) -> str:
    """How most are written; days of one digit anywhere have no leading zero, and May alone is an abbreviation."""
    counts = Counter(day.template for day in days if day.sure) or Counter(day.template for day in days)
    template = counts.most_common(1)[0][0]
    if any(re.search(r"(?<!d)d(?!d)", day.template) for day in days):
        template = template.replace("dd", "d")
    return template if any(day.sure for day in days) else re.sub("(?i)(mar)ch", r"\1", template)


def same_template(template: str, other: str) -> bool:
    """But for leading zeros, the case of names, and whether and how these are abbreviated."""
    return _plain(template) == _plain(other)


def _plain(template: str) -> str:
    return template.lower().replace("march", "mar").replace("mar. ", "mar ").replace("dd", "d")


def written(template: str, date: datetime.date) -> str:
    """A day as a template has it; a name that is not shortened has no point.

    Example:
        >>> written("dd MAR yy", datetime.date(2020, 12, 3)), written("Mar. d, yyyy", datetime.date(2020, 5, 4))
        ('03 DEC 20', 'May 4, 2020')
    """

    def field(match: re.Match) -> str:
        token = match[0]
        if token[0] == "d":
            return f"{date.day:0{len(token)}d}"
        if token[0] == "y":
            return f"{date.year % 10 ** len(token):0{len(token)}d}"
        whole = MONTHS[date.month - 1]
        name = whole if token.lower() == "march" else whole[:3]
        name += "." * (token.endswith(".") and name != whole)
        return name.upper() if token.isupper() else name if token.islower() else name.capitalize()

    return _FIELD.sub(field, template)
