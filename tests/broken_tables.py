"""CSV files made up by a seeded generator that cannot be read, or not in one way only, and at which lines."""

import random

import made_tables
from made_columns import numeral


def broken(seed):
    """A file that cannot be read, or not in one way only."""
    draw = random.Random(seed)
    what = draw.choice(list(FAULTS))
    table = FAULTS[what](draw)
    table.what = what
    return table


def _beside(draw, cells):
    """A column that is broken, among others that are not."""
    columns = [made_tables.Made("broken", "", cells, [0] * len(cells), ())]
    for name in draw.sample(made_tables.NAMES, draw.randint(1, 3)):
        make = made_tables.MAKERS[draw.choice(("numbers", "counts", "days", "binary"))]
        columns.insert(draw.randint(0, len(columns)), made_tables.Made(name, *make(draw, len(cells))))
    return columns


def _spoiled(cells_of, spoils):
    """A column with a cell that does not belong to it."""

    def made(draw):
        cells = cells_of(draw)
        row = draw.randint(6, len(cells) - 1)
        cells[row] = draw.choice(spoils)
        table = made_tables.written(draw, _beside(draw, cells))
        table.lines = table.rows[row]
        return table

    return made


def _throughout(cells_of):
    """A column that shows at every line that it cannot be read."""

    def made(draw):
        table = made_tables.written(draw, _beside(draw, cells_of(draw)))
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
        table = made_tables.written(draw, _beside(draw, _measured(draw)))
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
    table = made_tables.written(draw, columns)
    table.lines = set(range(1, 12))
    return table


def _no_header(draw):
    columns = [
        made_tables.Made(str(draw.uniform(0, 9)), "", _measured(draw), [0] * 60, ()) for _ in range(draw.randint(2, 4))
    ]
    table = made_tables.written(draw, columns)
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
