"""The schema of a table: what each column is, with the reason, and how a user says that it is something else."""

import shlex
from collections.abc import Iterable, Sequence
from typing import Any, NamedTuple

from pyro_priors.checks import UserError
from pyro_priors.data.dates import DateForm
from pyro_priors.data.numerals import PLAIN, Style
from pyro_priors.data.writing import NumberForm

KINDS = ("continuous", "count", "ordinal", "categorical", "binary", "constant", "identifier", "text")
ASIDE = ("identifier", "text")  # what takes no part
NUMBERS = ("continuous", "count")
CATEGORIES = ("ordinal", "categorical", "binary", "constant")
OTHERWISE = {  # the kind that a user may rather want
    **dict.fromkeys((*NUMBERS, *ASIDE), "categorical"),
    **dict.fromkeys(("ordinal", "constant"), "continuous"),
    **dict.fromkeys(("categorical", "binary"), "text"),
}
MOST_BYTES = 2**28  # of what the categories of a table may take in training
RANK, COPIES, BYTES = 20, 4, 4  # a ring's usual one; a parameter, its gradient and two moments of Adam; float32


class Field(NamedTuple):
    """What a column is.

    Args:
        name: of the column.
        kind: one of `KINDS`.
        reason: what says so.
        example: a cell.
        style: in which its numbers are written.
        categories: texts of the states 0, 1, ...; None of numbers and of what takes no part.
        form: in which dates and times are written, of numbers that are such; of others in a table, where it is known.
    """

    name: str
    kind: str
    reason: str = ""
    example: str = ""
    style: Style = PLAIN
    categories: tuple[str, ...] | None = None
    form: NumberForm | DateForm | None = None

    @property
    def aside(self) -> bool:
        """Whether it takes no part."""
        return self.kind in ASIDE


def to_json(fields: Iterable[Field]) -> list[dict[str, str]]:
    """What each column is -> list of JSON values, without its categories."""
    return [{"name": f.name, "kind": f.kind, "reason": f.reason, "example": f.example} for f in fields]


def from_json(values: Any) -> tuple[Field, ...]:
    """What `to_json` wrote -> tuple of `Field`; `UserError` where it is something else.

    Example:
        >>> from_json(to_json([Field("age", "count")]))[0].kind
        'count'
    """
    try:
        fields = tuple(Field(**value) for value in values)
    except TypeError as error:
        raise UserError(f"schema: expected name, kind, reason and example of each, got {values!r}") from error
    for field in fields:
        if field.kind not in KINDS:
            raise UserError(f"schema: expected kinds {', '.join(KINDS)}, got {field.kind!r} of {field.name}")
    return fields


def read_kinds(entries: Iterable[str]) -> dict[str, str]:
    """Entries "name=kind" -> {name: kind}.

    Example:
        >>> read_kinds(["zip=categorical", "age=continuous"])
        {'zip': 'categorical', 'age': 'continuous'}
    """
    kinds = {}
    for entry in entries:
        name, equals, kind = (part.strip() for part in entry.rpartition("="))
        if not equals or not name or kind not in KINDS:
            raise UserError(f"kind: expected name=kind, the kind one of {', '.join(KINDS)}, got {entry!r}")
        if name in kinds:
            raise UserError(f"kind: expected each column once, got {name} twice")
        kinds[name] = kind
    return kinds


def describe(fields: Sequence[Field]) -> list[str]:
    """A line for every column: what it is, why, an example, and how to say that it is something else.

    Example:
        >>> print(*describe([Field("age", "count", "44 different whole numbers from 18 to 90", "31")]))
        age: count, 44 different whole numbers from 18 to 90, such as 31 (change it: --kind age=categorical)
    """
    lines = []
    for field in fields:
        flag = shlex.quote(f"{field.name}={OTHERWISE[field.kind]}")
        left = " (left out)" if field.aside else ""
        example = field.example if len(field.example) <= 40 else f"{field.example[:37]}..."
        such = f", such as {example} (change it: --kind {flag})" if field.example else ""
        lines.append(f"{field.name}: {field.kind}{left}, {field.reason}{such}")
    return lines


def advice(name: str, kind: str) -> str:
    """How to say that a column is of that kind, for a message."""
    return f"--kind {shlex.quote(f'{name}={kind}')}, in Python kinds={{{name!r}: {kind!r}}}"


def size(categories: int, rank: int = RANK) -> int:
    """Bytes that so many categories take in the training of a ring of that rank."""
    return categories * rank**2 * COPIES * BYTES


def cost(categories: int, rank: int = RANK) -> str:
    """The same in words.

    Example:
        >>> cost(5000)
        '2.0 million parameters and 0.03 GB of memory at rank 20'
    """
    parameters, memory = categories * rank**2 / 1e6, size(categories, rank) / 1e9
    return f"{parameters:.1f} million parameters and {memory:.2f} GB of memory at rank {rank}"
