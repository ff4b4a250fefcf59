"""CSV files with gaps made up by a seeded generator, which knows what they say: valid ones, and broken ones.

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
    """A file: its bytes; the pieces of its text, None for a gap, and where each gap is; its columns; its lines."""

    text: bytes
    pieces: list = field(default_factory=list)
    gaps: list = field(default_factory=list)  # (row, column), in the order of the pieces
    columns: list = field(default_factory=list)
    separator: str = ","
    lines: set = field(default_factory=set)
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


def written(draw, columns, rows_of_text=None):
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
    table = Table(text.encode(), pieces, [gap[:2] for gap in gaps], columns, separator)
    table.rows = lines[1:]
    return table


def quoted(cell, separator, *, always):
    needed = always or set(cell) & {separator, '"', "\n", "\r"}
    return '"' + cell.replace('"', '""') + '"' if needed else cell


def broken(seed):
    """A file that cannot be read, or not in one way only."""
    draw = random.Random(seed)
    what = draw.choice(list(FAULTS))
    table = FAULTS[what](draw)
    table.what = what
    return table


def _beside(draw, cells):
    """A column that is broken, among others that are not."""
    columns = [Made("broken", "", cells, [0] * len(cells), ())]
    for name in draw.sample(NAMES, draw.randint(1, 3)):
        kind, more, values, gaps, write = MAKERS[draw.choice(("numbers", "counts", "days", "binary"))](draw, len(cells))
        columns.insert(draw.randint(0, len(columns)), Made(name, kind, more, values, gaps, write))
    return columns


def _spoiled(cells_of, spoils):
    """A column with a cell that does not belong to it."""

    def made(draw):
        cells = cells_of(draw)
        row = draw.randint(6, len(cells) - 1)
        cells[row] = draw.choice(spoils)
        table = written(draw, _beside(draw, cells))
        table.lines = table.rows[row]
        return table

    return made


def _throughout(cells_of):
    """A column that shows at every line that it cannot be read."""

    def made(draw):
        table = written(draw, _beside(draw, cells_of(draw)))
        table.lines = set.union(*table.rows)
        return table

    return made


def _measured(draw, size=60):
    return [numeral(round(draw.uniform(1, 90), 2), 2, "plain") for _ in range(size)]


def _dates(draw):
    return [f"2021-{draw.randint(1, 12):02d}-{draw.randint(1, 28):02d}" for _ in range(60)]


def _ambiguous_days(draw):
    mark = draw.choice("/-")
    return [f"{draw.randint(1, 6)}{mark}{draw.randint(7, 12)}{mark}{draw.randint(1990, 2020)}" for _ in range(60)]


def _thousands(draw):
    return [f"{draw.randint(1, 9)},{draw.randint(100, 999)}" for _ in range(60)]


def _bytes(fault):
    """A file whose bytes are damaged in one row."""

    def made(draw):
        table = written(draw, _beside(draw, _measured(draw)))
        if any(len(lines) > 1 for lines in table.rows) or "\n" in "".join(column.name for column in table.columns):
            return made(draw)
        rows = table.text.split(b"\n")
        place = draw.choice([min(lines) - 1 for lines in table.rows])
        end = b"\r" if rows[place].endswith(b"\r") else b""
        bare_row, mark = rows[place].removesuffix(b"\r"), table.separator.encode()
        rows[place] = {
            "long": bare_row + mark + b"1",
            "short": b"3",
            "quote": b'"' + bare_row.replace(b'"', b""),
            "other bytes": bare_row + b"\xff",
            "zero byte": bare_row + b"\0",
        }[fault] + end
        if fault == "quote":
            rows = [row if place >= at else row.replace(b'"', b"") for at, row in enumerate(rows)]
        table.text, table.lines = b"\n".join(rows), {place + 1}
        return table

    return made


def _name_twice(draw):
    columns = _beside(draw, _measured(draw))
    columns[-1].name = columns[0].name
    table = written(draw, columns)
    table.lines = set(range(1, 12))
    return table


def _no_header(draw):
    columns = [Made(str(draw.uniform(0, 9)), "", _measured(draw), [0] * 60, ()) for _ in range(draw.randint(2, 4))]
    table = written(draw, columns)
    table.lines = set(range(1, 4))
    return table


FAULTS = {
    "text among numbers": _spoiled(_measured, ("abc", "12 years", "3O", "$5", "12%", "1.2.3", "unknown", "x")),
    "leading zero": _spoiled(_measured, ("007", "05", "-01")),
    "two ways": _spoiled(_measured, ("3,14", "1.204,50")),
    "infinite": _spoiled(_measured, ("inf", "-inf", "Infinity", "1e400", "-1e39")),
    "text among dates": _spoiled(_dates, ("abc", "soon", "2021", "Q3", "2021-1")),
    "no such day": _spoiled(_dates, ("2021-02-30", "2021-13-01", "2021-00-10", "2023-02-29")),
    "other dates": _spoiled(_dates, ("3.4.2021", "2021/04/03", "2021-04-03 10:00", "04/25/2021")),
    "ambiguous days": _throughout(_ambiguous_days),
    "ambiguous thousands": _throughout(_thousands),
    "unit": _throughout(lambda draw: [f"{cell} kg" for cell in _measured(draw)]),
    **{fault: _bytes(fault) for fault in ("long", "short", "quote", "other bytes", "zero byte")},
    "name twice": _name_twice,
    "no header": _no_header,
}  # fmt: skip
