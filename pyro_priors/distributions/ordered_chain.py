"""A chain whose cores are declared in the order of the columns and contracted in another."""

from collections.abc import Sequence
from typing import Literal

import torch
from torch import Tensor

from pyro_priors import ops
from pyro_priors.checks import check_choice, check_permutation
from pyro_priors.ops import Cores

Boundary = Literal["ring", "train"]


class OrderedChain:
    """The contractions of `pyro_priors.ops` for evidence of any batch shape, columns in declared order.

    Evidence has a log-weight for every state of every variable, ``(*, S)``, as `pyro_priors.ops.layout` has them.
    Results are at least 32 bits wide, whatever the autocast mode.

    Args:
        log_cores: ``(D, N, m, m)``, of which a variable uses what it has states for, or D tensors ``(N_k, m, m)``,
            declared order.
        sizes: how many states each variable has.
        boundary: ``"ring"`` closes with the trace, ``"train"`` with vectors of ones.
        order: ``order[j]`` is the column at position j, None for the declared order.

    Raises:
        ValueError: another shape, an unknown boundary, an order that is no permutation.
    """

    def __init__(
        self,
        log_cores: Tensor | Sequence[Tensor],
        sizes: tuple[int, ...],
        boundary: Boundary,
        order: Sequence[int] | Tensor | None,
    ):
        check_choice("boundary", boundary, ("ring", "train"))
        self.cores, self.ring = cores_of(log_cores, sizes), boundary == "ring"
        self.order = None
        if order is not None and (order := check_permutation("order", order, len(sizes))) != tuple(range(len(sizes))):
            self.order = order

    def contract(self, evidence: Tensor) -> Tensor:
        """Log of the closed chain: ``(*, S) -> (*)``"""
        return ops.log_contract(*self._rows(evidence), self.ring, self.order).reshape(evidence.shape[:-1])

    def contract_both(self, evidence: Tensor, other: Tensor) -> tuple[Tensor, Tensor]:
        """`contract` of both in one walk: rows cost little beside the steps that follow each other."""
        (rows, cores), (more, _) = self._rows(evidence), self._rows(other)
        result = ops.log_contract(torch.cat([rows, more.to(rows)]), cores.to(rows.dtype), self.ring, self.order)
        first, second = result.split([len(rows), len(more)])
        return first.reshape(evidence.shape[:-1]), second.reshape(other.shape[:-1])

    def posterior(self, evidence: Tensor) -> Tensor:
        """Probabilities of the states: ``(*, S) -> (*, S)``"""
        return ops.state_posterior(*self._rows(evidence), self.ring, self.order).reshape(evidence.shape)

    def sample(self, evidence: Tensor, shape: Sequence[int]) -> Tensor:
        """Joint draws of the states: ``(*, S) -> (*shape, D)`` where ``shape`` ends in ``*``, up to broadcasting"""
        rows, cores = self._rows(evidence)
        index = torch.arange(len(rows), device=rows.device).reshape(evidence.shape[:-1]).expand(shape).reshape(-1)
        return ops.sample_states(rows, cores, self.ring, index, self.order).reshape(*shape, len(cores))

    def pathwise(
        self, draws: Tensor, visible: list[bool], loc: Sequence[Tensor], scale: Sequence[Tensor], evidence: Tensor
    ) -> Tensor:
        """``draws (*shape, D)`` with gradients to each ``loc, scale (N_k,)``, cores and ``evidence (*, S)``."""
        shape = draws.shape
        if evidence.dim() > 1:
            evidence = evidence.expand(*shape[:-1], evidence.shape[-1])
        rows, cores = self._rows(evidence)
        draws = draws.reshape(-1, shape[-1])
        return ops.pathwise(draws, visible, loc, scale, rows, cores, self.ring, self.order).reshape(shape)

    def _rows(self, evidence: Tensor) -> tuple[Tensor, Cores]:
        """Rows of evidence ``(B, S)`` and cores, of one dtype."""
        dtype = torch.promote_types(torch.promote_types(evidence.dtype, self.cores.dtype), torch.float32)
        return evidence.reshape(-1, evidence.shape[-1]).to(dtype), self.cores.to(dtype)


def cores_of(log_cores: Tensor | Sequence[Tensor], sizes: tuple[int, ...]) -> Cores:
    """The cores of variables with so many states each; `ValueError` where shapes or dtypes do not fit."""
    if isinstance(log_cores, Cores) and log_cores.layout.sizes == sizes:
        return log_cores
    if isinstance(log_cores, Sequence) and all(isinstance(core, Tensor) for core in log_cores):
        return _from_each(list(log_cores), sizes)
    if not isinstance(log_cores, Tensor) or not log_cores.is_floating_point():
        got = log_cores.dtype if isinstance(log_cores, Tensor) else type(log_cores).__name__
        raise ValueError(f"log_cores: expected a tensor of floats, got {got}")
    shape, columns, states = tuple(log_cores.shape), len(sizes), max(sizes)
    if len(shape) != 4 or shape[0] != columns or shape[1] < states or shape[2] != shape[3] or shape[3] < 1:
        raise ValueError(f"log_cores: expected shape ({columns}, {states}, m, m) with m >= 1, got {shape}")
    return Cores.from_padded(log_cores, sizes)


def _from_each(log_cores: list[Tensor], sizes: tuple[int, ...]) -> Cores:
    if len(log_cores) != len(sizes):
        raise ValueError(f"log_cores: expected {len(sizes)} tensors, one for each variable, got {len(log_cores)}")
    first = log_cores[0]
    rank = first.shape[-1] if first.dim() else 0
    for column, (core, states) in enumerate(zip(log_cores, sizes, strict=True)):
        if not core.is_floating_point() or core.dtype != first.dtype:
            raise ValueError(f"log_cores[{column}]: expected floats of one dtype, got {core.dtype}")
        if core.shape != (states, rank, rank) or rank < 1:
            shape = tuple(core.shape)
            raise ValueError(f"log_cores[{column}]: expected shape ({states}, m, m) with m >= 1 of all, got {shape}")
    return Cores.from_each(log_cores)
