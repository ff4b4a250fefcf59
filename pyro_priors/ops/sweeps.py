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


def sweep_plain(matrices: list[Tensor], start: Tensor) -> tuple[list[Tensor], Tensor]:
    """`sweep` out of ordinary operations, for what must be differentiated by autograd; one scale a batch row.

    Shapes:
        D matrices ``(B, m, m)``, ``start (r, m)`` -> D + 1 states ``(B, r, m)``, log scale ``(B,)``
    """
    state = start.expand(len(matrices[0]), *start.shape)
    states, log_scale = [state], 0.0
    for matrix in matrices:
        state = state @ matrix
        scale = state.detach().amax((-1, -2), keepdim=True)
        state = state / scale
        log_scale = log_scale + wide(scale[:, 0, 0]).log()
        states.append(state)
    return states, log_scale
