"""Brute force for laws on a chain: enumeration of all states in float64 log space, without code of the library."""

from __future__ import annotations

import math
from typing import TYPE_CHECKING

import torch
from torch import Tensor

if TYPE_CHECKING:  # the catalogue names oracles
    from cases import Case


def log_matmul(a: Tensor, b: Tensor) -> Tensor:
    return torch.logsumexp(a.unsqueeze(-1) + b.unsqueeze(-3), -2)


def log_close(product: Tensor, boundary: str) -> Tensor:
    if boundary == "ring":
        return product.diagonal(dim1=-1, dim2=-2).logsumexp(-1)
    return product.logsumexp((-1, -2))


def log_chain(log_weights: Tensor, log_cores: Tensor, boundary: str) -> Tensor:
    """The closed chain in log space, one variable at a time: ``(B, D, N), (D, N, m, m) -> (B,)``"""
    product = None
    for weights, core in zip(log_weights.double().unbind(1), log_cores.double(), strict=True):
        matrix = torch.logsumexp(weights[:, :, None, None] + core, 1)
        product = matrix if product is None else log_matmul(product, matrix)
    return log_close(product, boundary)


def log_factored_chain(log_weights: Tensor, initial: Tensor, emissions: Tensor, transitions: Tensor) -> Tensor:
    """`log_chain` of logits of factored cores, position by position: ``(B, D, N), (m,), (D, N, m), (D - 1, m, m)``"""
    state = initial.double().log_softmax(0).expand(len(log_weights), -1)
    emissions, transitions = emissions.double().log_softmax(1), transitions.double().log_softmax(-1)
    for position, weights in enumerate(log_weights.double().unbind(1)):
        if position:
            state = log_matmul(state.unsqueeze(1), transitions[position - 1]).squeeze(1)
        state = state + (weights[:, :, None] + emissions[position]).logsumexp(1)
    return state.logsumexp(-1)


def log_leaves(case: Case, value: Tensor) -> list[Tensor]:
    """Log densities of the entries under each state of their variable, 0 where missing: V times ``(B, n)``."""
    leaves = []
    for variable, n in enumerate(case.variables.num_states):
        if variable in case.variables.vectors:
            leaves.append(log_vector(*dense(case, variable), own_numbers(case, value, variable)))
            continue
        column = case.variables.columns_of[variable][0]
        x = value[:, column, None].double()
        if case.variables.is_continuous[column]:
            row = case.variables.continuous.index(column)
            loc, scale = case.variables.loc[row, :n].double(), case.variables.scale[row, :n].double()
            leaf = -0.5 * ((x.nan_to_num() - loc) / scale) ** 2 - scale.log() - 0.5 * math.log(2 * math.pi)
        else:
            leaf = torch.where(x == torch.arange(n), 0.0, -math.inf)
        leaves.append(torch.where(x.isnan(), 0.0, leaf))
    return leaves


def own_numbers(case: Case, value: Tensor, variable: int) -> Tensor:
    """What a value has of a vector: ``(B, n)``."""
    return value[:, list(case.variables.columns_of[variable])].double()


def dense(case: Case, variable: int) -> tuple[Tensor, Tensor]:
    """Means and covariances of a vector's Gaussians, ``(N, n)``, ``(N, n, n)``."""
    tensors = {name: x.double() for name, x in case.variables.gaussians[variable].tensors.items()}
    if "factor" in tensors:
        factor = tensors["factor"].tril()
        return tensors["loc"], torch.linalg.inv(factor.mT @ factor)
    covariance = torch.diag_embed(tensors["scale"].square())
    if "loadings" in tensors:
        covariance = covariance + tensors["loadings"] @ tensors["loadings"].mT
    return tensors["loc"], covariance


def patterns(value: Tensor) -> list[tuple[Tensor, Tensor, Tensor]]:
    """Rows by what is missing in them: rows, what is observed, what is not, all indices."""
    different, which = value.isnan().unique(dim=0, return_inverse=True)
    return [
        ((which == k).nonzero()[:, 0], (~gaps).nonzero()[:, 0], gaps.nonzero()[:, 0])
        for k, gaps in enumerate(different)
    ]


def log_vector(loc: Tensor, covariance: Tensor, value: Tensor) -> Tensor:
    """Of what is observed under each Gaussian, 0 where nothing is: ``(B, n) -> (B, N)``"""
    result = value.new_zeros(len(value), len(loc))
    for rows, seen, _ in patterns(value):
        if len(seen):
            law = torch.distributions.MultivariateNormal(loc[:, seen], covariance[:, seen][..., seen])
            result = result.index_copy(0, rows, law.log_prob(value[rows][:, None, seen]))
    return result


def vector_given(loc: Tensor, covariance: Tensor, value: Tensor) -> tuple[Tensor, Tensor]:
    """Means and variances of what is missing given what is not under each Gaussian: ``(B, N, n)`` each."""
    mean, variance = value[:, None].expand(-1, *loc.shape).clone(), value.new_zeros(len(value), *loc.shape)
    for rows, seen, gone in patterns(value):
        across, off = covariance[:, gone][..., seen], value[rows][:, None, seen] - loc[:, seen]
        gain = torch.linalg.solve(covariance[:, seen][..., seen], across.mT).mT  # (N, missing, seen)
        place = rows[:, None, None], torch.arange(len(loc))[:, None], gone
        mean[place] = loc[:, gone] + (gain @ off.unsqueeze(-1)).squeeze(-1)
        left = covariance[:, gone][..., gone] - gain @ across.mT
        variance[place] = left.diagonal(dim1=-2, dim2=-1).expand(len(rows), -1, -1)
    return mean, variance


def log_table(case: Case) -> Tensor:
    """log p(s_1, ..., s_V), one axis per variable."""
    sizes = case.variables.num_states
    table = _log_factored(case) if case.form == "factored" else _log_full(case)  # axes in chain order
    table = table.permute([case.order.index(column) for column in range(len(sizes))])
    if case.log_weights is not None:
        for column, n in enumerate(sizes):
            shape = [n if c == column else 1 for c in range(len(sizes))]
            table = table + case.log_weights[column, :n].double().reshape(shape)
    return table - table.flatten().logsumexp(0)


def _log_full(case: Case) -> Tensor:
    cores = case.tables[0] if len(case.tables) == 1 and case.tables[0].dim() == 4 else case.tables
    product = None
    for column in case.order:
        core = cores[column][: case.variables.num_states[column]].double()
        product = core if product is None else log_matmul(product.unsqueeze(-3), core)
    return log_close(product, case.form)


def _log_factored(case: Case) -> Tensor:
    """Bond states of all places are axes too, until no more places follow."""
    initial, emissions, transitions = (table.double() for table in case.tables)
    joint = initial.log_softmax(0)  # (n_1, ..., n_j, m)
    for position, column in enumerate(case.order):
        if position:
            joint = log_matmul(joint.unsqueeze(-2), transitions[position - 1].log_softmax(-1)).squeeze(-2)
        emission = emissions[column, : case.variables.num_states[column]].log_softmax(0)
        if column in case.bonds:
            emission = torch.eye(len(initial), dtype=torch.float64).log()
        joint = joint.unsqueeze(-2) + emission
    return joint.logsumexp(-1)


def log_joint(case: Case, value: Tensor) -> Tensor:
    """log p(s, observed entries), ``(B, n_1, ..., n_D)``"""
    joint = log_table(case).unsqueeze(0)
    for column, leaf in enumerate(log_leaves(case, value)):
        joint = joint + leaf.reshape([len(value), *(n if c == column else 1 for c, n in enumerate(joint.shape[1:]))])
    return joint


def log_prob(case: Case, value: Tensor) -> Tensor:
    return log_joint(case, value).flatten(1).logsumexp(1)


def state_probs(case: Case, value: Tensor) -> list[Tensor]:
    """p(s_k given the observed entries) of each variable, V times ``(B, n)``."""
    joint = log_joint(case, value)
    joint = (joint - joint.flatten(1).logsumexp(1).reshape(-1, *[1] * (joint.dim() - 1))).exp()
    axes = range(1, joint.dim())
    return [joint.sum([a for a in axes if a != k]) if joint.dim() > 2 else joint for k in axes]


def moments(case: Case, value: Tensor) -> tuple[Tensor, Tensor]:
    """Posterior mean and variance of each column given the observed entries, NaN for discrete ones: ``(B, D)`` each."""
    mean, variance = torch.full((2, *value.shape), math.nan, dtype=torch.float64)
    probs = state_probs(case, value)
    for row, column in enumerate(case.variables.continuous):
        p = probs[case.variables.variable_of[column]]
        n = p.shape[-1]
        loc, scale = case.variables.loc[row, :n].double(), case.variables.scale[row, :n].double()
        mean[:, column] = (p * loc).sum(-1)
        variance[:, column] = (p * (scale**2 + loc**2)).sum(-1) - mean[:, column] ** 2
    for variable in case.variables.vectors:
        columns, p = list(case.variables.columns_of[variable]), probs[variable].unsqueeze(-1)
        loc, spread = vector_given(*dense(case, variable), own_numbers(case, value, variable))
        mean[:, columns] = (p * loc).sum(1)
        variance[:, columns] = (p * (spread + loc**2)).sum(1) - mean[:, columns] ** 2
    return mean, variance


def conditional_cdf(case: Case, value: Tensor, column: int) -> Tensor:
    """F(x_k given the other entries) of a continuous column, ``(B,)``."""
    others = value.clone()
    others[:, column] = math.nan
    variable = case.variables.variable_of[column]
    p = state_probs(case, others)[variable]
    if variable in case.variables.vectors:
        loc, variance = vector_given(*dense(case, variable), own_numbers(case, others, variable))
        place = case.variables.columns_of[variable].index(column)
        standard = (value[:, column, None].double() - loc[..., place]) / variance[..., place].sqrt()
        return (p * torch.special.ndtr(standard)).sum(-1)
    row, n = case.variables.continuous.index(column), p.shape[-1]
    standard = (value[:, column, None].double() - case.variables.loc[row, :n]) / case.variables.scale[row, :n]
    return (p * torch.special.ndtr(standard)).sum(-1)
