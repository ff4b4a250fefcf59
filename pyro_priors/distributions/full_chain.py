"""The chain of full cores: a matrix for every state of every variable, closed as a ring or a train."""

from collections.abc import Sequence
from typing import Literal

import torch
from torch import Tensor

from pyro_priors import ops
from pyro_priors.checks import check_choice
from pyro_priors.distributions.ordered_chain import OrderedChain
from pyro_priors.ops import Cores, Leaf
from pyro_priors.ops.layout import layout_of

Boundary = Literal["ring", "train"]


class FullChain(OrderedChain):
    """Contractions of ``Q_k[s] = exp(log_cores[k, s])``.

    Args:
        log_cores: ``(D, N, m, m)``, of which a variable uses what it has states for, or D tensors
            ``(N_k, m_k, m_(k+1))``, declared order; bonds count along the chain.
        sizes: how many states each variable has.
        boundary: ``"ring"`` closes with the trace, ``"train"`` with vectors of ones.
        order: ``order[j]`` is the column at position j, None for the declared order.

    Raises:
        ValueError: another shape, bonds that do not meet, an unknown boundary, an order that is no permutation.
    """

    def __init__(
        self,
        log_cores: Tensor | Sequence[Tensor],
        sizes: tuple[int, ...],
        boundary: Boundary,
        order: Sequence[int] | Tensor | None,
    ):
        check_choice("boundary", boundary, ("ring", "train"))
        super().__init__(layout_of(sizes), order)
        self.ring = boundary == "ring"
        self.cores = cores_of(log_cores, sizes, self.ring, self.order)
        self.rank, self.dtype, self.device = self.cores.rank, self.cores.dtype, self.cores.device
        self.width = log_cores.shape[1] if isinstance(log_cores, Tensor) else max(sizes)

    @property
    def learns(self) -> bool:
        return self.cores.requires_grad

    def _log_contract(self, rows: Tensor) -> Tensor:
        return ops.log_contract(rows, self.cores.to(rows.dtype), self.ring, self.order)

    def _posterior(self, rows: Tensor) -> Tensor:
        return ops.state_posterior(rows, self.cores.to(rows.dtype), self.ring, self.order)

    def _sample(self, rows: Tensor, index: Tensor) -> Tensor:
        return ops.sample_states(rows, self.cores.to(rows.dtype), self.ring, index, self.order)

    def _pathwise(
        self, draws: Sequence[Tensor | None], leaves: Sequence[Leaf | None], rows: Tensor
    ) -> list[Tensor | None]:
        return ops.pathwise(draws, leaves, rows, self.cores.to(rows.dtype), self.ring, self.order)


def cores_of(
    log_cores: Tensor | Sequence[Tensor], sizes: tuple[int, ...], ring: bool, order: tuple[int, ...] | None
) -> Cores:
    """The cores of variables with so many states each; `ValueError` where shapes or dtypes do not fit."""
    if isinstance(log_cores, Cores) and log_cores.layout.sizes == sizes:
        return log_cores
    if isinstance(log_cores, Sequence) and all(isinstance(core, Tensor) for core in log_cores):
        return _from_each(list(log_cores), sizes, ring, order)
    if not isinstance(log_cores, Tensor) or not log_cores.is_floating_point():
        got = log_cores.dtype if isinstance(log_cores, Tensor) else type(log_cores).__name__
        raise ValueError(f"log_cores: expected a tensor of floats, got {got}")
    shape, columns, states = tuple(log_cores.shape), len(sizes), max(sizes)
    if len(shape) != 4 or shape[0] != columns or shape[1] < states or shape[2] != shape[3] or shape[3] < 1:
        raise ValueError(f"log_cores: expected shape ({columns}, {states}, m, m) with m >= 1, got {shape}")
    return Cores.from_padded(log_cores, sizes)


def _from_each(log_cores: list[Tensor], sizes: tuple[int, ...], ring: bool, order: tuple[int, ...] | None) -> Cores:
    if len(log_cores) != len(sizes):
        raise ValueError(f"log_cores: expected {len(sizes)} tensors, one for each variable, got {len(log_cores)}")
    first = log_cores[0]
    for column, (core, states) in enumerate(zip(log_cores, sizes, strict=True)):
        if not core.is_floating_point() or core.dtype != first.dtype:
            raise ValueError(f"log_cores[{column}]: expected floats of one dtype, got {core.dtype}")
        if core.dim() != 3 or len(core) != states or 0 in core.shape:
            shape = tuple(core.shape)
            raise ValueError(f"log_cores[{column}]: expected shape ({states}, m, n) with m, n >= 1, got {shape}")
    chain = range(len(sizes)) if order is None else order
    following = [*chain[1:], chain[0]] if ring else chain[1:]
    for left, right in zip(chain, following, strict=False):
        if log_cores[left].shape[2] != log_cores[right].shape[1]:
            raise ValueError(
                f"log_cores[{right}]: expected {log_cores[left].shape[2]} rows, as many as log_cores[{left}], which "
                f"stands before it in the chain, has columns, got {log_cores[right].shape[1]}"
            )
    rank = max(size for core in log_cores for size in core.shape[1:])
    return Cores.from_each([_widened(core, rank) for core in log_cores])


def _widened(core: Tensor, rank: int) -> Tensor:
    """Bond states that are not there have no weight: ``(N, m, n) -> (N, rank, rank)``"""
    missing = (0, rank - core.shape[2], 0, rank - core.shape[1])
    return torch.nn.functional.pad(core, missing, value=-torch.inf) if any(missing) else core
