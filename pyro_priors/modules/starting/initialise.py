"""Mixtures of product laws, fitted to data by EM: what the tables of a chain start from."""

from collections.abc import Sequence
from typing import NamedTuple

import torch
from torch import Tensor

from pyro_priors.distributions import Variables
from pyro_priors.distributions.evidence import Evidence
from pyro_priors.modules.starting.fitting import fit_clusters, fit_mixture
from pyro_priors.ops import full_precision
from pyro_priors.ops.layout import layout_of


class ProductMixture(NamedTuple):
    """A mixture of G product laws with component parameters shared by the clusters.

    Variables with as many states as each other are one group (`pyro_priors.ops.layout`).
    """

    loc: Tensor | None  # (C, N) of the continuous columns
    scale: Tensor | None  # (C, N)
    log_probs: list[Tensor]  # (D_g, N_g, G) of each group
    log_mix: Tensor  # (G,)


def fit_product_mixture(
    value: Tensor, variables: Variables, clusters: int, steps: int = 30, shrinkage: float = 5.0
) -> ProductMixture:
    """Fit a mixture of product laws to data: 1-D mixtures per column, k-means clusters, then EM on all of it.

    Args:
        value: data ``(n, D)``, NaN = missing; columns without any entry keep their parameters.
        variables: the columns with their present component parameters.
        clusters: how many, G.
        steps: EM steps; each leaves the likelihood of the data no worse, up to the shrinkage.
        shrinkage: rows of the column's overall law that are added to every cluster.
    """
    loc, scale = fit_leaves(value, variables)
    layout, vectors = layout_of(variables.num_states), list(variables.gaussians.values()) or None
    groups = layout.groups
    parts = [value if len(groups) == 1 and not vectors else _first(value, variables, members) for _, members in groups]
    # Assignments are softened, so that a cluster k-means made too small can grow.
    cluster = cluster_rows(value, variables, clusters)
    responsibility = 0.9 * torch.nn.functional.one_hot(cluster, clusters).to(value) + 0.1 / clusters  # (n, G)
    probs = [value.new_ones(len(columns), states, clusters) for states, columns in groups]  # p_k(s | i)
    log_mix = value.new_zeros(clusters)
    for step in range(steps):
        known = Evidence(variables.bind(loc, scale, vectors), layout, value).given(value)
        leaves = [(part - part.amax(-1, keepdim=True)).exp() for part in layout.split(known)]  # (n, D_g, N_g)
        fits = [torch.einsum("nks,ksi->nki", leaf, p).clamp(min=1e-30) for leaf, p in zip(leaves, probs, strict=True)]
        if step:
            score = [fit.log().sum(1) for fit in fits]
            responsibility = (torch.stack(score).sum(0) + log_mix).softmax(-1)
        new_loc, new_scale = loc, scale
        for g, (leaf, fit, part) in enumerate(zip(leaves, fits, parts, strict=True)):
            # Missing entries say nothing of their column.
            share = ~part.isnan().unsqueeze(-1) * responsibility.unsqueeze(1) / fit
            counts = torch.einsum("nks,nki->ksi", leaf, share) * probs[g] + 1e-3
            used = leaf * torch.einsum("nki,ksi->nks", share, probs[g])
            new_loc, new_scale = _update_leaves(part, variables, groups[g], used, (loc, scale), (new_loc, new_scale))
            # Shrunk towards the column's own law, as if each cluster had seen a few rows: small clusters overfit.
            usual = counts.sum(-1, keepdim=True) / counts.sum((1, -1), keepdim=True)
            probs[g] = counts + shrinkage * usual
            probs[g] = probs[g] / probs[g].sum(1, keepdim=True)
        loc, scale = new_loc, new_scale
        log_mix = (responsibility.sum(0) + 0.1).log().log_softmax(0)
    return ProductMixture(loc, scale, [p.log() for p in probs], log_mix)


def fit_leaves(value: Tensor, variables: Variables) -> tuple[Tensor | None, Tensor | None]:
    """A 1-D Gaussian mixture for each continuous column, ``(C, N)`` each; NaN entries are left out."""
    if variables.loc is None or variables.scale is None:
        return None, None
    loc, scale = (full_precision(leaf.detach()).clone() for leaf in (variables.loc, variables.scale))
    for row, column in enumerate(variables.continuous):
        seen = value[:, column][~value[:, column].isnan()]
        if len(seen):
            count = variables.num_states[variables.variable_of[column]]
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
            categories = variables.num_states[variables.variable_of[column]]
            block = torch.nn.functional.one_hot(x.nan_to_num(0.0).long(), categories).to(value)
        if not seen.any():
            continue
        block = (block - block[seen].mean(0)) / block[seen].std(correction=0).clamp(min=1e-6)
        features.append(torch.where(seen[:, None], block, 0.0))
    if not features:
        return torch.arange(len(value), device=value.device) % clusters
    return fit_clusters(torch.cat(features, 1), clusters)


def _update_leaves(
    value: Tensor,
    variables: Variables,
    group: tuple[int, tuple[int, ...]],
    used: Tensor,
    before: tuple[Tensor | None, Tensor | None],
    after: tuple[Tensor | None, Tensor | None],
) -> tuple[Tensor | None, Tensor | None]:
    """M-step of the component parameters of a group; the scale stays above a floor, components hardly used stay put.

    Takes the group's columns of the data and its states' responsibilities ``(n, D_g, N_g)``.
    """
    states, members = group
    scalars = [variables.variable_of[column] for column in variables.continuous]
    real = [i for i, variable in enumerate(members) if variable in scalars]
    (loc, scale), (new_loc, new_scale) = before, after
    if not real or loc is None or scale is None or new_loc is None or new_scale is None:
        return after
    rows = [scalars.index(members[i]) for i in real]
    loc, scale = loc[rows, :states], scale[rows, :states]
    weight = used[:, real]  # (n, c, N), zero where missing
    total = weight.sum(0)
    x = value[:, real].nan_to_num(0.0).unsqueeze(-1)
    floor = (0.01 * _std(value[:, real])).unsqueeze(-1).clamp(min=1e-3)
    alive = total > 1e-3 * len(value) / states
    moved = (weight * x).sum(0) / total.clamp(min=1e-30)
    spread = ((weight * (x - moved).square()).sum(0) / total.clamp(min=1e-30)).sqrt().maximum(floor)
    new_loc, new_scale = new_loc.clone(), new_scale.clone()
    new_loc[rows, :states] = torch.where(alive, moved, loc)
    new_scale[rows, :states] = torch.where(alive, spread, scale)
    return new_loc, new_scale


def _first(value: Tensor, variables: Variables, members: Sequence[int]) -> Tensor:
    """The values of variables, ``(n, C) -> (n, k)``; of a vector the mean of its numbers, NaN where all are missing."""
    parts = []
    for variable in members:
        own = value[:, list(variables.columns_of[variable])]
        parts.append(own[:, 0] if own.shape[1] == 1 else own.nanmean(1))
    return torch.stack(parts, 1)


def _std(value: Tensor) -> Tensor:
    mean = value.nanmean(0)
    return (value - mean).square().nanmean(0).sqrt().nan_to_num(1.0)
