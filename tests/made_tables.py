"""CSV files with gaps made up by a seeded generator, which knows what they say (broken ones: `broken_tables`).

It knows nothing of the reader. A file is a list of pieces, so that what must not change in a filled one is known to the
byte.
"""

import datetime
import random
import re
from dataclasses import dataclass, field

import made_columns
from made_columns import GAPS_OF_NUMBERS, numeral

NAMES = (
    "size",
    "Größe, cm",
    'the "x"',
    " padded ",
    "z",
    "image",
    "a;b",
    "日本",
    "c0",
    "=sum",
    "two\nlines",
    "x|y",
    "%",
)
EPOCH = datetime.date(1970, 1, 1)
FORMS = {  # how days are written; those with two orders have days after the 12th
    "iso": "{0.year}-{0.month:02d}-{0.day:02d}", "german": "{0.day:02d}.{0.month:02d}.{0.year}",
    "short german": "{0.day}.{0.month}.{0.year}", "american": "{0.month}/{0.day}/{0.year}",
    "british": "{0.day:02d}/{0.month:02d}/{0.year}", "slashes": "{0.year}/{0.month:02d}/{0.day:02d}",
    "two digits": "{0.month}/{0.day}/{1:02d}",
}  # fmt: skip


@dataclass
class Made:
    """A column: what it is called and is, its cells, what they mean (None = missing), and how a value is written.

    `write` is None where several ways would do.
    """

    name: str
    kind: str
    cells: list
    values: list
    gaps: tuple
    write: object = None


@dataclass
class Table:
    """A file: its bytes; the pieces of its text, None for a gap, and where each gap is; its columns."""

    text: bytes
    pieces: list = field(default_factory=list)
    gaps: list = field(default_factory=list)  # (row, column), in the order of the pieces
    columns: list = field(default_factory=list)
    separator: str = ","
    rows: list = field(default_factory=list)  # the lines of each
    lines: set = field(default_factory=set)  # where it is broken
    what: str = ""
    kinds: dict | None = None

    def answers(self, filled):
        """The cells that a filled text has in the gaps, None where anything else differs."""
        cell = rf'("(?:[^"]|"")*"|[^"{re.escape(self.separator)}\r\n]*)'
        match = re.fullmatch("".join(cell if piece is None else re.escape(piece) for piece in self.pieces), filled)
        return match and [bare(text) for text in match.groups()]


def bare(text):
    return text[1:-1].replace('""', '"') if text.startswith('"') else text


def numbers(draw, size):
    way, decimals = draw.choice(list(made_columns.SIGNS)), draw.choice((1, 2, 4))
    center, scale = draw.choice(((0, 1), (40, 12), (1e6, 3e5), (-2500, 3000)))
    values = [round(draw.gauss(center, scale), decimals) for _ in range(size)]
    cells = [numeral(value, decimals, way) for value in values]
    # Where no number has thousands, nothing says how they are written.
    grouped = way in ("plain", "comma") or any(len(cell.lstrip("-")) > decimals + 4 for cell in cells)
    write = (lambda value: numeral(value, decimals, way)) if grouped else None
    return "continuous", cells, [value + 0.0 for value in values], GAPS_OF_NUMBERS, write


def counts(draw, size):
    values = [draw.randint(0, draw.choice((60, 90, 5000))) for _ in range(size - 25)] + list(range(25))
    values[:3] = [7, 90, 90]
    return "count", list(map(str, values)), [float(value) for value in values], GAPS_OF_NUMBERS, lambda v: f"{v:.0f}"


def days(draw, size):
    form = FORMS[draw.choice(list(FORMS))]
    start = draw.randint(0, 20_000)
    values = [start + draw.randint(0, 1500) for _ in range(size - 40)] + list(range(start, start + 40))
    cells = []
    for value in values:
        day = EPOCH + datetime.timedelta(days=value)
        cells.append(form.format(day, day.year % 100))
    known = dict(zip(map(float, values), cells, strict=True))
    return "continuous", cells, list(map(float, values)), GAPS_OF_NUMBERS, known.get


def moments(draw, size):
    join, parts, zone = draw.choice(" T"), draw.choice((2, 3)), draw.choice(("", "Z", "+02:00"))
    shift = 120 if zone == "+02:00" else 0
    cells, values = [], []
    for _ in range(size):
        day, second = EPOCH + datetime.timedelta(days=draw.randint(10_000, 12_000)), draw.randint(0, 86_399)
        second -= second % 60 if parts == 2 else 0
        clock = f"{second // 3600:02d}:{second // 60 % 60:02d}" + (f":{second % 60:02d}" if parts == 3 else "")
        cells.append(f"{day}{join}{clock}{zone}")
        values.append((day - EPOCH).days + (second / 60 - shift) / 1440)
    return "continuous", cells, values, GAPS_OF_NUMBERS, dict(zip(values, cells, strict=True)).get


def clocks(draw, size):
    minutes = [draw.randint(0, 1439) for _ in range(size)]
    cells, values = [f"{m // 60:02d}:{m % 60:02d}" for m in minutes], [m / 1440 for m in minutes]
    return "continuous", cells, values, GAPS_OF_NUMBERS, dict(zip(values, cells, strict=True)).get


def _of_columns(make):
    """A maker of `made_columns`; what is to be written is one of the column's own cells."""

    def made(draw, size):
        cells, values, gaps = make(draw, size)
        kind = make.__name__ if make is not made_columns.rows else "identifier"
        if any(re.fullmatch(r"\d{4}-\d\d-\d\d", cell) for cell in cells):
            return made(draw, size)
        return made_columns.NAMES.get(kind, kind), cells, values, gaps, lambda value: value

    return made


MAKERS = {
    "numbers": numbers, "counts": counts, "days": days, "moments": moments, "clocks": clocks,
    **{name: _of_columns(made_columns.MAKERS[name]) for name in (
        "ordinal", "binary", "categorical", "codes", "constant", "identifier", "count the rows", "text",
    )},
}  # fmt: skip


def valid(seed):
    """A file that can be read."""
    draw = random.Random(seed)
    size, columns = draw.randint(60, 90), []
    for name in draw.sample(NAMES, draw.randint(1, 6)):
        what = draw.choice(list(MAKERS))
        kind, cells, values, gaps, write = MAKERS[what](draw, size)
        if kind != "identifier":
            share = draw.choice((0, 0.05, 0.3))
            for row in range(20, size):
                if draw.random() < share:
                    cells[row], values[row] = draw.choice(gaps), None
        columns.append(Made(name, kind, cells, values, gaps, write))
    table = written(draw, columns)
    table.what = ", ".join(column.kind for column in columns)
    return table


def written(draw, columns):
    """The file of these columns -> `Table`."""
    end, separator = draw.choice(("\n", "\r\n")), draw.choice((",", ",", ";", "\t", "|"))
    every, blanks, last = draw.random() < 0.3, draw.random() < 0.2, draw.random() < 0.8
    pieces, gaps, lines = ["\ufeff"] if draw.random() < 0.3 else [""], [], []
    size = len(columns[0].cells)
    rows = [[column.name for column in columns], *zip(*(column.cells for column in columns), strict=True)]
    for row, cells in enumerate(rows):
        if blanks and draw.random() < 0.1:
            pieces.append(end)
        begin = sum(piece.count("\n") for piece in pieces if piece) + 1
        for place, cell in enumerate(cells):
            pieces += [separator] if place else []
            text = quoted(cell, separator, always=every or (len(columns) == 1 and not cell.strip()))
            if row and columns[place].values[row - 1] is None and columns[place].kind not in ("identifier", "text"):
                gaps.append((row - 1, place, text))
                pieces.append(None)
            else:
                pieces.append(text)
        pieces += [end] if row < size or last else []
        lines.append(set(range(begin, begin + 1 + sum(cell.count("\n") for cell in cells))))
    given = iter(gaps)
    text = "".join(next(given)[2] if piece is None else piece for piece in pieces)
    return Table(text.encode(), pieces, [gap[:2] for gap in gaps], columns, separator, lines[1:])


def quoted(cell, separator, *, always):
    needed = always or set(cell) & {separator, '"', "\n", "\r"}
    return '"' + cell.replace('"', '""') + '"' if needed else cell
