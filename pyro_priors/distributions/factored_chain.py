"""The chain of factored cores: a hidden Markov model with tables of its own at every place."""

from collections.abc import Sequence
from typing import Any

import torch
from torch import Tensor

from pyro_priors import ops
from pyro_priors.distributions.ordered_chain import OrderedChain
from pyro_priors.ops import Cores, Factored, Leaf, full_precision, wide
from pyro_priors.ops.layout import Layout, layout_of


class FactoredChain(OrderedChain):
    """Contractions of ``Q_k[s] = diag(emissions[k, s]) transitions[k]``.

    Args:
        initial: ``(m,)``.
        emissions: ``(D, N, m)``, of which a variable uses what it has states for, or D tensors ``(N_k, m)``, declared
            order; None for a variable whose states are those of the bond.
        transitions: ``(D - 1, m, m)``, from each position of the chain to the next.
        sizes: how many states each variable has.
        order: ``order[j]`` is the column at position j, None for the declared order.

    Raises:
        ValueError: another shape or dtype, an order that is no permutation.
    """

    def __init__(
        self,
        initial: Tensor,
        emissions: "Tensor | Sequence[Tensor | None] | Emissions",
        transitions: Tensor,
        sizes: tuple[int, ...],
        order: Sequence[int] | Tensor | None,
    ):
        super().__init__(emissions.layout if isinstance(emissions, Emissions) else _layout(emissions, sizes), order)
        for name, table, shape in (("initial", initial, "(m,)"), ("transitions", transitions, "(D - 1, m, m)")):
            if not isinstance(table, Tensor) or not table.is_floating_point():
                got = table.dtype if isinstance(table, Tensor) else type(table).__name__
                raise ValueError(f"{name}: expected a tensor of floats of shape {shape}, got {got}")
        if initial.dim() != 1 or len(initial) < 1:
            raise ValueError(f"initial: expected shape (m,) with m >= 1, got {tuple(initial.shape)}")
        self.rank, self.dtype, self.device = len(initial), initial.dtype, initial.device
        # Sums of probabilities of 16 bits are off by a hundredth, and a chain multiplies them.
        self.normalised = full_precision(initial).dtype == initial.dtype
        expected = (len(sizes) - 1, self.rank, self.rank)
        if transitions.shape != expected or transitions.dtype != initial.dtype:
            got = f"{tuple(transitions.shape)}, {transitions.dtype}"
            raise ValueError(f"transitions: expected shape {expected} and {initial.dtype}, got {got}")
        groups = emissions_of(emissions, self.layout, initial)
        self.factored = Factored(initial, groups, transitions, self.layout)
        self.width = emissions.shape[1] if isinstance(emissions, Tensor) else max(sizes)

    @property
    def learns(self) -> bool:
        return self.factored.requires_grad

    def posterior(self, evidence: Tensor) -> Tensor:
        return super().posterior(evidence).to(self._dtype_of(evidence))

    def _rows(self, evidence: Tensor) -> Tensor:
        """In double precision where tables hold zeros.

        A state that single precision loses beside one that cannot follow would be lost for good.
        """
        rows = super()._rows(evidence)
        return wide(rows) if self.excludes else rows

    def _log_contract(self, rows: Tensor) -> Tensor:
        return ops.log_contract_factored(rows, self._of(rows), self.order)

    def _posterior(self, rows: Tensor) -> Tensor:
        return ops.state_posterior_factored(rows, self._of(rows), self.order)

    def _sample(self, rows: Tensor, index: Tensor) -> Tensor:
        return ops.sample_states_factored(rows, self._of(rows), index, self.order)

    def _pathwise(
        self, draws: Sequence[Tensor | None], leaves: Sequence[Leaf | None], rows: Tensor
    ) -> list[Tensor | None]:
        return ops.pathwise_factored(draws, leaves, rows, self._of(rows), self.order)

    def _of(self, rows: Tensor) -> Factored:
        """The tables in the dtype of the rows."""
        return Factored.of([table.to(rows.dtype) for table in self.factored.tensors], self.factored.layout)


class Emissions(Sequence[Tensor | None]):
    """Those of D variables, ``(N_k, m)`` each or None, kept group by group as a layout has them, ``(D_g, N_g, m)``."""

    def __init__(self, groups: Sequence[Tensor | None], layout: Layout):
        self.groups, self.layout = tuple(groups), layout

    def __len__(self) -> int:
        return len(self.layout.sizes)

    def __getitem__(self, variable):  # pyright: ignore[reportIncompatibleMethodOverride] (no slices)
        for group, (_, members) in zip(self.groups, self.layout.groups, strict=True):
            if variable in members:
                return None if group is None else group[members.index(variable)]
        raise IndexError(variable)


def _layout(emissions: Any, sizes: tuple[int, ...]) -> Layout:
    """That of variables with so many states each, of which some have None for emissions."""
    each = emissions if isinstance(emissions, Sequence) and not isinstance(emissions, Cores) else ()
    return layout_of(sizes, tuple(k for k, table in enumerate(each) if table is None))


def emissions_of(emissions: Any, layout: Layout, initial: Tensor) -> Sequence[Tensor | None]:
    """The emissions of variables, group by group; `ValueError` where shapes or dtypes do not fit."""
    rank, dtype, sizes = len(initial), initial.dtype, layout.sizes
    for column in layout.bonds:
        if sizes[column] != rank:
            raise ValueError(
                f"emissions[{column}]: expected a table, or as many states as the bond, {rank}, got {sizes[column]}"
            )
    if isinstance(emissions, Emissions):
        return emissions.groups
    if isinstance(emissions, Cores) and emissions.layout.sizes == sizes and emissions.rank == rank:
        if emissions.dtype != dtype:
            raise ValueError(f"emissions: expected {dtype}, got {emissions.dtype}")
        return emissions.groups
    if isinstance(emissions, Tensor):
        shape, columns, states = tuple(emissions.shape), len(sizes), max(sizes)
        fits = len(shape) == 3 and shape[0] == columns and shape[1] >= states and shape[2] == rank
        if not fits or emissions.dtype != dtype:
            raise ValueError(
                f"emissions: expected shape ({columns}, {states}, {rank}) and {dtype}, got {shape}, {emissions.dtype}"
            )
        return Cores.from_padded(emissions, sizes).groups
    if not isinstance(emissions, Sequence) or not all(isinstance(table, Tensor | None) for table in emissions):
        raise ValueError(f"emissions: expected a tensor or a sequence of them, got {type(emissions).__name__}")
    if len(emissions) != len(sizes):
        raise ValueError(f"emissions: expected {len(sizes)} tensors, one for each variable, got {len(emissions)}")
    for column, (table, states) in enumerate(zip(emissions, sizes, strict=True)):
        if table is None:
            continue
        if table.shape != (states, rank) or table.dtype != dtype:
            got = f"{tuple(table.shape)}, {table.dtype}"
            raise ValueError(f"emissions[{column}]: expected shape ({states}, {rank}) and {dtype}, got {got}")
    each: list[Any] = list(emissions)
    of_groups = zip(layout.group_keys, layout.groups, strict=True)
    return [None if bond else torch.stack([each[k] for k in members]) for (_, bond), (_, members) in of_groups]
