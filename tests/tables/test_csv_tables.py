"""Thousands of made-up files: valid ones are read, read right and filled in the gaps alone; broken ones are refused."""

import collections
import math
import random
import re

import broken_tables
import made_tables
import numpy as np
import pytest

from pyro_priors.checks import UserError
from pyro_priors.tables.frames.frames import Frame
from pyro_priors.tables.frames.schema import Schema

ASIDE = ("identifier", "text")


def read(path, table):
    path.write_bytes(table.text)
    frame = Frame.of(path)
    return frame, Schema.find(frame, table.kinds)


def wrong(frame, schema, table):
    """What of a table was read otherwise than it was meant, None = nothing."""
    codes = schema.encode(frame)
    for place, (column, field) in enumerate(zip(table.columns, schema.fields, strict=True)):
        if (field.name, field.kind) != (column.name.strip(), column.kind):
            return f"{column.kind}: {field.name}, {field.kind} ({field.reason})"
        if place not in schema.active:
            continue
        for value, code in zip(column.values, codes[:, schema.active.index(place)].tolist(), strict=True):
            if value is None or math.isnan(code):
                same = value is None and math.isnan(code)
            elif isinstance(value, str):
                same = field.categories[int(code)] == value
            else:
                same = abs(code - value) <= 1e-9 * max(1, abs(value))
            if not same:
                return f"{column.kind} {column.name}: {code} for {value!r}"
    return None


def wrongly_filled(frame, schema, table, draw):
    """What of a filled file is not as it must be: gaps hold what other rows say, in the words of the column."""
    codes, known = schema.encode(frame).copy(), schema.encode(frame)
    for column in range(codes.shape[1]):
        there = [row for row in range(len(frame)) if not np.isnan(known[row, column])]
        for row in np.flatnonzero(np.isnan(codes[:, column])):
            codes[row, column] = known[draw.choice(there), column]
    cells = table.answers(schema.restore(frame, codes))
    if cells is None:
        return "other cells are not the same"
    for (row, place), cell in zip(table.gaps, cells, strict=True):
        column, field = table.columns[place], schema.fields[place]
        if place not in schema.active:
            wanted = field.example
        elif field.categories is not None:
            wanted = field.categories[int(codes[row, schema.active.index(place)])]
        else:
            code = codes[row, schema.active.index(place)]
            same = [v for v in column.values if v is not None and abs(v - code) <= 1e-9 * max(1, abs(v))]
            wanted = column.write(same[0]) if column.write else cell
        if cell != wanted:
            return f"{column.kind} {column.name}: {cell!r} for {wanted!r}"
    return None


def check_valid(path, seeds):
    refused, misread = collections.Counter(), []
    for seed in seeds:
        table = made_tables.valid(seed)
        try:
            frame, schema = read(path, table)
        except UserError as error:
            refused[f"{table.what}: {error}"] += 1
            continue
        said = wrong(frame, schema, table) or wrongly_filled(frame, schema, table, random.Random(seed))
        if said:
            misread.append((seed, said))
    assert not misread, (len(misread), misread[:5])
    assert refused.total() <= 0.01 * len(seeds), refused.most_common(5)


def check_broken(path, seeds):
    read_anyway, unnamed = [], []
    for seed in seeds:
        table = broken_tables.broken(seed)
        try:
            read(path, table)
        except UserError as error:
            line = re.search(r"line (\d+)", str(error))
            if line is None or int(line[1]) not in table.lines:
                unnamed.append((seed, table.what, table.lines if len(table.lines) < 9 else "any", str(error)))
        else:
            read_anyway.append((seed, table.what))
    assert not read_anyway, (len(read_anyway), read_anyway[:5])
    assert not unnamed, (len(unnamed), unnamed[:5])


def test_files_made_at_random(tmp_path):
    check_valid(tmp_path / "table.csv", range(80))
    check_broken(tmp_path / "table.csv", range(80))


@pytest.mark.fuzz
def test_ten_thousand_files(tmp_path):
    check_valid(tmp_path / "table.csv", range(1000, 7000))
    check_broken(tmp_path / "table.csv", range(1000, 5000))


def test_the_makers_make_everything():
    broken = collections.Counter(broken_tables.broken(seed).what for seed in range(150))
    assert set(broken) == set(broken_tables.FAULTS)
