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
    imputer = TableImputer(random_state=seed).fit(data)
    filled = codes_of(table, imputer.transform(data))
    drawn = np.stack([codes_of(table, copy) for copy in imputer.sample(data, n=draws)])
    ends = tuple(codes_of(table, end) for end in imputer.interval(data, LEVEL))
    probs = {place: _probs(table, values, imputer, data, place) for place in table.categories}
    return Filled(known(values, filled), drawn, probs, ends)


def _probs(table, values, imputer, data, place):
    """Of every label of a column, ``(n, k)``."""
    column = table.columns[place]
    given = imputer.proba(data, column.name)
    probs = np.zeros((len(values), len(column.labels)))
    for code, label in enumerate(column.labels):
        if label in given.columns:
            probs[:, code] = given[label]
    return (1 - UNSEEN) * probs + UNSEEN * usual(table, values, place)
