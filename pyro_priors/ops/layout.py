"""In which order variables and rows stand: declared or along the chain, rows first or last."""

from torch import Tensor


def arranged(log_weights: Tensor, log_cores: Tensor, order: Tensor | None) -> tuple[Tensor, Tensor]:
    """Weights ``(B, D, N)`` and cores ``(D, N, m, m)`` as they stand in the chain, by ``order (D,)`` if any."""
    if order is None:
        return log_weights, log_cores
    return log_weights.index_select(1, order), log_cores.index_select(0, order)


def declared(x: Tensor, order: Tensor | None, dim: int) -> Tensor:
    """The way back from `arranged`, along a dimension of the variables."""
    return x if order is None else x.index_select(dim, order.argsort())


def rows_last(x: Tensor) -> Tensor:
    """``(B, D, N) -> (D, N, B)``, copied in one transposition: several times as fast as what would read it across."""
    rows, columns, states = x.shape
    return x.reshape(rows, columns * states).transpose(0, 1).contiguous().reshape(columns, states, rows)


def rows_first(x: Tensor) -> Tensor:
    """The way back from `rows_last`."""
    columns, states, rows = x.shape
    return x.reshape(columns * states, rows).transpose(0, 1).contiguous().reshape(rows, columns, states)
