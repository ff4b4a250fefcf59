"""What the bonds of a chain carry: mutual information between neighbours under the law."""

from functools import singledispatch

import torch

from experiments.anatomy.changes import nothing_known, positions
from pyro_priors.modules.chain_prior import ChainPrior


@singledispatch
def neighbour_information(prior):
    """Mutual information between the states of neighbours on a chain, in nats, a number a bond along it; None: no bond.

    Exact, of the law before anything is known. Of states, not of values: a component of a scalar or a Gaussian of a
    vector, of which the value may tell less, and a category. A ring has one bond more than a train.
    """


@neighbour_information.register
@torch.no_grad()
def _(prior: ChainPrior):
    chain = positions(prior)
    following = [*chain[1:], chain[0]] if prior.boundary == "ring" and len(chain) > 2 else chain[1:]
    return [information(pair_probs(prior, *pair)) for pair in zip(chain, following, strict=False)] or None


def pair_probs(prior, first, second):
    """p(state of one variable, state of another), `(N_first, N_second)`: by soft evidence that leaves one state."""
    law, sizes = prior(), prior.form.layout.sizes
    unknown = nothing_known(prior)
    alone = law.state_probs(unknown)
    known = alone.new_zeros(sizes[first], *alone.shape)
    known[:, first] = torch.eye(sizes[first], alone.shape[-1]).log().to(alone)
    given = law.weigh(known).state_probs(unknown)[:, second, : sizes[second]]
    return alone[first, : sizes[first], None] * given


def information(joint):
    """Mutual information of a table of probabilities, in nats.

    Example:
        >>> information(torch.tensor([[0.5, 0.0], [0.0, 0.5]])), information(torch.full((2, 2), 0.25))
        (0.6931..., 0.0)
    """
    joint = joint.double() / joint.double().sum()
    entropy = [-torch.special.xlogy(p, p).sum() for p in (joint.sum(0), joint.sum(1), joint)]
    return float((entropy[0] + entropy[1] - entropy[2]).clamp(min=0.0))
