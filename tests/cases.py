"""Laws on a chain as data: both forms, with all that `oracles` needs to know of them."""

from collections.abc import Iterator, Sequence
from typing import NamedTuple

import torch
from torch import Tensor

from pyro_priors.distributions import Continuous, Discrete, FactoredTrain, TensorRing, Variables
from pyro_priors.distributions.chain_law import ChainLaw
from pyro_priors.distributions.diagonal_gaussians import DiagonalGaussians
from pyro_priors.distributions.full_gaussians import FullGaussians
from pyro_priors.distributions.gaussians import Gaussians
from pyro_priors.distributions.kinds import Vector
from pyro_priors.distributions.low_rank_gaussians import LowRankGaussians

FORMS = ("ring", "train", "factored")


class Case(NamedTuple):
    """A law on a chain together with everything that `oracles` needs.

    The tables of a ring or train of full cores are log-cores: one tensor ``(D, N, m, m)`` or D of them ``(N_k, m, n)``.
    Those of a factored train are logits of initial ``(m,)``, emissions ``(D, N, m)`` and transitions ``(D - 1, m, m)``;
    a vector without components has the bond's states, and its emissions are not looked at.
    """

    law: ChainLaw
    tables: tuple[Tensor, ...]
    variables: Variables
    form: str
    order: tuple[int, ...]
    log_weights: Tensor | None = None  # more evidence that the oracles look at, (D, N)
    bonds: tuple[int, ...] = ()  # variables whose states are those of a factored chain's bond

    @property
    def dtype(self) -> torch.dtype:
        return self.tables[0].dtype

    def parts(self) -> list[Tensor]:
        """The tables, then locs and scales where a variable has some, then what vectors have."""
        leaves = [x for x in (self.variables.loc, self.variables.scale) if x is not None]
        return [*self.tables, *leaves, *(x for g in self.variables.gaussians.values() for x in g.tensors.values())]

    def leaves(self) -> list[Tensor]:
        """`parts` that have gradients."""
        return [part.detach().clone().requires_grad_() for part in self.parts()]

    def _by_vector(self, leaves: Sequence[Tensor]) -> Iterator[tuple[Gaussians, Sequence[Tensor]]]:
        first = 0
        for gaussians in self.variables.gaussians.values():
            yield gaussians, leaves[first : first + len(gaussians.tensors)]
            first += len(gaussians.tensors)

    def of(self, parts: Sequence[Tensor], **options: bool) -> "Case":
        """The law of the same variables in the same chain with other `parts`, or with other tables alone."""
        tables, leaves = tuple(parts[: len(self.tables)]), list(parts[len(self.tables) :])
        variables = self.variables
        if leaves:
            scalars = [None, None] if variables.loc is None else [leaves.pop(0), leaves.pop(0)]
            vectors = [
                type(g)(*(x.tril() if name == "factor" else x for name, x in zip(g.tensors, own, strict=True)))
                for g, own in self._by_vector(leaves)
            ]
            variables = variables.bind(*scalars, vectors if vectors else None)
        law = build(tables, variables, self.form, self.order, self.bonds, **options)
        return self._replace(law=law, tables=tables, variables=variables)


def build(
    tables: Sequence[Tensor],
    variables: Variables,
    form: str,
    order: tuple[int, ...],
    bonds: tuple[int, ...] = (),
    **options: bool,
) -> ChainLaw:
    if form != "factored":
        return TensorRing(tables[0] if tables[0].dim() == 4 else list(tables), variables, form, order, **options)
    initial, emissions, transitions = tables
    states = enumerate(variables.num_states)
    each = [None if k in bonds else emissions[k, :count].softmax(0) for k, count in states]
    return FactoredTrain(initial.softmax(0), each, transitions.softmax(-1), variables, order, **options)


KINDS = {"n": Continuous(1), "c": Continuous(2), "C": Continuous(3)}
KINDS |= {"a": Discrete(1), "b": Discrete(2), "d": Discrete(3), "D": Discrete(4)}
KINDS |= {"o": Vector(1), "v": Vector(2), "u": Vector(2, "diagonal"), "w": Vector(3, "low-rank", factors=1)}
KINDS |= {"V": Vector(2, components=2)}  # of a factored chain too


def random_gaussians(kind: Vector, states: int, generator: torch.Generator, dtype: torch.dtype) -> Gaussians:
    """Far enough from each other and from independence to be told apart."""

    def random(*shape):
        return (torch.rand(*shape, generator=generator, dtype=torch.float64) * 2 - 1).to(dtype)

    loc, scale = 2 * random(states, kind.size), 0.8 + 0.5 * random(states, kind.size)
    if kind.covariance == "diagonal":
        return DiagonalGaussians(loc, scale)
    if kind.covariance == "low-rank":
        return LowRankGaussians(loc, 1.5 * random(states, kind.size, kind.factors), scale)
    return FullGaussians(loc, 1.5 * random(states, kind.size, kind.size).tril(-1) + torch.diag_embed(1 / scale))


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

    Vectors: o of one number, v of two, u of two with diagonal covariance, w of three with one of low rank; of a
    factored chain they have the bond's states, but for V, which is as v with two of its own.
    ``rank`` may name the size of every bond along a chain of full cores, the last one (of a ring the first) included.
    """
    generator = torch.Generator().manual_seed(seed)
    table = {f"v{k}": KINDS[letter] for k, letter in enumerate(kinds)}
    vectors = [kind for kind in table.values() if isinstance(kind, Vector)]
    generator_of_vectors = torch.Generator().manual_seed(seed + 1)  # laws without any stay what they are
    own = [kind.components or (rank if form == "factored" else 2) for kind in vectors]
    gaussians = [
        random_gaussians(kind, count, generator_of_vectors, dtype) for kind, count in zip(vectors, own, strict=True)
    ]
    bonds = tuple(k for k, kind in enumerate(table.values()) if kind in vectors and kind.components is None)
    states = [v.components if isinstance(v, Continuous) else v.categories for v in table.values() if v not in vectors]
    states = max(*states, *own, 1)
    rows = sum(isinstance(v, Continuous) for v in table.values())
    widest = max((v.components for v in table.values() if isinstance(v, Continuous)), default=1)

    def random(*shape):
        return torch.rand(*shape, generator=generator, dtype=torch.float64).to(dtype)

    loc, scale = random(rows, widest) * 4 - 2, random(rows, widest) + 0.3
    variables = Variables(table, loc, scale, vectors=gaussians or None)

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
    bonds = bonds if form == "factored" else ()
    law = build(tuple(tables), variables, form, order, bonds)
    return Case(law, tuple(tables), variables, form, order, bonds=bonds)


def random_value(case: Case, rows: int, missing: float = 0.0, seed: int = 1) -> Tensor:
    """Values that the law can take, some of them NaN."""
    generator = torch.Generator().manual_seed(seed)
    columns = []
    for kind in case.variables.kinds:
        if isinstance(kind, Discrete):
            columns.append(torch.randint(kind.categories, (rows,), generator=generator).double())
            continue
        for _ in range(kind.size if isinstance(kind, Vector) else 1):
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
    "one vector": ("w", 3, "factored"),
    "one vector, ring": ("v", 3, "ring"),
    "vectors alone": ("vwu", 3, "factored"),
    "vectors and more, ring": ("wdcv", 2, "ring"),
    "vectors and more, train": ("Duwc", 3, "train"),
    "vectors and more, factored": ("wcDv", 4, "factored"),
    "vectors on uneven bonds": ("vdw", (3, 2, 3, 3), "ring"),
    "a vector of one number": ("codo", 3, "factored"),
    "a vector with states of its own": ("dVvc", 3, "factored"),
    "vectors of rank one": ("vDu", 1, "factored"),
}
