"""What an estimator says of a table and of itself."""

from collections.abc import Sequence
from typing import Any, NamedTuple

import numpy as np

from pyro_priors.tables.schema import Schema

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
            lines += [f"Law {number} of {len(self.records)}" if len(self.records) > 1 else "Law"]
            lines += [f"  {line}" for line in _lines(record)]
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
    first, second = np.triu_indices(len(names), 1)
    order = np.argsort(-information[first, second], kind="stable")[:count]
    return [(names[first[k]], names[second[k]], float(information[first[k], second[k]])) for k in order]


def _lines(record: Any, indent: str = "") -> list[str]:
    """A record of mappings and lists as lines."""
    lines = []
    for name, value in record.items():
        if isinstance(value, dict):
            lines += [f"{indent}{name}:", *_lines(value, indent + "  ")]
        elif isinstance(value, list | tuple) and value and isinstance(value[0], dict):
            lines += [f"{indent}{name}:"]
            lines += [f"{indent}  {', '.join(f'{key} {_text(item[key])}' for key in item)}" for item in value]
        else:
            lines += [f"{indent}{name}: {_text(value)}"]
    return lines


def _text(value: Any) -> str:
    if isinstance(value, float):
        return f"{value:.4g}"
    if isinstance(value, list | tuple):
        return ", ".join(map(_text, value))
    return str(value)
