"""The joint law of a table: leaves between columns of codes and columns of a chain, and the chain."""

import copy
from collections.abc import Sequence
from typing import Any

import torch
from torch import Tensor, nn

from pyro_priors.distributions.chain_law import ChainLaw
from pyro_priors.distributions.kinds import Continuous, Discrete, Kind, Vector
from pyro_priors.modules.ttlp import TTLP
from pyro_priors.tables.laws.exemplars import Exemplars
from pyro_priors.tables.leaves.leaves import Leaf, leaf_from_json

EMPHASIS = 4.0  # as often do categories count in a start as are there: weak ones would drown in densities of numbers


class TableLaw(nn.Module):
    """Law of the rows of a table, in codes: a chain over states and normal scores, and a leaf for each column.

    The scores of numbers stand in vectors ``v0, v1, ...``, on the chain beside what has states: ``c3`` are the states
    of column 3, categories or atoms of a number. Nothing is called as the user calls it.

    Args:
        leaves: of each of the C columns.
        groups: columns of numbers that share a vector, every one that has a score in one of them; None: one vector.
        rank: states of a bond of the chain.
        local: of these, how many belong to a cluster at the start, see `pyro_priors.TRIP`.

    Attributes:
        exemplars: rows that the law remembers beside the chain, in a mixture with it; None: the law is the chain.

    Shapes:
        `columns[c]` are the places of column c among the W of the law, in the order of ``leaf.kinds``; `vectors[i]`
        those of the vector ``v{i}``. Parameters are float64.

    Raises:
        ValueError: groups that are no partition of the numbers, no columns.

    Example:
        >>> from pyro_priors.tables.leaves.leaves import StateLeaf
        >>> law = TableLaw([StateLeaf(2), StateLeaf(3)], rank=2)
        >>> law.rows([[1.0, float("nan")]]).tolist(), law.law().event_shape
        ([[1.0, nan]], torch.Size([2]))
    """

    def __init__(
        self,
        leaves: Sequence[Leaf],
        groups: Sequence[Sequence[int]] | None = None,
        rank: int = 64,
        local: int | None = None,
    ):
        super().__init__()
        self.leaves = tuple(leaves)
        numbers = [c for c, leaf in enumerate(self.leaves) if any(isinstance(k, Continuous) for k in leaf.kinds)]
        self.groups = tuple(tuple(g) for g in ([numbers] if groups is None and numbers else groups or ()))
        if not self.leaves:
            raise ValueError("leaves: expected one column at least, got none")
        if sorted(c for group in self.groups for c in group) != numbers or not all(self.groups):
            raise ValueError(f"groups: expected each of the numbers {numbers} in one group, got {self.groups}")
        kinds: dict[str, Kind] = {f"v{i}": Vector(len(group)) for i, group in enumerate(self.groups)}
        order = [c for group in self.groups for c in group]
        score_at = {c: place for place, c in enumerate(order)}
        self.vectors = tuple(tuple(score_at[c] for c in group) for group in self.groups)
        columns = []
        width = len(order)
        for c, leaf in enumerate(self.leaves):
            places = []
            for kind in leaf.kinds:
                if isinstance(kind, Continuous):
                    places.append(score_at[c])
                else:
                    assert isinstance(kind, Discrete)
                    kinds[f"c{c}"] = kind
                    places.append(width)
                    width += 1
            columns.append(tuple(places))
        self.columns, self.width = tuple(columns), width
        self.prior = TTLP(0, kinds, rank=rank, local=local).double()
        self.prior.expect_rows()  # `fit_table` lays the chain along the data
        self.prior.form.emphasis = EMPHASIS
        self.exemplars: Exemplars | None = None

    @property
    def rank(self) -> int:
        return self.prior.rank

    @property
    def scores(self) -> int:
        """How many of the W columns are scores: the first ones."""
        return sum(len(group) for group in self.groups)

    @property
    def states(self) -> list[int]:
        """Of each of the other columns."""
        kinds = [kind for leaf in self.leaves for kind in leaf.kinds if isinstance(kind, Discrete)]
        return [kind.categories for kind in kinds]

    def law(self) -> ChainLaw:
        """Of the W columns, at the present parameters."""
        return self.prior()

    def rows(self, codes: Any) -> Tensor:
        """Codes ``(n, C)``, NaN = missing, as rows of the law ``(n, W)``, float64."""
        codes = torch.as_tensor(codes, dtype=torch.float64)
        if codes.dim() != 2 or codes.shape[1] != len(self.leaves):
            raise ValueError(f"codes: expected shape (n, {len(self.leaves)}), got {tuple(codes.shape)}")
        rows = codes.new_full((len(codes), self.width), torch.nan)
        for column, leaf, places in zip(codes.unbind(1), self.leaves, self.columns, strict=True):
            rows[:, list(places)] = leaf.encode(column)
        return rows

    def codes(self, rows: Tensor) -> Tensor:
        """Rows of the law ``(n, W)`` as codes ``(n, C)``."""
        parts = zip(self.leaves, self.columns, strict=True)
        return torch.stack([leaf.decode(rows[:, list(places)]) for leaf, places in parts], 1)

    def to_json(self) -> dict[str, Any]:
        """All but the parameters, which are `state_dict`."""
        leaves = [leaf.to_json() for leaf in self.leaves]
        groups = [list(group) for group in self.groups]
        made = {"leaves": leaves, "groups": groups, "rank": self.rank, "local": self.prior.local}
        return made if self.exemplars is None else {**made, "exemplars": len(self.exemplars)}

    @classmethod
    def from_json(cls, value: dict[str, Any]) -> "TableLaw":
        """A law such as the one that wrote it, to load parameters into; nothing is drawn from the global generator."""
        leaves = [leaf_from_json(leaf) for leaf in value["leaves"]]
        with torch.random.fork_rng(devices=[]):
            law = cls(leaves, value["groups"], value["rank"], value["local"])
        if count := value.get("exemplars"):
            law.exemplars = Exemplars.empty(count, law.scores, law.states)
        return law

    def extra_repr(self) -> str:
        return f"{len(self.leaves)} columns, {len(self.groups)} vectors"


def with_exemplars(law: TableLaw, exemplars: Exemplars | None) -> TableLaw:
    """A law with the same chain in float64, which nothing trains, and other exemplars."""
    made = copy.copy(law)
    made._modules = {**law._modules, "prior": copy.deepcopy(law.prior).double().requires_grad_(False)}
    made.exemplars = exemplars
    return made
