"""Calibration of laws with ties: the probability integral transform, of a value with a probability its mean."""

import numpy as np


def pit_inside(below: np.ndarray, upto: np.ndarray, level: float) -> float:
    """The share of values whose randomised probability integral transform lies in the middle of [0, 1]: `level`, where
    the laws are right.

    The transform of a value is uniform between P(X < x) and P(X <= x). An interval that holds a value holds all of its
    probability, and so more than its level; here only the part counts that lies in the middle. The mean over the random
    part is taken, none is drawn.

    Args:
        below: P(X < x) of each value x by its law, ``(n,)``.
        upto: P(X <= x), ``(n,)``; where both are equal the value has a density.
        level: of the middle, 0.9 for [0.05, 0.95].

    References:
        Czado, Gneiting, Held, "Predictive model assessment for count data", Biometrics 65(4), 2009, section 2.1.

    Example:
        >>> pit_inside(np.array([0.0, 0.5, 0.99]), np.array([0.1, 0.9, 0.99]), 0.9)
        0.5
    """
    low, high = (1 - level) / 2, (1 + level) / 2
    width = upto - below
    part = (np.minimum(upto, high) - np.maximum(below, low)).clip(min=0) / np.where(width > 0, width, 1.0)
    return float(np.where(width > 0, part, (low <= below) & (below <= high)).mean())
