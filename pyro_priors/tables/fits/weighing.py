"""Rows and what they weigh: a weight is a number of equal rows, so that both ways to say it give the same law."""

import numpy as np
from numpy.typing import ArrayLike

COPIES = 100_000  # rows that whole weights may make


def check_weights(sample_weight: ArrayLike | None, rows: int) -> np.ndarray:
    """Weights of rows -> float64 (n,), ones for None; `ValueError` for another shape or one below 0."""
    if sample_weight is None:
        return np.ones(rows)
    try:
        weights = np.asarray(sample_weight, dtype=np.float64)
    except (TypeError, ValueError) as error:
        raise ValueError(f"sample_weight: expected a number for every row, got {sample_weight!r}") from error
    if weights.shape != (rows,):
        raise ValueError(f"sample_weight: expected shape ({rows},), one for every row, got {weights.shape}")
    if not (np.isfinite(weights).all() and (weights >= 0).all()):
        got = f"{weights.min()} to {weights.max()}"
        raise ValueError(f"sample_weight: expected finite numbers of at least 0, got {got}")
    if not weights.any():
        raise ValueError("sample_weight: expected a weight above 0, got zero for every row")
    return weights


def ordered_rows(codes: np.ndarray, weights: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """Rows sorted, so that their order says nothing, and what each weighs; whole weights become copies.

    Rows of weight 0, and those that know nothing, are left out.

    Shapes:
        codes (n, C), weights (n,) -> (m, C), (m,)

    Example:
        >>> codes = np.array([[2.0, np.nan], [1.0, 5.0], [np.nan, np.nan]])
        >>> ordered_rows(codes, np.array([2.0, 1.0, 1.0]))
        (array([[ 1.,  5.], [ 2., nan], [ 2., nan]]), array([1., 1., 1.]))
    """
    takes_part = (weights > 0) & ~np.isnan(codes).all(1)
    codes, weights = codes[takes_part] + 0.0, weights[takes_part]  # no -0.0
    if (weights == np.floor(weights)).all() and weights.sum() <= max(COPIES, 2 * len(codes)):
        codes = np.repeat(codes, weights.astype(np.int64), 0)
        weights = np.ones(len(codes))
    order = np.lexsort((weights, *np.where(np.isnan(codes), np.inf, codes).T[::-1]))
    return codes[order], weights[order]
