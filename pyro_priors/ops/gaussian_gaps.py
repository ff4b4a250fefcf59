"""Log-densities of rows with few gaps under Gaussians given by factors of their inverse covariances.

With Sigma^-1 = L^T L the marginal without some numbers has the inverse covariance F^T F where

    F = (1 - D D^T) L,    D an orthonormal basis of the columns of L that belong to them:

what the factor says of them is projected away, and log |L^T L| / 2 falls by the logarithms of what is left of each
column beside those before it. That is O(n^2) for each number that is missing, where a factor of the other numbers'
covariance is O(n^3); and no covariance is made, whose condition is the square of that of L.
"""

import math
from collections.abc import Sequence

import torch
from torch import Tensor

from pyro_priors.ops.gaussians import half_squares
from pyro_priors.ops.layout import transformed
from pyro_priors.ops.scaling import wide


def log_normal_without(rows: Sequence[Tensor], missing: Tensor, loc: Tensor, factor: Tensor) -> list[Tensor]:
    """Log-densities of what is observed, for P patterns of gaps that have equally many.

    Args:
        rows: of each pattern, ``(b_p, n)``; what is missing in them may be anything.
        missing: which numbers that are, ``(P, u)``.
        loc: ``(N, n)``.
        factor: L, lower triangular, ``(N, n, n)``.

    Returns:
        for each pattern ``(b_p, N)``
    """
    dtype = torch.promote_types(rows[0].dtype, factor.dtype)
    hidden = torch.zeros(len(missing), loc.shape[-1], dtype=torch.bool, device=missing.device).scatter_(
        1, missing, True
    )
    centre, left = loc.detach().to(dtype).mean(0), loc.shape[-1] - missing.shape[1]
    projected, lost = _without(wide(factor), missing)
    log_det = wide(factor).diagonal(dim1=-2, dim2=-1).log().sum(-1) - lost
    projected, constant = projected.to(dtype), log_det.to(dtype) - 0.5 * math.log(2 * math.pi) * left
    own = torch.where(hidden.unsqueeze(1), 0.0, loc.to(dtype) - centre)  # (P, N, n)
    shift = (projected @ own.unsqueeze(-1)).squeeze(-1)
    parts = zip(rows, hidden.unbind(), projected.unbind(), shift.unbind(), constant.unbind(), strict=True)
    return [
        add + half_squares(torch.where(gaps, 0.0, some.to(dtype) - centre), of_pattern, moved)
        for some, gaps, of_pattern, moved, add in parts
    ]


def _without(factor: Tensor, missing: Tensor) -> tuple[Tensor, Tensor]:
    """Factors without some numbers for each pattern, not triangular ones, and by what log |L^T L| / 2 falls.

    Shapes:
        ``(N, n, n)``, ``(P, u)`` -> ``(P, N, n, n)``, ``(P, N)``
    """
    columns = factor.index_select(2, missing.flatten()).unflatten(-1, missing.shape).permute(3, 2, 0, 1)  # (u, P, N, n)
    directions, lost = [], []
    for column in columns.unbind():
        for other in directions:
            column = column - other * (other * column).sum(-1, keepdim=True)
        length = torch.linalg.vector_norm(column, dim=-1, keepdim=True)
        directions.append(column / length)
        lost.append(length.squeeze(-1).log())
    along = torch.stack(directions, -1)  # (P, N, n, u)
    projected = _project(factor, along) if transformed() else _Project.apply(factor, along)
    return projected, torch.stack(lost).sum(0)  # pyright: ignore[reportReturnType]


def _project(factor: Tensor, directions: Tensor) -> Tensor:
    """What of a matrix is across some directions, P times: ``(N, n, n), (P, N, n, u) -> (P, N, n, n)``"""
    return factor - directions @ _along(factor, directions)


def _along(factor: Tensor, directions: Tensor) -> Tensor:
    """D^T L, ``(P, N, u, n)``, by N products of matrices."""
    return (
        (directions.mT.transpose(0, 1).flatten(1, 2) @ factor).unflatten(1, (-1, directions.shape[-1])).transpose(0, 1)
    )


class _Project(torch.autograd.Function):
    """`_project`, with an adjoint that keeps no more than its inputs."""

    @staticmethod
    def forward(ctx, factor, directions):
        ctx.save_for_backward(factor, directions)
        along = _along(factor, directions)
        if along.shape[-2] == 1:
            return torch.addcmul(factor, directions, along, value=-1)
        return factor - directions @ along

    @staticmethod
    def backward(ctx, grad):  # pyright: ignore[reportIncompatibleMethodOverride] (torch's takes any number)
        factor, directions = ctx.saved_tensors
        if torch.is_grad_enabled():  # a second derivative is wanted
            inputs = factor.view_as(factor), directions.view_as(directions)
            return torch.autograd.grad(_project(*inputs), inputs, grad, create_graph=True)
        with torch.autocast(grad.device.type, enabled=False):
            pulled = directions.mT @ grad  # (P, N, u, n)
            to_directions = -(grad @ _along(factor, directions).mT) - _along(factor.mT, pulled.mT).mT
            first = directions.transpose(0, 1).transpose(1, 2).flatten(2)  # (N, n, P u)
            return grad.sum(0) - first @ pulled.transpose(0, 1).flatten(1, 2), to_directions
