"""A part of a prior taken away, in a copy of it: its bonds, its order, what its covariances have off the diagonal.

Each change is a function prior -> another prior, or None where the prior has no such part. Nothing is trained again.
"""

import copy
from functools import singledispatch

import torch

import pyro_priors as pp
from pyro_priors.distributions.full_gaussians import FullGaussians
from pyro_priors.modules.chain_prior import ChainPrior
from pyro_priors.modules.factors import factor_of, log_scale_of, parameters_of, scale_of
from pyro_priors.modules.forms import FullForm
from pyro_priors.modules.vector_leaves import VectorLeaf
from pyro_priors.ops import full_precision

NEXT_TO_NOTHING = -60.0  # log of a weight beside the largest of its core: 1e-26 is lost in any sum


@singledispatch
def cut_bonds(prior):
    """The product of the law's own marginals: every variable as it is by itself, independent of all others."""


@singledispatch
def freeze_bonds(prior):
    """Bonds that never leave their state: what is off the diagonal deleted, or transitions the identity.

    What is left is a mixture of as many product laws as there are bond states.
    """


@singledispatch
def shuffle_order(prior, seed=0):
    """The same tables, each variable with its own, at other places of the chain."""


@singledispatch
def drop_covariances(prior):
    """Gaussians with the same means and variances, and no covariances."""


CHANGES = {  # name -> title of the page, change
    "cut": ("bonds cut", cut_bonds),
    "frozen": ("bonds frozen", freeze_bonds),
    "shuffled": ("order shuffled", shuffle_order),
    "diagonal": ("covariances dropped", drop_covariances),
}


def changed(prior):
    """`{name: prior}` of every change that takes something away."""
    made = {name: change(prior) for name, (_, change) in CHANGES.items()}
    return {name: other for name, other in made.items() if other is not None}


def variances(owner):
    """Of the numbers of each Gaussian that a module owns, `(N, n)`, and whether they have covariances."""
    coupling, loadings = (getattr(owner, name, None) for name in ("coupling", "loadings"))
    several = owner.loc.shape[-1] > 1
    if coupling is not None:
        return FullGaussians(owner.loc, factor_of(owner.log_scale, coupling)).moments()[1], several
    floored = isinstance(owner, VectorLeaf)
    square = (scale_of(owner.log_scale) if floored else full_precision(owner.log_scale).exp()).square()
    if loadings is not None:
        return square + full_precision(loadings).square().sum(-1), several
    return square, False


def drop(owner):
    """Make the covariances of the Gaussians that a module owns 0, in place; means and variances stay."""
    deviation = variances(owner)[0].sqrt()
    if getattr(owner, "coupling", None) is not None:
        log_scale, coupling = parameters_of(torch.diag_embed(deviation.reciprocal()))
        owner.log_scale.copy_(log_scale)
        owner.coupling.copy_(coupling)
        return
    owner.log_scale.copy_(log_scale_of(deviation) if isinstance(owner, VectorLeaf) else deviation.log())
    if getattr(owner, "loadings", None) is not None:
        owner.loadings.zero_()


# ---- chains


def length(prior):
    """How many variables a chain has."""
    return len(prior.form.layout.sizes)


def positions(prior):
    """The variable at each position of a chain."""
    return list(range(length(prior))) if prior.order is None else prior.order.tolist()


def nothing_known(prior):
    """A value of which all is missing."""
    return full_precision(getattr(prior, prior.form.names[0])).new_full(prior().event_shape, torch.nan)


def marginals(prior):
    """p(state) of each variable by itself, one `(N_k,)` each, in declared order."""
    probs = prior().state_probs(nothing_known(prior))
    return [row[:states] for row, states in zip(probs, prior.form.layout.sizes, strict=True)]


@cut_bonds.register
@torch.no_grad()
def _(prior: ChainPrior):
    if length(prior) == 1:
        return None
    other = copy.deepcopy(prior)
    if isinstance(prior.form, FullForm):  # p(state) times a matrix of 1 / m, whose powers it is itself
        groups = zip(other.core_groups(), prior.form.layout.groups, strict=True)
        alone = marginals(prior)
        for cores, (_, columns) in groups:
            logs = torch.stack([alone[column] for column in columns]).log() - torch.tensor(float(prior.rank)).log()
            cores.copy_(logs[..., None, None].expand_as(cores))
        return other
    probs = prior.initial_logits.softmax(0)
    for place, transition in enumerate(prior.transition_logits.softmax(-1)):
        probs = probs @ transition  # wherever it comes from, the next state is what it is by itself
        other.transition_logits[place].copy_(probs.log().expand_as(transition))
    return other


@freeze_bonds.register
@torch.no_grad()
def _(prior: ChainPrior):
    if length(prior) == 1:
        return None
    other = copy.deepcopy(prior)
    off = ~torch.eye(prior.rank, dtype=torch.bool)
    if isinstance(prior.form, FullForm):
        for cores in other.core_groups():
            largest = cores.diagonal(dim1=-2, dim2=-1).amax(-1)[..., None, None]
            cores.copy_(torch.where(off, largest + NEXT_TO_NOTHING, cores))
        return other
    other.transition_logits.copy_(torch.where(off, NEXT_TO_NOTHING, 0.0).expand_as(other.transition_logits))
    return other


@shuffle_order.register
@torch.no_grad()
def _(prior: ChainPrior, seed=0):
    if length(prior) < 3:  # two have the same neighbours in any order
        return None
    other = copy.deepcopy(prior)
    order = torch.randperm(length(prior), generator=torch.Generator().manual_seed(seed))
    other.order = order
    return other


@drop_covariances.register
@torch.no_grad()
def _(prior: ChainPrior):
    if not any(variances(leaf)[1] for leaf in prior.vectors):
        return None
    other = copy.deepcopy(prior)
    for leaf in other.vectors:
        drop(leaf)
    return other


# ---- mixtures


@drop_covariances.register
@torch.no_grad()
def _(prior: pp.GaussianMixture):
    if not variances(prior)[1]:
        return None
    other = copy.deepcopy(prior)
    drop(other)
    return other


@cut_bonds.register
@torch.no_grad()
def _(prior: pp.GaussianMixture):
    components, d = prior.loc.shape
    other = pp.TRIP(d, components, rank=1, boundary="train", init="noise").to(prior.loc)
    other.log_cores.copy_(prior.logits.log_softmax(0)[None, :, None, None].expand_as(other.log_cores))
    other.loc.copy_(prior.loc.T)
    other.log_scale.copy_(0.5 * variances(prior)[0].log().T)
    return other
