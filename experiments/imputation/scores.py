"""What a filled table is worth: scores of the hidden cells of a column.

References:
    Nazabal, Olmos, Ghahramani, Valera 2020, Handling incomplete heterogeneous data using VAEs, section 4.1 (errors);
    Gneiting, Raftery 2007, Strictly proper scoring rules, section 4.2 (CRPS); Rubin 1987 (intervals of a few draws);
    Czado, Gneiting, Held 2009, Predictive model assessment for count data, section 2.1 (ties in coverage).
"""

import numpy as np

from pyro_priors.metrics.pit import pit_inside


def nrmse(truth, filled, extent):
    """Root mean square error of hidden numbers ``(m,)`` over the range of their column.

    Example:
        >>> round(nrmse(np.array([1.0, 2.0]), np.array([1.0, 4.0]), 10.0), 4)
        0.1414
    """
    return float(np.sqrt(np.square(truth - filled).mean()) / extent)


def error_rate(truth, filled):
    """The share of hidden categories ``(m,)`` that are wrong.

    Example:
        >>> error_rate(np.array([0.0, 1.0, 2.0, 2.0]), np.array([0.0, 1.0, 2.0, 0.0]))
        0.25
    """
    return float((truth != filled).mean())


def shift(truth, filled, count):
    """HI-VAE's error of an ordered category: the mean distance in steps over the number of categories.

    Example:
        >>> shift(np.array([0.0, 3.0]), np.array([2.0, 3.0]), 4)
        0.25
    """
    return float(np.abs(truth - filled).mean() / count)


def crps(truth, draws, extent):
    """Continuous ranked probability score of hidden numbers over the range of their column, from draws.

    E|X - y| - E|X - X'| / 2 without bias from the number of draws; of a single draw its absolute error.

    Args:
        truth: ``(m,)``.
        draws: ``(K, m)``.
        extent: the range.

    Example:
        >>> crps(np.array([0.0]), np.array([[1.0]]), 2.0), crps(np.array([0.0]), np.array([[1.0], [-1.0]]), 2.0)
        (0.5, 0.0)
    """
    count = len(draws)
    distance = np.abs(draws - truth).mean(0)
    if count > 1:  # sum over pairs of |X - X'|, from the ranks
        ranks = 2 * np.arange(1, count + 1)[:, None] - count - 1
        distance = distance - (ranks * np.sort(draws, 0)).sum(0) / (count * (count - 1))
    return float(distance.mean() / extent)


def log_score(truth, probs):
    """Mean of -log p(the hidden category), in nats; lower is better.

    Args:
        truth: codes ``(m,)``.
        probs: ``(m, k)``.

    Example:
        >>> round(log_score(np.array([1.0, 0.0]), np.array([[0.5, 0.5], [1.0, 0.0]])), 4)
        0.3466
    """
    return float(-np.log(probs[np.arange(len(truth)), truth.astype(int)]).mean())


def smoothed(shares, count, usual):
    """Shares of `count` votes with one more vote of the column's own law, so that no category is impossible.

    Args:
        shares: ``(n, k)``.
        count: of the votes.
        usual: ``(k,)``, the law of what is known of the column.

    Example:
        >>> smoothed(np.array([[1.0, 0.0]]), 4, np.array([0.5, 0.5]))
        array([[0.9, 0.1]])
    """
    return (count * shares + usual) / (count + 1)


def covered(truth, low, high):
    """The share of hidden numbers ``(m,)`` in their intervals.

    Example:
        >>> covered(np.array([1.0, 5.0]), np.array([0.0, 0.0]), np.array([2.0, 2.0]))
        0.5
    """
    return float(((low <= truth) & (truth <= high)).mean())


def evenly_covered(truth, draws, level=0.9):
    """The share of hidden numbers in the middle of their laws, ties counted by parts: `pit_inside` of ranks.

    Where truth and draws are of one law, the rank of the truth among them is uniform, for any number of draws.

    Args:
        truth: ``(m,)``.
        draws: ``(K, m)``.

    Example:
        >>> law = np.random.default_rng(0).poisson(0.5, (6, 100_000)).astype(float)
        >>> round(evenly_covered(law[0], law[1:]), 2)
        0.9
    """
    below, same = (draws < truth).sum(0), (draws == truth).sum(0)
    return pit_inside(below / (len(draws) + 1), (below + same + 1) / (len(draws) + 1), level)


def interval_of(draws, level=0.9):
    """Intervals from a few draws ``(K, *)`` -> lower and upper ends; Student's, right for normal laws at any K.

    mean +- t(K - 1) deviation sqrt(1 + 1 / K)

    Example:
        >>> low, high = interval_of(np.random.default_rng(0).standard_normal((5, 100_000)))
        >>> truth = np.random.default_rng(1).standard_normal(100_000)
        >>> round(covered(truth, low, high), 2)
        0.9
    """
    from scipy.stats import t  # here, as the library does

    count = len(draws)
    reach = t.ppf((1 + level) / 2, count - 1) * draws.std(0, ddof=1) * np.sqrt(1 + 1 / count)
    return draws.mean(0) - reach, draws.mean(0) + reach
