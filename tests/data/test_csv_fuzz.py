"""Thousands of made-up columns: what is valid is read, and read right; what is broken is refused at its line."""

import collections
import re

import made_columns
import pytest

from pyro_priors.checks import UserError
from pyro_priors.data.attribute_table import read_csv

ASIDE = ("identifier", "text")


def read(path, column):
    path.write_bytes(column.text)
    return read_csv(path, () if column.kind in ASIDE else ("x",), kinds=column.kinds)


def wrong(table, column):
    """What of a column was read otherwise than it was meant; None: nothing."""
    field = next(field for field in table.schema if field.name == "x")
    if field.kind != column.kind:
        return f"{field.kind} ({field.reason})"
    if column.kind in ASIDE:
        return None
    (attribute,) = table.attributes
    for value, meant in zip(table.values[:, 0].tolist(), column.values, strict=True):
        if meant is None or isinstance(meant, str):
            if attribute.format(value) != (meant or ""):
                return f"{attribute.format(value)!r} for {meant!r}"
        elif not abs(attribute.loc + attribute.scale * value - meant) <= 1e-6 * (abs(meant) + 10 * attribute.scale):
            return f"{attribute.loc + attribute.scale * value} for {meant}"
    return None


def check_valid(path, seeds):
    refused, misread = collections.Counter(), []
    for seed in seeds:
        column = made_columns.valid(seed)
        try:
            table = read(path, column)
        except UserError as error:
            if f"got image alone; x is {column.kind}" not in str(error):  # where the only column takes no part
                refused[f"{column.what}: {error}"] += 1
            continue
        if said := wrong(table, column):
            misread.append((seed, column.what, said))
    assert not misread, (len(misread), misread[:5])
    assert refused.total() <= 0.01 * len(seeds), refused.most_common(5)


def check_broken(path, seeds):
    read_anyway, unnamed = [], []
    for seed in seeds:
        column = made_columns.broken(seed)
        try:
            read(path, column)
        except UserError as error:
            line = re.search(r"line (\d+)", str(error))
            if line is None or int(line[1]) not in column.lines:
                unnamed.append((seed, column.what, column.lines if len(column.lines) < 9 else "any", str(error)))
        else:
            read_anyway.append((seed, column.what))
    assert not read_anyway, (len(read_anyway), read_anyway[:5])
    assert not unnamed, (len(unnamed), unnamed[:5])


def test_columns_made_at_random(tmp_path):
    check_valid(tmp_path / "faces.csv", range(200))
    check_broken(tmp_path / "faces.csv", range(200))


@pytest.mark.fuzz
def test_ten_thousand_columns(tmp_path):
    check_valid(tmp_path / "faces.csv", range(1000, 7000))
    check_broken(tmp_path / "faces.csv", range(1000, 5000))


def test_the_makers_make_everything():
    valid = collections.Counter(made_columns.valid(seed).what for seed in range(200))
    broken = collections.Counter(made_columns.broken(seed).what.partition(",")[0] for seed in range(200))
    assert set(valid) == set(made_columns.MAKERS)
    assert set(broken) == set(made_columns.FAULTS)
