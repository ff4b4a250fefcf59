"""The chain contracted from both its ends at once, and its adjoint.

The left end moves right and the right end moves left, so that half as many steps follow each other; where they meet,
their inner product is Z. The adjoint walks on from there: what the left half hands to the right is its prefix, and the
right half's own states, kept from before, are the suffixes, and the other way round.
"""

from typing import NamedTuple

import torch
from torch import Tensor

from pyro_priors.ops.scaling import ScaledChain, boundaries, wide

CHUNK = 8  # variables whose gradients are worked out together


class Meeting(NamedTuple):
    """What the way to the middle leaves for the way back. Side 0 is the left one, 1 the right one."""

    log_total: Tensor  # (B,) log Z in float64, without the scale of the chain
    states: Tensor  # (h + 1, 2, B, r, m) after 0..h steps
    scales: Tensor  # (h, 2, B, r, 1) what each step's rows were divided by
    share: Tensor  # (B, r) how much of Z closes through each r, over the inner product of the two last states
    kernel: "Spread | Matrices"
    weights: Tensor  # those of the chain, of an even number of variables
    cores: Tensor


def meet(scaled: ScaledChain, ring: bool, *, keep: bool = True) -> Meeting:
    """Contract both halves. Rows keep scales of their own, so that no row of a ring underflows beside another.

    Without `keep` there is no way back, and only the last states are there.
    """
    weights, cores = _even(scaled)
    ends = boundaries(cores, ring)
    kernel = (Matrices if len(ends) > 1 else Spread)(weights, cores)
    half, batch = len(cores) // 2, weights.shape[1]
    states = cores.new_empty(half + 1 if keep else 2, 2, batch, *ends.shape)
    scales = cores.new_empty(half, 2, batch, len(ends), 1)
    steps = states.unbind() if keep else [states[(t + half + 1) % 2] for t in range(half + 1)]
    steps[0].copy_(ends)
    tiny = torch.finfo(cores.dtype).tiny
    for t, (here, there, scale) in enumerate(zip(steps[:-1], steps[1:], scales.unbind(), strict=True)):
        kernel.push(t, here, there)
        torch.sum(there, -1, keepdim=True, out=scale)  # several times as fast as the maximum
        there.div_(scale.clamp_(min=tiny))
    overlap = (states[-1, 0] * states[-1, 1]).sum(-1)  # (B, r)
    log_rows = wide(overlap).log() + wide(scales).log().sum((0, 1, -1))
    log_total = log_rows.logsumexp(-1)
    share = (log_rows - log_total[:, None]).exp().to(overlap)
    share = torch.where(share > 0, share / overlap, 0.0)  # NaN where the evidence is contradictory
    return Meeting(log_total, states, scales, share, kernel, weights, cores)


def gradients(met: Meeting, scaled: ScaledChain, grad: Tensor | None) -> tuple[Tensor, Tensor | None]:
    """Gradient of log Z with respect to log-weights, and of ``grad @ log Z`` with respect to log-cores.

    The first is the posterior of the states; its rows are normalised afresh, so that nothing drifts along the chain.

    Shapes:
        ``grad (B,)`` or None -> ``(D, B, N)``, ``(D, N, m, m)`` or None
    """
    kernel, weights, cores = met.kernel, met.weights, met.cores
    to_weights, to_cores = torch.empty_like(weights), {}
    for variables, visit in kernel.walk_back(met):
        posterior = torch.mul(weights[variables], kernel.by_weights(variables, visit), out=to_weights[variables])
        total = posterior.sum(-1, keepdim=True)
        total = torch.where(total > 0, total.reciprocal(), 0.0)
        posterior.mul_(total)
        if grad is not None:  # which may be a batch of them, under vmap: nothing is written in place
            used = weights[variables] * (total * grad[:, None])
            to_cores[variables.start] = cores[variables] * kernel.by_cores(visit, used)
    real = len(scaled.cores)
    if grad is None:
        return to_weights[:real], None
    return to_weights[:real], torch.cat([to_cores[start] for start in sorted(to_cores)])[:real]


class Matrices:
    """Steps of several rows: a variable's matrix is built for every batch row, then applied, ``O(N m^2 + r m^2)``.

    Built anew on the way back: that is as fast as to fetch it from memory, and nothing of that size is kept.
    """

    def __init__(self, weights: Tensor, cores: Tensor):
        self.cores = cores.flatten(-2)
        self.pairs = list(zip(weights.unbind(), self.cores.unbind(), strict=True))
        self.room = weights.new_empty(weights.shape[1], cores.shape[-1] ** 2)
        self.matrix = self.room.unflatten(-1, cores.shape[-2:])

    def push(self, t: int, here: Tensor, there: Tensor):
        """One step from either end: ``(2, B, r, m) -> (2, B, r, m)``"""
        torch.mm(*self.pairs[t], out=self.room)
        torch.bmm(here[0], self.matrix, out=there[0])
        torch.mm(*self.pairs[-1 - t], out=self.room)
        torch.bmm(here[1], self.matrix.mT, out=there[1])

    def walk_back(self, met: Meeting):
        """Yields slices of c variables with the gradient of log Z with respect to their matrices, ``(c, B, m m)``."""
        half, count = len(met.scales), len(self.pairs)
        state, spare = met.states[-1] * met.share[..., None], torch.empty_like(met.states[-1])
        usage = self.room.new_empty(2, min(CHUNK, half), *self.matrix.shape)
        kept, scales = met.states.unbind(), met.scales.flip(1).unbind()
        for start in range(half, count, CHUNK):
            stop = min(start + CHUNK, count)
            for t in range(start, stop):
                before = kept[count - 1 - t]
                state.div_(scales[count - 1 - t])
                torch.bmm(state[0].mT, before[1], out=usage[0, t - start])
                torch.bmm(before[0].mT, state[1], out=usage[1, stop - 1 - t])
                self.push(t, state, spare)
                state, spare = spare, state
            for side, variables in enumerate((slice(start, stop), slice(count - stop, count - start))):
                yield variables, usage[side, : stop - start].flatten(-2)

    def by_weights(self, variables: slice, usage: Tensor) -> Tensor:
        """The gradient with respect to the weights of these variables, ``(c, B, N)``."""
        return torch.bmm(usage, self.cores[variables].mT)

    def by_cores(self, usage: Tensor, weights: Tensor) -> Tensor:
        """The gradient with respect to their cores, rows taken with these weights ``(c, B, N)``: ``(c, N, m, m)``"""
        return torch.bmm(weights.mT, usage).reshape(len(usage), -1, *self.matrix.shape[-2:])


class Spread:
    """Steps of one row: spread over the states, then one product with all cores, ``O(N m^2)`` without any matrix."""

    def __init__(self, weights: Tensor, cores: Tensor):
        self.cores = cores.flatten(1, 2)  # (D, N m, m)
        self.pairs = torch.stack([self.cores, cores.mT.flip(0).flatten(1, 2)], 1).unbind()  # (2, N m, m) each
        self.steps = torch.stack([weights, weights.flip(0)], 1).unsqueeze(-1).unbind()  # (2, B, N, 1) each
        self.rows = weights.new_empty(*self.steps[0].shape[:-1], cores.shape[-1])
        self.flat = self.rows.flatten(-2)

    def push(self, t: int, here: Tensor, there: Tensor):
        """One step from either end: ``(2, B, 1, m) -> (2, B, 1, m)``"""
        torch.mul(self.steps[t], here, out=self.rows)
        torch.bmm(self.flat, self.pairs[t], out=there.squeeze(-2))

    def walk_back(self, met: Meeting):
        """Yields slices of c variables with what precedes and what follows them, ``(c, B, m)`` each."""
        half = len(met.scales)
        ways = torch.empty_like(met.states)
        torch.mul(met.states[-1], met.share[..., None], out=ways[0])
        steps, scales = ways.unbind(), met.scales.flip(1).unbind()
        for t in range(half):
            steps[t].div_(scales[-1 - t])
            self.push(half + t, steps[t], steps[t + 1])
        before = torch.cat([met.states[:-1, 0], ways[:-1, 0]]).squeeze(-2)  # (D, B, m)
        after = torch.cat([ways[:-1, 1].flip(0), met.states[:-1, 1].flip(0)]).squeeze(-2)
        for start in range(0, 2 * half, CHUNK):
            variables = slice(start, start + CHUNK)
            yield variables, (before[variables].unsqueeze(-2), after[variables])

    def by_weights(self, variables: slice, ends: tuple[Tensor, Tensor]) -> Tensor:
        """As `Matrices.by_weights`."""
        before, after = ends
        reached = torch.bmm(after, self.cores[variables].mT).unflatten(-1, (-1, after.shape[-1]))  # (c, B, N, m)
        return reached.mul_(before).sum(-1)

    def by_cores(self, ends: tuple[Tensor, Tensor], weights: Tensor) -> Tensor:
        """As `Matrices.by_cores`."""
        before, after = ends
        count, batch, rank = after.shape
        spread = (weights.unsqueeze(-1) * before).reshape(count, batch, -1)
        return torch.bmm(spread.mT, after).reshape(count, -1, rank, rank)


def _even(scaled: ScaledChain) -> tuple[Tensor, Tensor]:
    """Weights and cores of an even number of variables: to an odd one, one that changes nothing is appended."""
    weights, cores = scaled.weights, scaled.cores
    if len(cores) % 2 == 0:
        return weights, cores
    neutral = torch.zeros_like(cores[:1])
    neutral[0, 0] = torch.eye(cores.shape[-1], dtype=cores.dtype, device=cores.device)
    return torch.cat([weights, torch.ones_like(weights[:1])]), torch.cat([cores, neutral])
