"""What a method gives for the hidden cells of a table, and its scores."""

from typing import NamedTuple

import numpy as np

from experiments.imputation import scores
from pyro_priors.checks import UserError

LEVEL = 0.9  # of the intervals


class Filled(NamedTuple):
    """The answers of a method.

    Args:
        point: ``(n, C)``, nothing missing; of numbers and of codes of categories.
        draws: ``(K, n, C)``, or None.
        probs: place of a column of categories -> ``(n, k)``; or None.
        interval: low and high ``(n, C)`` of 90 %, of numbers; without them those of the draws.
    """

    point: np.ndarray
    draws: np.ndarray | None = None
    probs: dict[int, np.ndarray] | None = None
    interval: tuple[np.ndarray, np.ndarray] | None = None


def scored(table, mask, filled):
    """Scores of each column and their means over columns -> `{score: {column: value}}`, `{score: mean}`.

    A column without a hidden cell is left out, and so is a score that a method has none of.

    Raises:
        UserError: a cell that was left empty, one that was known and has changed, a probability that is none.
    """
    _check(table, mask, filled)
    interval = filled.interval
    if interval is None and filled.draws is not None and len(filled.draws) > 1:
        interval = scores.interval_of(filled.draws, LEVEL)
    columns = {}
    for place, column in enumerate(table.columns):
        rows = mask[:, place]
        if not rows.any():
            continue
        of = _of_number if column.is_number else _of_category
        for name, value in of(table, rows, place, filled, interval).items():
            columns.setdefault(name, {})[column.name] = float(value)
    return columns, {name: float(np.mean(list(values.values()))) for name, values in columns.items()}


def _of_number(table, rows, place, filled, interval):
    truth, extent = table.values[rows, place], np.ptp(table.values[:, place])
    draws = filled.point[None] if filled.draws is None else filled.draws
    scored = {
        "nrmse": scores.nrmse(truth, filled.point[rows, place], extent),
        "crps": scores.crps(truth, draws[:, rows, place], extent),
    }
    if len(draws) > 1:
        scored["even"] = scores.evenly_covered(truth, draws[:, rows, place], LEVEL)
    if interval is not None:
        low, high = (end[rows, place] for end in interval)
        scored |= {"coverage": scores.covered(truth, low, high), "width": (high - low).mean() / extent}
    return scored


def _of_category(table, rows, place, filled, _):
    truth, answer, column = table.values[rows, place], filled.point[rows, place], table.columns[place]
    scored = {"error": scores.error_rate(truth, answer)}
    if column.kind == "ordinal":
        scored["shift"] = scores.shift(truth, answer, len(column.labels))
    if filled.probs is not None:
        scored["log_score"] = scores.log_score(truth, filled.probs[place][rows])
    return scored


def _check(table, mask, filled):
    if np.isnan(filled.point).any():
        raise UserError(f"method: expected every cell of {table.name} filled, got {np.isnan(filled.point).sum()} empty")
    known = np.where(mask, 0.0, np.abs(filled.point - table.values))
    if (known > 1e-6 * (1 + np.abs(table.values))).any():
        raise UserError(f"method: expected the known cells of {table.name} as they were, got others")
    for place, probs in (filled.probs or {}).items():
        rows = probs[mask[:, place]]
        if rows.shape[1] != len(table.columns[place].labels) or not np.allclose(rows.sum(1), 1, atol=1e-4):
            raise UserError(
                f"method: expected probabilities of {table.columns[place].name} that sum to one, got others"
            )
