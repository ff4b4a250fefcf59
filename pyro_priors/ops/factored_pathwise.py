"""Pathwise gradients of draws from a factored chain: `ops.implicit` for its form."""

from collections.abc import Sequence

import torch
from torch import Tensor

from pyro_priors.ops.factored_weights import Factored, by_position, scale_leaves
from pyro_priors.ops.implicit import _densities, _implicit
from pyro_priors.ops.layout import inverse, take


def pathwise_factored(
    draws: Tensor,
    visible: list[bool],
    loc: Sequence[Tensor] | Tensor,
    scale: Sequence[Tensor] | Tensor,
    log_weights: Tensor,
    chain: Factored,
    order: tuple[int, ...] | None = None,
) -> Tensor:
    """``draws`` with first-order gradients to loc, scale, weights and chain; their values do not change.

    ``visible[k]`` says which variables were drawn; the others are summed out under their weights.

    Shapes:
        ``draws (n, D)``, ``loc``, ``scale`` ``(N_k,)`` of each variable, weights (of n rows or one) and chain as those
        of `log_contract_factored` -> ``(n, D)``, zero where not visible
    """
    with torch.autocast(chain.initial.device.type, enabled=False):
        leaves = scale_leaves(log_weights.flatten(1), chain, order)
        parts = [torch.bmm(w.mT, e) for w, e in zip(leaves.weights, leaves.emissions, strict=True)]
        here, transitions = by_position(parts, leaves.layout).unbind(), chain.transitions.unbind()  # (B, m) each
        following = _following(here, transitions)
        weights = leaves.of_positions([part.mT for part in leaves.weights])  # (B, N) each
        emissions, columns = leaves.of_positions(leaves.emissions), draws.detach().unbind(-1)
        message, result = chain.initial.expand(len(draws), -1), []
        for k, column in enumerate(range(len(visible)) if order is None else order):
            if not visible[column]:
                result.append(torch.zeros_like(columns[column]))
                message = message * here[k]
            else:
                value, a, b = columns[column], loc[column], scale[column]
                probs = weights[k] * ((message * following[k]) @ emissions[k].mT)  # (n, N)
                moved = _implicit(value, probs / probs.sum(-1, keepdim=True), a, b)
                result.append(moved)
                density = _densities(moved, a, b)
                message = message * ((weights[k] * density) @ emissions[k])
            if k < len(transitions):
                message = _rescaled(message) @ transitions[k]
        together = torch.stack(result, -1)
        return together if order is None else take(together, inverse(order), 1)


def _following(here: Sequence[Tensor], transitions: Sequence[Tensor]) -> list[Tensor]:
    """What follows each position, up to a number of each row: D times ``(B, m)``."""
    following = [torch.ones_like(here[-1])]
    for weights, transition in zip(here[:0:-1], reversed(transitions), strict=True):
        following.append(_rescaled(weights * following[-1]) @ transition.mT)
    return following[::-1]


def _rescaled(message: Tensor) -> Tensor:
    """Each row over its maximum, a number without gradient."""
    return message / message.detach().amax(-1, keepdim=True).clamp(min=torch.finfo(message.dtype).tiny)
