"""A chain whose variables are declared in one order and contracted in another, whatever its tables are."""

from abc import ABC, abstractmethod
from collections.abc import Sequence

import torch
from torch import Tensor

from pyro_priors.checks import check_permutation
from pyro_priors.ops import Leaf
from pyro_priors.ops.layout import Layout


class OrderedChain(ABC):
    """The contractions of `pyro_priors.ops` for evidence of any batch shape, columns in declared order.

    Evidence has a log-weight for every state of every variable, ``(*, S)``, as `pyro_priors.ops.layout` has them.
    Results are at least 32 bits wide, whatever the autocast mode. A form of the chain says how rows are contracted.

    Args:
        layout: how many states each variable has.
        order: ``order[j]`` is the column at position j, None for the declared order.

    Raises:
        ValueError: an order that is no permutation.
    """

    rank: int
    dtype: torch.dtype
    device: torch.device
    width: int  # how many states tables of all variables have room for
    normalised = False  # whether the chain without evidence sums to one by itself
    excludes = False  # whether tables that hold zeros may make evidence impossible

    def __init__(self, layout: Layout, order: Sequence[int] | Tensor | None):
        self.layout, self.order, length = layout, None, len(layout.sizes)
        if order is not None and (order := check_permutation("order", order, length)) != tuple(range(length)):
            self.order = order

    def contract(self, evidence: Tensor) -> Tensor:
        """Log of the closed chain: ``(*, S) -> (*)``"""
        return self._log_contract(self._rows(evidence)).reshape(evidence.shape[:-1])

    def contract_all(self, several: Sequence[Tensor]) -> list[Tensor]:
        """`contract` of each in one walk: rows cost little beside the steps that follow each other."""
        rows = [self._rows(evidence) for evidence in several]
        together = torch.cat([part.to(rows[0]) for part in rows]) if len(rows) > 1 else rows[0]
        totals = self._log_contract(together).split([len(part) for part in rows])
        return [total.reshape(evidence.shape[:-1]) for total, evidence in zip(totals, several, strict=True)]

    def posterior(self, evidence: Tensor) -> Tensor:
        """Probabilities of the states: ``(*, S) -> (*, S)``"""
        return self._posterior(self._rows(evidence)).reshape(evidence.shape)

    def sample(self, evidence: Tensor, shape: Sequence[int]) -> Tensor:
        """Joint draws of the states: ``(*, S) -> (*shape, D)`` where ``shape`` ends in ``*``, up to broadcasting"""
        rows = self._rows(evidence)
        index = torch.arange(len(rows), device=rows.device).reshape(evidence.shape[:-1]).expand(shape).reshape(-1)
        return self._sample(rows, index).reshape(*shape, len(self.layout.sizes))

    def pathwise(
        self,
        draws: Sequence[Tensor | None],
        leaves: Sequence[Leaf | None],
        evidence: Tensor,
        shape: Sequence[int],
    ) -> list[Tensor | None]:
        """Draws of each variable, ``(*shape)`` or ``(*shape, k)``, with gradients to leaves, tables and evidence."""
        if evidence.dim() > 1:
            evidence = evidence.expand(*shape, evidence.shape[-1])
        flat = [None if draw is None else draw.reshape(-1, *draw.shape[len(shape) :]) for draw in draws]
        moved = self._pathwise(flat, leaves, self._rows(evidence))
        pairs = zip(moved, draws, strict=True)
        return [None if part is None or draw is None else part.reshape(draw.shape) for part, draw in pairs]

    def _rows(self, evidence: Tensor) -> Tensor:
        """Rows of evidence ``(B, S)``, at least as wide as the tables."""
        return evidence.reshape(-1, evidence.shape[-1]).to(self._dtype_of(evidence))

    def _dtype_of(self, evidence: Tensor) -> torch.dtype:
        return torch.promote_types(torch.promote_types(evidence.dtype, self.dtype), torch.float32)

    # ---- what a form of the chain brings along

    @property
    @abstractmethod
    def learns(self) -> bool:
        """Whether its tables have gradients."""

    @abstractmethod
    def _log_contract(self, rows: Tensor) -> Tensor:
        """``(B, S) -> (B,)``"""

    @abstractmethod
    def _posterior(self, rows: Tensor) -> Tensor:
        """``(B, S) -> (B, S)``"""

    @abstractmethod
    def _sample(self, rows: Tensor, index: Tensor) -> Tensor:
        """States, once for each entry of the index of rows: ``(B, S), (n,) -> (n, D)``"""

    @abstractmethod
    def _pathwise(
        self, draws: Sequence[Tensor | None], leaves: Sequence[Leaf | None], rows: Tensor
    ) -> list[Tensor | None]:
        """``(n,)`` or ``(n, k)`` each, as they come"""
