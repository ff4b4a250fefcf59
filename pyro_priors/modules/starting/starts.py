"""Where the tables of a chain start: from noise, or as a mixture of product laws that its bonds hardly leave.

Products of near-uniform positive matrices forget exponentially fast along the chain, so that noise cannot learn that
distant variables depend on each other. A chain with near-diagonal cores is a mixture of product laws,

    p(x) ~ sum_i pi_i prod_k sum_s p_k(s | i) f_k(x_k | s),

which forgets almost nothing and can be fitted to data by EM before the gradient takes over. Where many attributes vary
by themselves a mixture would need a cluster for each combination: then part of every bond is left to the neighbours.
"""

import math
from collections.abc import Sequence

import torch
from torch import Tensor

LOCAL_TILT = 1.5  # standard deviation of the log-preferences of the states of a cluster at the start
LEAK = 0.1  # at the start: chance that a walk along bonds of factored cores leaves its cluster on the way


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
    log_probs: Sequence[Tensor], log_mix: Tensor, local: int, length: int
) -> tuple[Tensor, list[Tensor], Tensor]:
    """Logits of factored cores that are a mixture of product laws, and leak a little between the clusters.

    With `local` = L > 1 each cluster has L states of every bond: what they emit is that of the cluster, but for
    preferences of their own (log-normal, as those of `near_diagonal_cores`), and each leads to each. A bond leaves its
    cluster with a chance of `LEAK` / length a step, to a cluster by its weight: however long the chain, most draws are
    of a single cluster, as those of `near_diagonal_cores` are.

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
    leak = LEAK / length
    transition = (1 - leak) * stay + leak * initial.exp()
    spread = torch.rand(length - 1, *transition.shape, device=initial.device).to(initial) + 0.5
    return initial, [part.log_softmax(1) for part in emissions], (transition * spread).log().log_softmax(-1)
