"""A law on a chain, explored."""

from collections.abc import Mapping, Sequence
from functools import cached_property
from typing import Any

import numpy as np

from pyro_priors.distributions.chain_law import ChainLaw
from pyro_priors.distributions.kinds import Discrete, Vector
from pyro_priors.explore.evidence import codes_of
from pyro_priors.explore.places import LawPlaces
from pyro_priors.explore.subject import Given, Row, Subject


class LawSubject(Subject):
    """The visible variables of a law.

    Args:
        law: on the CPU, without a batch shape.
        title: what it is called.
        categories: name of a discrete variable -> texts of its states.

    Raises:
        ValueError: another law, texts of an unknown variable or of another number.
    """

    def __init__(self, law: ChainLaw, title: str = "A law", categories: Mapping[str, Sequence[str]] | None = None):
        self.law, self.places = law, LawPlaces(law)
        variables = self.places.variables
        self.kinds = [variables.kinds[variables.variable_of[c]] for c in self.places.visible]
        self.categories = _checked(dict(zip(self.places.names, self.kinds, strict=True)), categories or {})
        super().__init__(
            title, [self.places], [self._row(*pair) for pair in zip(self.places.names, self.kinds, strict=True)]
        )

    def _row(self, name: str, kind: Any) -> Row:
        if not isinstance(kind, Discrete):
            return Row(name, "number", None, f"one of {kind.size} numbers" if isinstance(kind, Vector) else "number")
        texts = self.categories.get(name) or map(str, range(kind.categories))
        return Row(name, "category", tuple(texts), f"{kind.categories} categories")

    def read(self, given: Mapping[str, Any]) -> Given:
        return Given(given, *codes_of(self.places.names, self.kinds, self.categories, given))

    def log_prob(self, given: Given, score: float) -> float:
        return score - self._empty

    @cached_property
    def _empty(self) -> float:
        """What the law weighs with nothing more given: 0 unless it was conditioned before."""
        return float(self._before.posterior.members[0].log_total.detach()[0])

    def lines(self, given: Mapping[str, Any]) -> str:
        return lines_of_law("law", self.rows, self.plain(given), self.places.variables)

    def plain(self, given: Mapping[str, Any]) -> dict[str, Any]:
        """What is given in the law's own words: states instead of texts."""
        read = self.read(given)
        return {name: self._plain(self.places.names.index(name), value, read) for name, value in given.items()}

    def _plain(self, column: int, value: Any, read: Given) -> Any:
        if isinstance(value, tuple):
            return value
        if isinstance(value, list):
            return np.flatnonzero(read.ranges[column]).tolist()
        code = float(read.codes[0, column])
        return int(code) if isinstance(self.kinds[column], Discrete) else code


def lines_of_law(law: str, rows: Sequence[Row], given: Mapping[str, Any], variables: Any) -> str:
    """Python that asks a law of that name; what `condition` has no words for goes through `ask`."""
    simple = all(not isinstance(v, tuple | list) and variables.is_single(name) for name, v in given.items())
    left = [row for row in rows if row.name not in given] or rows
    if not simple:
        said = ", ".join(f"{name!r}: {value!r}" for name, value in given.items())
        key = "probs" if left[0].kind == "category" else "mean"
        return "\n".join(
            [
                "from pyro_priors.explore import ask",
                "",
                f"answer = ask({law}, {{{said}}})",
                f'answer["variables"][{left[0].name!r}]["{key}"]',
            ]
        )
    arguments = ", ".join(f"{name}={value!r}" for name, value in given.items())
    if not all(name.isidentifier() for name in given):
        arguments = "**{" + ", ".join(f"{name!r}: {value!r}" for name, value in given.items()) + "}"
    lines = [f"given = {law}.condition({arguments})"] if given else [f"given = {law}"]
    lines += [
        f"given.categorical({row.name!r}).probs" if row.kind == "category" else f"given.marginal({row.name!r}).mean"
        for row in left[:4]
        if variables.is_single(row.name)
    ]
    return "\n".join(lines)


def _checked(kinds: Mapping[str, Any], categories: Mapping[str, Sequence[str]]) -> dict[str, tuple[str, ...]]:
    for name, texts in categories.items():
        kind = kinds.get(name)
        if not isinstance(kind, Discrete):
            raise ValueError(f"categories: expected names of discrete variables, got {name!r}")
        if len(set(map(str, texts))) != kind.categories:
            raise ValueError(
                f"categories[{name!r}]: expected {kind.categories} different texts, got {list(texts)!r:.100}"
            )
    return {name: tuple(map(str, texts)) for name, texts in categories.items()}
