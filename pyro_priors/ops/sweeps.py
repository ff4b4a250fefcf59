"""Vectors pushed through a chain of matrices from one end to the other."""

import torch
from torch import Tensor

from pyro_priors.ops.scaling import wide


def suffix_sweep(matrices: Tensor, end: Tensor) -> tuple[Tensor, Tensor]:
    """What follows the first k matrices, transposed, for every k; each row rescaled to a sum of one.

    Rows keep scales of their own, so that one row of a ring cannot push another below the smallest float.

    Shapes:
        ``matrices (D, B, m, m)``, ``end (r, m)`` -> states ``(D + 1, B, r, m)``, scales ``(D, B, r, 1)``
    """
    columns, batch = matrices.shape[:2]
    states = end.new_empty(columns + 1, batch, *end.shape)
    scales = end.new_empty(columns, batch, len(end), 1)
    states[-1] = end
    steps, tiny = states.unbind(), torch.finfo(end.dtype).tiny
    for k, (matrix, scale) in reversed(list(enumerate(zip(matrices.mT.unbind(), scales.unbind(), strict=True)))):
        torch.bmm(steps[k + 1], matrix, out=steps[k])
        torch.sum(steps[k], -1, keepdim=True, out=scale)  # several times as fast as the maximum
        steps[k].div_(scale.clamp_(min=tiny))
    return states, scales


def sweep_plain(matrices: list[Tensor], start: Tensor) -> tuple[list[Tensor], list[Tensor]]:
    """Row vectors pushed to the right by ordinary operations, for what autograd must differentiate.

    Each row is rescaled to a maximum of one, by a number without gradient.

    Shapes:
        D matrices ``(B, m, m)``, ``start (r, m)`` -> D + 1 states ``(B, r, m)``, D + 1 logs of their scales ``(B, r)``
    """
    state = start.expand(len(matrices[0]), *start.shape)
    states, log_scales = [state], [wide(torch.zeros_like(state[..., 0]))]
    for matrix in matrices:
        state, log_scale = rescale(state @ matrix)
        states.append(state)
        log_scales.append(log_scales[-1] + log_scale)
    return states, log_scales


def rescale(state: Tensor) -> tuple[Tensor, Tensor]:
    """``(B, r, m)`` -> rows with a maximum of one, or of zeros, and the log of what they were divided by ``(B, r)``."""
    scale = state.detach().amax(-1, keepdim=True).clamp(min=torch.finfo(state.dtype).tiny)
    return state / scale, wide(scale[..., 0]).log()
