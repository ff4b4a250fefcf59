"""Small factored chains, the joint states of which can be enumerated, and the same with full cores."""

import torch

from pyro_priors.ops import Cores, Factored
from pyro_priors.ops.layout import layout_of


def problem(sizes, rank=3, batch=3, seed=0):
    """Weights, a chain whose numbers sum to nothing in particular, and an order."""
    generator = torch.Generator().manual_seed(seed + len(sizes))
    layout = layout_of(sizes)

    def positive(*shape):
        return torch.rand(shape, generator=generator, dtype=torch.float64) + 0.1

    emissions = [positive(len(columns), states, rank) for states, columns in layout.groups]
    chained = Factored(positive(rank), emissions, positive(len(sizes) - 1, rank, rank), layout)
    log_weights = 2 * torch.randn(batch, layout.total, generator=generator, dtype=torch.float64)
    order = tuple(torch.randperm(len(sizes), generator=generator).tolist())
    return log_weights, chained, order


def inputs_of(log_weights, chained):
    return [x.detach().clone().requires_grad_() for x in (log_weights, *chained.tensors)]


def each(groups, layout, dim=0):
    """One tensor for each column, from one for each group."""
    result = {}
    for group, (_, columns) in zip(groups, layout.groups, strict=True):
        result.update(zip(columns, group.unbind(dim), strict=True))
    return [result[column] for column in range(len(layout.sizes))]


def joint(log_weights, chained, order):
    """The weight of every joint state, one axis a column, by brute force: ``(B, n_1, ..., n_D)``."""
    layout, emissions = chained.layout, each(chained.emissions, chained.layout)
    table = chained.initial
    for position, column in enumerate(order):
        table = table.unsqueeze(-2) * emissions[column]
        if position < len(order) - 1:
            table = table @ chained.transitions[position]
    table = table.sum(-1).permute([order.index(column) for column in range(len(order))]).unsqueeze(0)
    for column, part in enumerate(each(layout.split(log_weights), layout, dim=1)):
        shape = [len(part), *(states if other == column else 1 for other, states in enumerate(layout.sizes))]
        table = table * part.exp().reshape(shape)
    return table


def full(chained, order):
    """The same cores in full: ``e[s, i] T[i, j]``, the initial law in the first, a uniform way out in the last."""
    rank = len(chained.initial)
    transitions = [*chained.transitions.unbind(), torch.full((rank, rank), 1 / rank, dtype=torch.float64)]
    emissions, groups = each(chained.emissions, chained.layout), []
    for _, columns in chained.layout.groups:
        cores = [emissions[column].unsqueeze(-1) * transitions[order.index(column)] for column in columns]
        first = [chained.initial[:, None] if order[0] == column else torch.ones(()) for column in columns]
        groups.append(torch.stack([core * start for core, start in zip(cores, first, strict=True)]).log())
    return Cores(groups, chained.layout)


def grads(output, inputs, **kind):
    return torch.autograd.grad(output, inputs, allow_unused=True, materialize_grads=True, **kind)


def close(actual, expected):
    torch.testing.assert_close(actual, expected, rtol=1e-10, atol=1e-10)
