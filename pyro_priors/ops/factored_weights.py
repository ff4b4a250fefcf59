"""From log-weights and emissions to one weight for each bond state of a variable, and the way back.

A variable of a factored chain is its bond's weight ``W[i] = sum_s exp(log_weights[s]) e[s, i]``. Each state's largest
emission is folded into its log-weight and the variable shifted by its largest state, so that all numbers are at most
one, the largest is one, and linear space is as exact as log space.

Further letters in the shape comments of the factored chain: i and j bond states, m of them.
"""

from collections.abc import Sequence
from typing import NamedTuple

import torch
from torch import Tensor

from pyro_priors.ops.layout import Layout, inverse, rows_last, take
from pyro_priors.ops.scaling import wide


class Factored(NamedTuple):
    """A chain whose core k for state s is ``diag(emissions[k][s]) @ transitions[j]``, k the variable at position j.

    The last variable has no transition. Probabilities, as a rule; no contraction asks that they sum to one.
    """

    initial: Tensor  # (m,)
    emissions: Sequence[Tensor]  # (D_g, N_g, m) of each group, declared order
    transitions: Tensor  # (D - 1, m, m), by position: from position j to j + 1
    layout: Layout

    @property
    def dtype(self) -> torch.dtype:
        return self.initial.dtype

    @property
    def device(self) -> torch.device:
        return self.initial.device

    @property
    def requires_grad(self) -> bool:
        return any(x.requires_grad for x in self.tensors)

    @property
    def tensors(self) -> list[Tensor]:
        """All of them: initial, transitions, emissions group by group."""
        return [self.initial, self.transitions, *self.emissions]

    @classmethod
    def of(cls, tensors: Sequence[Tensor], layout: Layout) -> "Factored":
        """The way back from `tensors`."""
        initial, transitions, *emissions = tensors
        return cls(initial, emissions, transitions, layout)

    def detach(self) -> "Factored":
        """As that of tensors."""
        return Factored.of([x.detach() for x in self.tensors], self.layout)


class Leaves(NamedTuple):
    """Weights and emissions in linear space, each at most one; variables by position, those of a group together."""

    weights: list[Tensor]  # (D_g, N_g, B)
    emissions: list[Tensor]  # (D_g, N_g, m): over their largest bond state's
    tops: list[Tensor]  # (D_g, N_g): what that was
    log_scale: Tensor  # (B,)
    layout: Layout  # of the chain

    def of_positions(self, groups: Sequence[Tensor]) -> list[Tensor]:
        """One tensor for each variable, as it stands in the chain, from one ``(D_g, *)`` for each group."""
        rows = [row for group in groups for row in group.unbind()]
        return [rows[place] for place in inverse(self.layout.grouped)]


def scale_leaves(log_weights: Tensor, chain: Factored, order: tuple[int, ...] | None) -> Leaves:
    """Fold, shift, and leave log space: ``log_weights (B, S)``, declared order."""
    weights, emissions, tops, shifts = [], [], [], []
    parts = chain.layout.split(rows_last(log_weights), 0)
    # A state that no bond emits keeps the gradient of its emissions, which is not zero.
    least = torch.finfo(chain.initial.dtype).tiny ** 0.8
    for part, linear, columns in zip(parts, chain.emissions, chain.layout.members(order), strict=True):
        linear = take(linear, columns, 0)
        top = linear.detach().amax(-1).clamp(min=least)  # (D_g, N_g)
        part = take(part, columns, 0) + top.log().unsqueeze(-1)  # (D_g, N_g, B)
        shift = part.detach().amax(1, keepdim=True)
        shift = shift.masked_fill(shift == -torch.inf, 0.0)  # contradictory evidence: Z = 0 rather than NaN
        weights.append((part - shift).exp_())
        emissions.append(linear / top.unsqueeze(-1))
        tops.append(top)
        shifts.append(shift[:, 0])
    shift = shifts[0] if len(shifts) == 1 else torch.cat(shifts)
    return Leaves(weights, emissions, tops, wide(shift).sum(0), chain.layout.ordered(order))


def bond_weights(leaves: Leaves) -> Tensor:
    """The weights of all bond states, by position: ``(D, m, B)``."""
    parts = [torch.bmm(e.mT, w) for w, e in zip(leaves.weights, leaves.emissions, strict=True)]
    return by_position(parts, leaves.layout)


def leaf_usage(leaves: Leaves, reached: Tensor) -> tuple[list[Tensor], Tensor]:
    """Posteriors of the states, from the gradient of log Z with respect to the bond weights.

    They are normalised afresh, so that nothing drifts along the chain.

    Shapes:
        ``reached (D, m, B)`` by position -> ``(D_g, N_g, B)`` each, and by position what made each variable's sum
        one: ``(D, B)``
    """
    posteriors, norms = [], []
    for weights, emissions, (_, places) in zip(leaves.weights, leaves.emissions, leaves.layout.groups, strict=True):
        posterior = torch.bmm(emissions, take(reached, places, 0)).mul_(weights)
        total = posterior.sum(1)
        norm = torch.where(total > 0, total.reciprocal(), 0.0)  # 0 where the evidence is contradictory
        posteriors.append(posterior.mul_(norm.unsqueeze(1)))
        norms.append(norm)
    return posteriors, by_position(norms, leaves.layout)


def emission_usage(leaves: Leaves, reached: Tensor, factor: Tensor) -> list[Tensor]:
    """Gradients of ``factor @ log Z`` with respect to the emissions: factors ``(D, B)`` -> ``(D_g, N_g, m)`` each."""
    result = []
    for weights, top, (_, places) in zip(leaves.weights, leaves.tops, leaves.layout.groups, strict=True):
        used = torch.bmm(weights * take(factor, places, 0).unsqueeze(1), take(reached, places, 0).mT)
        result.append(used / top.unsqueeze(-1))
    return result


def by_position(groups: list[Tensor], layout: Layout) -> Tensor:
    """``(D_g, *)`` of every group -> ``(D, *)``"""
    return groups[0] if len(groups) == 1 else take(torch.cat(groups), inverse(layout.grouped), 0)
