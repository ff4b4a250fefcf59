"""Where the states of the variables stand: by column, by number of states, along the chain; rows first or last.

Variables with as many states as each other are one group, in declared order, and a tensor holds one group after the
other: weights of all states are ``(*, S)``, S the sum of the numbers of states. Where all have as many there is one
group, and that is ``(*, D, N)`` flattened.
"""

from collections.abc import Iterable, Sequence
from functools import lru_cache

import torch
from torch import Tensor

Key = tuple[int, bool]  # what the variables of a group have in common: their number of states, and whose these are


class Layout:
    """The groups of variables that have as many states as each other, in the order in which they first appear.

    Variables in `bonds` have no states of their own but those of the bond of a factored chain; they are a group by
    themselves.
    """

    def __init__(self, sizes: tuple[int, ...], first: tuple[Key, ...] = (), bonds: tuple[int, ...] = ()):
        members: dict[Key, list[int]] = {key: [] for key in first}
        self.keys = tuple((states, column in bonds) for column, states in enumerate(sizes))
        for column, key in enumerate(self.keys):
            members.setdefault(key, []).append(column)
        self.sizes, self.total, self.bonds = sizes, sum(sizes), bonds
        self.group_keys = tuple(members)
        self.groups = tuple((states, tuple(columns)) for (states, _), columns in members.items())
        self.grouped = tuple(column for _, columns in self.groups for column in columns)
        self._ordered: dict[tuple[int, ...], Layout] = {}
        self._members: dict[tuple[int, ...] | None, list[list[int]]] = {}

    def ordered(self, order: tuple[int, ...] | None) -> "Layout":
        """That of the variables as they stand in a chain; its groups follow each other as these do."""
        if order is None or len(self.groups) == 1:
            return self
        if order not in self._ordered:
            sizes = tuple(self.sizes[column] for column in order)
            bonds = tuple(place for place, column in enumerate(order) if column in self.bonds)
            self._ordered[order] = Layout(sizes, self.group_keys, bonds)
        return self._ordered[order]

    def members(self, order: tuple[int, ...] | None) -> list[list[int]]:
        """For each group its variables as they follow each other in the chain: places in the group.

        Remembered in a dictionary, which `torch.compile` follows; it warns of `functools.lru_cache`.
        """
        if order not in self._members:
            self._members[order] = self._find_members(order)
        return self._members[order]

    def _find_members(self, order: tuple[int, ...] | None) -> list[list[int]]:
        if order is None:
            return [list(range(len(columns))) for _, columns in self.groups]
        place = {column: i for _, columns in self.groups for i, column in enumerate(columns)}
        return [[place[column] for column in order if self.keys[column] == key] for key in self.group_keys]

    def declared(self, groups: Sequence[Tensor], order: tuple[int, ...] | None) -> list[Tensor]:
        """The way back from the chain for tensors ``(D_g, *)``."""
        return [take(x, inverse(places), 0) for x, places in zip(groups, self.members(order), strict=True)]

    def with_bonds(self, groups: Iterable[Tensor]) -> list[Tensor | None]:
        """Something of each group that has states of its own, and None for the one that has those of the bond."""
        rest = iter(groups)
        return [None if bond else next(rest) for _, bond in self.group_keys]

    def split(self, x: Tensor, dim: int = -1) -> list[Tensor]:
        """Views of the groups: ``S`` along a dimension becomes ``D_g, N_g`` in each."""
        shapes = [(len(columns), states) for states, columns in self.groups]
        parts = [x] if len(shapes) == 1 else x.split([count * states for count, states in shapes], dim)
        return [part.unflatten(dim, shape) for part, shape in zip(parts, shapes, strict=True)]

    def join(self, groups: Sequence[Tensor]) -> Tensor:
        """``(*, D_g, N_g) -> (*, S)``"""
        parts = [group.flatten(-2) for group in groups]
        return parts[0] if len(parts) == 1 else torch.cat(parts, -1)

    def padded(self, x: Tensor, columns: Sequence[int], width: int) -> Tensor:
        """Some columns with zeros for the states that they do not have: ``(*, S) -> (*, k, width)``

        States beyond the width are left out.
        """
        places = {column: place for place, column in enumerate(columns)}
        parts, order = [], []
        for (states, members), group in zip(self.groups, self.split(x), strict=True):
            chosen = [i for i, column in enumerate(members) if column in places]
            if chosen:
                part = take(group, chosen, -2)
                parts.append(part if states == width else torch.nn.functional.pad(part, (0, width - states)))
                order += [places[members[i]] for i in chosen]
        result = parts[0] if len(parts) == 1 else torch.cat(parts, -2)
        return take(result, inverse(order), -2)

    def unpadded(self, x: Tensor, columns: Sequence[int]) -> list[tuple[list[int], Tensor]]:
        """What columns have of a padded tensor, group by group: ``(*, k, N)`` -> places in the group, ``(*, k_g, N_g)``

        A group of which no column is there has no entry in its list.
        """
        places = {column: place for place, column in enumerate(columns)}
        result = []
        for states, members in self.groups:
            chosen = [i for i, column in enumerate(members) if column in places]
            part = take(x, [places[members[i]] for i in chosen], -2)
            result.append((chosen, part[..., :states] if states < x.shape[-1] else part))
        return result


@lru_cache(maxsize=64)
def layout_of(sizes: tuple[int, ...], bonds: tuple[int, ...] = ()) -> Layout:
    """The layout of variables with these numbers of states; `bonds`: whose states are those of a bond."""
    return Layout(sizes, bonds=bonds)


class Cores(Sequence[Tensor]):
    """The cores of D variables as a sequence of ``(N_k, m, m)``, kept group by group as ``(D_g, N_g, m, m)``."""

    def __init__(self, groups: Sequence[Tensor], layout: Layout):
        self.groups, self.layout = tuple(groups), layout

    @classmethod
    def of(cls, log_cores: "Tensor | Cores") -> "Cores":
        """Cores that stand in one tensor ``(D, N, m, m)`` as they are."""
        if isinstance(log_cores, Cores):
            return log_cores
        return cls((log_cores,), layout_of((log_cores.shape[1],) * log_cores.shape[0]))

    @classmethod
    def from_padded(cls, log_cores: Tensor, sizes: tuple[int, ...]) -> "Cores":
        """What variables have of a tensor ``(D, N, m, m)`` that is as wide as the widest."""
        layout = layout_of(sizes)
        if sizes == (log_cores.shape[1],) * len(log_cores):
            return cls((log_cores,), layout)
        return cls([take(log_cores, columns, 0)[:, :states] for states, columns in layout.groups], layout)

    @classmethod
    def from_flat(cls, flat: Tensor, sizes: tuple[int, ...]) -> "Cores":
        """Views of cores that stand one state after the other, ``(S, m, m)``, group by group."""
        layout = layout_of(sizes)
        return cls(layout.split(flat, 0), layout)

    @classmethod
    def from_each(cls, cores: Sequence[Tensor]) -> "Cores":
        """D tensors ``(N_k, m, m)``, copied."""
        layout = layout_of(tuple(len(core) for core in cores))
        return cls([torch.stack([cores[c] for c in columns]) for _, columns in layout.groups], layout)

    def flat(self) -> Tensor:
        """``(S, m, m)``, group by group: the way back from `from_flat`."""
        return torch.cat([group.flatten(0, 1) for group in self.groups])

    def __len__(self) -> int:
        return len(self.layout.sizes)

    def __getitem__(self, column):  # pyright: ignore[reportIncompatibleMethodOverride] (a slice too)
        if isinstance(column, slice):
            return [self[c] for c in range(*column.indices(len(self)))]
        states = self.layout.sizes[column]  # an IndexError ends an iteration
        for group, (count, columns) in zip(self.groups, self.layout.groups, strict=True):
            if count == states and range(len(self))[column] in columns:
                return group[columns.index(range(len(self))[column])]
        raise IndexError(column)

    @property
    def rank(self) -> int:
        return self.groups[0].shape[-1]

    @property
    def dtype(self) -> torch.dtype:
        return self.groups[0].dtype

    @property
    def device(self) -> torch.device:
        return self.groups[0].device

    @property
    def requires_grad(self) -> bool:
        return any(group.requires_grad for group in self.groups)

    def to(self, *args) -> "Cores":
        """As that of tensors."""
        return Cores([group.to(*args) for group in self.groups], self.layout)

    def detach(self) -> "Cores":
        """As that of tensors."""
        return Cores([group.detach() for group in self.groups], self.layout)

    def __repr__(self) -> str:
        return f"Cores(states={list(self.layout.sizes)}, rank={self.rank})"


def inverse(order: Sequence[int]) -> list[int]:
    """The permutation that undoes another."""
    places = [0] * len(order)
    for place, entry in enumerate(order):
        places[entry] = place
    return places


def take(x: Tensor, entries: Sequence[int], dim: int) -> Tensor:
    """`index_select`; a view where the entries are a range."""
    count, first = len(entries), entries[0] if entries else 0
    if all(entry == first + i for i, entry in enumerate(entries)):
        return x if count == x.shape[dim] else x.narrow(dim, first, count)
    if all(entry == first - i for i, entry in enumerate(entries)):
        return x.narrow(dim, first - count + 1, count).flip(dim)
    return x.index_select(dim, index(tuple(entries), x.device))


def index(entries: tuple[int, ...], device: torch.device) -> Tensor:
    """Integers as a tensor, made once per device: what is on a GPU never waits for a copy."""
    if transformed():  # made there it would belong to the transform
        return torch.tensor(entries, dtype=torch.long, device=device)
    return _index(entries, device)


@lru_cache(maxsize=256)
def _index(entries: tuple[int, ...], device: torch.device) -> Tensor:
    with torch.inference_mode(False):
        return torch.tensor(entries, dtype=torch.long, device=device)


def transformed() -> bool:
    """Whether `torch.func`, `torch.compile` or `torch.jit.trace` looks on.

    Then only ordinary operations, without a look at a value.
    """
    return torch.compiler.is_compiling() or torch._C._are_functorch_transforms_active() or tracing()


def tracing() -> bool:
    return torch.jit.is_tracing()  # pyright: ignore[reportPrivateImportUsage] (its documentation has it)


def rows_last(x: Tensor) -> Tensor:
    """``(B, S) -> (S, B)``, copied in one transposition: several times as fast as what would read it across."""
    return x.transpose(0, 1).contiguous()


def rows_first(x: Tensor) -> Tensor:
    """The way back from `rows_last`."""
    return x.transpose(0, 1).contiguous()


def unused(grad: Tensor) -> bool:
    """Whether a gradient is zero, as that of what cancels in a sum; looked at where nothing has to be waited for."""
    try:
        return grad.device.type == "cpu" and not grad.any()
    except RuntimeError:  # a batch of gradients: there is no single answer
        return False


def holds(condition: Tensor) -> bool:
    """Whether a condition holds; no where its value is hidden, under a transform (`transformed`)."""
    if tracing() or torch.compiler.is_compiling():
        return False
    try:
        return bool(condition)
    except RuntimeError:
        if transformed():  # one of many at once: there is no single answer
            return False
        raise
