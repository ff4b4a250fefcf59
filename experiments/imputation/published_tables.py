"""Tables with published masks, a folder each, as HI-VAE distributes them.

`data.csv` has no header; `data_types.csv` has a line a column (type, dim, nclass); `MissingP_K.csv` says which cells
copy K of P per cent hides, as 1-based pairs of row and column.

References:
    Nazabal, Olmos, Ghahramani, Valera 2020, Handling incomplete heterogeneous data using VAEs;
    github.com/probabilistic-learning/HI-VAE.
"""

import csv
from pathlib import Path

import numpy as np

from experiments.imputation.mixed import CATEGORY, NUMBER, ORDINAL, Column, Table, target_of
from pyro_priors.checks import UserError

KINDS = {"real": NUMBER, "pos": NUMBER, "count": NUMBER, "cat": CATEGORY, "ordinal": ORDINAL}
NAMES = ("Wine", "Adult")  # of those that are distributed the two with masks at 10, 30 and 50 per cent


def read(root, name):
    """A table of the folder `root/NAME`.

    Raises:
        UserError: no such folder, or files that are not of that layout.
    """
    folder = Path(root) / name
    if not (folder / "data.csv").is_file():
        raise UserError(f"data: expected {folder / 'data.csv'}, got none (PYRO_PRIORS_DATA is the folder above tables)")
    values = np.loadtxt(folder / "data.csv", delimiter=",", ndmin=2)
    with (folder / "data_types.csv").open(newline="") as lines:
        types = [row["type"].strip() for row in csv.DictReader(lines)]
    if unknown := [kind for kind in types if kind not in KINDS]:
        raise UserError(f"data: expected types {', '.join(KINDS)} in {folder / 'data_types.csv'}, got {unknown[0]}")
    if len(types) != values.shape[1]:
        raise UserError(f"data: expected {values.shape[1]} types in {folder / 'data_types.csv'}, got {len(types)}")
    columns = []
    for place, kind in enumerate(types):
        name_of, labels = f"{kind}{place + 1}", ()
        if KINDS[kind] != NUMBER:
            known, values[:, place] = np.unique(values[:, place], return_inverse=True)
            labels = tuple(f"{name_of}: {label:g}" for label in known)
        columns.append(Column(name_of, KINDS[kind], labels))
    return Table(name, tuple(columns), values, target_of(columns))


def shares(root, name):
    """Per cent of the cells that its published masks hide, in order; none where there is no such folder."""
    names = (path.stem.removeprefix("Missing").partition("_")[0] for path in (Path(root) / name).glob("Missing*_*.csv"))
    return sorted({int(text) for text in names if text.isdecimal()})


def hidden(root, table, share, copy):
    """A published mask, bool ``(n, C)``, True where a cell is hidden.

    Args:
        root: where `read` found the table.
        table: the table.
        share: per cent.
        copy: its number, from 1.
    """
    path = Path(root) / table.name / f"Missing{share}_{copy}.csv"
    if not path.is_file():
        raise UserError(f"data: expected {path}, got none")
    cells = np.loadtxt(path, delimiter=",", dtype=int, ndmin=2) - 1
    mask = np.zeros(table.values.shape, dtype=bool)
    if cells.min() < 0 or (cells.max(0) >= mask.shape).any():
        raise UserError(f"data: expected rows and columns of {table.name} in {path}, got others")
    mask[tuple(cells.T)] = True
    return mask
