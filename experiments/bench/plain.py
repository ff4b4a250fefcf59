"""The textbook contraction of a tensor ring or train: one variable at a time, no adjoint of its own.

What a careful reader of TRIP (Algorithm 1) and TTLP (eq. 7-8) would write first: the weights are multiplied into the
cores, a batched product moves the state on, a rescale keeps it in range, autograd does the rest.
"""

import math

import torch


def log_prob(x, cores, loc, log_scale, ring):
    """``x (B, D)``, positive ``cores (D, N, m, m)``, ``loc, log_scale (D, N)`` -> ``(B,)``"""
    total, log_z = 0.0, 0.0
    state, norm = _start(cores, ring, len(x)), _start(cores, ring, 1)[0]
    for column, core, a, b in zip(x.unbind(1), cores.unbind(), loc.unbind(), log_scale.unbind(), strict=True):
        state, taken = _push(state, core, _density(column, a, b))
        norm = norm @ core.sum(0)
        shrunk = norm.sum()
        norm, total, log_z = norm / shrunk, total + taken, log_z + shrunk.log()
    return total + _close(state, ring).log() - log_z - _close(norm, ring).log()


@torch.no_grad()
def sample(count, cores, loc, log_scale, ring, observed=None):
    """Chain rule, with a batched suffix for every variable -> ``(count, D)``.

    ``observed (count, D)`` with NaN = missing: the entries that are there stay, the others are drawn given all of them.
    """
    columns = len(cores)
    observed = torch.full((count, columns), torch.nan, device=loc.device) if observed is None else observed
    seen = ~observed.isnan()
    weights = [
        torch.where(seen[:, k, None], _density(observed[:, k].nan_to_num(), loc[k], log_scale[k]), 1.0)
        for k in range(columns)
    ]
    suffixes = [_start(cores, ring, count)]
    for core, weight in zip(reversed(cores.unbind()), reversed(weights), strict=True):
        suffixes.append(_push(suffixes[-1], core.mT, weight)[0])
    state, drawn = _start(cores, ring, count), []
    for k, (core, a, b, suffix) in enumerate(zip(cores.unbind(), loc, log_scale, suffixes[-2::-1], strict=True)):
        between = state.mT @ suffix  # (count, m, m)
        probs = (between[:, None] * core).sum((-1, -2)) * weights[k]
        component = torch.multinomial(probs, 1)[:, 0]
        new = a[component] + b[component].exp() * torch.randn(count, device=loc.device)
        value = torch.where(seen[:, k], observed[:, k], new)
        state, _ = _push(state, core, _density(value, a, b))
        drawn.append(value)
    return torch.stack(drawn, -1)


def state_probs(x, cores, loc, log_scale, ring):
    """p(s_k given x), by autograd: ``(B, D) -> (B, D, N)``"""
    with torch.enable_grad():
        shift = torch.zeros(*x.shape, cores.shape[1], device=x.device, requires_grad=True)
        state, total = _start(cores, ring, len(x)), 0.0
        parts = zip(x.unbind(1), cores.unbind(), loc.unbind(), log_scale.unbind(), shift.unbind(1), strict=True)
        for column, core, a, b, extra in parts:
            state, taken = _push(state, core, _density(column, a, b) * extra.exp())
            total = total + taken
        return torch.autograd.grad((total + _close(state, ring).log()).sum(), shift)[0]


def _start(cores, ring, batch):
    rank = cores.shape[-1]
    return (torch.eye(rank) if ring else torch.ones(1, rank)).to(cores).repeat(batch, 1, 1)


def _push(state, core, weights):
    """``(B, r, m), (N, m, m), (B, N)`` -> the next state, rescaled, and the log of its scale."""
    state = torch.bmm(state, (core * weights[:, :, None, None]).sum(1).expand(len(state), -1, -1))
    scale = state.sum((-1, -2)) + 1e-30
    return state / scale[:, None, None], scale.log()


def _density(column, loc, log_scale):
    standard = (column[:, None] - loc) / log_scale.exp()
    return torch.exp(-0.5 * standard.square()) / (math.sqrt(2 * math.pi) * log_scale.exp()) + 1e-10


def _close(state, ring):
    return state.diagonal(dim1=-1, dim2=-2).sum(-1) if ring else state.sum((-1, -2))
