"""The contraction's matrix products alone, in this algorithm's order, on numbers that mean nothing.

Each function returns another one that runs them, all buffers ready. Letters as in `pyro_priors.ops`.
"""

import torch


def forward(columns, states, rank, batch, ring, device="cpu"):
    """One product with the cores and, for the ring, one with the state, for every variable."""
    push = _pusher(states, rank, batch, ring, device)

    def run():
        for _ in range(columns):
            push()

    return run


def backward(columns, states, rank, batch, ring, device="cpu"):
    """Forward, the way back, and the two products that give the gradients of weights and of cores.

    A ring's matrices are counted once: they could be kept.
    """
    push = _pusher(states, rank, batch, ring, device)
    push_again = _pusher(states, rank, batch, ring, device, built=True)
    rows = _random(batch, rank if ring else 1, rank, device=device)
    if ring:
        usage, core = _random(batch, rank, rank, device=device), _random(states, rank * rank, device=device)
        weights, by_weights, by_cores = (
            _random(batch, states, device=device),
            *_empty((batch, states), (states, rank * rank), device=device),
        )

        def gradients():
            torch.bmm(rows.mT, rows, out=usage)
            torch.mm(usage.flatten(1), core.T, out=by_weights)
            torch.mm(weights.T, usage.flatten(1), out=by_cores)
    else:
        spread, core = _random(batch, states * rank, device=device), _random(states * rank, rank, device=device)
        reached, by_cores = _empty((batch, states * rank), (states * rank, rank), device=device)

        def gradients():
            torch.mm(rows[:, 0], core.T, out=reached)
            torch.mm(spread.T, rows[:, 0], out=by_cores)

    def run():
        for _ in range(columns):
            push()
            push_again()
            gradients()

    return run


def sample(columns, states, rank, batch, ring, device="cpu"):
    """One sweep of suffixes without a batch."""
    rows = rank if ring else 1
    state, matrix, out = (_random(*shape, device=device) for shape in ((rows, rank), (rank, rank), (rows, rank)))

    def run():
        for _ in range(columns):
            torch.mm(state, matrix, out=out)

    return run


def _pusher(states, rank, batch, ring, device, *, built=False):
    if not ring:
        spread, core = _random(batch, states * rank, device=device), _random(states * rank, rank, device=device)
        out = torch.empty(batch, rank, device=device)
        return lambda: torch.mm(spread, core, out=out)
    weights, core = _random(batch, states, device=device), _random(states, rank * rank, device=device)
    room, state, out = (_random(batch, rank, rank, device=device) for _ in range(3))

    def push():
        if not built:
            torch.mm(weights, core, out=room.flatten(1))
        torch.bmm(state, room, out=out)

    return push


def _random(*shape, device):
    return torch.rand(shape, device=device)


def _empty(*shapes, device):
    return [torch.empty(shape, device=device) for shape in shapes]
