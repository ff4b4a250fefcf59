"""Dates and times as people write them, read as days since 1970-01-01 and written back in the same form."""

import datetime
import math
import re
from collections import Counter
from collections.abc import Iterable
from typing import NamedTuple

from pyro_priors.data.month_names import NamedDay, named_day, same_template, usual_template, written
from pyro_priors.data.numerals import NotAlike

EPOCH = datetime.date(1970, 1, 1).toordinal()
DAY = 86_400_000_000  # microseconds
UNITS = (DAY, 3_600_000_000, 60_000_000, 1_000_000, 1_000, 1)  # what times are rounded to
ORDERS = {
    "/": ("dmy", "mdy", "ymd"),
    "-": ("dmy", "mdy", "ymd"),
    ".": ("dmy",),
}  # nobody writes a month, a point, a day
_SIZES = r"(?=\d{4}\D\d{1,2}\D\d{1,2}(?!\d)|\d{1,2}\D\d{1,2}\D(?:\d{4}|\d\d)(?!\d))"  # "1.2.3" is a version
_DAYS = _SIZES + r"(?P<a>\d{4}|\d{1,2})(?P<mark>[-/.])(?P<b>\d{1,2})(?P=mark)(?P<c>\d{4}|\d{1,2})"
_CLOCK = r"(?P<join>T|[ ]*)(?P<h>\d{1,2}):(?P<m>[0-5]\d)(?::(?P<s>[0-5]\d)(?:\.(?P<f>\d{0,9}))?)?"
_READ = re.compile(rf"(?=\d)(?:{_DAYS})?(?:{_CLOCK}(?P<zone>[+-]\d\d:?\d\d|Z)?)?", re.ASCII)


class DateForm(NamedTuple):
    """How the dates and times of a column are written.

    Args:
        order: of year, month and day, "ymd", "dmy" or "mdy"; "" of times of the day.
        mark: what stands between them.
        year: how many digits a year has, 4 or 2 (00 to 68 are 2000 to 2068).
        padded: whether months, days and hours of one digit have a leading zero.
        join: what stands between day and time; None where there is no time.
        parts: of the time, 2 (hours and minutes) or 3.
        decimals: of the seconds.
        zone: as it is written after the time, such as "Z" or "+02:00".
        unit: microseconds, to a multiple of which what is written is rounded.
        names: of days whose month is a name how they are written, such as "d Mar yyyy"; they are read and rounded as
            what `order`, `mark` and `year` say of the same days in numbers.

    Example:
        >>> form = DateForm("dmy", ".", padded=False)
        >>> form.read("1.2.2021"), form.write(18659.2)
        (18659.0, '1.2.2021')
    """

    order: str = "ymd"
    mark: str = "-"
    year: int = 4
    padded: bool = True
    join: str | None = None
    parts: int = 3
    decimals: int = 0
    zone: str = ""
    unit: int = DAY
    names: str = ""

    def read(self, text: str) -> float | None:
        """A text of this form, in which padding and decimals are free -> days since 1970-01-01; None for others."""
        if self.names:
            named = named_day(text)
            if named is None or not same_template(named.template, self.names):
                return None
            text = named.plain
        match = _READ.fullmatch(text)
        if match is None or _shape(match) != self._shape:
            return None
        microseconds = _microseconds(match, self.order)
        return None if microseconds is None else microseconds / DAY

    def round(self, days: float) -> float:
        """Days as they are in a cell: to a multiple of the unit."""
        return self._local(days) / DAY - _offset(self.zone) / DAY

    def _local(self, days: float) -> int:
        local = round((days * DAY + _offset(self.zone)) / self.unit) * self.unit
        if self.names and "d" not in self.names:  # months have their first day
            return (_date(local // DAY).replace(day=1).toordinal() - EPOCH) * DAY
        return local

    @property
    def _shape(self) -> tuple:
        first = 4 if self.order == "ymd" and self.year == 4 else 0
        return (self.mark, first, 0 if first else self.year, self.join) if self.order else ("", 0, 0, self.join)

    def write(self, days: float) -> str:
        """Days since 1970-01-01, or of times of the day a part of a day, rounded to the unit -> text."""
        local = self._local(days)
        day, rest = divmod(local, DAY) if self.order else (0, max(local, 0))
        text = ""
        if self.order:
            date = _date(day)
            width = 2 if self.padded else 1
            said = {"y": f"{date.year % 10**self.year:0{self.year}d}"}
            said |= {"m": f"{date.month:0{width}d}", "d": f"{date.day:0{width}d}"}
            text = self.mark.join(said[part] for part in self.order)
            text = written(self.names, date) if self.names else text
        return text if self.join is None else text + self.join + self._clock(rest)

    def _clock(self, rest: int) -> str:
        minutes, micro = divmod(rest, 60_000_000)
        text = f"{minutes // 60:0{2 if self.padded else 1}d}:{minutes % 60:02d}"
        if self.parts == 3:
            text += f":{micro // 1_000_000:02d}"
            text += (
                f".{micro % 1_000_000:06d}"[: self.decimals + 1].ljust(self.decimals + 1, "0") if self.decimals else ""
            )
        return text + self.zone


def is_date(text: str) -> bool:
    """Whether a text is a date, a time or both, in some form; 31 days in every month."""
    if not text:
        return False
    named = named_day(text)
    return _READ.fullmatch(text if named is None else named.plain) is not None


def form_of(texts: Iterable[str]) -> DateForm:
    """The form of a column of dates or times, all of which `is_date`.

    Raises:
        NotAlike: they are written in several ways, there is no such day, or days and months can change places.

    Example:
        >>> form_of(["2021-02-01 08:30", "2021-02-03 09:00"]).write(18661.0)
        '2021-02-03 00:00'
        >>> form_of(["1/2/21", "3/31/21"]).order
        'mdy'
    """
    texts = list(dict.fromkeys(texts))
    named = {text: day for text in texts if (day := named_day(text))}
    if 2 * len(named) > len(texts):
        return _form_of_names(texts, named)
    if named:
        raise _unlike(next(iter(named)), next(text for text in texts if text not in named))
    matches = [match for text in texts if (match := _READ.fullmatch(text))]
    shapes = Counter((_shape(match), bool(match["zone"])) for match in matches)
    (shape, zoned), _ = shapes.most_common(1)[0]
    usual = next(match[0] for match in matches if (_shape(match), bool(match["zone"])) == (shape, zoned))
    for match in matches:
        if (_shape(match), bool(match["zone"])) != (shape, zoned):
            raise _unlike(match[0], usual)
    mark, first, last, join = shape
    order = _order(matches, ("ymd",) if first == 4 else ORDERS[mark] if last == 2 else ORDERS[mark][:2]) if mark else ""
    clocks = [match["f"] or "" for match in matches]
    zone = Counter(match["zone"] or "" for match in matches).most_common(1)[0][0]
    whole = math.gcd(*((_microseconds(match, order) or 0) + _offset(match["zone"]) for match in matches))
    numbers = [match[part] for match in matches for part in "abch" if match[part] and len(match[part]) < 3]
    short = [text for text in numbers if len(text) == 1]
    return DateForm(
        order=order,
        mark=mark,
        year=first or last or 4,
        padded=not short,
        join=join,
        parts=3 if any(match["s"] for match in matches) else 2,
        decimals=min(max(map(len, clocks)), 6),
        zone=zone,
        unit=next(unit for unit in UNITS if whole % unit == 0),
    )


def _form_of_names(texts: list[str], named: dict[str, NamedDay]) -> DateForm:
    """The form of days whose months are names."""
    template = usual_template(list(named.values()))
    usual = next(text for text, day in named.items() if same_template(day.template, template))
    for text in texts:
        if text not in named or not same_template(named[text].template, template):
            raise _unlike(text, usual)
    plain = {day.plain: text for text, day in named.items()}
    try:
        form = form_of(plain)
    except NotAlike as error:
        said = re.sub("|".join(map(re.escape, plain)), lambda match: plain[match[0]], str(error))
        raise NotAlike(plain[error.text], said, error.mend) from None
    return form._replace(names=template)


def _unlike(text: str, usual: str) -> NotAlike:
    return NotAlike(text, f"expected dates or times that are all written alike, got {text!r} beside {usual!r}")


def _date(day: int) -> datetime.date:
    """Of a number of days since 1970-01-01, or the nearest that there is."""
    return datetime.date.fromordinal(min(max(day + EPOCH, 1), datetime.date.max.toordinal()))


def _shape(match: re.Match) -> tuple:
    """(mark between the parts of a day, digits of a year that comes first, of one that comes last, what joins)."""
    join = match["join"] if match["h"] else None
    if match["mark"] is None:
        return "", 0, 0, join
    first = 4 if len(match["a"]) == 4 else 0
    return match["mark"], first, 0 if first else 4 if len(match["c"]) == 4 else 2, join


def _order(matches: list[re.Match], orders: tuple[str, ...]) -> str:
    """The only order of year, month and day in which all are days."""
    read = {order: [_microseconds(match, order) for match in matches] for order in orders}
    possible = [order for order in orders if None not in read[order]]
    if not possible:
        best = min(orders, key=lambda order: read[order].count(None))
        odd = matches[read[best].index(None)][0]
        raise NotAlike(odd, f"expected a day of a month as in the other cells, got {odd!r}")
    for match, *readings in zip(matches, *(read[order] for order in possible), strict=True):
        if len(set(readings)) > 1:
            said = " or ".join(str(datetime.date.fromordinal(at // DAY + EPOCH)) for at in dict.fromkeys(readings))
            raise NotAlike(match[0], f"expected dates that can be read in one way, got {match[0]!r}", f"write {said}")
    return possible[0]


def _microseconds(match: re.Match, order: str) -> int | None:
    """What a match says, since 1970-01-01 in UTC or since the day began; None where there is no such time."""
    total = 0
    if order:
        parts = dict(zip(order, (match["a"], match["b"], match["c"]), strict=True))
        year = int(parts["y"])
        if len(parts["y"]) < 3:
            year += 1900 if year > 68 else 2000
        try:
            total = (datetime.date(year, int(parts["m"]), int(parts["d"])).toordinal() - EPOCH) * DAY
        except ValueError:
            return None
    if match["h"]:
        if order and int(match["h"]) > 23:
            return None
        total += (int(match["h"]) * 60 + int(match["m"])) * 60_000_000 + int(match["s"] or 0) * 1_000_000
        total += int((match["f"] or "").ljust(6, "0")[:6])
    return total - _offset(match["zone"])


def _offset(zone: str | None) -> int:
    """Microseconds that a zone is before UTC."""
    if not zone or zone == "Z":
        return 0
    minutes = int(zone[1:3]) * 60 + int(zone[-2:])
    return (-1 if zone[0] == "-" else 1) * minutes * 60_000_000
