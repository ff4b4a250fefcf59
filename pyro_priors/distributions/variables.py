"""Names, kinds and leaf densities of the variables of a tensor ring."""

import copy
import math
from collections.abc import Iterable, Mapping, Sequence

import torch
from torch import Tensor

from pyro_priors.distributions.kinds import (
    Continuous,
    Kind,
    kinds_text,
    numbers_text,
    states_of,
    variables_text,
)
from pyro_priors.ops import full_precision, holds, transformed

INDICES = 256  # tensors of indices that are kept: queries of many subsets must not fill the memory


class Variables:
    """The columns of a tensor ring: what they are called, what values they take, which densities their states have.

    Args:
        kinds: for each name a `Discrete` or `Continuous` (one column) or a sequence of them (a block of columns);
            columns stand in the order of the mapping.
        loc: means of the components of the continuous columns, in their order, ``(C, N)``; padding is ignored.
        scale: standard deviations of the same components, positive, ``(C, N)``.
        groups: further names for sets of the names above.

    Raises:
        ValueError: an empty mapping, a name twice or called self, a group of unknown names, loc or scale of another
            shape.

    Example:
        >>> from pyro_priors import Continuous, Discrete
        >>> loc, scale = torch.zeros(3, 2), torch.ones(3, 2)
        >>> variables = Variables({"z": [Continuous(2)] * 3, "digit": Discrete(10)}, loc, scale)
        >>> variables.columns("z"), variables.columns("digit"), variables.num_states
        ((0, 1, 2), (3,), (2, 2, 2, 10))
    """

    def __init__(
        self,
        kinds: Mapping[str, Kind | Sequence[Kind]],
        loc: Tensor | None = None,
        scale: Tensor | None = None,
        groups: Mapping[str, Iterable[str]] | None = None,
    ):
        columns: list[Kind] = []
        self._groups = frozenset(groups or ())
        self._names: dict[str, tuple[int, ...]] = {}
        self._single: set[str] = set()
        for name, kind in kinds.items():
            block = list(kind) if isinstance(kind, Sequence) else [kind]
            if not block or not all(isinstance(k, Kind) for k in block):
                raise ValueError(
                    f"kinds[{name!r}]: expected Discrete or Continuous, or a sequence of them, got {kind!r}"
                )
            if name == "self":
                raise ValueError("kinds: the name 'self' is taken; choose another")
            if isinstance(kind, Kind):
                self._single.add(name)
            self._names[name] = tuple(range(len(columns), len(columns) + len(block)))
            columns += block
        if not columns:
            raise ValueError("kinds: expected at least one variable, got none")
        for name, members in (groups or {}).items():
            if name in self._names:
                raise ValueError(f"groups: the name {name!r} is that of a variable; choose another")
            self._names[name] = tuple(sorted(c for member in members for c in self.columns(member)))
        self.kinds = tuple(columns)
        self.num_states = tuple(map(states_of, columns))
        self.is_continuous = tuple(isinstance(k, Continuous) for k in columns)
        self._row = dict(
            zip((c for c, real in enumerate(self.is_continuous) if real), range(len(columns)), strict=False)
        )
        self._on_device: dict = {}
        self._bind(loc, scale)

    def bind(self, loc: Tensor | None, scale: Tensor | None) -> "Variables":
        """The same variables with other component parameters."""
        bound = copy.copy(self)
        bound._on_device = self._on_device
        bound._bind(loc, scale)
        return bound

    def _bind(self, loc: Tensor | None, scale: Tensor | None) -> None:
        rows = sum(self.is_continuous)
        states = max((n for n, real in zip(self.num_states, self.is_continuous, strict=True) if real), default=0)
        for name, value in (("loc", loc), ("scale", scale)):
            shape = tuple(value.shape) if isinstance(value, Tensor) else value
            if shape is not None and not isinstance(value, Tensor):
                raise ValueError(f"{name}: expected a tensor, got {type(value).__name__}")
            if rows and (shape is None or len(shape) != 2 or shape[0] != rows or shape[1] < states):
                raise ValueError(f"{name}: expected shape ({rows}, {states}) for the continuous columns, got {shape}")
        self.loc, self.scale = (loc, scale) if rows else (None, None)

    def __getstate__(self) -> dict:
        return {**self.__dict__, "_on_device": {}}  # in a copy, indices are made again where they are needed

    @property
    def continuous(self) -> tuple[int, ...]:
        """The continuous columns: those that have rows of ``loc`` and ``scale``."""
        return tuple(c for c, real in enumerate(self.is_continuous) if real)

    def __len__(self) -> int:
        return len(self.kinds)

    def __repr__(self) -> str:
        return f"Variables({variables_text(self.described())})"

    def described(self, columns: Iterable[int] | None = None) -> list[tuple[str, str]]:
        """Name and kinds of each variable or block, of those among the columns (all by default), groups left out.

        Example:
            >>> from pyro_priors import Discrete
            >>> Variables({"pair": [Discrete(2), Discrete(2)], "digit": Discrete(10)}).described()
            [('pair', '2 x Discrete(2)'), ('digit', 'Discrete(10)')]
        """
        chosen, described = set(range(len(self)) if columns is None else columns), []
        for name, block in self._names.items():
            left = [c for c in block if c in chosen]
            if name in self._groups or not left:
                continue
            places = "" if len(left) == len(block) else f"[{numbers_text([block.index(c) for c in left])}]"
            described.append((name + places, kinds_text([self.kinds[c] for c in left], self.is_single(name))))
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

    def log_evidence(self, value: Tensor, columns: tuple[int, ...], states: int) -> Tensor:
        """Log density of each entry under each state of its column; zero where the entry is NaN.

        Shapes:
            ``value (*, k)`` for k columns -> ``(*, k, states)``
        """
        value = full_precision(value)
        missing = value.isnan()
        parts, order = [], []
        real = [j for j, c in enumerate(columns) if self.is_continuous[c]]
        whole = [j for j, c in enumerate(columns) if not self.is_continuous[c]]
        if real:
            loc, scale = self.leaves(columns, states)
            x = self._pick(value, real).where(~self._pick(missing, real), loc.detach()[:, 0]).unsqueeze(-1)
            standard = (x - loc) / scale
            parts.append(torch.addcmul(-scale.log() - 0.5 * math.log(2 * math.pi), standard, standard, value=-0.5))
            order += real
        if whole:
            hit = self._pick(value, whole).unsqueeze(-1) == torch.arange(states, device=value.device)
            parts.append(torch.zeros_like(hit, dtype=value.dtype).masked_fill(~hit, -torch.inf))
            order += whole
        evidence = parts[0] if len(parts) == 1 else torch.cat(parts, -2)
        if order != sorted(order):
            evidence = evidence[..., self.index(sorted(range(len(order)), key=order.__getitem__), value.device), :]
        return evidence.masked_fill_(missing.unsqueeze(-1), 0.0)

    def leaves(self, columns: tuple[int, ...], states: int) -> tuple[Tensor, Tensor]:
        """loc and scale of the continuous ones among the columns, ``(c, states)``, 0 and 1 where there is no state."""
        rows = [self._row[c] for c in columns if self.is_continuous[c]]
        loc, scale = (x if x.shape[-1] <= states else x[:, :states] for x in map(full_precision, self._leaves()))
        if rows != list(range(len(loc))):
            index = self.index(rows, loc.device)
            loc, scale = loc[index], scale[index]
        counts = [self.num_states[c] for c in columns if self.is_continuous[c]]
        if any(count < loc.shape[-1] for count in counts):
            used = torch.arange(loc.shape[-1], device=loc.device) < self.index(counts, loc.device).unsqueeze(-1)
            loc, scale = torch.where(used, loc, 0.0), torch.where(used, scale, 1.0)
        pad = (0, states - loc.shape[-1])
        if pad[1] == 0:
            return loc, scale
        return torch.nn.functional.pad(loc, pad), torch.nn.functional.pad(scale, pad, value=1.0)

    def leaf_width(self) -> int:
        """How many components the widest continuous column has."""
        return max((n for n, real in zip(self.num_states, self.is_continuous, strict=True) if real), default=1)

    def _leaves(self) -> tuple[Tensor, Tensor]:
        """loc and scale where there is a continuous column."""
        assert self.loc is not None
        assert self.scale is not None
        return self.loc, self.scale

    def _used(self) -> Tensor | None:
        """Which entries of loc and scale belong to a state, ``(C, N)``; None where all do."""
        counts, (loc, _) = [self.num_states[c] for c in self.continuous], self._leaves()
        if all(count == loc.shape[-1] for count in counts):
            return None
        position = torch.arange(loc.shape[-1], device=loc.device)
        return position < self.index(counts, loc.device).unsqueeze(-1)

    def draw(self, states: Tensor, columns: tuple[int, ...], dtype: torch.dtype) -> Tensor:
        """Values of the columns given their states, ``(*, k) -> (*, k)``."""
        value = states.to(dtype)
        real = [j for j, c in enumerate(columns) if self.is_continuous[c]]
        if not real:
            return value
        index = self.index(real, states.device)
        chosen = states.index_select(-1, index)
        position = torch.arange(len(real), device=states.device)
        loc, scale = self.leaves(columns, self.leaf_width())
        return value.index_copy(-1, index, torch.normal(loc[position, chosen], scale[position, chosen]).to(dtype))

    def expectation(self, probs: Tensor, columns: tuple[int, ...]) -> tuple[Tensor, Tensor]:
        """Mean and variance of continuous columns given the probabilities of their states.

        Shapes:
            ``probs (*, k, N)`` -> ``(*, k)``, ``(*, k)``
        """
        loc, scale = self.leaves(columns, probs.shape[-1])
        centre = (probs * loc).sum(-1)
        return centre, (probs * (scale.square() + (loc - centre.unsqueeze(-1)).square())).sum(-1)

    def invalid(self, value: Tensor, columns: tuple[int, ...]) -> Tensor:
        """True where an entry is infinite or no state of its column, ``(*, k)``; NaN is valid."""
        value = value if value.is_floating_point() else value.float()
        wrong = value.isinf()
        whole = [j for j, c in enumerate(columns) if not self.is_continuous[c]]
        if whole:
            x = self._pick(value, whole)
            limit = self.index([self.num_states[columns[j]] for j in whole], value.device)
            bad = (x < 0) | (x >= limit) | (x != x.floor()) & ~x.isnan()
            wrong = wrong.index_copy(-1, self.index(whole, value.device), bad)
        return wrong

    def check_parameters(self):
        """`ValueError` where loc or scale is not finite, or scale not positive."""
        if self.loc is None:
            return
        used, (loc, scale) = self._used(), self._leaves()
        used = torch.ones_like(loc, dtype=torch.bool) if used is None else used
        for name, wrong in (("loc", ~loc.isfinite()), ("scale", ~(scale.isfinite() & (scale > 0)))):
            if holds((wrong & used).any()):
                positive = "positive " if name == "scale" else ""
                value = getattr(self, name)[wrong & used][0].item()
                raise ValueError(f"{name}: expected {positive}finite values, got {value}")

    def check(self, value: Tensor, columns: tuple[int, ...]):
        """`ValueError` that names the first entry which is infinite or no state of its column."""
        wrong = self.invalid(value, columns)
        if holds(wrong.any()):
            entry = tuple(wrong.nonzero()[0].tolist())
            column = columns[entry[-1]]
            states = f"one of 0..{self.num_states[column] - 1}"
            expected = "a finite value" if self.is_continuous[column] else states
            raise ValueError(
                f"{self._label(column)}: expected {expected} or NaN at index {entry}, got {value[entry].item()}"
            )

    def _label(self, column: int) -> str:
        """What a column is called: a single variable's name, or a place in the block that was declared."""
        name, columns = min(((n, c) for n, c in self._names.items() if column in c), key=lambda item: len(item[1]))
        return name if self.is_single(name) else f"{name}[{columns.index(column)}]"

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
