"""Starting points for the parameters of a tensor ring: from noise, near the diagonal, and from data.

Products of near-uniform positive matrices forget exponentially fast along the chain, so that noise cores cannot learn
that distant variables depend on each other. A ring with near-diagonal cores is a mixture of m product laws,

    p(x) ~ sum_i pi_i prod_k sum_s p_k(s | i) f_k(x_k | s),

which forgets almost nothing and can be fitted to data by EM before the gradient takes over. Where many attributes vary
by themselves a mixture would need a cluster for each combination: then part of every bond is left to the neighbours.
"""

from typing import NamedTuple

import torch
from torch import Tensor

from pyro_priors.distributions import Variables
from pyro_priors.modules.fitting import fit_clusters, fit_mixture
from pyro_priors.ops import full_precision

LOCAL_TILT = 1.5  # standard deviation of the log-preferences that neighbours share at the start


def noise_cores(columns: int, states: int, rank: int) -> Tensor:
    """The papers' start: entries are squares of N(0, 1) / (N m^2) noise. ``-> (D, N, m, m)``"""
    noise = torch.randn(columns, states, rank, rank).abs().clamp(min=1e-6)
    return 2 * (noise.log() - torch.tensor(float(states * rank**2)).log())


def near_diagonal_cores(log_probs: Tensor, log_mix: Tensor, local: int = 1) -> Tensor:
    """Cores of a mixture of product laws that leak a little between the clusters, so that they can move apart.

    An entry between two clusters is at most 1 / (10 m D) of what each of the two keeps to itself: then even after D
    variables most of the weight has stayed in its cluster. The cluster weights are spread evenly over the variables.

    With `local` = L > 1 each cluster has L values of every bond, chosen afresh from bond to bond, and what a variable
    prefers depends a little on those at its two sides, differently for each variable, while its own law stays what it
    was. What two neighbours share need not be shared by all: a mixture would need a cluster for every combination.

    Shapes:
        ``log_probs (D, N, G)`` = log p_k(s | cluster i), ``log_mix (G,)`` -> ``(D, N, G L, G L)``
    """
    columns, _, clusters = log_probs.shape
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


def random_mixture_cores(columns: int, states: int, rank: int, local: int = 1) -> Tensor:
    """Near-diagonal cores before any data is seen: each cluster prefers states of its own. ``-> (D, N, m, m)``"""
    clusters = rank // local
    return near_diagonal_cores(torch.randn(columns, states, clusters).log_softmax(1), torch.zeros(clusters), local)


class ProductMixture(NamedTuple):
    """A mixture of G product laws with component parameters shared by the clusters."""

    loc: Tensor | None  # (C, N) of the continuous columns
    scale: Tensor | None  # (C, N)
    log_probs: Tensor  # (D, N, G)
    log_mix: Tensor  # (G,)


def fit_product_mixture(
    value: Tensor, variables: Variables, clusters: int, states: int, steps: int = 30, shrinkage: float = 5.0
) -> ProductMixture:
    """Fit the diagonal ring to data: 1-D mixtures per column, k-means clusters, then EM on all of it.

    Args:
        value: data ``(n, D)``, NaN = missing; columns without any entry keep their parameters.
        variables: the columns with their present component parameters.
        clusters: how many, G.
        states: number of states N that the cores have.
        steps: EM steps; each leaves the likelihood of the data no worse, up to the shrinkage.
        shrinkage: rows of the column's overall law that are added to every cluster.
    """
    loc, scale = fit_leaves(value, variables)
    columns, seen = tuple(range(len(variables))), ~value.isnan().unsqueeze(-1)
    absent = variables.absent_states(states, value.device)
    absent = torch.zeros(len(variables), states, dtype=torch.bool, device=value.device) if absent is None else absent
    # Assignments are softened, so that a cluster k-means made too small can grow.
    cluster = cluster_rows(value, variables, clusters)
    responsibility = 0.9 * torch.nn.functional.one_hot(cluster, clusters).to(value) + 0.1 / clusters  # (n, G)
    probs = (~absent).to(value).unsqueeze(-1).expand(-1, -1, clusters)  # p_k(s | i), (D, N, G)
    log_mix = value.new_zeros(clusters)
    for step in range(steps):
        evidence = variables.bind(loc, scale).log_evidence(value, columns, states).masked_fill(absent, -torch.inf)
        leaf = (evidence - evidence.amax(-1, keepdim=True)).exp()  # (n, D, N)
        fit = torch.einsum("nks,ksi->nki", leaf, probs).clamp(min=1e-30)
        if step:
            responsibility = (fit.log().sum(1) + log_mix).softmax(-1)
        share = seen * responsibility.unsqueeze(1) / fit  # missing entries say nothing of their column
        counts = torch.einsum("nks,nki->ksi", leaf, share) * probs + 1e-3
        used = leaf * torch.einsum("nki,ksi->nks", share, probs)
        loc, scale = _update_leaves(value, variables, used, loc, scale)
        # Shrunk towards the column's own law, as if each cluster had seen a few rows of it: small clusters overfit.
        usual = counts.sum(-1, keepdim=True) / counts.sum((1, -1), keepdim=True)
        probs = (counts + shrinkage * usual).masked_fill(absent.unsqueeze(-1), 1e-8)
        probs = probs / probs.sum(1, keepdim=True)
        log_mix = (responsibility.sum(0) + 0.1).log().log_softmax(0)
    return ProductMixture(loc, scale, probs.log(), log_mix)


def fit_leaves(value: Tensor, variables: Variables) -> tuple[Tensor | None, Tensor | None]:
    """A 1-D Gaussian mixture for each continuous column, ``(C, N)`` each; NaN entries are left out."""
    if variables.loc is None or variables.scale is None:
        return None, None
    loc, scale = (full_precision(leaf.detach()).clone() for leaf in (variables.loc, variables.scale))
    continuous = list(variables.continuous)
    for row, column in enumerate(continuous):
        seen = value[:, column][~value[:, column].isnan()]
        if len(seen):
            count = variables.num_states[column]
            loc[row, :count], scale[row, :count] = fit_mixture_1d(seen, count)
    return loc, scale


def fit_mixture_1d(column: Tensor, components: int) -> tuple[Tensor, Tensor]:
    """Means and standard deviations of a 1-D Gaussian mixture; a constant column gets equal narrow components.

    Shapes:
        ``(n,) -> (components,), (components,)``
    """
    loc, scale, _ = fit_mixture(column[:, None], components)
    return loc[:, 0], scale[:, 0]


def cluster_rows(value: Tensor, variables: Variables, clusters: int) -> Tensor:
    """k-means on standardised continuous and one-hot discrete columns, missing entries at the mean. ``-> (n,)``"""
    features = []
    for column, real in enumerate(variables.is_continuous):
        x = value[:, column]
        seen = ~x.isnan()
        if real:
            block = x[:, None]
        else:
            block = torch.nn.functional.one_hot(x.nan_to_num(0.0).long(), variables.num_states[column]).to(value)
        if not seen.any():
            continue
        block = (block - block[seen].mean(0)) / block[seen].std(correction=0).clamp(min=1e-6)
        features.append(torch.where(seen[:, None], block, 0.0))
    if not features:
        return torch.arange(len(value), device=value.device) % clusters
    return fit_clusters(torch.cat(features, 1), clusters)


def _update_leaves(value: Tensor, variables: Variables, used: Tensor, loc, scale):
    """M-step of the shared component parameters; the scale stays above a floor, components hardly used stay put."""
    if loc is None:
        return loc, scale
    columns = list(variables.continuous)
    weight = used[:, columns, : loc.shape[-1]]  # (n, C, N), zero where missing
    total = weight.sum(0)
    x = value[:, columns].nan_to_num(0.0).unsqueeze(-1)
    floor = (0.01 * _std(value[:, columns])).unsqueeze(-1).clamp(min=1e-3)
    alive = total > 1e-3 * len(value) / loc.shape[-1]
    new_loc = (weight * x).sum(0) / total.clamp(min=1e-30)
    new_scale = ((weight * (x - new_loc).square()).sum(0) / total.clamp(min=1e-30)).sqrt().maximum(floor)
    return torch.where(alive, new_loc, loc), torch.where(alive, new_scale, scale)


def _std(value: Tensor) -> Tensor:
    mean = value.nanmean(0)
    return (value - mean).square().nanmean(0).sqrt().nan_to_num(1.0)
