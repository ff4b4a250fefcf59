"""The one place that knows ArviZ' versions: 0.23 has `arviz.psislw`, 1.x has moved it to `arviz_stats`."""

import warnings

import numpy as np


def pareto_k(log_weights: np.ndarray) -> np.ndarray:
    """Pareto k-hat of importance weights: `(*, draws)` to `(*)`.

    Below 0.7 an importance-sampling estimate can be trusted; -inf for equal weights, which have no tail, inf where
    fewer than five weights are left after underflow, NaN (unknown) for fewer than 25 draws.

    References:
        Vehtari, Simpson, Gelman, Yao, Gabry, "Pareto smoothed importance sampling", JMLR 25(72), 2024.

    Example:
        >>> weights = np.random.default_rng(0).standard_cauchy((2, 1000))  # heavy tails, k about 1
        >>> bool((pareto_k(np.log(np.abs(weights))) > 0.7).all())
        True
    """
    log_weights = np.asarray(log_weights, dtype=np.float64)
    if log_weights.shape[-1] < 25:  # the tail is a fifth of the draws, and a fit needs five
        return np.full(log_weights.shape[:-1], np.nan)
    return np.where(np.ptp(log_weights, axis=-1) == 0, -np.inf, _psis_k(log_weights))


def _psis_k(log_weights: np.ndarray) -> np.ndarray:
    with warnings.catch_warnings():
        # 0.23 announces the refactoring once a day at import, and a k above 0.7 is a result, not a warning.
        warnings.simplefilter("ignore")
        import arviz

        if hasattr(arviz, "psislw"):
            return np.asarray(arviz.psislw(log_weights)[1])
        from arviz_stats.base import array_stats

        return np.asarray(array_stats.psislw(-log_weights, axis=-1)[1])  # 1.x takes log-likelihoods: the negative
