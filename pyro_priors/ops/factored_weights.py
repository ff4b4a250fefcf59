"""From log-weights and emissions to one weight for each bond state of a variable, and the way back.

A variable of a factored chain is its bond's weight ``W[i] = sum_s exp(log_weights[s]) e[s, i]``. Each state's largest
emission is folded into its log-weight and the variable shifted by its largest state, so that all numbers are at most
one, the largest is one, and linear space is as exact as log space.

Further letters in the shape comments of the factored chain: i and j bond states, m of them.
"""

from collections.abc import Sequence
from typing import Any, NamedTuple

import torch
from torch import Tensor

from pyro_priors.ops.layout import Layout, inverse, rows_last, take
from pyro_priors.ops.scaling import wide


class Factored(NamedTuple):
    """A chain whose core k for state s is ``diag(emissions[k][s]) @ transitions[j]``, k the variable at position j.

    The last variable has no transition. Probabilities, as a rule; no contraction asks that they sum to one. Variables
    in the layout's `bonds` have the states of their bond: emissions that are the identity, and are not there.
    """

    initial: Tensor  # (m,)
    emissions: Sequence[Tensor | None]  # (D_g, N_g, m) of each group, declared order; None for the identity
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
        """Initial, transitions, then emissions group by group."""
        return [self.initial, self.transitions, *(part for part in self.emissions if part is not None)]

    @classmethod
    def of(cls, tensors: Sequence[Tensor], layout: Layout) -> "Factored":
        """The way back from `tensors`."""
        initial, transitions, *emissions = tensors
        return cls(initial, layout.with_bonds(emissions), transitions, layout)

    def detach(self) -> "Factored":
        """As that of tensors."""
        return Factored.of([x.detach() for x in self.tensors], self.layout)


class Leaves(NamedTuple):
    """Weights and emissions in linear space, each at most one; variables by position, those of a group together."""

    weights: list[Tensor]  # (D_g, N_g, B)
    emissions: list[Tensor | None]  # (D_g, N_g, m): over their largest bond state's; None for the identity
    tops: list[Tensor | None]  # (D_g, N_g): what that was
    log_scale: Tensor  # (B,)
    layout: Layout  # of the chain

    def of_positions(self, groups: Sequence[Tensor | None]) -> list[Any]:
        """One tensor for each variable, as it stands in the chain, from one ``(D_g, *)`` for each group."""
        parts = zip(groups, self.layout.groups, strict=True)
        rows = [row for part, (_, places) in parts for row in ([None] * len(places) if part is None else part.unbind())]
        return [rows[place] for place in inverse(self.layout.grouped)]


def scale_leaves(log_weights: Tensor, chain: Factored, order: tuple[int, ...] | None) -> Leaves:
    """Fold, shift, and leave log space: ``log_weights (B, S)``, declared order."""
    weights, emissions, tops, shifts = [], [], [], []
    parts = chain.layout.split(rows_last(log_weights), 0)
    # A state that no bond emits keeps the gradient of its emissions, which is not zero.
    least = torch.finfo(chain.initial.dtype).tiny ** 0.8
    for part, linear, columns in zip(parts, chain.emissions, chain.layout.members(order), strict=True):
        part, top = take(part, columns, 0), None  # (D_g, N_g, B)
        if linear is not None:
            linear = take(linear, columns, 0)
            top = linear.detach().amax(-1).clamp(min=least)  # (D_g, N_g)
            part, linear = part + top.log().unsqueeze(-1), linear / top.unsqueeze(-1)
        shift = part.detach().amax(1, keepdim=True)
        shift = shift.masked_fill(shift == -torch.inf, 0.0)  # contradictory evidence: Z = 0 rather than NaN
        weights.append((part - shift).exp_())
        emissions.append(linear)
        tops.append(top)
        shifts.append(shift[:, 0])
    shift = shifts[0] if len(shifts) == 1 else torch.cat(shifts)
    return Leaves(weights, emissions, tops, wide(shift).sum(0), chain.layout.ordered(order))


def bond_weights(leaves: Leaves) -> Tensor:
    """The weights of all bond states, by position: ``(D, m, B)``."""
    of_groups = zip(leaves.weights, leaves.emissions, strict=True)
    return by_position([w if e is None else torch.bmm(e.mT, w) for w, e in of_groups], leaves.layout)


def leaf_usage(leaves: Leaves, reached: Tensor) -> tuple[list[Tensor], Tensor]:
    """Posteriors of the states, from the gradient of log Z with respect to the bond weights.

    They are normalised afresh, so that nothing drifts along the chain.

    Shapes:
        ``reached (D, m, B)`` by position -> ``(D_g, N_g, B)`` each, and by position what made each variable's sum
        one: ``(D, B)``
    """
    posteriors, norms = [], []
    for weights, emissions, (_, places) in zip(leaves.weights, leaves.emissions, leaves.layout.groups, strict=True):
        used = take(reached, places, 0)
        posterior = used * weights if emissions is None else torch.bmm(emissions, used).mul_(weights)
        total = posterior.sum(1)
        norm = torch.where(total > 0, total.reciprocal(), 0.0)  # 0 where the evidence is contradictory
        posteriors.append(posterior.mul_(norm.unsqueeze(1)))
        norms.append(norm)
    return posteriors, by_position(norms, leaves.layout)


def emission_usage(leaves: Leaves, reached: Tensor, factor: Tensor) -> list[Tensor | None]:
    """Gradients of ``factor @ log Z`` with respect to the emissions: factors ``(D, B)`` -> ``(D_g, N_g, m)`` each."""
    result: list[Tensor | None] = []
    for weights, top, (_, places) in zip(leaves.weights, leaves.tops, leaves.layout.groups, strict=True):
        if top is None:
            result.append(None)
            continue
        used = torch.bmm(weights * take(factor, places, 0).unsqueeze(1), take(reached, places, 0).mT)
        result.append(used / top.unsqueeze(-1))
    return result


def by_position(groups: list[Tensor], layout: Layout) -> Tensor:
    """``(D_g, *)`` of every group -> ``(D, *)``"""
    return groups[0] if len(groups) == 1 else take(torch.cat(groups), inverse(layout.grouped), 0)
