"""Ours: `pyro_priors.tables.TableImputer` at its defaults, through its public interface."""

import numpy as np

from experiments.imputation.encoding import known
from experiments.imputation.filled import LEVEL, Filled
from experiments.imputation.mixed import codes_of, frame


def table_imputer(table, values, seed, draws):
    """Fit, fill, and ask for draws, intervals and probabilities of what is missing.

    Args:
        draws: completed copies.
    """
    from pyro_priors.tables import TableImputer  # here, since a page is made without

    data = frame(table, values)
    imputer = TableImputer(random_state=seed).fit(data)
    drawn = imputer.sample(data, n=draws)
    low, high = imputer.interval(data, LEVEL)
    probs = {place: np.asarray(imputer.proba(data, table.columns[place].name)) for place in table.categories}
    ends = tuple(codes_of(table, end) for end in (low, high))
    filled = codes_of(table, imputer.transform(data))
    return Filled(known(values, filled), np.stack([codes_of(table, own) for own in drawn]), probs, ends)
