"""The contraction's matrix products alone, in this algorithm's order, on numbers that mean nothing.

Each function returns another one that runs them, all buffers ready. Letters as in `pyro_priors.ops`.
"""

import torch


def forward(columns, states, rank, batch, ring, device="cpu"):
    """One product with the cores and, for the ring, one with the state, for every pair of variables."""
    push = _pusher(states, rank, batch, ring, device)

    def run():
        for _ in range(-(-columns // 2)):
            push()

    return run


def backward(columns, states, rank, batch, ring, device="cpu"):
    """Forward, the way back, and the products that give the gradients of weights and of cores.

    A ring's matrices are counted once: they could be stored. A train's gradients are taken eight pairs at a time.
    """
    push = _pusher(states, rank, batch, ring, device)
    push_again = _pusher(states, rank, batch, ring, device, built=True)
    pairs = -(-columns // 2)
    together = 1 if ring else min(8, pairs)
    if ring:
        state, core = _random(2 * batch, rank, rank, device=device), _random(2, states, rank * rank, device=device)
        weights = _random(2, states, batch, device=device)
        usage, by_weights, by_cores = _empty(
            (2 * batch, rank, rank), (2, states, batch), (2, states, rank * rank), device=device
        )
        uses = usage.view(2, batch, -1)

        def gradients(count):
            torch.bmm(state.mT, state, out=usage)
            torch.bmm(core, uses.mT, out=by_weights)
            torch.bmm(weights, uses, out=by_cores)
    else:
        core, after = (_random(2 * together, *size, device=device) for size in ((states * rank, rank), (rank, batch)))
        spread, by_cores = _random(2 * together, states * rank, batch, device=device), torch.empty_like(core)

        def gradients(count):
            some = slice(2 * count)  # the last chunk may be shorter
            torch.bmm(core[some], after[some], out=spread[some])
            torch.bmm(spread[some], after[some].mT, out=by_cores[some])

    def run():
        for _ in range(pairs):
            push()
        for _ in range(pairs - 1):
            push_again()
        for start in range(0, pairs, together):
            gradients(min(together, pairs - start))

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
        spread, core = _random(2, states * rank, batch, device=device), _random(2, states * rank, rank, device=device)
        out = torch.empty(2, rank, batch, device=device)
        return lambda: torch.bmm(core.mT, spread, out=out)
    weights, core = _random(2, batch, states, device=device), _random(2, states, rank * rank, device=device)
    room, state, out = (_random(2 * batch, rank, rank, device=device) for _ in range(3))
    flat = room.view(2, batch, -1)

    def push():
        if not built:
            torch.bmm(weights, core, out=flat)
        torch.bmm(state, room, out=out)

    return push


def _random(*shape, device):
    return torch.rand(shape, device=device)


def _empty(*shapes, device):
    return [torch.empty(shape, device=device) for shape in shapes]
