"""Every prior as data: what the laws are checked on."""

import math
from collections.abc import Callable, Sequence
from typing import Any, NamedTuple

import oracles
import torch
from cases import Case
from pyro.distributions import Normal
from torch import Tensor, nn

import pyro_priors as pp
from pyro_priors.distributions import Continuous, Discrete
from pyro_priors.distributions.kinds import Vector

NAN = math.nan


FULL = {"cores": "full", "order": "random"}  # the papers' form of a TTLP


class EncodedVamp(nn.Module):
    """A VampPrior with an encoder of its own, for the laws that call a prior with nothing."""

    def __init__(self, components: int, latent_dim: int) -> None:
        super().__init__()
        self.latent_dim, self.encoder = latent_dim, nn.Linear(5, 2 * latent_dim)
        self.prior = pp.VampPrior(torch.rand(components, 5))

    def forward(self):
        return self.prior(self.encode)

    def plane(self, law, dims=(0, 1)):
        return self.prior.plane(law, dims)

    def encode(self, x):
        loc, raw_scale = self.encoder(x).chunk(2, -1)
        return Normal(loc, raw_scale.exp(), validate_args=False).to_event(1)  # torch 2.6 has no checks under vmap


class Entry(NamedTuple):
    """A prior as data; calling the entry makes a fresh one, seeded by torch's global generator."""

    make: Callable[[], nn.Module]
    oracle: Callable[[Any, Tensor], Tensor]  # of a float64 module: log density of rows, by other means than its own
    learns: bool = True  # whether it has parameters
    random: bool = True  # whether a seed changes it
    missing: bool = False  # whether NaN is summed out
    together: int = 0  # how many columns, the first, are missing all or not at all

    def __call__(self) -> nn.Module:
        return self.make()

    def gaps(self, rows: Tensor) -> Tensor:
        """Which entries of rows are missing, at random."""
        gaps = torch.rand(rows.shape) < 0.3
        gaps[:, : self.together] = gaps[:, :1]
        return gaps


def padded(tables: Sequence[Tensor]) -> Tensor:
    """Tables ``(N_k, m, ..)`` of all variables, as wide as the widest: ``(D, N, m, ..)``."""
    widest, behind = max(map(len, tables)), [0, 0] * (tables[0].dim() - 1)
    return torch.stack([nn.functional.pad(table.detach(), (*behind, 0, widest - len(table))) for table in tables])


def padded_cores(prior: Any) -> Tensor:
    """The cores of a tensor ring prior, as wide as the widest: ``(D, N, m, m)``."""
    return padded(prior().log_cores)


def as_case(prior: Any) -> Case:
    """A prior on a chain as the oracles want it."""
    variables = prior().variables
    order = range(len(variables)) if prior.order is None else prior.order.tolist()
    scalars = None, None
    if prior.loc is not None:
        scalars = prior.loc.detach(), prior.log_scale.detach().exp()
    gaussians = [type(g)(*(x.detach() for x in g.tensors.values())) for g in variables.gaussians.values()]
    variables = variables.bind(*scalars, gaussians or None)
    if prior.cores == "full":
        return Case(prior(), (padded_cores(prior),), variables, prior.boundary, tuple(order))
    tabled = [column for _, columns in prior.form.tabled for column in columns]
    every = getattr(prior, "emission_logits", prior.initial_logits.new_zeros(0, prior.rank))
    logits = dict(zip(tabled, (x for part in prior.form.split(every) for x in part), strict=True))
    none = every.new_zeros(0, prior.rank)
    emissions = padded([logits.get(k, none) for k in range(len(variables))])
    moves = getattr(prior, "transition_logits", none.new_zeros(0, prior.rank, prior.rank))
    tables = (prior.initial_logits.detach(), emissions, moves.detach())
    bonds = tuple(k for k in range(len(variables)) if k not in logits)
    return Case(prior(), tables, variables, "factored", tuple(order), bonds=bonds)


def by_enumeration(prior: Any, value: Tensor) -> Tensor:
    """Of a law on a chain: all states summed."""
    return oracles.log_prob(as_case(prior), value)


def by_components(log_weights: Tensor, loc: Tensor, scale: Tensor, value: Tensor) -> Tensor:
    """Of a mixture of Gaussians `(K,), (K, d), (K, d)`: all components summed."""
    density = torch.distributions.Normal(loc, scale).log_prob(value.unsqueeze(1)).sum(-1)
    return (density + log_weights.log_softmax(0)).logsumexp(-1)


def of_mixture(prior: Any, value: Tensor) -> Tensor:
    return by_components(prior.logits, prior.loc, prior.log_scale.exp(), value)


def of_categories(prior: Any, value: Tensor) -> Tensor:
    return by_components(prior.loc.new_zeros(len(prior.loc)), prior.loc, prior.log_scale.exp(), value)


def coupled(prior: Any) -> nn.Module:
    """A mixture of full covariances, which start diagonal, with others."""
    nn.init.normal_(prior.coupling, std=0.5)
    return prior


def by_covariances(log_weights: Tensor, prior: Any, value: Tensor) -> Tensor:
    """Of a mixture of full covariances: those of z = loc + B (z - loc) + scale eps, all components summed."""
    scale, size = 1e-4 + prior.log_scale.detach().exp(), prior.latent_dim
    regressions = torch.zeros(len(scale), size, size, dtype=scale.dtype)
    rows, columns = zip(*[(i, j) for i in range(size) for j in range(i)], strict=True)
    regressions[:, list(rows), list(columns)] = prior.coupling.detach()
    mixing = torch.linalg.inv(torch.eye(size, dtype=scale.dtype) - regressions) * scale.unsqueeze(1)
    normal = torch.distributions.MultivariateNormal(prior.loc.detach(), mixing @ mixing.mT)
    return (normal.log_prob(value.unsqueeze(1)) + log_weights.log_softmax(0)).logsumexp(-1)


def of_full_mixture(prior: Any, value: Tensor) -> Tensor:
    return by_covariances(prior.logits.detach(), prior, value)


def of_full_categories(prior: Any, value: Tensor) -> Tensor:
    return by_covariances(prior.loc.new_zeros(len(prior.loc)), prior, value)


def of_low_rank_categories(prior: Any, value: Tensor) -> Tensor:
    scale = 1e-4 + prior.log_scale.detach().exp()
    covariance = prior.loadings.detach() @ prior.loadings.detach().mT + torch.diag_embed(scale**2)
    normal = torch.distributions.MultivariateNormal(prior.loc.detach(), covariance)
    return normal.log_prob(value.unsqueeze(1)).logsumexp(-1) - math.log(len(scale))


def of_posteriors(prior: Any, value: Tensor) -> Tensor:
    posteriors = prior.encode(prior.prior.pseudo_inputs).base_dist
    return by_components(posteriors.loc.new_zeros(len(posteriors.loc)), posteriors.loc, posteriors.scale, value)


def of_normal(prior: Any, value: Tensor) -> Tensor:
    return -0.5 * (value.square() + math.log(2 * math.pi)).sum(-1)


def by_jacobians(prior: Any, value: Tensor) -> Tensor:
    """Of a flow: the base at the other side, and the determinant of the whole Jacobian."""
    jacobians = [torch.autograd.functional.jacobian(prior.to_generation, row) for row in value]
    return prior.base().log_prob(prior.to_generation(value)) + torch.stack(jacobians).det().abs().log()


def by_jacobians_and_enumeration(prior: Any, value: Tensor) -> Tensor:
    """Of a joint law through a flow: the base at the other side, where latents are not missing."""
    given, moved = ~value[:, 0].isnan(), value.clone()
    z = value[given, : prior.latent_dim]
    moved[given, : prior.latent_dim] = prior.to_generation(z).detach()
    jacobians = torch.stack([torch.autograd.functional.jacobian(prior.to_generation, row) for row in z])
    score = by_enumeration(prior.base, moved)
    return score.index_put((given,), score[given] + jacobians.det().abs().log())


def ring_prior(make: Callable[[], nn.Module], **kwargs: bool) -> Entry:
    return Entry(make, by_enumeration, missing=True, **kwargs)


def bent_prior(make: Callable[[], nn.Module], **kwargs: bool) -> Entry:
    return Entry(make, by_jacobians_and_enumeration, missing=True, together=2, **kwargs)


PRIORS = {
    "StandardNormal": Entry(lambda: pp.StandardNormal(3), of_normal, learns=False, random=False),
    "GaussianMixture": Entry(lambda: pp.GaussianMixture(3, 4), of_mixture),
    "GaussianMixture equal": Entry(lambda: pp.GaussianMixture(3, 4, "equal"), of_mixture),
    "GaussianMixture fixed": Entry(lambda: pp.GaussianMixture(3, 4, fixed=True), of_mixture, learns=False),
    "GaussianMixture full": Entry(lambda: coupled(pp.GaussianMixture(3, 4, covariance="full")), of_full_mixture),
    "CategoricalGaussian full": Entry(
        lambda: coupled(pp.CategoricalGaussian(4, 3, covariance="full")), of_full_categories
    ),
    "CategoricalGaussian low-rank": Entry(
        lambda: pp.CategoricalGaussian(4, 3, covariance="low-rank", factors=2), of_low_rank_categories
    ),
    "CategoricalGaussian": Entry(lambda: pp.CategoricalGaussian(4, 3), of_categories),
    "CategoricalGaussian fixed": Entry(lambda: pp.CategoricalGaussian(4, 3, fixed=True), of_categories, learns=False),
    "VampPrior": Entry(lambda: EncodedVamp(4, 3), of_posteriors),
    "TRIP": ring_prior(lambda: pp.TRIP(3, components=4, rank=3)),
    "TRIP train": ring_prior(lambda: pp.TRIP(3, components=4, rank=3, boundary="train")),
    "TRIP noise": ring_prior(lambda: pp.TRIP(3, components=4, rank=3, init="noise")),
    "TRIP fixed": ring_prior(lambda: pp.TRIP(3, components=4, rank=3, fixed=True), learns=False),
    "TRIP factored": ring_prior(lambda: pp.TRIP(3, components=4, rank=4, cores="factored")),
    "TRIP factored fixed": ring_prior(
        lambda: pp.TRIP(3, components=4, rank=3, cores="factored", init="noise", fixed=True), learns=False
    ),
    "TRIP of one vector": ring_prior(lambda: pp.TRIP(3, rank=3, block_size=3)),
    "TRIP of vectors, diagonal": ring_prior(
        lambda: pp.TRIP(3, rank=4, block_size=2, covariance="diagonal", order="random", local=2)
    ),
    "TRIP of vectors, full cores": ring_prior(
        lambda: pp.TRIP(3, 4, rank=3, block_size=2, covariance="low-rank", factors=1, cores="full")
    ),
    "TRIP of vectors fixed": ring_prior(
        lambda: pp.TRIP(3, rank=3, block_size=2, init="noise", fixed=True), learns=False
    ),
    "FlowNormal": Entry(lambda: pp.FlowNormal(3, layers=3, hidden=(8,)), by_jacobians),
    "FlowNormal spline": Entry(lambda: pp.FlowNormal(3, layers=2, hidden=(8,), transform="spline"), by_jacobians),
    "FlowNormal fixed": Entry(lambda: pp.FlowNormal(3, layers=2, hidden=(8,), fixed=True), by_jacobians, learns=False),
    "FlowNormal over TRIP": Entry(
        lambda: pp.FlowNormal(3, layers=2, hidden=(8,), base=pp.TRIP(3, components=4, rank=3)), by_jacobians
    ),
    "TTLP of latents": ring_prior(lambda: pp.TTLP(3, {}, components=4, rank=3, **FULL)),
}
"""Priors with an event of three real latents."""

JOINT_PRIORS = {
    "TTLP": ring_prior(lambda: pp.TTLP(2, {"digit": Discrete(3), "age": Continuous(2)}, 3, rank=3, **FULL)),
    "TTLP ring": ring_prior(
        lambda: pp.TTLP(2, {"digit": Discrete(3)}, 3, rank=3, boundary="ring", order="declared", cores="full")
    ),
    "TTLP noise": ring_prior(
        lambda: pp.TTLP(1, {"digit": Discrete(3), "sex": Discrete(2)}, 3, rank=2, init="noise", **FULL)
    ),
    "TTLP factored": ring_prior(lambda: pp.TTLP(2, {"digit": Discrete(3), "age": Continuous(2)}, components=3, rank=4)),
    "TTLP of a vector": ring_prior(
        lambda: pp.TTLP(3, {"digit": Discrete(3), "body": Vector(2), "age": Continuous(2)}, rank=4, block_size=3)
    ),
    "TTLP of vectors, ring": ring_prior(
        lambda: pp.TTLP(
            3,
            {"body": Vector(2, "low-rank", 1, 2), "digit": Discrete(3)},
            3,
            rank=2,
            boundary="ring",
            block_size=2,
            **FULL,
        )
    ),
    "TTLP factored, of attributes": ring_prior(
        lambda: pp.TTLP(0, {"digit": Discrete(3), "sex": Discrete(2)}, rank=2, cores="factored")
    ),
    "TTLP fixed": ring_prior(
        lambda: pp.TTLP(2, {"digit": Discrete(3)}, components=3, rank=3, fixed=True, cores="full"), learns=False
    ),
    "TTLP of attributes": ring_prior(
        lambda: pp.TTLP(0, {"digit": Discrete(3), "sex": Discrete(2)}, rank=2, cores="full")
    ),
    "FlowTTLP": bent_prior(lambda: pp.FlowTTLP(2, {"digit": Discrete(3), "age": Continuous(2)}, 3, (8,), rank=4)),
    "FlowTTLP spline": bent_prior(
        lambda: pp.FlowTTLP(2, {"digit": Discrete(3)}, 2, (8,), "spline", components=3, rank=3, **FULL)
    ),
    "FlowTTLP fixed": bent_prior(
        lambda: pp.FlowTTLP(2, {"digit": Discrete(3)}, 2, (8,), rank=4, order="declared", fixed=True), learns=False
    ),
}
