"""Which cells are hidden: at random, by what is seen (MAR), by what is hidden itself (MNAR); seeded.

References:
    Muzellec, Josse, Boyer, Cuturi 2020, Missing Data Imputation using Optimal Transport, section 4 (logistic masks, of
    columns at standard scale, weights scaled to logits of standard deviation one); hyperimpute's Amputer does the same.
"""

import zlib

import numpy as np

SEEN = 0.3  # share of the columns that a MAR mask never hides
KINDS = ("mcar", "mar", "mnar")


def hidden(kind, table, share, copy):
    """A mask, bool ``(n, C)``, True where a cell is hidden; the same at every call.

    Args:
        kind: "mcar": every cell by itself with one probability. "mar": three columns of ten stay whole; a cell of the
            others is hidden with a probability that is logistic in a random combination of these. "mnar": a cell is
            hidden with a probability that is logistic in its own value, upwards or downwards by column.
        table: a `Table`.
        share: per cent of the cells of every column that may be hidden.
        copy: number of the mask.
    """
    words = f"{table.name} {kind} {share} {copy}"
    generator, (n, width) = np.random.default_rng(zlib.crc32(words.encode())), table.values.shape
    if kind == "mcar":
        return generator.random((n, width)) < share / 100
    drivers = standard(table, generator)
    if kind == "mar":
        order = generator.permutation(width)
        seen, others = np.split(order, [max(1, int(SEEN * width))])
        logits = scaled(drivers[:, seen] @ generator.standard_normal((len(seen), len(others))))
    else:
        others, logits = np.arange(width), drivers * generator.choice([-1.0, 1.0], width)
    mask = np.zeros((n, width), dtype=bool)
    for place, logit in zip(others, logits.T, strict=True):
        mask[:, place] = generator.random(n) < logistic(logit + intercept(logit, share / 100))
    return mask


def standard(table, generator):
    """Columns of mean 0 and deviation 1 ``(n, C)``; every category stands at a random place.

    Example:
        >>> from experiments.imputation.mixed import CATEGORY, NUMBER, Column, Table
        >>> columns = Column("x", NUMBER), Column("c", CATEGORY, ("a", "b"))
        >>> table = Table("t", columns, np.array([[1.0, 0.0], [3.0, 1.0]]), 1)
        >>> standard(table, np.random.default_rng(0)).round(6).tolist()
        [[-1.0, 1.0], [1.0, -1.0]]
    """
    columns = table.values.copy()
    for place in table.categories:
        places = generator.standard_normal(len(table.columns[place].labels))
        columns[:, place] = places[columns[:, place].astype(int)]
    return scaled(columns - columns.mean(0))


def scaled(columns):
    """Of deviation one; what is constant stays so."""
    deviations = columns.std(0)
    return columns / np.where(deviations > 0, deviations, 1.0)


def logistic(logits):
    """1 / (1 + exp(-logits))."""
    return 0.5 * (1 + np.tanh(logits / 2))


def intercept(logits, share):
    """What to add to logits, ``(n,)``, so that their probabilities have this mean.

    Example:
        >>> round(float(intercept(np.zeros(3), 0.25)), 4)
        -1.0986
    """
    low, high = -50.0 - logits.max(), 50.0 - logits.min()
    for _ in range(100):
        middle = (low + high) / 2
        low, high = (low, middle) if logistic(logits + middle).mean() > share else (middle, high)
    return middle
