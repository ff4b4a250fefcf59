"""Pathwise gradients of draws from a factored chain: `ops.implicit` for its form."""

from collections.abc import Sequence

import torch
from torch import Tensor

from pyro_priors.ops.factored_weights import Factored, bond_weights, scale_leaves
from pyro_priors.ops.implicit import Leaf, moved_draw


def pathwise_factored(
    draws: Sequence[Tensor | None],
    leaves: Sequence[Leaf | None],
    log_weights: Tensor,
    chain: Factored,
    order: tuple[int, ...] | None = None,
) -> list[Tensor | None]:
    """As `pathwise`, of a factored chain: weights and chain as those of `log_contract_factored`."""
    with torch.autocast(chain.initial.device.type, enabled=False):
        scaled = scale_leaves(log_weights.flatten(1), chain, order)
        here = [part.mT for part in bond_weights(scaled).unbind()]  # (B, m) each
        transitions = chain.transitions.unbind()
        following = _following(here, transitions)
        weights = scaled.of_positions([part.mT for part in scaled.weights])  # (B, N) each
        emissions = scaled.of_positions(scaled.emissions)
        count = next(len(draw) for draw in draws if draw is not None)
        message, result = chain.initial.expand(count, -1), list(draws)
        for k, column in enumerate(range(len(draws)) if order is None else order):
            draw, leaf, emission = draws[column], leaves[column], emissions[k]
            if draw is None or leaf is None:
                message = message * here[k]
            else:
                reached = message * following[k]
                probs = weights[k] * (reached if emission is None else reached @ emission.mT)  # (n, N)
                result[column], density = moved_draw(draw.detach(), probs, leaf)
                density = weights[k] * density
                message = message * (density if emission is None else density @ emission)
            if k < len(transitions):
                message = _rescaled(message) @ transitions[k]
        return result


def _following(here: Sequence[Tensor], transitions: Sequence[Tensor]) -> list[Tensor]:
    """What follows each position, up to a number of each row: D times ``(B, m)``."""
    following = [torch.ones_like(here[-1])]
    for weights, transition in zip(here[:0:-1], reversed(transitions), strict=True):
        following.append(_rescaled(weights * following[-1]) @ transition.mT)
    return following[::-1]


def _rescaled(message: Tensor) -> Tensor:
    """Each row over its maximum, a number without gradient."""
    return message / message.detach().amax(-1, keepdim=True).clamp(min=torch.finfo(message.dtype).tiny)
