"""What completed tables say together: estimates of each, pooled by Rubin's rules."""

from typing import NamedTuple

import numpy as np
from numpy.typing import ArrayLike


class Pooled(NamedTuple):
    """An estimate from completed tables, of the shape of each table's own.

    Args:
        estimate: their mean.
        variance: of the estimate, within + (1 + 1 / m) between.
        within: the mean of the tables' variances, what would be left if nothing were missing.
        between: the variance of the tables' estimates.
        degrees_of_freedom: of Student's t, by Barnard and Rubin.
        interval: the lower and the upper end.
        missing_information: the fraction of the information on the estimate that is missing.
    """

    estimate: np.ndarray
    variance: np.ndarray
    within: np.ndarray
    between: np.ndarray
    degrees_of_freedom: np.ndarray
    interval: tuple[np.ndarray, np.ndarray]
    missing_information: np.ndarray


def pool(estimates: ArrayLike, variances: ArrayLike, *, complete: float = np.inf, level: float = 0.95) -> Pooled:
    """Pool what the same analysis said of m completed tables, such as those of `TableImputer.sample(X, m)`.

    variance = W + (1 + 1 / m) B, with W the mean of the variances and B the variance of the estimates

    Shapes:
        estimates and variances ``(m, *)``, one of each table; the result ``(*)``.

    References:
        Rubin, "Multiple Imputation for Nonresponse in Surveys", 1987, section 3.1.
        Barnard, Rubin, "Small-sample degrees of freedom with multiple imputation", Biometrika 86(4), 1999.

    Args:
        estimates: such as a mean, or the coefficients of a regression.
        variances: their squared standard errors, as if each table had been complete.
        complete: degrees of freedom of the analysis on a complete table (rows less coefficients).
        level: of the interval.

    Raises:
        ValueError: fewer than two tables, other shapes, numbers that are not finite, a variance below 0, a level not
            between 0 and 1, degrees of freedom that are not above 0.

    Example:
        >>> pooled = pool([1.0, 2.0, 3.0], [0.5, 0.5, 0.5])
        >>> float(pooled.estimate), round(float(pooled.variance), 3), round(float(pooled.degrees_of_freedom), 3)
        (2.0, 1.833, 3.781)
    """
    estimates, variances = _checked("estimates", estimates), _checked("variances", variances)
    if estimates.ndim == 0 or len(estimates) < 2:
        raise ValueError(f"estimates: expected those of at least two completed tables, got shape {estimates.shape}")
    if variances.shape != estimates.shape:
        raise ValueError(f"variances: expected shape {estimates.shape}, as the estimates, got {variances.shape}")
    if (variances < 0).any():
        raise ValueError(f"variances: expected none below 0, got {variances.min()}")
    if not 0 < level < 1:
        raise ValueError(f"level: expected a number between 0 and 1, got {level!r}")
    if not complete > 0:
        raise ValueError(f"complete: expected degrees of freedom above 0, got {complete!r}")
    from scipy.stats import t

    tables = len(estimates)
    estimate, within, between = estimates.mean(0), variances.mean(0), estimates.var(0, ddof=1)
    added = (1 + 1 / tables) * between
    variance = within + added
    with np.errstate(divide="ignore", invalid="ignore"):
        share = np.where(variance > 0, added / variance, 0.0)  # of the variance that gaps have added
        large = (tables - 1) / share**2
        degrees = large if np.isinf(complete) else _small_sample(large, share, complete)
        missing = share + (1 - share) * 2 / (large + 3)
        quantile = np.where(degrees > 0, t.ppf((1 + level) / 2, degrees), np.inf)  # 0: tables that know nothing
        half = np.where(variance > 0, quantile * np.sqrt(variance), 0.0)
    return Pooled(estimate, variance, within, between, degrees, (estimate - half, estimate + half), missing)


def _small_sample(large: np.ndarray, share: np.ndarray, complete: float) -> np.ndarray:
    """Degrees of freedom that never exceed those of a complete table."""
    seen = (complete + 1) / (complete + 3) * complete * (1 - share)
    return np.where(np.isinf(large), seen, 1 / (1 / large + 1 / seen))


def _checked(name: str, values: ArrayLike) -> np.ndarray:
    try:
        array = np.asarray(values, dtype=np.float64)
    except (TypeError, ValueError) as error:
        raise ValueError(f"{name}: expected numbers, got {values!r}") from error
    if not np.isfinite(array).all():
        raise ValueError(f"{name}: expected finite numbers, got {array[~np.isfinite(array)][0]}")
    return array
