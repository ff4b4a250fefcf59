"""What a law on a chain knows: which columns are still open, and a log-weight for every variable and state."""

import copy
from collections.abc import Sequence
from numbers import Integral
from typing import Any

import numpy
import torch
from torch import Tensor

from pyro_priors.checks import check_broadcast
from pyro_priors.distributions.variables import Variables
from pyro_priors.distributions.walks import Known, Walks, known_as
from pyro_priors.ops import full_precision, holds
from pyro_priors.ops.layout import Layout


class Evidence:
    """Immutable bookkeeping between named variables and the weights of the contraction.

    Args:
        variables: the variables and their columns.
        layout: where their states stand.
        like: of which dtype weights are, and where.
    """

    def __init__(self, variables: Variables, layout: Layout, like: Tensor):
        self.variables, self.layout = variables, layout
        self.columns = tuple(range(variables.width))  # the open ones
        self.open = tuple(range(len(variables)))  # variables that have open columns
        self.log_weights = full_precision(like.new_zeros(layout.total))  # (*, S), as the layout has them
        self.is_weighed = False
        self.known: Known = ()  # all that was given so far
        self.walks = Walks(shared=False)

    def select(self, columns: tuple[int, ...]) -> "Evidence":
        """The same evidence with these columns open."""
        return self._replace(columns=columns, open=self.variables.among(columns))

    def weighed(self, log_weights: Tensor) -> "Evidence":
        """The same open columns under these weights."""
        return self._replace(log_weights=log_weights, is_weighed=True, known=(known_as("weights", log_weights),))

    def knowing(self, value: Tensor, columns: tuple[int, ...] | None = None) -> "Evidence":
        """The same open columns, a value of columns (the open ones) known too: ``(*, k)``"""
        columns = self.columns if columns is None else columns
        known = (*self.known, known_as(columns, value))
        return self._replace(log_weights=self.given(value, columns), is_weighed=True, known=known)

    def sharing(self) -> "Evidence":
        """The same evidence, of which laws share what they compute from here on."""
        return self._replace(walks=Walks(shared=True))

    def _replace(self, **changes) -> "Evidence":
        new = copy.copy(self)
        new.__dict__.update(changes)
        return new

    @property
    def all_continuous(self) -> bool:
        return all(self.variables.is_continuous[c] for c in self.columns)

    def resolve(self, name: str | int, argument: str = "name") -> tuple[int, ...]:
        """The open columns of a variable or block, or the one at a position of the event.

        `ValueError` where there is none; an index that came as an argument is refused under that one's name.
        """
        if isinstance(name, Integral) and not isinstance(name, bool):
            place = int(name)
            if not -len(self.columns) <= place < len(self.columns):
                raise ValueError(f"{argument}: expected a column below {len(self.columns)}, got {name}")
            return (self.columns[place],)
        if not isinstance(name, str):
            raise ValueError(f"{argument}: expected the name or the index of a variable, got {name!r}")
        columns = tuple(c for c in self.variables.columns(name) if c in self.columns)
        if not columns:
            raise ValueError(f"{name}: not among the variables that are left (given or summed out before)")
        return columns

    def given(self, value: Tensor, columns: tuple[int, ...] | None = None) -> Tensor:
        """The weights so far times the densities of ``value``: ``(*, k) -> (*, S)``"""
        columns = self.columns if columns is None else columns
        every = columns == tuple(range(self.variables.width))
        (parts,) = self.walks.once("densities", [(known_as(columns, value),)], lambda _: [self._parts(value, columns)])
        if not self.is_weighed and every:
            return self.layout.join([density for _, density in parts])
        return self.plus(parts)

    def _parts(self, value: Tensor, columns: tuple[int, ...]) -> list[tuple[list[int], Tensor | None]]:
        """Log densities of a value, group by group, as `plus` takes them."""
        parts = []
        for states, members in self.layout.groups:
            chosen, density = self._densities(value, columns, states, members)
            parts.append(([members.index(variable) for variable in chosen], density))
        return parts

    def _densities(
        self, value: Tensor, columns: tuple[int, ...], states: int, members: tuple[int, ...]
    ) -> tuple[tuple[int, ...], Tensor | None]:
        """Of those members of a group that have columns here, in declared order: which, and ``(*, k, N)``."""
        chosen = tuple(v for v in self.variables.among(columns) if v in members)
        if not chosen:
            return chosen, None
        vectors = tuple(v for v in chosen if v in self.variables.vectors)
        scalars = tuple(v for v in chosen if v not in vectors)
        parts = []
        if vectors:
            parts.append(self.variables.log_vectors([self.vector(value, columns, v) for v in vectors], vectors))
        if scalars:
            places = [columns.index(self.variables.columns_of[v][0]) for v in scalars]
            entries = value if len(places) == len(columns) else value.index_select(-1, self.index(places))
            parts = [self.variables.log_evidence(entries, scalars, states), *parts]
        together = parts[0] if len(parts) == 1 else torch.cat(parts, -2)
        if (*scalars, *vectors) == chosen:
            return chosen, together
        return chosen, together.index_select(-2, self.index([(*scalars, *vectors).index(v) for v in chosen]))

    def vector(self, value: Tensor, columns: tuple[int, ...], variable: int) -> Tensor:
        """The numbers of a vector among those of columns, NaN where its own are not there: ``(*, k) -> (*, n)``"""
        there, places = self.within(variable, columns)
        part = value.index_select(-1, self.index(places)) if len(places) < value.shape[-1] else value
        size = len(self.variables.columns_of[variable])
        if len(places) == size:
            return part
        return value.new_full((*value.shape[:-1], size), torch.nan).index_copy(-1, self.index(there), part)

    def within(self, variable: int, columns: tuple[int, ...] | None = None) -> tuple[list[int], list[int]]:
        """Which numbers of a variable are among columns (the open ones): their places in it, and among these."""
        columns, own = self.columns if columns is None else columns, self.variables.columns_of[variable]
        seen = [c for c in own if c in columns]
        return [own.index(c) for c in seen], [columns.index(c) for c in seen]

    def plus(self, parts: Sequence[tuple[Sequence[int], Tensor | None]]) -> Tensor:
        """The weights so far times more of them for some columns, ``-> (*, S)``

        Takes for each group the places of its columns and their weights ``(*, k_g, N_g)``.
        """
        base, more = self.log_weights, [part for _, part in parts if part is not None]
        lead = torch.broadcast_shapes(base.shape[:-1], *(part.shape[:-2] for part in more))
        dtype = torch.promote_types(base.dtype, more[0].dtype)
        groups = []
        for group, (places, part) in zip(self.layout.split(base), parts, strict=True):
            group = group.expand(*lead, *group.shape[-2:]).to(dtype)
            if part is not None and len(places):
                group = group.index_add(-2, self.index(places), part.expand(*lead, *part.shape[-2:]).to(dtype))
            groups.append(group)
        return self.layout.join(groups)

    def index(self, columns: Sequence[int] | None = None) -> Tensor:
        """Columns (the open ones by default) as a tensor of indices."""
        return self.variables.index(self.columns if columns is None else columns, self.log_weights.device)

    def check(self, value: Tensor, columns: tuple[int, ...], batch_shape: torch.Size):
        """`ValueError` where a value has another size, does not fit the batch, or cannot occur."""
        if not isinstance(value, Tensor) or value.is_complex():
            got = value.dtype if isinstance(value, Tensor) else type(value).__name__
            raise ValueError(f"value: expected a tensor of real numbers, got {got}")
        shape = tuple(value.shape)
        if not shape or shape[-1] != len(columns):
            raise ValueError(f"value: expected a last dimension of {len(columns)}, got shape {shape}")
        check_broadcast("value", shape[:-1], batch_shape)
        check_width(self.variables, value, columns)
        self.variables.check(value, columns)

    def check_possible(self, log_weights: Tensor) -> Tensor:
        """The same weights; `ValueError` where they exclude every state of some variable."""
        if any(holds((group.amax(-1) == -torch.inf).any()) for group in self.layout.split(log_weights)):
            raise ValueError("contradictory evidence: every state of some variable is excluded")
        return log_weights


def as_tensor(value: Any, device: torch.device | None = None) -> Tensor:
    """`torch.as_tensor`, which warns of numpy's booleans."""
    return torch.as_tensor(numpy.asarray(value) if isinstance(value, numpy.generic) else value, device=device)


def as_floats(value: Tensor, dtype: torch.dtype) -> Tensor:
    """Integers and booleans as floats of a type, or of 32 bits where it has 16; others as they are."""
    if not isinstance(value, Tensor) or value.is_floating_point() or value.is_complex():
        return value
    return value.to(torch.promote_types(dtype, torch.float32))


def fits(dtype: torch.dtype, variables: Variables, columns: Sequence[int]) -> bool:
    """Whether a type of floats holds every state of the columns exactly."""
    discrete = (variables.variable_of[c] for c in columns if not variables.is_continuous[c])
    states = max((variables.num_states[v] for v in discrete), default=1)
    return states - 1 <= 2 / torch.finfo(dtype).eps


def check_width(variables: Variables, value: Tensor, columns: Sequence[int]):
    """`ValueError` where a value's type cannot hold every state of its columns."""
    for column in columns if value.dtype in (torch.float16, torch.bfloat16) else ():
        if not fits(value.dtype, variables, (column,)):
            raise ValueError(
                f"{variables._label(column)}: expected float32, float64 or integers for states up to "
                f"{variables.num_states[variables.variable_of[column]] - 1}, got {value.dtype}, which rounds them"
            )
