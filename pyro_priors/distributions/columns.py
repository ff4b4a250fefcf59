"""What the variables of a chain are called, what values they take, and the columns in which these stand."""

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import replace
from typing import Any

import torch
from torch import Tensor

from pyro_priors.distributions.kinds import (
    Discrete,
    Kind,
    Vector,
    kinds_text,
    numbers_text,
    states_of,
    variables_text,
)
from pyro_priors.ops import holds, transformed

INDICES = 256  # tensors of indices that are kept: queries of many subsets must not fill the memory


class Columns:
    """Names and kinds of variables; a `Vector` is one variable of several columns, any other has one of its own.

    Args:
        kinds: for each name a kind, or a sequence of them (a block); columns stand in the order of the mapping.
        groups: further names for sets of the names above.
        vectors: something for each `Vector` whose length is how many states it has, where its kind does not say it.

    Raises:
        ValueError: an empty mapping, a name twice or called self, a group of unknown names.
    """

    def __init__(
        self,
        kinds: Mapping[str, Kind | Sequence[Kind]],
        groups: Mapping[str, Iterable[str]] | None = None,
        vectors: Sequence[Any] | None = None,
    ):
        every: list[Kind] = []
        self.columns_of: list[tuple[int, ...]] = []  # each variable
        self.variable_of: list[int] = []  # each column
        given = iter(vectors or ())
        self._groups = frozenset(groups or ())
        self._names: dict[str, tuple[int, ...]] = {}
        self._single: set[str] = set()
        for name, kind in kinds.items():
            block = list(kind) if isinstance(kind, Sequence) else [kind]
            if not block or not all(isinstance(k, Kind) for k in block):
                raise ValueError(
                    f"kinds[{name!r}]: expected Discrete, Continuous or Vector, or a sequence of them, got {kind!r}"
                )
            if name == "self":
                raise ValueError("kinds: the name 'self' is taken; choose another")
            if isinstance(kind, Kind) and not isinstance(kind, Vector):
                self._single.add(name)
            first = len(self.variable_of)
            for member in block:
                if isinstance(member, Vector) and (own := next(given, None)) is not None:
                    member = replace(member, components=len(own))
                start = len(self.variable_of)
                self.variable_of += [len(every)] * (member.size if isinstance(member, Vector) else 1)
                self.columns_of.append(tuple(range(start, len(self.variable_of))))
                every.append(member)
            self._names[name] = tuple(range(first, len(self.variable_of)))
        if not every:
            raise ValueError("kinds: expected at least one variable, got none")
        for name, members in (groups or {}).items():
            if name in self._names:
                raise ValueError(f"groups: the name {name!r} is that of a variable; choose another")
            self._names[name] = tuple(sorted(c for member in members for c in self.columns(member)))
        self.kinds = tuple(every)
        self.num_states = tuple(map(states_of, every))
        self.width = len(self.variable_of)  # columns of all
        self.is_continuous = tuple(not isinstance(every[v], Discrete) for v in self.variable_of)  # each column
        self.vectors = tuple(v for v, kind in enumerate(every) if isinstance(kind, Vector))
        self._on_device: dict = {}

    def __getstate__(self) -> dict:
        return {**self.__dict__, "_on_device": {}}  # in a copy, indices are made again where they are needed

    def __len__(self) -> int:
        return len(self.kinds)

    def __repr__(self) -> str:
        return f"{type(self).__name__}({variables_text(self.described())})"

    def described(self, columns: Iterable[int] | None = None) -> list[tuple[str, str]]:
        """Name and kinds of each variable or block, of those among the columns (all by default), groups left out.

        Example:
            >>> from pyro_priors import Discrete
            >>> Columns({"pair": [Discrete(2), Discrete(2)], "digit": Discrete(10)}).described()
            [('pair', '2 x Discrete(2)'), ('digit', 'Discrete(10)')]
        """
        chosen, described = set(range(self.width) if columns is None else columns), []
        for name, block in self._names.items():
            left = [c for c in block if c in chosen]
            if name in self._groups or not left:
                continue
            places = "" if len(left) == len(block) else f"[{numbers_text([block.index(c) for c in left])}]"
            kinds = [self.kinds[v] for v in self.among(left)]
            one = len(kinds) == 1 and isinstance(kinds[0], Vector)
            described.append((name + places, kinds_text(kinds, one or self.is_single(name))))
        return described

    @property
    def names(self) -> tuple[str, ...]:
        return tuple(self._names)

    def columns(self, name: str) -> tuple[int, ...]:
        """Columns of a variable, block or group; `ValueError` for an unknown name."""
        if name not in self._names:
            raise ValueError(f"unknown variable {name!r}; the variables are {', '.join(map(repr, self._names))}")
        return self._names[name]

    def is_single(self, name: str) -> bool:
        """Whether the name stands for one column, whose values then have no event dimension."""
        return name in self._single

    def among(self, columns: Iterable[int]) -> tuple[int, ...]:
        """The variables of columns in declared order, each once."""
        return tuple(dict.fromkeys(self.variable_of[c] for c in columns))

    def invalid(self, value: Tensor, columns: tuple[int, ...]) -> Tensor:
        """True where an entry is infinite or no state of its column, ``(*, k)``; NaN is valid."""
        value = value if value.is_floating_point() else value.float()
        wrong = value.isinf()
        whole = [j for j, c in enumerate(columns) if not self.is_continuous[c]]
        if whole:
            x = self._pick(value, whole)
            limit = self.index([self.num_states[self.variable_of[columns[j]]] for j in whole], value.device)
            bad = (x < 0) | (x >= limit) | (x != x.floor()) & ~x.isnan()
            wrong = wrong.index_copy(-1, self.index(whole, value.device), bad)
        return wrong

    def check(self, value: Tensor, columns: tuple[int, ...]):
        """`ValueError` that names the first entry which is infinite or no state of its column."""
        wrong = self.invalid(value, columns)
        if holds(wrong.any()):
            entry = tuple(wrong.nonzero()[0].tolist())
            column = columns[entry[-1]]
            states = f"one of 0..{self.num_states[self.variable_of[column]] - 1}"
            expected = "a finite value" if self.is_continuous[column] else states
            raise ValueError(
                f"{self._label(column)}: expected {expected} or NaN at index {entry}, got {value[entry].item()}"
            )

    def _label(self, column: int) -> str:
        """What a column is called: a single variable's name, or a place in the block that was declared."""
        name, columns = min(((n, c) for n, c in self._names.items() if column in c), key=lambda item: len(item[1]))
        return name if self.is_single(name) else f"{name}[{columns.index(column)}]"

    def label(self, variable: int) -> str:
        """What a variable is called: as its column, or a vector as its columns among those of its block."""
        columns = self.columns_of[variable]
        if variable not in self.vectors:
            return self._label(columns[0])
        name, block = next((n, b) for n, b in self._names.items() if n not in self._groups and columns[0] in b)
        first = block.index(columns[0])
        return name if len(block) == len(columns) else f"{name}[{first}:{first + len(columns)}]"

    def _pick(self, value: Tensor, entries: list[int]) -> Tensor:
        if len(entries) == value.shape[-1]:
            return value
        return value.index_select(-1, self.index(entries, value.device))

    def index(self, entries: Sequence[int], device: torch.device) -> Tensor:
        """A list of integers as a tensor, made once per device: indices never wait for a copy on a GPU."""
        key = (tuple(entries), device)
        if transformed():  # made there it would belong to the transform
            return torch.tensor(key[0], dtype=torch.long, device=device)
        index = self._on_device.get(key)
        if index is None:
            if len(self._on_device) >= INDICES:
                self._on_device.clear()  # the common ones are soon there again
            with torch.inference_mode(False):
                index = self._on_device[key] = torch.tensor(key[0], dtype=torch.long, device=device)
        return index
