"""Clusters in fewer states than there are clusters: those that are most like each other share one."""

from collections.abc import Sequence

import torch
from torch import Tensor

TINY = 1e-30  # the least probability that a table of clusters is given


def shared_states(log_probs: Sequence[Tensor], log_mix: Tensor, sizes: Sequence[int]) -> dict[int, Tensor]:
    """For each of several numbers of states the chance of each cluster in each state, ``(G, m)``.

    From one state a cluster, the two whose union says least less of the variables are merged, again and again.
    Cost: O(G^2 S) for S states of all variables.

    References:
        Slonim, Tishby, "Agglomerative information bottleneck", NIPS 1999, eq. 4.

    Args:
        log_probs: log p(state given cluster) of each group of variables, ``(D_g, N_g, G)``.
        log_mix: log-weights of the clusters, ``(G,)``.
        sizes: how many states, each at most G.

    Example:
        >>> log_probs = torch.tensor([[[0.9, 0.1, 0.8], [0.1, 0.9, 0.2]]]).log()
        >>> shared_states([log_probs], torch.tensor([0.25, 0.5, 0.25]).log(), [2])[2]
        tensor([[0.5000, 0.0000],
                [0.0000, 1.0000],
                [0.5000, 0.0000]])
    """
    weights = log_mix.softmax(0).clamp(min=TINY)
    joint = torch.cat([part.flatten(0, 1) for part in log_probs]).exp().mT * weights[:, None]  # (G, S)
    count, mass, labels = len(weights), weights.clone(), torch.arange(len(weights), device=weights.device)
    known = _known(joint, mass)
    losses = torch.stack([_losses(i, joint, mass, known) for i in range(count)])
    losses.fill_diagonal_(torch.inf)
    result = {}
    for left in range(count, min(sizes) - 1, -1):
        if left in sizes:
            result[left] = _chances(labels, weights)
        if left > 1:
            i, j = divmod(int(losses.argmin()), count)
            joint[i], mass[i] = joint[i] + joint[j], mass[i] + mass[j]
            labels = torch.where(labels == j, i, labels)
            known = _known(joint, mass)
            row = _losses(i, joint, mass, known).masked_fill(losses[i].isinf(), torch.inf)
            losses[i], losses[:, i] = row, row
            losses[j], losses[:, j] = torch.inf, torch.inf
    return result


def _known(joint: Tensor, mass: Tensor) -> Tensor:
    """What clusters say of the variables, negative entropies by their weights: ``(*, S), (*,) -> (*,)``"""
    return (torch.xlogy(joint, joint) - joint * mass.log().unsqueeze(-1)).sum(-1)


def _losses(i: int, joint: Tensor, mass: Tensor, known: Tensor) -> Tensor:
    """How much less is said by the union of a cluster with each, ``(G,)``."""
    return known[i] + known - _known(joint[i] + joint, mass[i] + mass)


def _chances(labels: Tensor, weights: Tensor) -> Tensor:
    """``(G,), (G,) -> (G, m)``: the weights of the clusters with each label, normalised."""
    taken = (labels[:, None] == labels.unique()).to(weights) * weights[:, None]
    return taken / taken.sum(0)
