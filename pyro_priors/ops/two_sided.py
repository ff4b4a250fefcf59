"""The chain contracted from both its ends at once, and the adjoint of that.

The left end moves right and the right end moves left, so that half as many steps follow each other; where they meet,
their inner product is Z. Step t therefore takes a pair (`pairs`): variable t for the left end, and for the right end
variable D - 1 - t with its matrix transposed. All else is one chain of h = D / 2 steps with twice the rows.

Further letters in the shape comments of this file: c = 1 or 2 ends that a move takes, P variables of a paired group.
"""

from typing import NamedTuple

import torch
from torch import Tensor

from pyro_priors.ops.pairs import Move, Paired, paired, unpaired
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
    pairs = paired(scaled)
    kernel, cores = (RingKernel if ring else TrainKernel)(pairs), pairs.cores[0]
    start, axis = kernel.start(boundaries(cores, ring)), kernel.axis
    half = len(pairs.plan.steps)
    states = cores.new_empty(half + 1 if keep else 2, *start.shape)
    rescaled = _rescaled(pairs, [part.amin() for part in scaled.cores])
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


def gradients(met: Meeting, scaled: ScaledChain, grad: Tensor | None) -> tuple[list[Tensor], list[Tensor] | None]:
    """Gradient of log Z with respect to log-weights, and of ``grad @ log Z`` with respect to log-cores.

    The first is the posterior of the states; its rows are normalised afresh, so that nothing drifts along the chain.

    Shapes:
        ``grad (B,)`` or None -> ``(D_g, N_g, B)`` each, ``(D_g, N_g, m, m)`` each or None
    """
    weights, cores, plan = met.kernel.pairs
    reached, used = met.kernel.backward(met, grad)
    for weight, posterior in zip(weights, reached, strict=True):
        torch.mul(weight, posterior, out=posterior)
        total = posterior.sum(-2, keepdim=True)
        posterior.mul_(torch.where(total > 0, total.reciprocal(), 0.0))
    posteriors = unpaired(reached, plan, scaled.layout, False)
    if used is None:
        return posteriors, None
    used = [by_cores.reshape(core.shape).mul_(core) for by_cores, core in zip(used, cores, strict=True)]
    return posteriors, unpaired(used, plan, scaled.layout, True)


class RingKernel:
    """Steps of several rows: a variable's matrix is built for every batch row, then applied, ``O(N m^2 + r m^2)``.

    Built anew on the way back: that is as fast as to fetch it from memory, and nothing of that size is kept. A state is
    ``(2, B, r, m)``.
    """

    axis = -1  # of a state's m values

    def __init__(self, pairs: Paired):
        self.pairs = pairs
        self.flat_cores = [cores.flatten(-2) for cores in pairs.cores]  # (P, N, m m)
        weights, rank = pairs.weights[0], pairs.cores[0].shape[-1]
        self.batch = weights.shape[-1]
        self.room = weights.new_empty(2, self.batch, rank**2)
        self.matrix = self.room.flatten(0, 1).unflatten(-1, (rank, rank))
        self.steps = [[self._move(move) for move in moves] for moves in pairs.plan.steps]

    def _move(self, move: Move) -> tuple[Tensor, Tensor, Tensor]:
        """Weights ``(c, B, N)``, cores ``(c, N, m m)`` and the room for what they make."""
        weights, cores = self.pairs.weights[move.group].mT, self.flat_cores[move.group]
        return weights[move.places], cores[move.places], self.room[move.sides]

    def start(self, ends: Tensor) -> Tensor:
        """The vectors that open the chain ``(r, m)`` as a state."""
        return ends.expand(2, self.batch, *ends.shape)

    def rows(self, numbers: Tensor) -> Tensor:
        """One number for each row of a state as ``(B, r)``."""
        return numbers

    def push(self, t: int, here: Tensor, there: Tensor):
        """One step from either end, from state to state."""
        self._build(t)
        torch.bmm(here.flatten(0, 1), self.matrix, out=there.flatten(0, 1))

    def _build(self, t: int):
        """The matrices of a step."""
        for weights, cores, room in self.steps[t]:
            torch.bmm(weights, cores, out=room)

    def backward(self, met: Meeting, grad: Tensor | None) -> tuple[list[Tensor], list[Tensor] | None]:
        """Gradients of log Z with respect to the weights, and of ``grad @ log Z`` with respect to the cores.

        Shapes:
            ``-> (P, N, B)`` each, as many numbers as ``(P, N, m, m)`` has each or None
        """
        adjoint = (met.states[-1].flip(0) * met.share[..., None]).flatten(0, 1)
        spare = torch.empty_like(adjoint)
        usage, transposed, uses = self.matrix, self.matrix.mT, self.room.mT  # one room for the matrices' gradients too
        reached = [torch.empty_like(weights) for weights in self.pairs.weights]
        scaled = None if grad is None else [weights * grad for weights in self.pairs.weights]
        to_cores: list[dict[int, Tensor]] = [{} for _ in reached]
        states = met.states[:-1].flatten(1, 2).mT.unbind()
        for t, moves in reversed(list(enumerate(self.pairs.plan.steps))):
            factor = met.factors[t]
            if factor is not None:
                adjoint.mul_(factor.flatten(0, 1))
            torch.bmm(states[t], adjoint, out=usage)
            for (sides, group, places), (_, cores, room) in zip(moves, self.steps[t], strict=True):
                torch.bmm(cores, uses[sides], out=reached[group][places])  # twice as fast as its transpose
                if scaled is not None:  # which may be a batch of them, under vmap: nothing is written in place
                    to_cores[group][places.start] = torch.bmm(scaled[group][places], room)
            if t > 0:
                self._build(t)
                torch.bmm(adjoint, transposed, out=spare)
                adjoint, spare = spare, adjoint
        return reached, None if grad is None else _in_order(to_cores)


class TrainKernel:
    """Steps of one row: spread over the states, then one product with all cores, ``O(N m^2)`` without any matrix.

    A state is ``(2, 1, m, B)``: with the batch last, what is no product is twice as fast.
    """

    axis = -2  # of a state's m values

    def __init__(self, pairs: Paired):
        self.pairs = pairs
        self.flat_cores = [cores.flatten(1, 2) for cores in pairs.cores]  # (P, N m, m)
        self.wide_weights = [weights.unsqueeze(-2) for weights in pairs.weights]
        self.batch, rank = pairs.weights[0].shape[-1], pairs.cores[0].shape[-1]
        self.rooms = [
            weights.new_empty(2 if two[0] else 1, weights.shape[1], rank, self.batch)
            for weights, two in zip(pairs.weights, pairs.plan.together, strict=True)
        ]
        turned = [cores.mT for cores in self.flat_cores]
        self.steps = [[self._move(move, turned) for move in moves] for moves in pairs.plan.steps]

    def _move(self, move: Move, cores: list[Tensor]) -> tuple[slice, Tensor, Tensor, Tensor, Tensor]:
        """The ends it takes, weights ``(c, N, 1, B)``, cores ``(c, m, N m)``, and a room in two shapes."""
        room = self.rooms[move.group][: move.sides.stop - move.sides.start]
        weights = self.wide_weights[move.group][move.places]
        return move.sides, weights, cores[move.group][move.places], room, room.flatten(1, 2)

    def start(self, ends: Tensor) -> Tensor:
        """As that of `RingKernel`."""
        return ends.mT.expand(2, 1, -1, self.batch)

    def rows(self, numbers: Tensor) -> Tensor:
        """As that of `RingKernel`."""
        return numbers.mT

    def push(self, t: int, here: Tensor, there: Tensor):
        """One step from either end, from state to state."""
        self._push(self.steps[t], here, there)

    def _push(self, moves: list, here: Tensor, there: Tensor):
        for sides, weights, cores, room, flat_room in moves:
            torch.mul(weights, here[sides], out=room)
            torch.bmm(cores, flat_room, out=there[sides].squeeze(1))

    def backward(self, met: Meeting, grad: Tensor | None) -> tuple[list[Tensor], list[Tensor] | None]:
        """As that of `RingKernel`."""
        before, after = self._ways(met)  # (h, 2, 1, m, B), (h, 2, m, B)
        scaled = None if grad is None else after * grad  # which may be a batch of them, under vmap
        reached = [torch.empty_like(weights) for weights in self.pairs.weights]
        to_cores: list[dict[int, Tensor]] = [{} for _ in reached]
        blocks = _blocks(self.pairs.plan.steps)
        most = [0] * len(reached)
        for _, (_, group, places) in blocks:
            most[group] = max(most[group], places.stop - places.start)
        buffers = [
            room if len(room) >= count else room.new_empty(count, *room.shape[1:])
            for room, count in zip(self.rooms, most, strict=True)
        ]
        for steps, (sides, group, places) in blocks:
            weights, cores = self.wide_weights[group][places], self.flat_cores[group][places]
            here, following = before[steps, sides].flatten(0, 1), after[steps, sides].flatten(0, 1)
            room = buffers[group][: len(cores)]  # (c, N, m, B)
            flat = room.flatten(1, 2)
            torch.bmm(cores, following, out=flat)
            torch.sum(room.mul_(here), -2, out=reached[group][places])
            if scaled is not None:
                torch.mul(weights, here, out=room)
                to_cores[group][places.start] = torch.matmul(flat, scaled[steps, sides].reshape(following.shape).mT)
        return reached, None if grad is None else _in_order(to_cores)

    def _ways(self, met: Meeting) -> tuple[Tensor, Tensor]:
        """What precedes and what follows each pair."""
        adjoints = torch.empty_like(met.states[1:])
        torch.mul(met.states[-1].flip(0), met.share.mT.unsqueeze(-2), out=adjoints[-1])
        steps = adjoints.unbind()
        transposed = [cores.transpose(1, 2).flatten(2) for cores in self.pairs.cores]  # (P, m, N m)
        for t, factor in reversed(list(enumerate(met.factors))):
            if factor is not None:
                steps[t].mul_(factor)
            if t > 0:
                moves = zip(self.pairs.plan.steps[t], self.steps[t], strict=True)
                back = [(s, w, transposed[move.group][move.places], *rooms) for move, (s, w, _, *rooms) in moves]
                self._push(back, steps[t], steps[t - 1])
        return met.states[:-1], adjoints.squeeze(2)


def _in_order(to_cores: list[dict[int, Tensor]]) -> list[Tensor]:
    """Of each group, what stands at its places, one after the other."""
    return [torch.cat([parts[start] for start in sorted(parts)]) for parts in to_cores]


def _blocks(steps: list[list[Move]]) -> list[tuple[slice, Move]]:
    """Steps of one group that follow each other, at most `CHUNK`, whose variables stand together; all others alone."""
    blocks: list[tuple[slice, Move]] = []
    for t, moves in enumerate(steps):
        if blocks and len(moves) == 1:
            taken, (sides, group, places) = blocks[-1]
            here = moves[0]
            follows = taken.stop == t and group == here.group and places.stop == here.places.start
            if follows and t - taken.start < CHUNK:
                blocks[-1] = slice(taken.start, t + 1), Move(sides, group, slice(places.start, here.places.stop))
                continue
        blocks += [(slice(t, t + 1), move) for move in moves]
    return blocks


def _rescaled(pairs: Paired, smallest: list[Tensor]) -> list[bool]:
    """Which steps end with rows set to a sum of one: where the next could take sums further away than `DRIFT`.

    A matrix is a sum of cores with weights of at most one, of which one is one (all are zero where the evidence is
    contradictory: such rows stay zero). It multiplies the sum of a row by a number between the bounds taken here, and
    leaves no entry of the row below its ``smallest`` entry times that sum: the sharper the cores, the less room is left
    for sums above the smallest float. The variable that makes a chain even counts as sharp, once. On a GPU, which would
    have to be waited for, it is all steps.
    """
    cores, steps = pairs.cores, pairs.plan.steps
    if cores[0].is_cuda:
        return [True] * len(steps)
    sums = [part.sum(-1) for part in cores]  # (P, N, m)
    bounds = [bound for part in sums for bound in (part.amin((1, 2)), part.sum(1).amax(1))]
    numbers = torch.cat([*bounds, torch.stack(smallest).amin()[None]]).tolist()  # one wait for all
    drift = min(max(1.0, 1e-8 * numbers.pop() / torch.finfo(cores[0].dtype).tiny), DRIFT)
    lows, highs, count = [], [], 0
    for part in cores:
        lows.append(numbers[count : count + len(part)])
        highs.append(numbers[count + len(part) : count + 2 * len(part)])
        count += 2 * len(part)
    limits = [
        (
            min(low for _, group, places in moves for low in lows[group][places]),
            max(high for _, group, places in moves for high in highs[group][places]),
        )
        for moves in steps
    ]
    (low, high), rescaled = limits[0], []
    for lowest, highest in [*limits[1:], (0.0, 0.0)]:  # the last step's are always set to one
        rescaled.append(low * lowest * drift < 1 or high * highest > drift)
        low, high = (lowest, highest) if rescaled[-1] else (low * lowest, high * highest)
    return rescaled
