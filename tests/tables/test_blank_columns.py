"""Columns in which a table knows nothing take what the fit says they hold."""

import datetime

import numpy as np
import pytest

from pyro_priors.tables.frames.blank_columns import as_fitted
from pyro_priors.tables.frames.frames import Frame
from pyro_priors.tables.frames.schema import Schema

DAY = datetime.datetime(2024, 5, 1)
ROWS = [["red", DAY, True, 1.5, 3], ["blue", DAY + datetime.timedelta(2), False, 2.5, 4], ["red", DAY, True, 3.5, 5]]
NAMES = ["color", "seen", "fit", "size", "count"]


def frames():
    pd, pl, pa = (pytest.importorskip(name) for name in ("pandas", "polars", "pyarrow"))
    columns = {name: [row[place] for row in ROWS] for place, name in enumerate(NAMES)}
    nothing = {name: [None] for name in NAMES}
    floats = {name: [float("nan")] for name in NAMES}
    yield pd.DataFrame(columns), pd.DataFrame(nothing)
    yield pd.DataFrame(columns), pd.DataFrame(floats)
    yield pl.DataFrame(columns), pl.DataFrame(nothing)
    yield pa.table(columns), pa.table(nothing)
    yield pd.DataFrame(columns), pl.DataFrame(nothing)
    yield np.array(ROWS, dtype=object), np.array([[None] * 5], dtype=object)
    yield np.array(ROWS, dtype=object), np.full((1, 5), np.nan)


@pytest.mark.parametrize("which", range(7))
def test_a_row_that_knows_nothing_is_filled_with_what_the_columns_hold(which):
    table, row = list(frames())[which]
    frame = Frame.of(table, NAMES if isinstance(table, np.ndarray) else None)
    kinds = {"color": "categorical", "seen": "continuous", "fit": "binary", "size": "continuous", "count": "count"}
    schema = Schema.find(frame, kinds)
    blank = as_fitted(Frame.of(row, NAMES if isinstance(row, np.ndarray) else None), frame)
    codes = schema.encode(blank)
    assert np.isnan(codes).all()
    filled = schema.restore(blank, schema.encode(frame)[:1])
    assert type(filled) is type(row)
    cells = filled[0].tolist() if isinstance(filled, np.ndarray) else [_first(filled, place) for place in range(5)]
    assert cells[0] == "red"
    assert str(cells[1]).startswith("2024-05-01")
    assert bool(cells[2]) is True
    assert cells[3:] == [1.5, 3]


def _first(table, place):
    if hasattr(table, "iloc"):
        return table.iloc[0, place]
    return table.column(place)[0].as_py() if hasattr(table, "set_column") else table[0, place]


def test_what_is_known_stays():
    frame = Frame.of([["red", 1.0], ["blue", 2.0]])
    other = Frame.of([[None, 1.0]])
    assert as_fitted(frame, frame) is frame
    assert as_fitted(other, frame).columns[1] is other.columns[1]
