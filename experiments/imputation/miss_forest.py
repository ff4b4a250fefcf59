"""MissForest: a random forest for every column given all others, over and over until it no longer settles.

References:
    Stekhoven, Buehlmann 2012, MissForest: non-parametric missing value imputation for mixed-type data (Algorithm 1; 100
    trees, ten rounds at most, as their R package).
"""

import numpy as np

from experiments.imputation.encoding import known, usual
from experiments.imputation.filled import Filled
from experiments.imputation.rivals import mean_mode
from experiments.imputation.scores import smoothed


def miss_forest(table, values, seed, trees, rounds):
    """Fill with scikit-learn's forests; categories by their vote, whose shares are probabilities.

    Args:
        trees: of each forest.
        rounds: at most.
    """
    missing = np.isnan(values)
    order = [place for place in np.argsort(missing.sum(0), kind="stable") if missing[:, place].any()]
    now, before, probs = mean_mode(table, values, seed).point, (np.inf, np.inf), {}
    for turn in range(rounds):
        last, last_probs, now = now, probs, now.copy()
        probs = {}
        for place in order:
            column = _predicted(table, now, missing[:, place], place, trees, seed + turn)
            if table.columns[place].is_number:
                now[missing[:, place], place] = column
            else:
                probs[place] = column
                now[missing[:, place], place] = column.argmax(1)
        change = _change(table, missing, last, now)
        if turn > 0 and all(new >= old for new, old in zip(change, before, strict=True)):
            now, probs = last, last_probs
            break
        before = change
    return Filled(known(values, now), probs=_whole(table, values, missing, probs, trees))


def _predicted(table, filled, rows, place, trees, seed):
    """Of the missing cells of a column: numbers ``(m,)``, or probabilities of categories ``(m, k)``."""
    from sklearn.ensemble import RandomForestClassifier, RandomForestRegressor

    column, others = table.columns[place], np.delete(filled, place, 1)
    if column.is_number:
        grown = RandomForestRegressor(trees, max_features="sqrt", random_state=seed)
        return grown.fit(others[~rows], filled[~rows, place]).predict(others[rows])
    grown = RandomForestClassifier(trees, random_state=seed).fit(others[~rows], filled[~rows, place].astype(int))
    probs = np.zeros((rows.sum(), len(column.labels)))
    probs[:, grown.classes_] = grown.predict_proba(others[rows])
    return probs


def _change(table, missing, last, now):
    """How much a round has changed: numbers relative to their size, the share of categories that are others."""
    numbers, categories = table.numbers, table.categories
    square, size = np.square(now - last)[:, numbers].sum(), np.square(now)[:, numbers].sum()
    count = max(1, missing[:, categories].sum())
    return square / max(size, 1e-300), (now != last)[:, categories].sum() / count


def _whole(table, values, missing, probs, trees):
    """Probabilities of all rows, one more vote of the column's own law among the trees."""
    every = {}
    for place in table.categories:
        law = usual(table, values, place)
        every[place] = np.broadcast_to(law, (len(values), len(law))).copy()
        if place in probs:
            every[place][missing[:, place]] = smoothed(probs[place], trees, law)
    return every
