"""The contraction under every density and query of the tensor ring, with its hand-written adjoint.

For one row of weights the chain of D cores is closed to the scalar

    Z = sum_r  o_r^T ( prod_k  sum_s exp(log_weights[k, s] + log_cores[k, s]) )  c_r,

where a ring (trace) has o_r = c_r = e_r for r = 1..m and a train has one r with vectors of ones.
"""

import torch
from torch import Tensor

from pyro_priors.ops.layout import arranged, declared, rows_first
from pyro_priors.ops.scaling import boundaries, scale_chain, wide
from pyro_priors.ops.sweeps import sweep_plain
from pyro_priors.ops.two_sided import gradients, meet


def log_contract(log_weights: Tensor, log_cores: Tensor, ring: bool, order: Tensor | None = None) -> Tensor:
    """Log of the closed chain for every row of weights, in float64 where there is one; differentiable twice.

    What is wanted is the difference of two such numbers, each thousands of nats where there are many variables: single
    precision would spend its digits on the parts that cancel.

    The gradient with respect to ``log_weights`` is the posterior of the states, the one with respect to ``log_cores``
    the expected number of times each core entry is used.

    Cost: ``O(D (N m^2 + r m^2))`` a row.

    Args:
        log_weights: ``(B, D, N)``.
        log_cores: ``(D, N, m, m)``.
        ring: closed with the trace, otherwise with vectors of ones.
        order: which variable stands at each position of the chain, ``(D,)``; None: as they come.

    Shapes:
        ``-> (B,)``
    """
    with torch.autocast(log_cores.device.type, enabled=False):
        if _recorded(log_weights, log_cores):
            return _LogContract.apply(log_weights, log_cores, ring, order)
        scaled = scale_chain(*arranged(log_weights, log_cores, order))
        return meet(scaled, ring, keep=False).log_total + scaled.log_scale


def state_posterior(log_weights: Tensor, log_cores: Tensor, ring: bool, order: Tensor | None = None) -> Tensor:
    """p(s_k) under the weighted chain, for every variable at once: the gradient of `log_contract`.

    Where no gradient is recorded the adjoint is called directly, so that this works in inference mode too.

    Shapes:
        as `log_contract` ``-> (B, D, N)``
    """
    if not _recorded(log_weights, log_cores):
        with torch.no_grad(), torch.autocast(log_cores.device.type, enabled=False):
            scaled = scale_chain(*arranged(log_weights, log_cores, order))
            posterior, _ = gradients(meet(scaled, ring), scaled, None)
            return declared(rows_first(posterior.mT), order, 1)
    if not log_weights.requires_grad:
        log_weights = log_weights.detach().requires_grad_()
    with torch.autocast(log_cores.device.type, enabled=False):
        total = _log_contract_plain(log_weights, log_cores, ring, order).sum()
        return torch.autograd.grad(total, log_weights, create_graph=True)[0]


def _recorded(log_weights: Tensor, log_cores: Tensor) -> bool:
    return torch.is_grad_enabled() and (log_weights.requires_grad or log_cores.requires_grad)


class _LogContract(torch.autograd.Function):
    @staticmethod
    def forward(ctx, log_weights, log_cores, ring, order):
        scaled = scale_chain(*arranged(log_weights, log_cores, order))
        met = meet(scaled, ring)
        ctx.save_for_backward(log_weights, log_cores)
        ctx.chain, ctx.way = (ring, order), (met, scaled)
        return met.log_total + scaled.log_scale

    @staticmethod
    def backward(ctx, grad):  # pyright: ignore[reportIncompatibleMethodOverride] (torch's takes any number)
        with torch.autocast(grad.device.type, enabled=False):
            if torch.is_grad_enabled():
                return *_LogContract.differentiable(ctx, grad), None, None
            (ring, order), wanted = ctx.chain, ctx.needs_input_grad
            inputs = ctx.saved_tensors
            if ctx.way is None:  # a second time along a graph that was retained
                scaled = scale_chain(*arranged(inputs[0], inputs[1], order))
                ctx.way = meet(scaled, ring), scaled
            (met, scaled), ctx.way = ctx.way, None  # the largest tensors of a training step are not kept beyond it
            grad = grad.to(scaled.cores)
            to_weights, to_cores = gradients(met, scaled, grad if wanted[1] else None)
            if wanted[0]:
                to_weights = declared(rows_first(to_weights.mT * grad), order, 1)
            if to_cores is not None:
                to_cores = declared(to_cores, order, 0)
        return to_weights if wanted[0] else None, to_cores, None, None

    @staticmethod
    def differentiable(ctx, grad):
        """The gradients where a second derivative is wanted: left to autograd, of views of the inputs, whose own
        dependence on each other is the outer graph's business."""
        wanted = ctx.needs_input_grad[:2]
        inputs = [x.view_as(x) for x in ctx.saved_tensors]
        needed = [x for x, one in zip(inputs, wanted, strict=True) if one]
        grads = iter(torch.autograd.grad(_log_contract_plain(*inputs, *ctx.chain), needed, grad, create_graph=True))
        return [next(grads) if one else None for one in wanted]


def _log_contract_plain(log_weights: Tensor, log_cores: Tensor, ring: bool, order: Tensor | None) -> Tensor:
    """`log_contract` out of ordinary operations."""
    scaled = scale_chain(*arranged(log_weights, log_cores, order))
    ends = boundaries(log_cores, ring)
    states, log_scales = sweep_plain(list(scaled.matrices().unbind()), ends)
    closed = wide((states[-1] * ends).sum(-1))  # (B, r)
    open_rows = closed > 0  # the others say nothing, and no gradient goes through log 0
    log_rows = torch.where(open_rows, torch.where(open_rows, closed, 1.0).log() + log_scales[-1], -torch.inf)
    top = log_rows.detach().amax(-1, keepdim=True).clamp(min=torch.finfo(log_rows.dtype).min)
    mass = (log_rows - top).exp().sum(-1)
    possible = mass > 0
    log_total = torch.where(possible, torch.where(possible, mass, 1.0).log() + top[:, 0], -torch.inf)
    return log_total + scaled.log_scale
