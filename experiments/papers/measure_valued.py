"""Measure-valued gradients of an expected cost through a chain: differences of costs under laws that are moved apart.

The derivative of a density by a number that decides it is a difference of two densities times a constant: a draw of
each, and the cost of both, is the gradient. It takes costs only, no gradients of them, as a score function does.
Mohamed, Rosca, Figurnov, Mnih, "Monte Carlo gradient estimation in machine learning", 2020, section 6, Table 1,
arXiv:1906.10652.
"""

import math
from functools import singledispatch
from typing import NamedTuple

import torch
from torch import Tensor

from pyro_priors.distributions import FactoredTrain, GaussianMixture, TensorRing


class Chain(NamedTuple):
    """A law of V vectors of n numbers as its draw is made: a first state, then at every vector one of C choices.

    A choice, whose probabilities depend on the state, decides the Gaussian of the vector and the next state.
    """

    starts: Tensor  # (K,): first states
    initial: Tensor  # (K,): their probabilities
    choices: Tensor  # (V, Q, C): probabilities
    follows: Tensor  # (Q, C): next states
    components: Tensor  # (C,): Gaussians
    loc: Tensor  # (V, N, n)
    factor: Tensor  # (V, N, n, n): lower triangular, of the inverse covariances


@singledispatch
def as_chain(law) -> Chain:
    """Of a law with vectors of equal size (a scalar is one of a single number) in declared order."""
    raise TypeError(f"law: expected a TensorRing, a FactoredTrain or a GaussianMixture, got {law}")


@as_chain.register
def _(law: TensorRing) -> Chain:
    """Its states are pairs of the first bond's state, to which a ring returns, and of the present bond's."""
    cores = law.log_cores.exp()  # (D, N, m, m)
    count, states, rank, _ = cores.shape
    after = [torch.eye(rank)]  # what is still to come, up to a factor
    for core in reversed(cores.sum(1)):
        ahead = core @ after[-1]
        after.append(ahead / ahead.max())
    *later, whole = after
    weights = torch.einsum("ksij,kja->kaisj", cores, torch.stack(later[::-1]))
    weights = weights.reshape(count, rank * rank, states * rank)
    bond = torch.arange(rank)
    state, choice = torch.arange(rank * rank).unsqueeze(-1), torch.arange(states * rank)
    return Chain(
        bond * rank + bond,
        whole.diagonal() / whole.trace(),
        weights / weights.sum(-1, keepdim=True),
        state // rank * rank + choice % rank,
        choice // rank,
        law.variables.loc.unsqueeze(-1),
        law.variables.scale.reciprocal()[..., None, None],
    )


@as_chain.register
def _(law: FactoredTrain) -> Chain:
    """Its states are those of the bonds, which are the Gaussians of the vectors; before the first there is one."""
    gaussians = list(law.variables.gaussians.values())
    parts = [part.triangular(range(part.loc.shape[-1])) for part in gaussians]
    rank = len(law.initial)
    return Chain(
        torch.zeros(1, dtype=torch.long),
        torch.ones(1),
        torch.cat([law.initial.expand(1, rank, rank), law.transitions]),
        torch.arange(rank).expand(rank, rank),
        torch.arange(rank),
        *(torch.stack(part) for part in zip(*parts, strict=True)),
    )


@as_chain.register
def _(law: GaussianMixture) -> Chain:
    """One vector."""
    states = torch.arange(law.logits.shape[-1])
    none = torch.zeros(1, dtype=torch.long)
    probs, factor = law.logits.softmax(-1), law.scale.reciprocal().diag_embed()
    follows = torch.zeros(1, len(states), dtype=torch.long)
    return Chain(none, torch.ones(1), probs[None, None], follows, states, law.loc[None], factor[None])


def evaluations(chain):
    """How often the cost of an example is asked for."""
    count, _, choices = chain.choices.shape
    return 1 + len(chain.starts) + count * choices + 4 * count * chain.loc.shape[-1]


def surrogate(law, cost, batch):
    """A scalar whose gradient to the law's parameters is an unbiased one of E cost(z), from so many draws.

    Args:
        law: what `as_chain` takes.
        cost: function of draws ``(*, d)`` -> costs ``(*)``.
        batch: how many draws.
    """
    chain = as_chain(law)
    with torch.no_grad():
        noise = torch.randn(batch, chain.loc.shape[0], chain.loc.shape[-1])
        spread = torch.linalg.inv(chain.factor)
        before, gaussians = paths(chain, torch.rand(batch, len(chain.choices) + 1))
        z = drawn(chain, spread, gaussians, noise)
        costs = cost(z.flatten(2))  # (b, P): of the draw, and of those that took another choice somewhere
        own, z = gaussians[:, 0], z[:, 0]
        by_mean, by_scale = moved(spread[torch.arange(own.shape[1]), own], z, noise, cost)
    of_choices = (costs[:, 1:] * probabilities(chain, before)).sum(-1)
    mean, scale = conditionals(chain, own, z)
    of_gaussians = by_mean / scale.detach() * mean + by_scale / scale.detach() * scale
    return (of_choices + of_gaussians.sum((-2, -1))).mean()


def paths(chain, uniform):
    """The draw and what becomes of it where one choice is another, with the same random numbers afterwards.

    Args:
        uniform: ``(b, V + 1)``, what decides the choices.

    Returns:
        the states of the draw before each choice, ``(b, V)``, and the Gaussians of all paths, ``(b, P, V)``: of the
        draw, of each first state, and of each choice at each vector.
    """
    batch, (_, states, choices) = len(uniform), chain.choices.shape
    first = torch.searchsorted(chain.initial.cumsum(0), uniform[:, :1].contiguous()).clamp(max=len(chain.starts) - 1)
    state = torch.cat([chain.starts[first], chain.starts.expand(batch, -1)], 1)
    every, before, along = torch.arange(choices).expand(batch, -1), [], []
    for k, cumulated in enumerate(chain.choices.cumsum(-1)):
        level = uniform[:, k + 1].expand(states, -1).contiguous()
        choice = torch.searchsorted(cumulated, level).clamp(max=choices - 1).T.gather(1, state)  # (b, paths)
        before.append(state[:, 0])
        state = torch.cat([state, state[:, :1].expand(-1, choices)], 1)
        choice = torch.cat([choice, every], 1)
        along.append(chain.components[choice])
        state = chain.follows[state, choice]
    total = along[-1].shape[1]  # a path of a later choice has been the draw before
    same = [torch.cat([part, part[:, :1].expand(-1, total - part.shape[1])], 1) for part in along]
    return torch.stack(before, 1), torch.stack(same, -1)


def drawn(chain, spread, gaussians, noise):
    """Values ``(b, P, V, n)`` of Gaussians ``(b, P, V)``, from the same noise ``(b, V, n)`` in all paths."""
    values = chain.loc + torch.einsum("vsij,bvj->bvsi", spread, noise)
    vector = torch.arange(len(chain.loc)).expand_as(gaussians)
    return values[torch.arange(len(noise))[:, None, None], vector, gaussians]


def moved(spread, z, noise, cost):
    """Derivatives of the cost by the mean and log scale of each number given those before it, ``(b, V, n)`` each.

    By the mean: Rayleigh's law on either side of it; by the scale: the double-sided Maxwell law less the normal one,
    the second being the first times a uniform number. What stands after it in the vector keeps its noise.

    Args:
        spread: ``(b, V, n, n)``, from noise to numbers.
        z, noise: of the draw, ``(b, V, n)``.
        cost: of draws ``(*, V * n)``.
    """
    _, count, size = z.shape
    weibull = (-2 * torch.rand_like(z).clamp(min=1e-30).log()).sqrt()
    maxwell = torch.randn(*z.shape, 3).norm(dim=-1) * (2 * torch.randint_like(z, 2) - 1)
    instead = torch.stack([weibull, -weibull, maxwell, maxwell * torch.rand_like(z)], -1)
    change = (instead - noise.unsqueeze(-1)).unsqueeze(-1) * spread.mT.unsqueeze(-2)  # (b, V, n, 4, n)
    every = z[:, None, None, None].repeat(1, count, size, 4, 1, 1)
    every.diagonal(dim1=1, dim2=4).add_(change.permute(0, 2, 3, 4, 1))
    up, down, wide, narrow = cost(every.flatten(-2)).unbind(-1)
    return (up - down) / math.sqrt(2 * math.pi), wide - narrow


def probabilities(chain, before):
    """Of all that stands for a choice in `paths`, given the draw's states before it, ``(b, P - 1)``."""
    given = chain.choices[torch.arange(before.shape[1]), before]  # (b, V, C)
    return torch.cat([chain.initial.expand(len(before), -1), given.flatten(1)], 1)


def conditionals(chain, gaussians, z):
    """Mean and scale of each number given those before it in its vector, ``(b, V, n)`` each, with gradients."""
    vector = torch.arange(gaussians.shape[1])
    loc, factor = chain.loc[vector, gaussians], chain.factor[vector, gaussians]
    diagonal = factor.diagonal(dim1=-2, dim2=-1)
    whitened = (factor @ (z - loc).unsqueeze(-1)).squeeze(-1)
    return z - whitened / diagonal, diagonal.reciprocal()
