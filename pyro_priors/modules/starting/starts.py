"""Where the tables of a chain start: from noise, or as a mixture of product laws that its bonds hardly leave.

Products of near-uniform positive matrices forget exponentially fast along the chain, so that noise cannot learn that
distant variables depend on each other. A chain with near-diagonal cores is a mixture of product laws,

    p(x) ~ sum_i pi_i prod_k sum_s p_k(s | i) f_k(x_k | s),

which forgets almost nothing and can be fitted to data by EM before the gradient takes over. Where many attributes vary
by themselves a mixture would need a cluster for each combination: then part of every bond is left to the neighbours.
"""

import math
from collections.abc import Callable, Sequence

import torch
from torch import Tensor

from pyro_priors.modules.bonds import Bonds, places_of
from pyro_priors.modules.starting.merging import TINY, shared_states
from pyro_priors.ops.layout import Layout

LOCAL_TILT = 1.5  # standard deviation of the log-preferences of the states of a cluster at the start
SHUT = 0.05  # chance that a bond of factored cores leaves its cluster at a step, at the start
LEAK = 0.1  # the same of a whole chain with several vectors: draws of them stay of a single cluster


def noise_cores(columns: int, states: int, rank: int) -> Tensor:
    """The papers' start: entries are squares of N(0, 1) / (N m^2) noise. ``-> (D, N, m, m)``

    As all functions of cores here, of variables with as many states as each other.
    """
    noise = torch.randn(columns, states, rank, rank).abs().clamp(min=1e-6)
    return 2 * (noise.log() - torch.tensor(float(states * rank**2)).log())


def near_diagonal_cores(log_probs: Tensor, log_mix: Tensor, local: int = 1, length: int | None = None) -> Tensor:
    """Cores of a mixture of product laws that leak a little between the clusters, so that they can move apart.

    An entry between two clusters is at most 1 / (10 m D) of what each of the two keeps to itself: then even after D
    variables most of the weight has stayed in its cluster. The cluster weights are spread evenly over the variables.

    With `local` = L > 1 each cluster has L values of every bond, chosen afresh from bond to bond, and what a variable
    prefers depends a little on those at its two sides, differently for each variable, while its own law stays what it
    was. What two neighbours share need not be shared by all: a mixture would need a cluster for every combination.

    Takes the length of the whole chain, D by default.

    Shapes:
        ``log_probs (D, N, G)`` = log p_k(s | cluster i), ``log_mix (G,)`` -> ``(D, N, G L, G L)``
    """
    clusters = log_probs.shape[-1]
    columns = length or len(log_probs)
    rank = clusters * local
    diagonal = (log_probs + log_mix / columns).repeat_interleave(local, -1)
    leak = -torch.tensor(10.0 * rank * columns).log()
    smaller = torch.minimum(diagonal.unsqueeze(-1), diagonal.unsqueeze(-2))
    between = smaller + leak - 0.1 * torch.randn_like(smaller).abs()
    bond = torch.arange(rank, device=between.device)
    cluster, value = bond // local, bond % local
    within = diagonal.unsqueeze(-1)
    if local > 1:
        within = within + _tilt(log_probs, local).log()[:, :, cluster[:, None], value[:, None], value]
    return torch.where(cluster[:, None] == cluster, within, between)


def _tilt(log_probs: Tensor, local: int, rounds: int = 100) -> Tensor:
    """What a state's weight is multiplied with between two values of its bonds, at random, ``(D, N, G, L, L)``.

    Each has a mean of 1 / L, and in the mean over the states rows and columns sum to one: values that are uniform at
    one end of a variable are so at the other, and p_k(s | cluster) is what it was. Found by scaling in turns.
    """
    columns, states, _ = log_probs.shape
    probs = log_probs.softmax(1)[..., None, None]
    tilt = (LOCAL_TILT * torch.randn(columns, states, 1, local, local)).to(probs).exp()
    for _ in range(rounds):
        for side in (-1, -2):
            tilt = tilt / (probs * tilt).sum((1, side), keepdim=True)
        tilt = tilt * local / tilt.sum((-1, -2), keepdim=True)
    return tilt


def random_clusters(columns: int, states: int, clusters: int) -> Tensor:
    """log p(state given cluster) before any data is seen: each cluster prefers states of its own. ``-> (D, N, G)``"""
    return torch.randn(columns, states, clusters).log_softmax(1)


def sticky_tables(
    log_probs: Sequence[Tensor], log_mix: Tensor, local: int, length: int, leak: float = SHUT
) -> tuple[Tensor, list[Tensor], Tensor]:
    """Logits of factored cores that are a mixture of product laws, and leak a little between the clusters.

    With `local` = L > 1 each cluster has L states of every bond: what they emit is that of the cluster, but for
    preferences of their own (log-normal, as those of `near_diagonal_cores`), and each leads to each. A bond leaves its
    cluster with a chance of `leak` a step, to a cluster by its weight.

    Shapes:
        ``log_probs (D_g, N_g, G)`` of each group, ``log_mix (G,)`` -> initial ``(m,)``, emissions ``(D_g, N_g, m)``
        each, transitions ``(length - 1, m, m)``, m = G L
    """
    initial = log_mix.log_softmax(0).repeat_interleave(local) - math.log(local)
    emissions = [part.repeat_interleave(local, -1) for part in log_probs]
    if local > 1:
        emissions = [part + LOCAL_TILT * torch.randn_like(part) for part in emissions]
    cluster = torch.arange(len(initial), device=initial.device) // local
    stay = (cluster[:, None] == cluster).to(initial) / local
    transition = (1 - leak) * stay + leak * initial.exp()
    spread = torch.rand(length - 1, *transition.shape, device=initial.device).to(initial) + 0.5
    return initial, [part.log_softmax(1) for part in emissions], (transition * spread).log().log_softmax(-1)


def folded_cores(
    log_probs: Sequence[Tensor], log_mix: Tensor, layout: Layout, order: Tensor | None, bonds: Bonds
) -> list[Tensor]:
    """`near_diagonal_cores` between bonds of the sizes of `bonds`; what stands beyond these is zero.

    In a bond narrower than there are clusters several share a state, out of which they are drawn again by their
    weights: each variable by itself has the law of the mixture. The first core of the chain has all of these weights.

    Shapes:
        group by group, ``(D_g, N_g, G) -> (D_g, N_g, m, m)``
    """
    length, mix = len(layout.sizes), log_mix.log_softmax(0)
    places, sides = places_of(order, length), bonds.sides(order, length)
    held = shared_states(log_probs, mix, bonds.sizes)

    def core(probs: Tensor, column: int) -> Tensor:
        before, behind = (held[states] for states in sides[column])
        return bonds.padded(_folded_core(probs, before, behind, mix if places[column] == 0 else None, length), 2)

    return _by_column(core, log_probs, layout)


def _folded_core(log_probs: Tensor, before: Tensor, behind: Tensor, log_mix: Tensor | None, length: int) -> Tensor:
    """Of a variable between the states that clusters share at its sides: ``(N, G), (G, m), (G, n) -> (N, m, n)``

    The first of the chain takes the weights of the clusters.
    """
    opens, into = (before > 0).to(before), (behind > 0).to(behind)
    taken = before if log_mix is None else opens * log_mix.exp().unsqueeze(-1)
    core = torch.einsum("ga,sg,gb->sab", taken, log_probs.exp(), into)
    smaller = torch.minimum(core.amax(-1, keepdim=True), core.amax(-2, keepdim=True))
    noise = (-0.1 * torch.randn_like(core).abs()).exp()
    between = smaller * noise / (10.0 * max(core.shape[1:]) * length)
    return torch.where(opens.mT @ into > 0, core, between).clamp(min=TINY).log()


def _by_column(make: Callable[[Tensor, int], Tensor], log_probs: Sequence[Tensor], layout: Layout) -> list[Tensor]:
    """Tables that are made of a variable's log-probabilities ``(N_g, G)`` and its column, group by group."""
    groups = zip(log_probs, layout.groups, strict=True)
    return [torch.stack([make(*own) for own in zip(part, columns, strict=True)]) for part, (_, columns) in groups]


def folded_tables(
    log_probs: Sequence[Tensor], log_mix: Tensor, layout: Layout, order: Tensor | None, bonds: Bonds
) -> tuple[Tensor, list[Tensor], Tensor]:
    """`sticky_tables` where bonds have the sizes of `bonds`, with clusters that share states as in `folded_cores`."""
    mix, places = log_mix.log_softmax(0), places_of(order, len(layout.sizes))
    shared = shared_states(log_probs, mix, bonds.sizes)
    held = [shared[states] for states in bonds.sizes]  # (G, m_j) each

    def emission(probs: Tensor, column: int) -> Tensor:
        return bonds.padded((probs.exp() @ held[places[column]]).clamp(min=TINY).log(), 1)

    emissions = _by_column(emission, log_probs, layout)
    taken = [(part > 0).to(mix) for part in held]
    usual = [part.mT @ mix.exp() for part in taken]  # how often each state of each bond is taken
    transitions = []
    for here, there, often in zip(held[:-1], taken[1:], usual[1:], strict=True):
        move = (1 - SHUT) * here.mT @ there + SHUT * often
        move = move * (torch.rand(move.shape, device=move.device).to(move) + 0.5)
        transitions.append(bonds.padded(move.log().log_softmax(-1), 2))
    return bonds.padded(usual[0].log(), 1), emissions, torch.stack(transitions)
