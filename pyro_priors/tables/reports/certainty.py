"""Columns that say how sure the filled cells of a CSV file are."""

import csv
import io
from collections.abc import Sequence
from typing import NamedTuple

import numpy as np

from pyro_priors.checks import UserError
from pyro_priors.tables.answers.answers import Answers
from pyro_priors.tables.frames.frames import Frame
from pyro_priors.tables.frames.schema import Schema


class Certainty(NamedTuple):
    """What is wanted: the probability of categories, the interval of that level of numbers."""

    probabilities: bool = False
    level: float | None = None


def certainty_names(schema: Schema, codes: np.ndarray, wanted: Certainty) -> list[str]:
    """Names of the columns to be added, in the order of the table: of those that have gaps.

    Raises:
        UserError: what is wanted is of a kind of columns that have no gaps in the table.
    """
    gaps = [bool(np.isnan(column).any()) for column in codes.T]
    fields = [field for field, some in zip(schema.active_fields, gaps, strict=True) if some]
    numbers = [field for field in fields if field.categories is None]
    if wanted.probabilities and len(numbers) == len(fields):
        raise UserError("probabilities: expected a column of categories with gaps, got none")
    if wanted.level is not None and not numbers:
        raise UserError("intervals: expected a column of numbers with gaps, got none")
    names = []
    for field in fields:
        if field.categories is not None and wanted.probabilities:
            names += [f"{field.name}_probability"]
        if field.categories is None and wanted.level is not None:
            names += [f"{field.name}_low", f"{field.name}_high"]
    return names


def certainty_columns(
    frame: Frame, schema: Schema, codes: np.ndarray, answers: Answers, wanted: Certainty
) -> dict[str, list[str]]:
    """Of `certainty_names`: {name: a text for every row}, empty where the cell was known.

    Numbers are written as their column is.

    Args:
        codes: of the table with its gaps, (n, C).
    """
    columns, missing, places = {}, np.isnan(codes), schema.places(frame)
    ends = [] if wanted.level is None else _ends(frame, schema, codes, answers, wanted.level)
    for place, (column, field) in enumerate(zip(schema.active, schema.active_fields, strict=True)):
        gaps = np.flatnonzero(missing[:, place])
        if not len(gaps):
            continue
        if field.categories is not None and wanted.probabilities:
            best = answers.probs(codes[gaps], place).max(-1)
            texts = [""] * len(codes)
            for row, probability in zip(gaps, best, strict=True):
                texts[row] = f"{probability:.4g}"
            columns[f"{field.name}_probability"] = texts
        if field.categories is None:
            for name, cells in zip(("low", "high"), ends, strict=False):
                texts = [""] * len(codes)
                for row in gaps:
                    texts[row] = cells[row][places[column]]
                columns[f"{field.name}_{name}"] = texts
    return columns


def _ends(frame: Frame, schema: Schema, codes: np.ndarray, answers: Answers, level: float) -> list[list[Sequence[str]]]:
    """The cells of the table with its gaps filled by the lower ends, and by the upper."""
    quantiles = answers.quantiles(codes, ((1 - level) / 2, (1 + level) / 2))
    tables = []
    for end in quantiles:
        text = schema.restore(frame, np.where(np.isnan(codes), end, codes))
        rows = csv.reader(io.StringIO(text, newline=""), delimiter=frame.native.separator)
        tables.append([row for row in rows if row][1:])
    return tables
