"""Ours: `pyro_priors.tables.TableImputer` at its defaults, through its public interface."""

import numpy as np

from experiments.imputation.encoding import known, usual
from experiments.imputation.filled import LEVEL, Filled
from experiments.imputation.mixed import codes_of, frame

UNSEEN = 1e-6  # of the column's own law in a probability, where a label was never seen


def table_imputer(table, values, seed, draws):
    """Fit, fill, and ask for draws, intervals and probabilities of what is missing.

    Args:
        draws: completed copies.
    """
    from pyro_priors.tables import TableImputer  # here, since a page is made without

    data = frame(table, values)
    imputer = TableImputer(kinds=kinds(table, values), random_state=seed).fit(data)
    filled = codes_of(table, imputer.transform(data))
    drawn = np.stack([codes_of(table, copy) for copy in imputer.sample(data, n=draws)])
    ends = tuple(codes_of(table, end) for end in imputer.interval(data, LEVEL))
    probs = {place: _probs(table, values, imputer, data, place) for place in table.categories}
    return Filled(known(values, filled), drawn, probs, ends)


def kinds(table, values):
    """What a table says of its numbers, as it does to the rivals: else few whole ones would be ordered categories.

    Example:
        >>> from experiments.imputation.mixed import CATEGORY, NUMBER, Column, Table
        >>> columns = Column("rooms", NUMBER), Column("rent", NUMBER), Column("town", CATEGORY, ("a", "b"))
        >>> values = np.array([[1.0, 512.5, 0.0], [np.nan, 700.0, 1.0]])
        >>> kinds(Table("flats", columns, values, 2), values)
        {'rooms': 'count', 'rent': 'continuous'}
    """
    whole = {place: (cells == cells.round()) | np.isnan(cells) for place, cells in enumerate(values.T)}
    return {table.columns[place].name: "count" if whole[place].all() else "continuous" for place in table.numbers}


def _probs(table, values, imputer, data, place):
    """Of every label of a column, ``(n, k)``."""
    column = table.columns[place]
    given = imputer.proba(data, column.name)
    probs = np.zeros((len(values), len(column.labels)))
    for code, label in enumerate(column.labels):
        if label in given.columns:
            probs[:, code] = given[label]
    return (1 - UNSEEN) * probs + UNSEEN * usual(table, values, place)
