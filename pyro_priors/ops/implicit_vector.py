"""Pathwise gradients of draws of a vector from a mixture of Gaussians with any covariances.

As in `ops.implicit`: given the coordinates before it, each coordinate is a mixture of N one-dimensional Gaussians with
CDF F_i(x_i given x_<i) = sum_s w_is Phi(u_is), where u = L (x - loc), L lower triangular, Sigma^-1 = L^T L. From
dF_i = 0, with q_is = w_(i+1)s / L_ii, the weights after x_i over the scale, and d_is = w_is (Phi(u_is) - F_i) / p_i,

    dx_i = - sum_s q_is du_is - sum_s d_is dlog w_is

(du_is: of the parameters and of x_<i alone). Neither coefficient divides by a density: both hold in far tails. Letters:
B rows, N states, n coordinates; what belongs to coordinates stands as ``(n, B, N)``.
"""

import math
from itertools import accumulate
from typing import NamedTuple

import torch
from torch import Tensor
from torch.autograd.function import once_differentiable
from torch.nn.functional import threshold

from pyro_priors.ops.layout import transformed
from pyro_priors.ops.scaling import wide

CHUNK = 2**22  # numbers (n B N) that are held at a time, beside their gradients


def pathwise_vector(draws: Tensor, log_weights: Tensor, loc: Tensor, factor: Tensor) -> Tensor:
    """``draws`` with first-order gradients to weights, loc and factor; their values do not change.

    Cost: O(B N n^2), as much as the densities, and memory O(B N n) up to a bound.

    Args:
        draws: ``(B, n)``, from the mixture that the others are.
        log_weights: of the states before the vector is seen, ``(B, N)`` or ``(N,)``, up to a number of each row.
        loc: ``(N, n)``.
        factor: ``(N, n, n)``, lower triangular with a positive diagonal; its upper triangle gets no gradient.
    """
    with torch.autocast(draws.device.type, enabled=False):
        draws, log_weights = draws.detach(), log_weights.expand(len(draws), -1)
        if transformed():
            return _by_autograd(draws, log_weights, loc, factor)
        return _Pathwise.apply(draws, log_weights, loc, factor)  # pyright: ignore[reportReturnType]


def _by_autograd(draws: Tensor, log_weights: Tensor, loc: Tensor, factor: Tensor) -> Tensor:
    """The same in ordinary operations, which every transform understands."""
    with torch.no_grad():
        known = _coefficients(draws, log_weights, loc, factor)
    rows, moved = factor.transpose(0, 1), []
    for i, (value, by_standard, by_weight) in enumerate(zip(draws.unbind(-1), known.q, known.d, strict=True)):
        row, own = rows[i, :, :i], rows[i, :, i]
        before = torch.stack(moved, -1) @ row.mT if i else 0.0
        before = before - (row * loc[:, :i]).sum(-1)
        standard = before + own * (value.unsqueeze(-1) - loc[:, i])
        change = by_standard.detach() * (standard - standard.detach())
        change = change + by_weight.detach() * (log_weights - log_weights.detach())
        moved.append(value - change.sum(-1))
        standard = before + own * (moved[-1].unsqueeze(-1) - loc[:, i])
        log_weights = log_weights + own.log() - 0.5 * standard.square()
    return torch.stack(moved, -1)


class _Pathwise(torch.autograd.Function):
    @staticmethod
    def forward(ctx, draws: Tensor, log_weights: Tensor, loc: Tensor, factor: Tensor) -> Tensor:
        ctx.save_for_backward(draws, log_weights, loc, factor)
        return draws.clone()

    @staticmethod
    @once_differentiable
    def backward(ctx, grad: Tensor):  # pyright: ignore[reportIncompatibleMethodOverride] (once_differentiable hides it)
        draws, log_weights, loc, factor = ctx.saved_tensors
        by_loc, by_factor, by_weights = torch.zeros_like(loc), torch.zeros_like(factor), []
        size = max(1, CHUNK // max(1, loc.numel()))
        with torch.autocast(grad.device.type, enabled=False):
            for rows in zip(grad.split(size), draws.split(size), log_weights.split(size), strict=True):
                of_weights, of_loc, of_factor = _backward(*rows, loc, factor)
                by_weights.append(of_weights)
                by_loc += of_loc
                by_factor += of_factor
        return None, torch.cat(by_weights), by_loc, by_factor


def _backward(grad: Tensor, draws: Tensor, log_weights: Tensor, loc: Tensor, factor: Tensor) -> tuple[Tensor, ...]:
    """What a gradient ``(B, n)`` of the draws says of weights, loc and factor: the coordinates from last to first.

    Step i adds what x_i owes to all that comes after it, and hands its own debt on to the coordinates before it.
    """
    known, rows = _coefficients(draws, log_weights, loc, factor), factor.transpose(0, 1).contiguous()  # (n, N, n)
    owed, by_weights = grad.clone(), torch.zeros_like(log_weights)
    by_standard, by_log_scale = torch.empty_like(known.u), torch.empty_like(rows[:, :, 0])
    for i in reversed(range(len(rows))):
        change = -by_weights * known.u[i]
        total = owed[:, i] + change @ rows[i, :, i]
        by_log_scale[i] = by_weights.sum(0)
        change -= total[:, None] * known.q[i]
        by_weights -= total[:, None] * known.d[i]
        owed[:, :i] += change @ rows[i, :, :i]
        by_standard[i] = change
    centre, summed = loc.mean(0), by_standard.sum(1)  # (n, N)
    by_rows = by_standard.mT @ (draws - centre) - summed[..., None] * (loc - centre)  # (n, N, n)
    by_factor = by_rows.transpose(0, 1).tril() + torch.diag_embed(by_log_scale.T / factor.diagonal(dim1=1, dim2=2))
    return by_weights, -torch.einsum("is,isj->sj", summed, rows), by_factor


class _Coefficients(NamedTuple):
    """Of each coordinate, row and state, ``(n, B, N)``; the module's docstring has the letters."""

    u: Tensor
    q: Tensor
    d: Tensor


def _coefficients(draws: Tensor, log_weights: Tensor, loc: Tensor, factor: Tensor) -> _Coefficients:
    u = _standard(draws, loc, factor)
    log_scale = -factor.diagonal(dim1=1, dim2=2).log().T.unsqueeze(1)  # (n, 1, N)
    terms = -0.5 * u.square() - log_scale
    tops = terms.amax(-1, keepdim=True)
    log_joint = torch.stack(list(accumulate((terms - tops).unbind(), initial=log_weights)))  # (n + 1, B, N)
    highest = log_joint.amax(-1, keepdim=True)
    weights = _exp(log_joint - highest)
    sums = weights.sum(-1, keepdim=True)
    weights, totals = weights / sums, highest + sums.log()
    q, before = weights[1:] * log_scale.exp(), weights[:-1]
    log_density = totals[1:] - totals[:-1] + tops - 0.5 * math.log(2 * math.pi)
    # The smaller tail of each state over the density; both tails together are the weight over it. A density that is
    # nothing beside such a weight, in a gap between states, lets it overflow: no draw lies there.
    most = 0.5 * math.log(torch.finfo(u.dtype).max)
    both, tail = _exp(log_joint[:-1] - totals[:-1] - log_density.clamp(min=-most)), q * mills_ratio(u.abs())
    rest, left = both - tail, (-u).sign().clamp(min=0.0)
    below, above = tail * left + rest * (1 - left), rest * left + tail * (1 - left)
    below_all, above_all = below.sum(-1, keepdim=True), above.sum(-1, keepdim=True)
    lower = (below_all < above_all).to(u)  # F_i or 1 - F_i, whichever is smaller, loses no digits
    d = lower * (below - before * below_all) + (1 - lower) * (before * above_all - above)
    return _Coefficients(u, q, d)


def _exp(x: Tensor) -> Tensor:
    """0 below e^-60: numbers near the smallest there are take a hundred times as long."""
    return threshold(x.clamp(min=-60.0).exp(), 1.1 * math.exp(-60.0), 0.0)


def _standard(draws: Tensor, loc: Tensor, factor: Tensor) -> Tensor:
    """u = L (x - loc) of all rows and states in one matrix product: ``(n, B, N)``.

    In float64, as what cancels there are numbers the size of x over the smallest scale.
    """
    centre, rows = wide(loc).mean(0), wide(factor).transpose(0, 1)  # (n, N, n)
    from_loc = (rows * (wide(loc) - centre)).sum(-1).unsqueeze(1)
    return ((wide(draws) - centre) @ rows.mT - from_loc).to(draws.dtype)


def mills_ratio(x: Tensor) -> Tensor:
    """(1 - Phi(x)) / phi(x) for x >= 0, where both may underflow.

    Far out by its continued fraction, 1 / (x + 1 / (x + 2 / (x + 3 / (x + 4 / x)))).
    """
    far = 12.0 if x.dtype == torch.float32 else 25.0
    near = x.clamp(max=far)
    direct = math.sqrt(math.pi / 2) * torch.special.erfc(near * math.sqrt(0.5)) * (0.5 * near.square()).exp()
    return direct * (_fraction(x.clamp(min=far)) / _fraction(x.new_tensor(far)))


def _fraction(x: Tensor) -> Tensor:
    z = x.square().reciprocal()
    return (1 + z * (9 + 8 * z)) / (x * (1 + z * (10 + 15 * z)))
