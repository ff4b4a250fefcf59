"""temporary"""

from typing import NamedTuple

import torch
from torch import Tensor

from pyro_priors.ops.layout import Layout
from pyro_priors.ops.scaling import wide


class Factored(NamedTuple):
    initial: Tensor
    emissions: tuple
    transitions: Tensor
    layout: Layout


def _weights(log_weights, chain, order):
    parts = chain.layout.split(log_weights)
    result = [None] * len(chain.layout.sizes)
    for part, e, (_, columns) in zip(parts, chain.emissions, chain.layout.groups, strict=True):
        top = e.detach().amax(-1)
        x = part + top.log()
        shift = x.detach().amax(-1, keepdim=True)
        shift = shift.masked_fill(shift == -torch.inf, 0.0)
        w = torch.einsum("bds,dsm->dbm", (x - shift).exp(), e / top.clamp(min=1e-300).unsqueeze(-1))
        for i, c in enumerate(columns):
            result[c] = (w[i], shift[:, i, 0])
    order = range(len(result)) if order is None else order
    return [result[c] for c in order]


def log_contract_factored(log_weights, chain, order=None):
    log_weights = log_weights.flatten(1)
    state, total = chain.initial.expand(len(log_weights), -1), 0.0
    for j, (w, shift) in enumerate(_weights(log_weights, chain, order)):
        if j:
            state = state @ chain.transitions[j - 1]
        state = state * w
        scale = state.detach().amax(-1, keepdim=True).clamp(min=torch.finfo(state.dtype).tiny)
        state, total = state / scale, total + wide(scale[:, 0].log() + shift)
    return wide(state.sum(-1)).log() + total


def state_posterior_factored(log_weights, chain, order=None):
    with torch.enable_grad():
        x = log_weights.detach().requires_grad_()
        return torch.autograd.grad(log_contract_factored(x, chain, order).sum(), x)[0]


@torch.no_grad()
def sample_states_factored(log_weights, chain, rows, order=None):
    ws = _weights(log_weights[rows], chain, order)
    beta = torch.ones_like(ws[0][0])
    betas = [beta]
    for j in range(len(ws) - 1, 0, -1):
        beta = (ws[j][0] * beta) @ chain.transitions[j - 1].mT
        beta = beta / beta.amax(-1, keepdim=True)
        betas.append(beta)
    betas = betas[::-1]
    law, bonds = chain.initial.expand(len(rows), -1), []
    for j, (w, _) in enumerate(ws):
        if j:
            law = chain.transitions[j - 1][bonds[-1]]
        bonds.append(torch.multinomial(law * w * betas[j], 1)[:, 0])
    order = list(range(len(ws)) if order is None else order)
    states = [None] * len(order)
    for part, e, (_, columns) in zip(chain.layout.split(log_weights[rows]), chain.emissions, chain.layout.groups):
        for i, c in enumerate(columns):
            states[c] = torch.multinomial(part[:, i].exp() * e[i].T[bonds[order.index(c)]], 1)[:, 0]
    return torch.stack(states, 1)


def pathwise_factored(*args):
    raise NotImplementedError
