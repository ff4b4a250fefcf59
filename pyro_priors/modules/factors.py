"""Full covariances as numbers that gradients like: each coordinate is a regression on those before it.

    x_i = loc_i + sum_{j<i} B_ij (x_j - loc_j) + scale_i eps_i

so that the precision is L^T L with L = diag(1 / scale) (I - B). B is kept packed, row by row: coefficients (1,0),
(2,0), (2,1), ... At B = 0 the covariance is diagonal.
"""

import torch
from torch import Tensor

from pyro_priors.ops import full_precision

SCALE_FLOOR = 1e-4  # added to every scale of a vector: no density is unbounded


def scale_of(log_scale: Tensor) -> Tensor:
    """Standard deviations that vectors have: ``exp(log_scale)`` and `SCALE_FLOOR`, at least 32 bits wide.

    Near the floor the gradient fades with ``exp(log_scale)``, and never is 0 at a stroke, as that of a clamp.
    """
    return SCALE_FLOOR + full_precision(log_scale).exp()


def log_scale_of(scale: Tensor) -> Tensor:
    """The way back from `scale_of`; scales at the floor or below become a hundredth above it."""
    return (scale - SCALE_FLOOR).clamp(min=0.01 * SCALE_FLOOR).log()


def packed_size(size: int) -> int:
    """How many coefficients a vector of this size has."""
    return size * (size - 1) // 2


def factor_of(log_scale: Tensor, coupling: Tensor) -> Tensor:
    """The precision factor of conditional scales and packed coefficients; 16-bit parameters give one of 32.

    Shapes:
        ``log_scale (*, n)``, ``coupling (*, n (n - 1) / 2)`` -> ``(*, n, n)``, lower triangular, positive diagonal

    Raises:
        ValueError: sizes that do not belong together.

    Example:
        >>> factor_of(torch.zeros(2), torch.tensor([0.5]))
        tensor([[ 0.9999,  0.0000],
                [-0.4999,  0.9999]])
    """
    size = log_scale.shape[-1]
    if coupling.shape != (*log_scale.shape[:-1], packed_size(size)):
        raise ValueError(
            f"coupling: expected shape {(*log_scale.shape[:-1], packed_size(size))}, got {tuple(coupling.shape)}"
        )
    precise = scale_of(log_scale).reciprocal()
    below = lower(-full_precision(coupling), size)
    return precise.unsqueeze(-1) * (below + torch.eye(size, dtype=below.dtype, device=below.device))


def lower(packed: Tensor, size: int) -> Tensor:
    """Packed coefficients as matrices, zero on and above the diagonal: ``(*, n (n - 1) / 2) -> (*, n, n)``"""
    flat = packed.new_zeros(*packed.shape[:-1], size * size)
    return flat.index_copy(-1, _places(size, flat.device), packed).unflatten(-1, (size, size))


def parameters_of(factor: Tensor) -> tuple[Tensor, Tensor]:
    """The way back from `factor_of`: ``(*, n, n)`` -> ``log_scale (*, n)``, ``coupling (*, n (n - 1) / 2)``.

    Scales at the floor or below become a hundredth above it.
    """
    scale = factor.diagonal(dim1=-2, dim2=-1).reciprocal()
    below = (-factor * scale.unsqueeze(-1)).flatten(-2)
    return log_scale_of(scale), below.index_select(-1, _places(factor.shape[-1], factor.device))


def _places(size: int, device: torch.device) -> Tensor:
    """Where the packed coefficients stand in a matrix, row after row."""
    rows, columns = torch.tril_indices(size, size, -1, device=device)
    return rows * size + columns
