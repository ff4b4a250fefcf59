"""What an estimator says of a table and of itself."""

from collections.abc import Sequence
from typing import Any, NamedTuple

import numpy as np

from pyro_priors.tables.frames.schema import Schema

PAIRS = 10  # that a text names


class Description(NamedTuple):
    """What a fitted table is; printed, it is a text.

    Args:
        schema: a line for every column: what it is and why.
        names: of the columns that take part, C of them.
        information: mutual information of each two in nats, ``(C, C)``, by the law.
        measures: of the columns that take part, what `score` counts of their cells: the probability ("mass"), the
            density, or either by the cell ("mixed").
        records: of each law's fit: what was tried and chosen, its steps, scores on cells held out and how well they
            are calibrated.
    """

    schema: list[str]
    names: list[str]
    information: np.ndarray
    measures: list[str]
    records: list[dict[str, Any]]

    def __str__(self) -> str:
        lines = ["Columns", *(f"  {line}" for line in self.schema)]
        pairs = strongest(self.names, self.information)
        if pairs:
            lines += ["Which say most of each other (nats)"]
            lines += [f"  {first} and {second}: {nats:.3f}" for first, second, nats in pairs]
        for measure in dict.fromkeys(self.measures):
            columns = [name for name, other in zip(self.names, self.measures, strict=True) if other == measure]
            lines += [f"Scored by {measure}: {', '.join(columns)}"]
        for number, record in enumerate(self.records, 1):
            lines += [
                f"Law {number} of {len(self.records)}" if len(self.records) > 1 else "Law",
                *_record_lines(record),
            ]
        return "\n".join(lines)


def describe(schema: Schema, answers: Any, records: Sequence[dict[str, Any]]) -> Description:
    """See `Description`."""
    names = [field.name for field in schema.active_fields]
    return Description(schema.describe(), names, answers.information(), list(answers.measures), list(records))


def strongest(names: Sequence[str], information: np.ndarray, count: int = PAIRS) -> list[tuple[str, str, float]]:
    """Pairs of columns with most information on each other, the most first.

    Example:
        >>> strongest(["a", "b", "c"], np.array([[0, 0.1, 0.5], [0.1, 0, 0.2], [0.5, 0.2, 0]]), 2)
        [('a', 'c', 0.5), ('b', 'c', 0.2)]
    """
    pairs = [
        (names[i], names[j], float(information[i, j])) for i in range(len(names)) for j in range(i + 1, len(names))
    ]
    return sorted(pairs, key=lambda pair: -pair[2])[:count]


def _record_lines(record: dict[str, Any]) -> list[str]:
    """What a fit tried, and how well it answered cells that it had not seen."""
    tried = ", ".join(f"{each['rank']} ({each['score']:.3f})" for each in record["candidates"])
    lines = [
        f"  {record['rows']} rows, of which {record['held_out']} were held out; {record['seconds']:.0f} seconds; "
        f"max_steps={record['max_steps']} repeats it",
        f"  ranks tried, with the mean log-probability of a hidden cell: {tried}; chosen {record['chosen']['rank']}",
    ]
    if table := record.get("table"):
        lines.insert(0, f"  {table['drawn']:,} of the {table['rows']:,} rows of the table were drawn evenly")
    if (count := record.get("remembered")) is not None:
        tried = record["exemplars"]
        gained = "" if tried is None else f"; a hidden cell gains {tried['gain']:.3f} nats by that"
        lines += [f"  {count or 'no'} rows are remembered{gained}"]
    answers = record.get("answers", {"numbers": {}, "categories": {}})
    for name, each in answers["numbers"].items():
        lines += [
            f"  {name}: of {each['hidden']} hidden cells {each['inside']:.0%} lie in intervals of 90 %, the means are "
            f"off by {each['nrmse']:.3f} of the range"
        ]
    for name, each in answers["categories"].items():
        lines += [
            f"  {name}: of {each['hidden']} hidden cells {each['right']:.0%} are answered right, where "
            f"{each['commonest']:.0%} are the commonest category"
        ]
    if answers.get("calibration_error") is not None:
        lines += [f"  probabilities of categories are off by {answers['calibration_error']:.3f} on average"]
    return lines
