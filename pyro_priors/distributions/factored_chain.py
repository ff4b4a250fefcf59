"""The chain of factored cores: a hidden Markov model with tables of its own at every place."""

from collections.abc import Sequence

from torch import Tensor

from pyro_priors import ops
from pyro_priors.distributions.ordered_chain import OrderedChain
from pyro_priors.ops import Cores, Factored, full_precision, wide
from pyro_priors.ops.layout import layout_of


class FactoredChain(OrderedChain):
    """Contractions of ``Q_k[s] = diag(emissions[k, s]) transitions[k]``.

    Args:
        initial: ``(m,)``.
        emissions: ``(D, N, m)``, of which a variable uses what it has states for, or D tensors ``(N_k, m)``, declared
            order.
        transitions: ``(D - 1, m, m)``, from each position of the chain to the next.
        sizes: how many states each variable has.
        order: ``order[j]`` is the column at position j, None for the declared order.

    Raises:
        ValueError: another shape or dtype, an order that is no permutation.
    """

    def __init__(
        self,
        initial: Tensor,
        emissions: Tensor | Sequence[Tensor],
        transitions: Tensor,
        sizes: tuple[int, ...],
        order: Sequence[int] | Tensor | None,
    ):
        super().__init__(layout_of(sizes), order)
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
        tables = emissions_of(emissions, sizes, initial)
        self.factored = Factored(initial, tables.groups, transitions, self.layout)
        self.width = emissions.shape[1] if isinstance(emissions, Tensor) else max(sizes)

    @property
    def learns(self) -> bool:
        initial, emissions, transitions, _ = self.factored
        return any(table.requires_grad for table in (initial, transitions, *emissions))

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
        self, draws: Tensor, visible: list[bool], loc: Sequence[Tensor], scale: Sequence[Tensor], rows: Tensor
    ) -> Tensor:
        return ops.pathwise_factored(draws, visible, loc, scale, rows, self._of(rows), self.order)

    def _of(self, rows: Tensor) -> Factored:
        """The tables in the dtype of the rows."""
        initial, emissions, transitions, layout = self.factored
        kind = rows.dtype
        return Factored(initial.to(kind), tuple(group.to(kind) for group in emissions), transitions.to(kind), layout)


def emissions_of(emissions: Tensor | Sequence[Tensor], sizes: tuple[int, ...], initial: Tensor) -> Cores:
    """The emissions of variables with so many states each; `ValueError` where shapes or dtypes do not fit."""
    rank, dtype = len(initial), initial.dtype
    if isinstance(emissions, Cores) and emissions.layout.sizes == sizes and emissions.rank == rank:
        if emissions.dtype != dtype:
            raise ValueError(f"emissions: expected {dtype}, got {emissions.dtype}")
        return emissions
    if isinstance(emissions, Tensor):
        shape, columns, states = tuple(emissions.shape), len(sizes), max(sizes)
        fits = len(shape) == 3 and shape[0] == columns and shape[1] >= states and shape[2] == rank
        if not fits or emissions.dtype != dtype:
            raise ValueError(
                f"emissions: expected shape ({columns}, {states}, {rank}) and {dtype}, got {shape}, {emissions.dtype}"
            )
        return Cores.from_padded(emissions, sizes)
    if not isinstance(emissions, Sequence) or not all(isinstance(table, Tensor) for table in emissions):
        raise ValueError(f"emissions: expected a tensor or a sequence of them, got {type(emissions).__name__}")
    if len(emissions) != len(sizes):
        raise ValueError(f"emissions: expected {len(sizes)} tensors, one for each variable, got {len(emissions)}")
    for column, (table, states) in enumerate(zip(emissions, sizes, strict=True)):
        if table.shape != (states, rank) or table.dtype != dtype:
            got = f"{tuple(table.shape)}, {table.dtype}"
            raise ValueError(f"emissions[{column}]: expected shape ({states}, {rank}) and {dtype}, got {got}")
    return Cores.from_each(emissions)
