"""A table of people with gaps, in every kind of table, and an estimator of it."""

import functools

import numpy as np
import pytest

from pyro_priors.tables import TableImputer

STEPS = 30
NAMES = ["height", "weight", "sex", "note"]


def people(rows=300, seed=0):
    """Heights and weights of two sexes, a fifth of the cells missing, and a text of everyone."""
    rng = np.random.default_rng(seed)
    sex = rng.integers(2, size=rows)
    height = 165 + 15 * sex + rng.normal(0, 5, rows)
    weight = 0.9 * height - 80 + rng.normal(0, 4, rows)
    cells = np.empty((rows, 4), dtype=object)
    cells[:, 0], cells[:, 1] = height.round(1), weight.round(1)
    cells[:, 2] = np.where(sex == 1, "male", "female")
    cells[:, 3] = [f"person number {row} of the study" for row in range(rows)]
    gaps = rng.random((rows, 3)) < 0.2
    cells[:, :3][gaps] = None
    return cells


CELLS = people()


def as_pandas(cells=CELLS):
    pd = pytest.importorskip("pandas")
    frame = pd.DataFrame(cells, columns=NAMES, index=[f"r{row}" for row in range(len(cells))])
    return frame.astype({"height": float, "weight": float})


def as_polars(cells=CELLS):
    pl = pytest.importorskip("polars")
    return pl.DataFrame({name: list(cells[:, place]) for place, name in enumerate(NAMES)})


def numbers(table):
    """Heights and weights of a table of any kind."""
    if isinstance(table, np.ndarray):
        return table[:, :2].astype(float)
    return np.stack([np.asarray(table[name], dtype=float) for name in NAMES[:2]], 1)


@functools.cache
def fitted_imputer():
    """One fit of all tests, none of which changes it."""
    return TableImputer(max_steps=STEPS, random_state=0).fit(as_pandas())
