"""Laws on a chain as data: both forms, with all that `oracles` needs to know of them."""

from collections.abc import Sequence
from typing import NamedTuple

import torch
from torch import Tensor

from pyro_priors.distributions import Continuous, Discrete, FactoredTrain, TensorRing, Variables
from pyro_priors.distributions.chain_law import ChainLaw

FORMS = ("ring", "train", "factored")


class Case(NamedTuple):
    """A law on a chain together with everything that `oracles` needs.

    The tables of a ring or train of full cores are log-cores: one tensor ``(D, N, m, m)`` or D of them ``(N_k, m, n)``.
    Those of a factored train are logits of initial ``(m,)``, emissions ``(D, N, m)`` and transitions ``(D - 1, m, m)``.
    """

    law: ChainLaw
    tables: tuple[Tensor, ...]
    variables: Variables
    form: str
    order: tuple[int, ...]
    log_weights: Tensor | None = None  # more evidence that the oracles look at, (D, N)

    @property
    def dtype(self) -> torch.dtype:
        return self.tables[0].dtype

    def parts(self) -> list[Tensor]:
        """The tables, then locs and scales where a variable has some."""
        return [*self.tables, *(x for x in (self.variables.loc, self.variables.scale) if x is not None)]

    def leaves(self) -> list[Tensor]:
        """`parts` that have gradients."""
        return [part.detach().clone().requires_grad_() for part in self.parts()]

    def of(self, parts: Sequence[Tensor], **options: bool) -> "Case":
        """The law of the same variables in the same chain with other `parts`, or with other tables alone."""
        tables, leaves = tuple(parts[: len(self.tables)]), parts[len(self.tables) :]
        variables = self.variables.bind(*leaves) if leaves else self.variables
        return Case(
            build(tables, variables, self.form, self.order, **options), tables, variables, self.form, self.order
        )


def build(
    tables: Sequence[Tensor], variables: Variables, form: str, order: tuple[int, ...], **options: bool
) -> ChainLaw:
    if form != "factored":
        return TensorRing(tables[0] if tables[0].dim() == 4 else list(tables), variables, form, order, **options)
    initial, emissions, transitions = tables
    each = [logits[:states].softmax(0) for logits, states in zip(emissions, variables.num_states, strict=True)]
    return FactoredTrain(initial.softmax(0), each, transitions.softmax(-1), variables, order, **options)


KINDS = {"n": Continuous(1), "c": Continuous(2), "C": Continuous(3)}
KINDS |= {"a": Discrete(1), "b": Discrete(2), "d": Discrete(3), "D": Discrete(4)}


def make_case(
    kinds: str = "cdc",
    rank: int | tuple[int, ...] = 3,
    form: str = "ring",
    *,
    seed: int = 0,
    dtype: torch.dtype = torch.float64,
    order: tuple[int, ...] | None = None,
) -> Case:
    """A random law; ``kinds`` has a letter per variable: n, c, C continuous (1, 2, 3 states), a, b, d, D discrete.

    ``rank`` may name the size of every bond along a chain of full cores, the last one (of a ring the first) included.
    """
    generator = torch.Generator().manual_seed(seed)
    table = {f"v{k}": KINDS[letter] for k, letter in enumerate(kinds)}
    states = max(v.components if isinstance(v, Continuous) else v.categories for v in table.values())
    rows = sum(isinstance(v, Continuous) for v in table.values())
    widest = max((v.components for v in table.values() if isinstance(v, Continuous)), default=1)

    def random(*shape):
        return torch.rand(*shape, generator=generator, dtype=torch.float64).to(dtype)

    variables = Variables(table, random(rows, widest) * 4 - 2, random(rows, widest) + 0.3)

    # Bonds that stay or move on by one, and states that tell the bond they come from: laws about dependence and
    # direction could not fail without any.
    def moves(m, n):
        return (3 * torch.eye(m, n) + 2 * torch.eye(max(m, n)).roll(1, 1)[:m, :n]).to(dtype)

    def matches(states, m, strength=4):
        return strength * (torch.arange(states)[:, None] % m == torch.arange(m)).to(dtype)

    count = len(kinds)
    if isinstance(rank, tuple):
        order = order or tuple(torch.randperm(count, generator=generator).tolist())
        tables = [None] * count
        for column, m, n in zip(order, rank[:-1], rank[1:], strict=True):
            states = variables.num_states[column]
            tables[column] = random(states, m, n) + moves(m, n) + matches(states, m)[:, :, None]
    elif form == "factored":
        tables = [2 * random(rank), random(count, states, rank) + matches(states, rank, 5)]
        tables.append(random(count - 1, rank, rank) + 1.5 * moves(rank, rank))
    else:
        tables = [random(count, states, rank, rank) + moves(rank, rank) + matches(states, rank)[:, :, None]]
    order = order or tuple(torch.randperm(count, generator=generator).tolist())
    return Case(build(tuple(tables), variables, form, order), tuple(tables), variables, form, order)


def random_value(case: Case, rows: int, missing: float = 0.0, seed: int = 1) -> Tensor:
    """Values that the law can take, some of them NaN."""
    generator = torch.Generator().manual_seed(seed)
    columns = []
    for kind in case.variables.kinds:
        if isinstance(kind, Discrete):
            columns.append(torch.randint(kind.categories, (rows,), generator=generator).double())
        else:
            columns.append(torch.randn(rows, generator=generator, dtype=torch.float64) * 1.5)
    value = torch.stack(columns, -1)
    value[torch.rand(value.shape, generator=generator) < missing] = torch.nan
    return value.to(case.dtype)


CASES = {
    "ring of latents": ("ccc", 3, "ring"),
    "train of latents": ("cCc", 3, "train"),
    "factored latents": ("cCc", 3, "factored"),
    "mixed ring": ("cdCb", 2, "ring"),
    "mixed train": ("DcbC", 3, "train"),
    "mixed factored": ("DcbC", 3, "factored"),
    "ring of labels": ("bdD", 3, "ring"),
    "factored labels": ("bdDb", 4, "factored"),
    "one variable": ("C", 2, "ring"),
    "one variable, factored": ("C", 2, "factored"),
    "rank one": ("cDc", 1, "ring"),
    "rank one train": ("cDc", 1, "train"),
    "rank one factored": ("cDc", 1, "factored"),
    "ring of uneven bonds": ("cdCb", (3, 2, 4, 2, 3), "ring"),
    "train of uneven bonds": ("DcbC", (1, 3, 2, 4, 2), "train"),
    "ring with single states": ("anbd", 3, "ring"),
    "factored with single states": ("nDaC", 3, "factored"),
}
