"""The two forms of the chain as a prior keeps them: which parameters there are, how they start, what law they make."""

from abc import ABC, abstractmethod
from collections.abc import Callable, Mapping, Sequence
from typing import ClassVar, Literal, NamedTuple

import torch
from torch import Tensor

from pyro_priors.checks import check_choice
from pyro_priors.distributions import FactoredTrain, TensorRing, Variables
from pyro_priors.distributions.chain_law import ChainLaw
from pyro_priors.distributions.factored_chain import Emissions
from pyro_priors.distributions.full_chain import Boundary
from pyro_priors.distributions.gaussians import Gaussians
from pyro_priors.modules.bonds import Bonds, Rank, bonds_of, check_rank, local_of, widest
from pyro_priors.modules.prior import Fitting
from pyro_priors.modules.starting import starts
from pyro_priors.modules.starting.initialise import fit_leaves, fit_product_mixture
from pyro_priors.modules.starting.stepwise_mixture import stepwise_mixture
from pyro_priors.modules.starting.vector_mixture import fit_vector_mixture
from pyro_priors.modules.vector_leaves import gaussians_of, vector_rows
from pyro_priors.ops import Cores, full_precision
from pyro_priors.ops.layout import Layout, layout_of

CoreForm = Literal["full", "factored"]
Init = Literal["mixture", "noise"]
Tables = dict[str, Tensor]  # parameters by name


class Fitted(NamedTuple):
    """What was made of rows: component parameters, ``(C, N)`` and of each vector, and tables."""

    loc: Tensor | None
    scale: Tensor | None
    vectors: list[Gaussians]
    tables: Tables


class Form(ABC):
    """How the tables of a prior are made, for variables of a layout.

    Args:
        layout: the numbers of states of the variables.
        rank: states of a bond, m, of the widest where they differ.
        init: ``"mixture"`` or ``"noise"``.
        local: states of a bond within a cluster.
        bonds: their sizes, where these differ; None: all have m states.
    """

    law: ClassVar[type[ChainLaw]]
    names: tuple[str, ...]  # of the tables
    fitting: ClassVar[Fitting] = Fitting()
    fit_mixture = staticmethod(fit_product_mixture)
    boundary: Boundary
    emphasis = 1.0  # of columns outside vectors where a start tells clusters apart, see `fit_vector_mixture`

    def __init__(self, layout: Layout, rank: int, init: Init, local: int, bonds: Bonds | None = None):
        check_rank(rank, local, init)
        self.layout, self.rank, self.init, self.local, self.bonds = layout, rank, init, local, bonds
        self.clusters, self.length = rank // local, len(layout.sizes)

    def random(self, order: Tensor | None = None) -> Tables:
        """Tables before any data are seen: noise, or a mixture whose clusters prefer states of their own."""
        if self.init == "noise":
            return self.noise()
        return self.of_mixture(self.by_group(starts.random_clusters, self.clusters), torch.zeros(self.clusters), order)

    def by_group(self, make: Callable[..., Tensor], *args: int) -> list[Tensor]:
        """What a function of the number of variables and of their states makes for each group that has tables."""
        return [make(len(columns), states, *args) for states, columns in self.tabled]

    @property
    def tabled(self) -> list[tuple[int, tuple[int, ...]]]:
        """The groups of variables that have states of their own: how many, and which."""
        keys = zip(self.layout.groups, self.layout.group_keys, strict=True)
        return [group for group, (_, bond) in keys if not bond]

    @abstractmethod
    def noise(self) -> Tables:
        """The papers' start."""

    @abstractmethod
    def of_mixture(self, log_probs: Sequence[Tensor], log_mix: Tensor, order: Tensor | None = None) -> Tables:
        """Tables of a mixture of G product laws: log p(state given cluster), ``(D_g, N_g, G)`` each, ``(G,)``.

        Of groups that have states of their own, in a chain of this order.
        """

    def log_smoothness(self, tables: Mapping[str, Tensor], usual: Tensor) -> Tensor:
        """See `ChainPrior.log_smoothness`; full cores have none."""
        return next(iter(tables.values())).new_zeros(())

    def fit(self, value: Tensor, variables: Variables, order: Tensor | None = None) -> "Fitted":
        """What rows ``(n, C)``, NaN = missing, make of component parameters and of tables in this order."""
        if variables.vectors:
            return self._fit_with_vectors(value, variables)
        loc, scale, log_probs, log_mix = self.fit_mixture(value, variables, self.clusters)
        return Fitted(loc, scale, [], self.of_mixture(log_probs, log_mix, order))

    def noise_fit(self, value: Tensor, variables: Variables) -> "Fitted":
        """The papers': components from the rows, each variable by itself, and tables back to noise."""
        loc, scale = fit_leaves(value, variables)
        return Fitted(loc, scale, self._fit_each(value, variables), self.noise())

    def _fit_each(self, value: Tensor, variables: Variables) -> list[Gaussians]:
        """The Gaussians of each vector by themselves."""
        vectors = []
        for v in variables.vectors:
            rows, states = vector_rows(value, variables, v), variables.num_states[v]
            vectors.append(gaussians_of(fit_vector_mixture([rows], states).vectors[0], rows))
        return vectors

    @abstractmethod
    def _fit_with_vectors(self, value: Tensor, variables: Variables) -> "Fitted":
        """`fit` where some variables are vectors."""

    @abstractmethod
    def build(self, tables: Mapping[str, Tensor], variables: Variables, order: Tensor | None) -> ChainLaw:
        """The law at these tables."""


class FullForm(Form):
    """A matrix for every state: ``log_cores (D, N, m, m)``, or ``(S, m, m)`` where numbers of states differ.

    Of a bond with fewer than m states the first rows or columns are read.
    """

    law = TensorRing
    names = ("log_cores",)

    def __init__(
        self, layout: Layout, rank: int, init: Init, local: int, boundary: Boundary, bonds: Bonds | None = None
    ):
        check_choice("boundary", boundary, ("ring", "train"))
        super().__init__(layout, rank, init, local, bonds)
        self.boundary = boundary

    def random(self, order: Tensor | None = None) -> Tables:
        if self.init == "noise" or self.bonds:
            return super().random(order)
        none = torch.zeros(self.clusters)

        def cores(columns: int, states: int) -> Tensor:
            return starts.near_diagonal_cores(
                starts.random_clusters(columns, states, self.clusters), none, self.local, self.length
            )

        return self._stored(self.by_group(cores))

    def noise(self) -> Tables:
        return self._stored(self.by_group(starts.noise_cores, self.rank))

    def of_mixture(self, log_probs: Sequence[Tensor], log_mix: Tensor, order: Tensor | None = None) -> Tables:
        if self.bonds is None:
            return self._stored(
                [starts.near_diagonal_cores(part, log_mix, self.local, self.length) for part in log_probs]
            )
        return self._stored(starts.folded_cores(log_probs, log_mix, self.layout, order, self.bonds))

    def _fit_with_vectors(self, value: Tensor, variables: Variables) -> "Fitted":
        """The Gaussians of each vector by themselves, then what clusters of rows have of them."""
        vectors = self._fit_each(value, variables)
        bound = variables.bind(variables.loc, variables.scale, vectors)
        loc, scale, log_probs, log_mix = self.fit_mixture(value, bound, self.clusters)
        return Fitted(loc, scale, vectors, self.of_mixture(log_probs, log_mix))

    def build(self, tables: Mapping[str, Tensor], variables: Variables, order: Tensor | None) -> TensorRing:
        groups = self.groups(tables["log_cores"])
        if self.bonds:
            return TensorRing(self.bonds.present(groups, self.layout, order), variables, self.boundary, order)
        cores = groups[0] if len(groups) == 1 else Cores(groups, self.layout)
        return TensorRing(cores, variables, self.boundary, order)

    def groups(self, log_cores: Tensor) -> list[Tensor]:
        """Views of the cores of all variables with as many states as each other, ``(D_g, N_g, m, m)`` each."""
        return [log_cores] if len(self.layout.groups) == 1 else self.layout.split(log_cores, 0)

    def _stored(self, groups: list[Tensor]) -> Tables:
        """Groups of cores as they are kept."""
        return {"log_cores": groups[0] if len(groups) == 1 else Cores(groups, self.layout).flat()}


class FactoredForm(Form):
    """Logits of the first bond ``(m,)``, of emissions ``(S, m)``, group by group, and transitions ``(D - 1, m, m)``.

    Of a bond with fewer than m states the others have probability zero.
    """

    law = FactoredTrain
    every = ("initial_logits", "emission_logits", "transition_logits")
    boundary: Boundary = "train"
    fitting = Fitting(lr=0.05, betas=(0.9, 0.99), epochs=1000, plateau=True, pseudo=0.2)
    fit_mixture = staticmethod(stepwise_mixture)

    def __init__(self, layout: Layout, rank: int, init: Init, local: int, bonds: Bonds | None = None):
        super().__init__(layout, rank, init, local, bonds)
        there = {"initial_logits": True, "emission_logits": bool(self.tabled), "transition_logits": self.length > 1}
        self.names = tuple(name for name in self.every if there[name])

    def all_of(self, tables: Mapping[str, Tensor]) -> tuple[Tensor, Tensor, Tensor]:
        """Initial, emissions and transitions, at least 32 bits wide; of what there is nothing of, none."""
        initial = full_precision(tables["initial_logits"])
        empty = initial.new_zeros(0, self.rank), initial.new_zeros(0, self.rank, self.rank)
        given = (tables.get(name) for name in self.every[1:])
        emissions, transitions = (e if x is None else full_precision(x) for x, e in zip(given, empty, strict=True))
        if self.bonds:
            return self.bonds.closed(initial, 0), emissions, self.bonds.closed(transitions, 1)
        return initial, emissions, transitions

    def noise(self) -> Tables:
        emissions = self.by_group(torch.randn, self.rank)
        return self._stored(torch.zeros(self.rank), emissions, torch.randn(self.length - 1, self.rank, self.rank))

    def of_mixture(self, log_probs: Sequence[Tensor], log_mix: Tensor, order: Tensor | None = None) -> Tables:
        if self.bonds:
            return self._stored(*starts.folded_tables(log_probs, log_mix, self.layout, order, self.bonds))
        leak = starts.LEAK / self.length if len(self.layout.bonds) > 1 else starts.SHUT
        return self._stored(*starts.sticky_tables(log_probs, log_mix, self.local, self.length, leak))

    def _fit_with_vectors(self, value: Tensor, variables: Variables) -> "Fitted":
        """A mixture whose clusters have a Gaussian of each vector, which all their states share at first."""
        rows = [vector_rows(value, variables, v) for v in variables.vectors]
        others = variables.apart(v for v in range(len(variables)) if v not in variables.vectors)
        columns = [variables.columns_of[v][0] for v in range(len(variables)) if v not in variables.vectors]
        given = value[:, columns] if columns else None
        fit = fit_vector_mixture(rows, self.clusters, given, others, emphasis=self.emphasis)
        vectors = []
        for parameters, of_vector in zip(fit.vectors, rows, strict=True):
            repeated = tuple(x.repeat_interleave(self.local, 0) for x in parameters)
            vectors.append(gaussians_of(repeated, of_vector))
        log_probs = [] if fit.others is None else fit.others.log_probs
        loc, scale = (None, None) if fit.others is None else fit.others[:2]
        return Fitted(loc, scale, vectors, self.of_mixture(log_probs, fit.log_mix))

    def build(self, tables: Mapping[str, Tensor], variables: Variables, order: Tensor | None) -> FactoredTrain:
        initial, emissions, transitions = self.all_of(tables)
        parts = self.split(emissions)
        if self.bonds:
            parts = self.bonds.emitting(parts, self.layout, order)
        groups = self.layout.with_bonds(part.softmax(1) for part in parts)
        probs = initial.softmax(0), transitions.softmax(-1)
        law = FactoredTrain(probs[0], Emissions(groups, self.layout), probs[1], variables, order)
        dtype = tables["initial_logits"].dtype
        law._chain.dtype = dtype  # of draws, as the parameters; probabilities have at least 32 bits
        return law

    def split(self, emissions: Tensor) -> list[Tensor]:
        """Views of the emissions of each group that has them: ``(S, *) -> (D_g, N_g, *)``"""
        shapes = [(len(columns), states) for states, columns in self.tabled]
        parts = emissions.split([count * states for count, states in shapes]) if shapes else ()
        return [part.unflatten(0, shape) for part, shape in zip(parts, shapes, strict=True)]

    def log_smoothness(self, tables: Mapping[str, Tensor], usual: Tensor) -> Tensor:
        initial, emissions, transitions = self.all_of(tables)
        if self.bonds:
            smooth = self.bonds.mean_logs(initial, transitions)
        else:
            smooth = initial.log_softmax(0).mean() + transitions.log_softmax(-1).mean(-1).sum()
        groups = zip(self.layout.split(usual), self.layout.group_keys, strict=True)
        often = [group for group, (_, bond) in groups if not bond]
        for part, usual_of in zip(self.split(emissions), often, strict=True):
            smooth = smooth + (part.log_softmax(1).sum(-1) * usual_of).sum()
        return smooth

    def _stored(self, initial: Tensor, emissions: list[Tensor], transitions: Tensor) -> Tables:
        rows = [initial.new_zeros(0, self.rank), *(part.flatten(0, 1) for part in emissions)]
        tables: Tables = dict(zip(self.every, (initial, torch.cat(rows), transitions), strict=True))
        return {name: tables[name] for name in self.names}


def form_of(
    cores: CoreForm, boundary: Boundary | None, variables: Variables, rank: Rank, init: Init, local: int | None
) -> Form:
    """The form of a name.

    Raises:
        ValueError: an unknown form, boundary or init, a ring of factored cores, local not a divisor of the rank, ranks
            that are not one for each bond or stand beside vectors or `local`.
    """
    boundary = check_boundary(boundary, cores)
    bonds = bonds_of(rank, local, len(variables), boundary, cores, vectors=bool(variables.vectors))
    local = 1 if bonds else local_of(local, widest(rank), cores, init)
    if cores == "full":
        return FullForm(layout_of(variables.num_states), widest(rank), init, local, boundary, bonds)
    return FactoredForm(layout_of(variables.num_states, variables.vectors), widest(rank), init, local, bonds)


def check_boundary(boundary: Boundary | None, cores: CoreForm) -> Boundary:
    """How a chain closes: None is the ring of full cores, the train of factored ones.

    Raises:
        ValueError: an unknown form or boundary, a ring of factored cores.
    """
    check_choice("cores", cores, ("full", "factored"))
    boundary = boundary or ("ring" if cores == "full" else "train")
    check_choice("boundary", boundary, ("ring", "train"))
    if (cores, boundary) == ("factored", "ring"):
        raise ValueError("boundary: expected 'train' with cores='factored' (a ring has cores='full'), got 'ring'")
    return boundary
