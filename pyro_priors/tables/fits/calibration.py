"""How far answers can be trusted: known cells are hidden from a law, and its answers compared with them."""

from collections.abc import Mapping, Sequence
from typing import Any, NamedTuple

import numpy as np
import torch

from pyro_priors.data.schema import Field
from pyro_priors.metrics.attributes import Calibration, calibration
from pyro_priors.metrics.pit import pit_inside
from pyro_priors.tables.answers.answers import Answers

LEVELS = (0.5, 0.8, 0.9, 0.95)  # of the intervals
BINS = 10
PIECE = 500  # rows at a time


class Numbers(NamedTuple):
    """Hidden cells of a column of numbers.

    `count` of them; `nrmse`, the root mean square error of the means in ranges of the column; `inside`, the share
    within the interval of each of `LEVELS`; `width` of that of 90 %, in ranges of the column; `even`, as `inside`, but
    of a value that has a probability only the part counts that an exact interval holds (`pit_inside`); None: of a
    record of before.
    """

    name: str
    count: int  # pyright: ignore[reportIncompatibleMethodOverride] (a count, not tuple's)
    nrmse: float
    inside: tuple[float, ...]
    width: float
    even: tuple[float, ...] | None = None


class Categories(NamedTuple):
    """Hidden cells of a column of categories: their `count`, the share that was right, that of the commonest."""

    name: str
    count: int  # pyright: ignore[reportIncompatibleMethodOverride]
    accuracy: float
    majority: float


class HeldOut(NamedTuple):
    """Answers for hidden cells: of columns of numbers, of categories, and how often the latter's best is right."""

    numbers: tuple[Numbers, ...]
    categories: tuple[Categories, ...]
    reliability: Calibration | None


def hold_out(answers: Answers, fields: Sequence[Field], codes: np.ndarray, hidden: np.ndarray) -> HeldOut:
    """Compare a law's answers for hidden cells with what they hold.

    Args:
        answers: of a law that was fitted without these cells.
        fields: what the columns are.
        codes, hidden: the cells, and which of them were hidden, (n, C) each.
    """
    rows = hidden.any(1)
    codes, hidden = codes[rows], hidden[rows]
    given = np.where(hidden, np.nan, codes)
    # Both ends of each interval, the lower ones first.
    ends = [(1 - level) / 2 for level in LEVELS] + [(1 + level) / 2 for level in LEVELS]
    parts = []
    for start in range(0, max(len(given), 1), PIECE):  # answers for the same few rows share their work
        some, truth = given[start : start + PIECE], codes[start : start + PIECE]
        parts.append((answers.fill(some), answers.quantiles(some, ends), answers.cumulative(some, truth)))
    means, quantiles, cumulative = (np.concatenate(part, -2) for part in zip(*parts, strict=True))
    numbers, categories, probs, truths = [], [], [], []
    for column, field in enumerate(fields):
        some = hidden[:, column]
        if not some.any():
            continue
        truth = codes[some, column]
        if field.categories is None:
            answered = means[some, column], quantiles[:, some, column], cumulative[:, some, column]
            numbers.append(_numbers(field.name, truth, *answered, codes[:, column]))
            continue
        categories.append(
            Categories(field.name, len(truth), float((means[some, column] == truth).mean()), _most(truth))
        )
        p = answers.probs(given[some], column)
        probs.append(np.pad(p, ((0, 0), (0, max(len(f.categories or ()) for f in fields) - p.shape[1]))))
        truths.append(truth)
    reliability = None
    if probs:
        stacked = torch.from_numpy(np.concatenate(probs)), torch.from_numpy(np.concatenate(truths))
        reliability = calibration(*stacked, bins=BINS)
    return HeldOut(tuple(numbers), tuple(categories), reliability)


def to_record(held_out: HeldOut) -> dict[str, Any]:
    """The figures as JSON has them, columns by name; `inside` intervals of 90 %, and of all `LEVELS` as `shares`.

    `even` counts ties by parts, of all `LEVELS` too.
    """
    numbers = {
        each.name: {
            "hidden": each.count,
            "nrmse": each.nrmse,
            "inside": each.inside[LEVELS.index(0.9)],
            "shares": list(each.inside),
            "width": each.width,
            "even": None if each.even is None else list(each.even),
        }
        for each in held_out.numbers
    }
    categories = {
        each.name: {"hidden": each.count, "right": each.accuracy, "commonest": each.majority}
        for each in held_out.categories
    }
    error, bins = None, None
    if held_out.reliability is not None:
        error = float(held_out.reliability.ece)
        bins = [part.nan_to_num(0.0).tolist() for part in held_out.reliability[:3]]
    return {"numbers": numbers, "categories": categories, "calibration_error": error, "reliability": bins}


def from_record(record: Mapping[str, Any]) -> HeldOut:
    """What `to_record` wrote."""
    numbers = [
        Numbers(name, each["hidden"], each["nrmse"], tuple(each["shares"]), each["width"], even and tuple(even))
        for name, each in record["numbers"].items()
        for even in [each.get("even")]
    ]
    categories = [
        Categories(name, each["hidden"], each["right"], each["commonest"])
        for name, each in record["categories"].items()
    ]
    bins = record["reliability"]
    reliability = None
    if bins is not None:
        confidence, accuracy, count = map(torch.tensor, bins)
        reliability = Calibration(confidence, accuracy, count, record["calibration_error"])
    return HeldOut(tuple(numbers), tuple(categories), reliability)


def _numbers(
    name: str, truth: np.ndarray, means: np.ndarray, ends: np.ndarray, cumulative: np.ndarray, column: np.ndarray
) -> Numbers:
    spread = float(np.nanmax(column) - np.nanmin(column)) or 1.0
    half = len(LEVELS)
    inside = [float(((ends[k] <= truth) & (truth <= ends[half + k])).mean()) for k in range(half)]
    width = ends[half + LEVELS.index(0.9)] - ends[LEVELS.index(0.9)]
    nrmse = float(np.sqrt(np.square(means - truth).mean())) / spread
    even = tuple(pit_inside(cumulative[0], cumulative[1], level) for level in LEVELS)
    return Numbers(name, len(truth), nrmse, tuple(inside), float(width.mean()) / spread, even)


def _most(states: np.ndarray) -> float:
    """The share of the commonest."""
    return float(np.unique(states, return_counts=True)[1].max() / len(states))
