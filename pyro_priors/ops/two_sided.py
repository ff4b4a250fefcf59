"""The chain contracted from both its ends at once, and the adjoint of that.

The left end moves right and the right end moves left, so that half as many steps follow each other; where they meet,
their inner product is Z. Step t therefore takes a pair: variable t for the left end, and for the right end variable
D - 1 - t with its matrix transposed. All else is one chain of h = D / 2 steps with twice the rows.
"""

from typing import NamedTuple

import torch
from torch import Tensor

from pyro_priors.ops.scaling import ScaledChain, boundaries, log_product, wide

CHUNK = 8  # pairs whose gradients are worked out together
DRIFT = 1e12  # how far the sums of rows may go from one before they are set to it again, where cores are not too sharp


class Meeting(NamedTuple):
    """What the way to the middle leaves for the way back."""

    log_total: Tensor  # (B,) log Z in float64, without the scale of the chain
    states: Tensor  # after 0..h steps of the left end and of the right one, (h + 1, 2, ...) as the kernel has them
    factors: list[Tensor | None]  # what each step's rows were multiplied with, if with anything
    share: Tensor  # (B, r) how much of Z closes through each r, over the inner product of the two last states
    kernel: "TrainKernel | RingKernel"


def meet(scaled: ScaledChain, ring: bool, *, keep: bool = True) -> Meeting:
    """Contract both halves. Rows keep scales of their own, so that no row of a ring underflows beside another.

    Without `keep` there is no way back, and only the last states are there.
    """
    weights, cores = _paired(scaled)
    kernel = (RingKernel if ring else TrainKernel)(weights, cores)
    start, axis = kernel.start(boundaries(cores, ring)), kernel.axis
    half = len(cores)
    states = cores.new_empty(half + 1 if keep else 2, *start.shape)
    rescaled = _rescaled(cores, scaled.cores.amin())
    taken = cores.new_empty(sum(rescaled), *start.sum(axis, keepdim=True).shape)
    room = iter(taken.unbind())
    factors = [next(room) if one else None for one in rescaled]
    steps = states.unbind() if keep else [states[(t + half + 1) % 2] for t in range(half + 1)]
    steps[0].copy_(start)
    tiny = torch.finfo(cores.dtype).tiny
    for t, (here, there, factor) in enumerate(zip(steps[:-1], steps[1:], factors, strict=True)):
        kernel.push(t, here, there)
        if factor is not None:
            torch.sum(there, axis, keepdim=True, out=factor)  # several times as fast as the maximum
            there.mul_(factor.clamp_(min=tiny).reciprocal_())
    overlap = kernel.rows(states[-1].prod(0).sum(axis))  # (B, r)
    log_rows = wide(overlap).log() - kernel.rows(log_product(taken.squeeze(axis)).sum(0))
    log_total = log_rows.logsumexp(-1)
    share = (log_rows - log_total[:, None]).exp().to(overlap)
    share = torch.where(share > 0, share / overlap, 0.0)  # NaN where the evidence is contradictory
    return Meeting(log_total, states, factors, share, kernel)


def gradients(met: Meeting, scaled: ScaledChain, grad: Tensor | None) -> tuple[Tensor, Tensor | None]:
    """Gradient of log Z with respect to log-weights, and of ``grad @ log Z`` with respect to log-cores.

    The first is the posterior of the states; its rows are normalised afresh, so that nothing drifts along the chain.

    Shapes:
        ``grad (B,)`` or None -> ``(D, B, N)``, ``(D, N, m, m)`` or None
    """
    reached, used = met.kernel.backward(met, grad)
    posterior = torch.mul(met.kernel.weights, reached, out=reached)
    total = posterior.sum(-2, keepdim=True)
    posterior.mul_(torch.where(total > 0, total.reciprocal(), 0.0))
    real = len(scaled.cores)
    if used is not None:
        left, right = used.reshape(-1, *met.kernel.cores.shape[1:]).mul_(met.kernel.cores).unbind(1)
        used = torch.cat([left, right.mT.flip(0)])[:real]
    return torch.cat([posterior[:, 0], posterior[:, 1].flip(0)])[:real].mT, used


class RingKernel:
    """Steps of several rows: a variable's matrix is built for every batch row, then applied, ``O(N m^2 + r m^2)``.

    Built anew on the way back: that is as fast as to fetch it from memory, and nothing of that size is kept. A state is
    ``(2, B, r, m)``.
    """

    axis = -1  # of a state's m values

    def __init__(self, weights: Tensor, cores: Tensor):
        self.weights, self.cores = weights, cores
        self.pairs = list(zip(weights.mT.unbind(), cores.flatten(-2).unbind(), strict=True))
        self.room = weights.new_empty(2, weights.shape[-1], cores.shape[-1] ** 2)
        self.matrix = self.room.flatten(0, 1).unflatten(-1, cores.shape[-2:])

    def start(self, ends: Tensor) -> Tensor:
        """The vectors that open the chain ``(r, m)`` as a state."""
        return ends.expand(2, self.weights.shape[-1], *ends.shape)

    def rows(self, numbers: Tensor) -> Tensor:
        """One number for each row of a state as ``(B, r)``."""
        return numbers

    def push(self, t: int, here: Tensor, there: Tensor):
        """One step from either end, from state to state."""
        torch.bmm(*self.pairs[t], out=self.room)
        torch.bmm(here.flatten(0, 1), self.matrix, out=there.flatten(0, 1))

    def backward(self, met: Meeting, grad: Tensor | None) -> tuple[Tensor, Tensor | None]:
        """Gradients of log Z with respect to the weights, and of ``grad @ log Z`` with respect to the cores.

        Shapes:
            ``-> (h, 2, N, B)``, as many numbers as ``(h, 2, N, m, m)`` has or None
        """
        adjoint = (met.states[-1].flip(0) * met.share[..., None]).flatten(0, 1)
        spare, count = torch.empty_like(adjoint), len(self.pairs)
        usage, transposed, uses = self.matrix, self.matrix.mT, self.room.mT  # one room for the matrices' gradients too
        reached = torch.empty_like(self.weights)
        weights = None if grad is None else (self.weights * grad).unbind()
        to_cores = []  # the last pair first
        states = met.states[:-1].flatten(1, 2).mT.unbind()
        parts = zip(range(count), states, met.factors, self.pairs, reached.unbind(), strict=True)
        for t, state, factor, pair, by_weights in reversed(list(parts)):
            if factor is not None:
                adjoint.mul_(factor.flatten(0, 1))
            torch.bmm(state, adjoint, out=usage)
            torch.bmm(pair[1], uses, out=by_weights)  # twice as fast as its transpose
            if weights is not None:  # which may be a batch of them, under vmap: nothing is written in place
                to_cores.append(torch.bmm(weights[t], self.room))
            if t > 0:
                torch.bmm(*pair, out=self.room)
                torch.bmm(adjoint, transposed, out=spare)
                adjoint, spare = spare, adjoint
        return reached, None if grad is None else torch.stack(to_cores[::-1])


class TrainKernel:
    """Steps of one row: spread over the states, then one product with all cores, ``O(N m^2)`` without any matrix.

    A state is ``(2, 1, m, B)``: with the batch last, what is no product is twice as fast.
    """

    axis = -2  # of a state's m values

    def __init__(self, weights: Tensor, cores: Tensor):
        self.weights, self.cores, self.flat_cores = weights, cores, cores.flatten(2, 3)  # (h, 2, N m, m)
        self.wide_weights = weights.unsqueeze(-2)
        self.steps = list(zip(self.wide_weights.unbind(), self.flat_cores.mT.unbind(), strict=True))
        self.room = weights.new_empty(2, cores.shape[2], cores.shape[-1], weights.shape[-1])
        self.flat_room = self.room.flatten(1, 2)

    def start(self, ends: Tensor) -> Tensor:
        """As that of `RingKernel`."""
        return ends.mT.expand(2, 1, -1, self.weights.shape[-1])

    def rows(self, numbers: Tensor) -> Tensor:
        """As that of `RingKernel`."""
        return numbers.mT

    def push(self, t: int, here: Tensor, there: Tensor):
        """One step from either end, from state to state."""
        self._push(*self.steps[t], here, there)

    def _push(self, weights: Tensor, cores: Tensor, here: Tensor, there: Tensor):
        torch.mul(weights, here, out=self.room)
        torch.bmm(cores, self.flat_room, out=there.squeeze(1))

    def backward(self, met: Meeting, grad: Tensor | None) -> tuple[Tensor, Tensor | None]:
        """As that of `RingKernel`."""
        before, after = self._ways(met)  # (h, 2, 1, m, B), (h, 2, m, B)
        scaled = None if grad is None else after * grad  # which may be a batch of them, under vmap
        reached, to_cores = torch.empty_like(self.weights), []
        buffer = self.room.new_empty(min(CHUNK, len(self.steps)), *self.room.shape)
        for start in range(0, len(self.steps), CHUNK):
            pairs = slice(start, start + CHUNK)
            weights, cores, here = self.wide_weights[pairs], self.flat_cores[pairs], before[pairs]
            room = buffer[: len(cores)]  # (c, 2, N, m, B)
            flat = room.flatten(2, 3)
            torch.bmm(cores.flatten(0, 1), after[pairs].flatten(0, 1), out=flat.flatten(0, 1))
            torch.sum(room.mul_(here), -2, out=reached[pairs])
            if scaled is not None:
                torch.mul(weights, here, out=room)
                to_cores.append(torch.matmul(flat, scaled[pairs].mT))
        return reached, None if grad is None else torch.cat(to_cores)

    def _ways(self, met: Meeting) -> tuple[Tensor, Tensor]:
        """What precedes and what follows each pair."""
        adjoints = torch.empty_like(met.states[1:])
        torch.mul(met.states[-1].flip(0), met.share.mT.unsqueeze(-2), out=adjoints[-1])
        steps, transposed = adjoints.unbind(), self.cores.transpose(2, 3).flatten(3).unbind()  # (2, m, N m)
        for t, factor in reversed(list(enumerate(met.factors))):
            if factor is not None:
                steps[t].mul_(factor)
            if t > 0:
                self._push(self.steps[t][0], transposed[t], steps[t], steps[t - 1])
        return met.states[:-1], adjoints.squeeze(2)


def _rescaled(cores: Tensor, smallest: Tensor) -> list[bool]:
    """Which steps end with rows set to a sum of one: where the next could take sums further away than `DRIFT`.

    A matrix is a sum of cores with weights of at most one, of which one is one (all are zero where the evidence is
    contradictory: such rows stay zero). It multiplies the sum of a row by a number between the bounds taken here, and
    leaves no entry of the row below its ``smallest`` entry times that sum: the sharper the cores, the less room is left
    for sums above the smallest float. The variable that makes a chain even counts as sharp, once. On a GPU, which would
    have to be waited for, it is all steps.
    """
    if cores.is_cuda:
        return [True] * len(cores)
    sums = cores.sum(-1)  # (h, 2, N, m)
    bounds = torch.cat([sums.amin((1, 2, 3)), sums.sum(2).amax((1, 2)), smallest[None]]).tolist()  # one wait for all
    drift = min(max(1.0, 1e-8 * bounds.pop() / torch.finfo(cores.dtype).tiny), DRIFT)
    bounds = list(zip(bounds[: len(cores)], bounds[len(cores) :], strict=True))
    (low, high), rescaled = bounds[0], []
    for lowest, highest in [*bounds[1:], (0.0, 0.0)]:  # the last step's are always set to one
        rescaled.append(low * lowest * drift < 1 or high * highest > drift)
        low, high = (lowest, highest) if rescaled[-1] else (low * lowest, high * highest)
    return rescaled


def _paired(scaled: ScaledChain) -> tuple[Tensor, Tensor]:
    """Each variable beside its mirror image, whose core is transposed: ``(h, 2, N, B)`` and ``(h, 2, N, m, m)``.

    To an odd number of variables one that changes nothing is appended.
    """
    weights, cores = scaled.weights, scaled.cores
    if len(cores) % 2:
        neutral = torch.zeros_like(cores[:1])
        neutral[0, 0] = torch.eye(cores.shape[-1], dtype=cores.dtype, device=cores.device)
        weights, cores = torch.cat([weights, torch.ones_like(weights[:1])]), torch.cat([cores, neutral])
    half = len(cores) // 2
    weights = torch.stack([weights[:half].mT, weights[half:].mT.flip(0)], 1)
    return weights, torch.stack([cores[:half], cores[half:].mT.flip(0)], 1)
