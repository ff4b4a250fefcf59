"""Brute force for tensor rings: enumeration of all states in float64 log space, without code of the library."""

from __future__ import annotations

import math
from typing import TYPE_CHECKING

import torch
from torch import Tensor

if TYPE_CHECKING:  # the catalogue names oracles
    from catalogue import Ring


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


def log_leaves(ring: Ring, value: Tensor) -> list[Tensor]:
    """Log densities of the entries under each state of their column, 0 where missing: D times ``(B, n)``."""
    leaves = []
    for column, n in enumerate(ring.variables.num_states):
        x = value[:, column, None].double()
        if ring.variables.is_continuous[column]:
            row = ring.variables.continuous.index(column)
            loc, scale = ring.variables.loc[row, :n].double(), ring.variables.scale[row, :n].double()
            leaf = -0.5 * ((x.nan_to_num() - loc) / scale) ** 2 - scale.log() - 0.5 * math.log(2 * math.pi)
        else:
            leaf = torch.where(x == torch.arange(n), 0.0, -math.inf)
        leaves.append(torch.where(x.isnan(), 0.0, leaf))
    return leaves


def log_table(ring: Ring) -> Tensor:
    """log p(s_1, ..., s_D), one axis per column."""
    cores, sizes = ring.log_cores.double(), ring.variables.num_states
    product = None
    for column in ring.order:
        core = cores[column, : sizes[column]]
        product = core if product is None else log_matmul(product.unsqueeze(-3), core)
    table = log_close(product, ring.boundary)  # axes in chain order
    table = table.permute([ring.order.index(column) for column in range(len(sizes))])
    return table - table.flatten().logsumexp(0)


def log_joint(ring: Ring, value: Tensor) -> Tensor:
    """log p(s, observed entries), ``(B, n_1, ..., n_D)``"""
    joint = log_table(ring).unsqueeze(0)
    for column, leaf in enumerate(log_leaves(ring, value)):
        joint = joint + leaf.reshape([len(value), *(n if c == column else 1 for c, n in enumerate(joint.shape[1:]))])
    return joint


def log_prob(ring: Ring, value: Tensor) -> Tensor:
    return log_joint(ring, value).flatten(1).logsumexp(1)


def state_probs(ring: Ring, value: Tensor) -> list[Tensor]:
    """p(s_k given the observed entries) of each column, D times ``(B, n)``."""
    joint = log_joint(ring, value)
    joint = (joint - joint.flatten(1).logsumexp(1).reshape(-1, *[1] * (joint.dim() - 1))).exp()
    axes = range(1, joint.dim())
    return [joint.sum([a for a in axes if a != k]) if joint.dim() > 2 else joint for k in axes]


def moments(ring: Ring, value: Tensor) -> tuple[Tensor, Tensor]:
    """Posterior mean and variance of each column given the observed entries, NaN for discrete ones: ``(B, D)`` each."""
    mean, variance = torch.full((2, *value.shape), math.nan, dtype=torch.float64)
    for row, column in enumerate(ring.variables.continuous):
        p = state_probs(ring, value)[column]
        n = p.shape[-1]
        loc, scale = ring.variables.loc[row, :n].double(), ring.variables.scale[row, :n].double()
        mean[:, column] = (p * loc).sum(-1)
        variance[:, column] = (p * (scale**2 + loc**2)).sum(-1) - mean[:, column] ** 2
    return mean, variance


def conditional_cdf(ring: Ring, value: Tensor, column: int) -> Tensor:
    """F(x_k given the other entries) of a continuous column, ``(B,)``."""
    others = value.clone()
    others[:, column] = math.nan
    p = state_probs(ring, others)[column]
    row, n = ring.variables.continuous.index(column), p.shape[-1]
    standard = (value[:, column, None].double() - ring.variables.loc[row, :n]) / ring.variables.scale[row, :n]
    return (p * torch.special.ndtr(standard)).sum(-1)
