"""A chain whose cores are declared in the order of the columns and contracted in another."""

from collections.abc import Sequence
from typing import Literal

import torch
from torch import Tensor

from pyro_priors import ops
from pyro_priors.checks import check_choice, check_permutation

Boundary = Literal["ring", "train"]


class OrderedChain:
    """The contractions of `pyro_priors.ops` for evidence of any batch shape, columns in declared order.

    Results are at least 32 bits wide, whatever the autocast mode.

    Args:
        log_cores: ``(D, N, m, m)``, declared order.
        columns: what D must be.
        states: what N must be at least.
        boundary: ``"ring"`` closes with the trace, ``"train"`` with vectors of ones.
        order: ``order[j]`` is the column at position j, None for the declared order.

    Raises:
        ValueError: another shape, an unknown boundary, an order that is no permutation.
    """

    def __init__(
        self, log_cores: Tensor, columns: int, states: int, boundary: Boundary, order: Sequence[int] | Tensor | None
    ):
        check_choice("boundary", boundary, ("ring", "train"))
        if not isinstance(log_cores, Tensor) or not log_cores.is_floating_point():
            got = log_cores.dtype if isinstance(log_cores, Tensor) else type(log_cores).__name__
            raise ValueError(f"log_cores: expected a tensor of floats, got {got}")
        shape = tuple(log_cores.shape)
        if len(shape) != 4 or shape[0] != columns or shape[1] < states or shape[2] != shape[3] or shape[3] < 1:
            raise ValueError(f"log_cores: expected shape ({columns}, {states}, m, m) with m >= 1, got {shape}")
        self.log_cores, self.ring = log_cores, boundary == "ring"
        self.order = None
        if order is not None and (order := check_permutation("order", order, columns)) != tuple(range(columns)):
            self.order = torch.tensor(order, device=log_cores.device)

    def contract(self, evidence: Tensor) -> Tensor:
        """Log of the closed chain: ``(*, D, N) -> (*)``"""
        return ops.log_contract(*self._rows(evidence), self.ring, self.order).reshape(evidence.shape[:-2])

    def contract_both(self, evidence: Tensor, other: Tensor) -> tuple[Tensor, Tensor]:
        """`contract` of both in one walk: rows cost little beside the steps that follow each other."""
        (rows, cores), (more, _) = self._rows(evidence), self._rows(other)
        result = ops.log_contract(torch.cat([rows, more.to(rows)]), cores.to(rows), self.ring, self.order)
        first, second = result.split([len(rows), len(more)])
        return first.reshape(evidence.shape[:-2]), second.reshape(other.shape[:-2])

    def posterior(self, evidence: Tensor) -> Tensor:
        """Probabilities of the states: ``(*, D, N) -> (*, D, N)``"""
        return ops.state_posterior(*self._rows(evidence), self.ring, self.order).reshape(evidence.shape)

    def sample(self, evidence: Tensor, shape: Sequence[int]) -> Tensor:
        """Joint draws of the states: ``(*, D, N) -> (*shape, D)`` where ``shape`` ends in ``*``, up to broadcasting"""
        rows, cores = self._rows(evidence)
        index = torch.arange(len(rows), device=rows.device).reshape(evidence.shape[:-2]).expand(shape).reshape(-1)
        return ops.sample_states(rows, cores, self.ring, index, self.order).reshape(*shape, evidence.shape[-2])

    def pathwise(self, draws: Tensor, visible: list[bool], loc: Tensor, scale: Tensor, evidence: Tensor) -> Tensor:
        """``draws (*shape, D)`` with gradients to ``loc, scale (D, N)``, cores and ``evidence (*, D, N)``."""
        shape = draws.shape
        if evidence.dim() > 2:
            evidence = evidence.expand(*shape[:-1], *evidence.shape[-2:])
        rows, cores = self._rows(evidence)
        draws = draws.reshape(-1, shape[-1])
        return ops.pathwise(draws, visible, loc, scale, rows, cores, self.ring, self.order).reshape(shape)

    def _rows(self, evidence: Tensor) -> tuple[Tensor, Tensor]:
        """Rows of evidence ``(B, D, N)`` and cores, of one dtype."""
        dtype = torch.promote_types(torch.promote_types(evidence.dtype, self.log_cores.dtype), torch.float32)
        return evidence.reshape(-1, *evidence.shape[-2:]).to(dtype), self.log_cores.to(dtype)
