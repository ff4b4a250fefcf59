"""The contraction under every density and query of the tensor ring, with its hand-written adjoint.

For one row of weights the chain of D cores is closed to the scalar

    Z = sum_r  o_r^T ( prod_k  sum_s exp(log_weights[k, s] + log_cores[k, s]) )  c_r,

where a ring (trace) has o_r = c_r = e_r for r = 1..m and a train has one r with vectors of ones. All entries are
positive, so a product in linear space that is rescaled at every step cancels nothing; it is as exact as log space
because the largest entry of every state's core is moved into that state's weight first. Letters in shape comments:
D variables, B rows, N states, m rank, r = m (ring) or 1 (train).
"""

from typing import NamedTuple

import torch
from torch import Tensor


def log_contract(log_weights: Tensor, log_cores: Tensor, ring: bool) -> Tensor:
    """Log of the closed chain for every row of weights, in float64 where there is one; differentiable twice.

    What is wanted is the difference of two such numbers, each thousands of nats where there are many variables: single
    precision would spend its digits on the parts that cancel.

    The gradient with respect to ``log_weights`` is the posterior of the states, the one with respect to
    ``log_cores`` the expected number of times each core entry is used.

    Cost: ``O(D (N m^2 + r m^2))`` a row.

    Shapes:
        ``log_weights (B, D, N)``, ``log_cores (D, N, m, m)`` in chain order -> ``(B,)``
    """
    with torch.autocast(log_cores.device.type, enabled=False):
        return _LogContract.apply(log_weights, log_cores, ring)


def state_posterior(log_weights: Tensor, log_cores: Tensor, ring: bool) -> Tensor:
    """p(s_k) under the weighted chain, for every variable at once: the gradient of `log_contract`.

    Where no gradient is recorded the adjoint is called directly, so that this works in inference mode too.

    Shapes:
        ``log_weights (B, D, N)``, ``log_cores (D, N, m, m)`` -> ``(B, D, N)``
    """
    if not torch.is_grad_enabled() or not (log_weights.requires_grad or log_cores.requires_grad):
        with torch.no_grad(), torch.autocast(log_cores.device.type, enabled=False):
            scaled = scale_chain(log_weights, log_cores)
            usage = _adjoint(*_forward(scaled, ring)[1], ring)
            posterior = _states(usage, scaled).transpose(0, 1)
    else:
        if not log_weights.requires_grad:
            log_weights = log_weights.detach().requires_grad_()
        total = log_contract(log_weights, log_cores, ring).sum()
        (posterior,) = torch.autograd.grad(total, log_weights, create_graph=True)
    return posterior


class ScaledChain(NamedTuple):
    """Weights and cores in linear space, each at most one, and the logarithm of what was taken out."""

    weights: Tensor  # (D, B, N)
    cores: Tensor  # (D, N, m * m)
    log_scale: Tensor  # (B,)

    def matrices(self) -> Tensor:  # -> (D, B, m, m)
        rank = round(self.cores.shape[-1] ** 0.5)
        return torch.bmm(self.weights, self.cores).unflatten(-1, (rank, rank))


def scale_chain(log_weights: Tensor, log_cores: Tensor) -> ScaledChain:
    """Fold each state's largest core entry into its weight, then shift each variable by its largest state."""
    top = log_cores.detach().amax((-1, -2))  # (D, N)
    log_weights = (log_weights + top).transpose(0, 1)  # (D, B, N)
    shift = log_weights.detach().amax(-1, keepdim=True)
    shift = shift.masked_fill(shift == -torch.inf, 0.0)  # contradictory evidence: Z = 0 rather than NaN
    cores = (log_cores - top[..., None, None]).exp().flatten(-2)
    return ScaledChain((log_weights - shift).exp(), cores, wide(shift[..., 0]).sum(0))


def boundaries(log_cores: Tensor, ring: bool) -> Tensor:
    """The vectors o_r = c_r that open and close the chain: ``(r, m)``."""
    rank = log_cores.shape[-1]
    kind = {"dtype": log_cores.dtype, "device": log_cores.device}
    return torch.eye(rank, **kind) if ring else torch.ones(1, rank, **kind)


def sweep(matrices: list[Tensor], start: Tensor) -> tuple[Tensor, Tensor]:
    """Row vectors pushed through the matrices one by one, each row rescaled to a sum of one.

    Rows keep scales of their own, so that one row of a ring cannot push another below the smallest float.

    Shapes:
        D matrices ``(B, m, m)``, ``start (r, m)`` -> states ``(D + 1, B, r, m)``, scales ``(D, B, r, 1)``
    """
    batch, (rows, rank) = len(matrices[0]), start.shape
    states = start.new_empty(len(matrices) + 1, batch, rows, rank)
    scales = start.new_empty(len(matrices), batch, rows, 1)
    states[0] = start
    steps = states.unbind()
    tiny = torch.finfo(start.dtype).tiny
    for left, matrix, right, scale in zip(steps[:-1], matrices, steps[1:], scales.unbind(), strict=True):
        torch.bmm(left, matrix, out=right)
        torch.sum(right, -1, keepdim=True, out=scale)  # several times as fast as the maximum
        right.div_(scale.clamp_(min=tiny))
    return states, scales


def suffix_sweep(matrices: Tensor, end: Tensor) -> tuple[Tensor, Tensor]:
    """`sweep` from the right: entry k of the result is what follows the first k matrices, transposed."""
    states, scales = sweep([matrix.mT for matrix in reversed(matrices.unbind())], end)
    return states.flip(0), scales


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


def wide(x: Tensor) -> Tensor:
    """float64, but on Apple's GPUs, which have none."""
    return x if x.device.type == "mps" else x.double()


class _Sweep(NamedTuple):
    matrices: Tensor  # (D, B, m, m)
    prefixes: Tensor  # (D + 1, B, r, m)
    scales: Tensor  # (D, B, r, 1)
    share: Tensor  # (B, r) how much of Z closes through each r


def _forward(scaled: ScaledChain, ring: bool) -> tuple[Tensor, _Sweep]:
    matrices = scaled.matrices()
    ends = boundaries(matrices, ring)
    prefixes, scales = sweep(list(matrices.unbind()), ends)
    log_rows = wide((prefixes[-1] * ends).sum(-1)).log() + wide(scales).log().sum((0, -1))
    log_total = log_rows.logsumexp(-1, keepdim=True)
    share = (log_rows - log_total).exp().nan_to_num(0.0).to(matrices.dtype)  # 0 / 0 where the evidence is contradictory
    return log_total[:, 0] + scaled.log_scale, _Sweep(matrices, prefixes, scales, share)


def _adjoint(matrices: Tensor, prefixes: Tensor, scales: Tensor, share: Tensor, ring: bool) -> Tensor:
    """Gradient of log Z with respect to the matrices, normalised afresh at every variable: ``(D, B, m, m)``."""
    suffixes, _ = suffix_sweep(matrices, boundaries(matrices, ring))
    through = (prefixes[1:] * suffixes[1:]).sum(-1, keepdim=True) * scales  # (D, B, r, 1)
    share = torch.where(share[..., None] > 0, share[..., None] / through, 0.0)
    return torch.matmul((prefixes[:-1] * share).mT, suffixes[1:])


def _states(usage: Tensor, scaled: ScaledChain) -> Tensor:
    """Posterior of the states, ``(D, B, N)``."""
    return scaled.weights * torch.bmm(usage.flatten(-2), scaled.cores.mT)


def _log_contract_plain(log_weights: Tensor, log_cores: Tensor, ring: bool) -> Tensor:
    scaled = scale_chain(log_weights, log_cores)
    ends = boundaries(log_cores, ring)
    states, log_scale = sweep_plain(list(scaled.matrices().unbind()), ends)
    return wide((states[-1] * ends).sum((-1, -2))).log() + log_scale + scaled.log_scale


class _LogContract(torch.autograd.Function):
    @staticmethod
    def forward(ctx, log_weights, log_cores, ring):
        scaled = scale_chain(log_weights, log_cores)
        result, swept = _forward(scaled, ring)
        ctx.ring = ring
        ctx.save_for_backward(log_weights, log_cores, *scaled, *swept)
        return result

    @staticmethod
    def backward(ctx, grad):
        log_weights, log_cores, *saved = ctx.saved_tensors
        if torch.is_grad_enabled():  # a second derivative is wanted: leave it to autograd
            inputs = [x for x, needed in zip((log_weights, log_cores), ctx.needs_input_grad, strict=False) if needed]
            result = _log_contract_plain(log_weights, log_cores, ctx.ring)
            grads = iter(torch.autograd.grad(result, inputs, grad, create_graph=True))
            return *(next(grads) if needed else None for needed in ctx.needs_input_grad[:2]), None
        scaled, grad = ScaledChain(*saved[:3]), grad.to(log_cores.dtype)
        with torch.autocast(log_cores.device.type, enabled=False):
            usage = _adjoint(*saved[3:], ctx.ring)
            grad_weights = grad_cores = None
            if ctx.needs_input_grad[0]:
                grad_weights = (_states(usage, scaled) * grad[:, None]).transpose(0, 1)
            if ctx.needs_input_grad[1]:
                used = torch.bmm((scaled.weights * grad[:, None]).mT, usage.flatten(-2))
                grad_cores = (scaled.cores * used).view_as(log_cores)
        return grad_weights, grad_cores, None
