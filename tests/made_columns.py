"""Columns of CSV files made up by a seeded generator, which knows what they are: valid ones, and broken ones.

It knows nothing of the reader: the spellings and the ways to write numbers stand here as people know them.
"""

import csv
import io
import random
from dataclasses import dataclass, field

WORDS = (
    "red", "blond", "très long", "Rome, Italy", 'a "b" c', "x;y", "S", "XL", "A+", "日本", "new\nline", "true", "n.a.x",
    "up", "down", "left", "N", "off", "Nan Goldin", "Na", "sky blue", "tab\there", "10+", "=1+2", "_", "O'Brien", "%",
)  # fmt: skip
PAIRS = (("0", "1"), ("1", "2"), ("yes", "no"), ("True", "False"), ("m", "f"), ("-1", "1"), ("-", "+"), ("0.0", "1.0"))
GAPS = ("", " ", "NA", "N/A", "NaN", "null", "#N/A", "nan", "n/a")  # of any column
GAPS_OF_NUMBERS = (*GAPS, "?", "-", "None", "none", "NULL")
SIGNS = {"plain": ("", "."), "comma": ("", ","), "english": (",", "."), "german": (".", ","), "french": ("\u202f", ",")}


@dataclass
class Column:
    """What a reader shall make of a column: its kind, and of every row the number, the category or None.

    `kinds` is what the user says of it, `lines` where it is broken, any of which a message may name.
    """

    text: bytes
    kind: str = ""
    values: list = field(default_factory=list)
    kinds: dict | None = None
    lines: set = field(default_factory=set)
    what: str = ""


def numeral(value, decimals, way):
    """A number as it is written in a country."""
    thousands, point = SIGNS[way]
    whole, _, rest = f"{abs(value):,.{decimals}f}".partition(".")
    return ("-" if value < 0 else "") + whole.replace(",", thousands) + (point + rest if rest else "")


def valid(seed):
    """A column that can be read."""
    draw = random.Random(seed)
    kind = draw.choice(list(MAKERS))
    size = draw.randint(60, 90)
    cells, values, gaps = MAKERS[kind](draw, size)
    if kind != "count the rows":
        share = draw.choice((0, 0, 0.05, 0.3))
        for row in range(20, size):  # the first ones say what was meant
            if draw.random() < share:
                cells[row], values[row] = draw.choice(gaps), None
    text, _ = written(draw, cells)
    return Column(text, NAMES.get(kind, kind), values, what=kind)


def continuous(draw, size):
    way, decimals = draw.choice(list(SIGNS)), draw.choice((1, 2, 4))
    center, scale = draw.choice(((0, 1), (40, 12), (1e6, 3e5), (-2500, 3000)))
    values = [round(draw.gauss(center, scale), decimals) for _ in range(size)]
    cells = [numeral(value, decimals, way) for value in values]
    if way == "plain" and draw.random() < 0.3:
        cells = [f"{value:.{draw.choice((9, 12))}e}" for value in values]
    if draw.random() < 0.1:
        cells = [cell.replace("-", "−") for cell in cells]
    return cells, values, GAPS_OF_NUMBERS


def count(draw, size):
    top, way = draw.choice((60, 90, 5000, 10_000_000)), draw.choice(("plain", "plain", "english", "french"))
    values = [draw.randint(0, top) for _ in range(size)]
    values[:3] = [7, top, top]  # something repeats
    cells = [numeral(value, 0, way) for value in values]
    if way == "english" and top < 1_000_000:  # "1,204" alone may be a small number as well
        cells[0], values[0] = "1,234,567", 1234567
    return cells, values, GAPS_OF_NUMBERS


def ordinal(draw, size):
    levels = draw.sample(range(-5, 200), draw.randint(3, 20))
    values = [*levels, *(draw.choice(levels) for _ in range(size - len(levels)))]
    cells, first = [], {}
    for value in values:  # one number in several spellings
        cells.append(draw.choice((f"{value}", f"{value}", f"{value}.0", f"{value}e0")))
        first.setdefault(value, cells[-1])
    return cells, [first[value] for value in values], GAPS_OF_NUMBERS


def binary(draw, size):
    pair = draw.choice(PAIRS)
    values = [*pair, *(draw.choice(pair) for _ in range(size - 2))]
    return values[:], values, GAPS if pair == ("-", "+") or pair[0].isalpha() else GAPS_OF_NUMBERS


def categorical(draw, size):
    words = draw.sample(WORDS, draw.randint(3, 12))
    words += [str(draw.randint(0, 99))] if draw.random() < 0.3 else []  # a number among texts
    values = [*words, *(draw.choice(words[:3]) for _ in range(size - len(words)))]
    return values[:], values, GAPS


def codes(draw, size):
    if draw.random() < 0.5:
        names = ["007", "07", "7", *(f"{draw.randint(0, 999):05d}" for _ in range(draw.randint(1, 6)))]
    else:
        names = [str(2**53 + 1 + step) for step in range(draw.randint(3, 6))]  # a float sees half of them
    if draw.random() < 0.3:
        names = ["02134", *map(str, draw.sample(range(10_000, 99_999), 29))]  # a rare zero, but all of five digits
    names = list(dict.fromkeys(names))
    values = [*names, *(draw.choice(names) for _ in range(size - len(names)))]
    return values[:], values, GAPS


def constant(draw, size):
    value = draw.choice(("3", "-2", "0.25", "x", "always", "007"))
    return [value] * size, [value] * size, GAPS


def identifier(draw, size):
    form = draw.choice(("face-{:x}", "{:032x}", "{:x}.jpg", "Zoë{:x}"))
    return [form.format(draw.getrandbits(100)) for _ in range(size)], [None] * size, GAPS


def rows(draw, size):
    numbers = list(range(start := draw.choice((0, 1)), start + size))
    draw.shuffle(numbers)
    return list(map(str, numbers)), [None] * size, GAPS


def text(draw, size):
    if draw.random() < 0.3:
        days = [f"20{draw.randint(10, 25)}-{draw.randint(1, 12):02d}-{draw.randint(1, 28):02d}" for _ in range(size)]
        return days, [None] * size, GAPS
    texts = [" ".join(draw.choice(("one", "a", "of, the", "sees", "no")) for _ in range(12)) for _ in range(size)]
    return texts, [None] * size, GAPS


MAKERS = {
    "continuous": continuous, "count": count, "ordinal": ordinal, "binary": binary, "categorical": categorical,
    "codes": codes, "constant": constant, "identifier": identifier, "count the rows": rows, "text": text,
}  # fmt: skip
NAMES = {"codes": "categorical", "count the rows": "identifier"}


def written(draw, cells, names=None):
    """A file of these cells in a column `x` -> its bytes, and for every row the lines that it takes."""
    end, separator = draw.choice(("\n", "\r\n")), draw.choice((",", ",", ";", "\t"))
    quoting = draw.choice((csv.QUOTE_MINIMAL, csv.QUOTE_ALL))
    after, blanks = draw.random() < 0.3, draw.random() < 0.2
    out, lines, line = io.StringIO(), [], 1
    writer = csv.writer(out, delimiter=separator, lineterminator=end, quoting=quoting)
    writer.writerow(["image", "other", "x"] if after else ["image", "x"])
    for row, cell in enumerate(cells):
        if blanks and draw.random() < 0.1:
            out.write(end)
        padded = f" {cell}" if blanks and draw.random() < 0.2 else cell
        name = f"{row}.png" if names is None else names[row]
        begin = out.getvalue().count("\n") + 1
        writer.writerow([name, draw.choice("ab"), padded] if after else [name, padded])
        line = out.getvalue().count("\n")
        lines.append(set(range(begin, line + 1)))
    mark = "\ufeff" if draw.random() < 0.3 else ""
    return (mark + out.getvalue()).encode(), lines


def broken(seed):
    """A column that cannot be read, or not in one way only."""
    draw = random.Random(seed)
    way = draw.choice(list(FAULTS))
    return FAULTS[way](draw, way)


def _measured(draw, way="plain", size=60):
    return [numeral(round(draw.uniform(1, 90), 2), 2, way) for _ in range(size)]


def _spoiled(draw, what, cells, spoil, kinds=None):
    row = draw.randint(6, len(cells) - 1)
    cells[row] = spoil
    content, lines = written(draw, cells)
    return Column(content, kinds=kinds, lines=lines[row], what=what)


def _text_among_numbers(draw, what):
    cells = _measured(draw) if draw.random() < 0.5 else [str(draw.randint(18, 90)) for _ in range(60)]
    return _spoiled(
        draw, what, cells, draw.choice(("abc", "12 years", "3O", "$5", "12%", "1.2.3", "unknown", "x", "１２"))
    )


def _leading_zero(draw, what):
    """A slip of the pen, or a code?"""
    cells = _measured(draw) if draw.random() < 0.5 else [str(value) for value in draw.sample(range(10, 9000), 60)]
    return _spoiled(draw, what, cells, draw.choice(("007", "05", "00", "-01", "010")))


def _two_ways(draw, what):
    ways = draw.sample(("plain", "comma"), 2)
    return _spoiled(draw, what, _measured(draw, ways[0]), _measured(draw, ways[1], 1)[0])


def _infinite(draw, what):
    return _spoiled(draw, what, _measured(draw), draw.choice(("inf", "-inf", "Infinity", "1e400", "-1e39")))


def _ambiguous(draw, what):
    """Thousands, or three decimals?"""
    cells = [f"{draw.randint(1, 9)},{draw.randint(100, 999)}" for _ in range(60)]
    content, lines = written(draw, cells)
    return Column(content, lines=set.union(*lines), what=what)


def _unit(draw, what):
    form = draw.choice(("{}%", "${}", "€ {}", "{} kg", "{}€"))
    content, lines = written(draw, [form.format(cell) for cell in _measured(draw)])
    return Column(content, lines=set.union(*lines), what=what)


def _no_count(draw, what):
    cells = [str(draw.randint(0, 90)) for _ in range(60)]
    return _spoiled(draw, what, cells, draw.choice(("1.5", "-3", "many")), {"x": "count"})


def _third_value(draw, what):
    return _spoiled(draw, what, [draw.choice(("a", "b")) for _ in range(54)] + ["a", "b"] * 3, "c", {"x": "binary"})


def _third_value_first(draw, what):
    cells = ["b", "c", *(draw.choice("bc") for _ in range(50))]
    return _spoiled(draw, what, cells, "a", {"x": "binary"})


def _image_twice(draw, what):
    names = [f"{row}.png" for row in range(60)]
    row = draw.randint(1, 59)
    names[row] = draw.choice(("", " ", names[draw.randint(0, row - 1)]))
    content, lines = written(draw, _measured(draw), names)
    return Column(content, lines=lines[row], what=what)


def _bytes(draw, what):
    """A row too long or too short, a quote never closed, bytes that are no text."""
    content, _ = written(random.Random(draw.random()), _measured(draw))
    rows = content.split(b"\n")
    row = draw.choice([index for index, text in enumerate(rows) if index and len(text) > 5])
    separator = next(mark for mark in (b",", b";", b"\t") if mark in rows[0])
    fault = draw.choice(("long", "short", "quote", "utf-8", "zero"))
    end = b"\r" if rows[row].endswith(b"\r") else b""
    bare = rows[row].removesuffix(b"\r")
    rows[row] = {
        "long": bare + separator + b"1",
        "short": b"9999.png",
        "quote": b'"' + bare.replace(b'"', b""),
        "utf-8": bare + b"\xff",
        "zero": bare + b"\0",
    }[fault] + end
    if fault == "quote":
        rows = [text if index <= row else text.replace(b'"', b"") for index, text in enumerate(rows)]
    return Column(b"\n".join(rows), lines={row + 1}, what=f"{what}, {fault}")


FAULTS = {
    "text among numbers": _text_among_numbers, "two ways": _two_ways, "infinite": _infinite, "ambiguous": _ambiguous,
    "unit": _unit, "no count": _no_count, "third value": _third_value, "third value first": _third_value_first,
    "image twice": _image_twice, "bytes": _bytes, "leading zero": _leading_zero,
}  # fmt: skip
