"""How many states the bonds of a chain have, all as many or each its own number.

Tables are as wide as the widest bond, so that one contraction serves. What a narrower bond does not have is left out of
full cores, and of factored ones it has probability zero: nothing that the tables hold there is ever read.
"""

from collections.abc import Sequence

import torch
from torch import Tensor

from pyro_priors.checks import check_choice, check_count, check_permutation
from pyro_priors.ops.layout import Layout, inverse

Rank = int | Sequence[int]  # states of a bond, or of each


def widest(rank: Rank) -> int:
    """The states of the widest bond.

    Raises:
        ValueError: a number below 1, none at all.

    Example:
        >>> widest(4), widest([2, 5, 3])
        (4, 5)
    """
    if isinstance(rank, int | str) or not isinstance(rank, Sequence):  # a word is no sequence of numbers
        return check_count("rank", rank)  # pyright: ignore[reportArgumentType]
    if not rank:
        raise ValueError("rank: expected a number, or one for each bond, got none")
    return max(check_count(f"rank[{place}]", states) for place, states in enumerate(rank))


def local_of(local: int | None, rank: int, cores: str, init: str, most: int = 4) -> int:
    """The states of a bond within a cluster, where nobody has decided: never more than there are clusters."""
    if local is not None:
        return local
    sizes = (size for size in (8, 4, 3, 2) if size <= most and rank % size == 0 and size**2 <= rank)
    return next(sizes, 1) if (cores, init) == ("factored", "mixture") else 1


def check_rank(rank: int, local: int, init: str) -> None:
    """`ValueError` where clusters cannot have bonds of this size."""
    check_count("rank", rank)
    if check_count("local", local) > rank or rank % local:
        raise ValueError(f"local: expected a divisor of the rank {rank}, got {local}")
    check_choice("init", init, ("mixture", "noise"))
    if init == "noise" and local > 1:
        raise ValueError(f"local: expected 1 with init='noise', which knows no clusters, got {local}")


def bonds_of(rank: Rank, local: int | None, length: int, boundary: str, cores: str, *, vectors: bool) -> "Bonds | None":
    """The bonds of a chain of so many variables, None where all have as many states.

    Factored cores have one for each variable, which it is read from. A ring of full cores has one before each variable,
    a train one more behind the last.

    Raises:
        ValueError: another number of them than there are bonds; vectors or clusters of several states beside sizes that
            differ.
    """
    if not isinstance(rank, Sequence):
        return None
    count = length + 1 if (cores, boundary) == ("full", "train") else length
    if len(rank) != count:
        closed = "a factored chain" if cores == "factored" else f"a {boundary}"
        ends = ", with one before the first and one behind the last" if count > length else ""
        raise ValueError(
            f"rank: expected a number, or {count}, one for each bond of {closed} of {length} variables{ends}, got "
            f"{len(rank)}"
        )
    if len(set(rank)) == 1:
        return None
    if vectors:
        raise ValueError(f"rank: expected one number with vectors, whose Gaussians belong to it, got {list(rank)}")
    if local not in (None, 1):
        raise ValueError(f"local: expected 1 with bonds of different sizes, got {local}")
    return Bonds(tuple(map(int, rank)))


class Bonds:
    """The sizes of bonds ``(m_0, m_1, ..)`` along the chain, and what of tables as wide as the widest they have."""

    def __init__(self, sizes: tuple[int, ...]):
        self.sizes, self.rank = sizes, max(sizes)

    def sides(self, order: Tensor | None, length: int) -> list[tuple[int, int]]:
        """How many states the bonds before and behind each variable have, of full cores."""
        after = (*self.sizes[1:], self.sizes[0])  # of a ring
        return [(self.sizes[place], after[place]) for place in places_of(order, length)]

    def present(self, groups: Sequence[Tensor], layout: Layout, order: Tensor | None) -> list[Tensor]:
        """What variables have of cores ``(D_g, N_g, m, m)``: ``(N_k, m_k, m_(k+1))`` each, in declared order."""
        sides, result = self.sides(order, len(layout.sizes)), {}
        for (_, columns), group in zip(layout.groups, groups, strict=True):
            for column, core in zip(columns, group.unbind(), strict=True):
                left, right = sides[column]
                result[column] = core[:, :left, :right]
        return [result[column] for column in range(len(layout.sizes))]

    def closed(self, logits: Tensor, first: int) -> Tensor:
        """Logits of the states of bonds from `first` on, without those that a bond does not have.

        Shapes:
            of one bond ``(m,)``, of several ``(number of bonds, m, m)``, the states of each in the last dimension
        """
        places = torch.arange(self.rank, device=logits.device)
        sizes = torch.tensor(self.sizes[first:], device=logits.device)[:, None, None]
        return logits.masked_fill(places >= (self.sizes[0] if logits.dim() == 1 else sizes), -torch.inf)

    def emitting(self, emissions: Sequence[Tensor], layout: Layout, order: Tensor | None) -> list[Tensor]:
        """Logits of emissions ``(D_g, N_g, m)``, zero for the states that a variable's bond does not have."""
        places = places_of(order, len(layout.sizes))
        result = []
        for (_, columns), part in zip(layout.groups, emissions, strict=True):
            sizes = torch.tensor([self.sizes[places[c]] for c in columns], device=part.device)[:, None, None]
            result.append(part.masked_fill(torch.arange(self.rank, device=part.device) >= sizes, 0.0))
        return result

    def mean_logs(self, initial: Tensor, transitions: Tensor) -> Tensor:
        """Mean log-probability of where the first bond is, and of where each state of each bond leads, summed."""
        logs = [initial.log_softmax(0)[: self.sizes[0]].mean()]
        for here, there, move in zip(self.sizes[:-1], self.sizes[1:], transitions, strict=True):
            logs.append(move[:here, :there].log_softmax(-1).mean(-1).sum())
        return torch.stack(logs).sum()

    def padded(self, table: Tensor, dims: int) -> Tensor:
        """The last dimensions, so many, as wide as the widest bond."""
        missing = [side for dim in range(dims) for side in (0, self.rank - table.shape[-1 - dim])]
        return torch.nn.functional.pad(table, missing)


def places_of(order: Tensor | None, length: int) -> list[int]:
    """Where in the chain each variable stands."""
    return list(range(length)) if order is None else inverse(check_permutation("order", order, length))
