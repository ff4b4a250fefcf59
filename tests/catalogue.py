"""Every distribution and prior as data: what the laws are checked on."""

import math
from typing import NamedTuple

import torch
from pyro.distributions import Normal
from torch import Tensor, nn

import pyro_priors as pp
from pyro_priors.distributions import Continuous, Discrete, TensorRing, Variables

NAN = math.nan


class Ring(NamedTuple):
    """A tensor ring together with everything that `oracles` needs."""

    ring: TensorRing
    log_cores: Tensor
    variables: Variables
    boundary: str
    order: tuple[int, ...]


def make_ring(
    kinds: str = "cdc",
    rank: int = 3,
    boundary: str = "ring",
    *,
    seed: int = 0,
    dtype: torch.dtype = torch.float64,
    order: tuple[int, ...] | None = None,
) -> Ring:
    """A random ring; ``kinds`` has a letter per variable: c, C continuous (2, 3 states), b, d, D discrete (2, 3, 4)."""
    generator = torch.Generator().manual_seed(seed)
    kind = {"c": Continuous(2), "C": Continuous(3), "b": Discrete(2), "d": Discrete(3), "D": Discrete(4)}
    table = {f"v{k}": kind[letter] for k, letter in enumerate(kinds)}
    states = max(v.components if isinstance(v, Continuous) else v.categories for v in table.values())
    rows = sum(isinstance(v, Continuous) for v in table.values())
    widest = max((v.components for v in table.values() if isinstance(v, Continuous)), default=1)

    def random(*shape):
        return torch.rand(*shape, generator=generator, dtype=torch.float64).to(dtype)

    variables = Variables(table, random(rows, widest) * 4 - 2, random(rows, widest) + 0.3)
    # Bonds that stay or move on by one, and states that tell the bond they come from: laws about dependence and
    # direction could not fail without any.
    stay, move = torch.eye(rank), torch.eye(rank).roll(1, 1)
    match = (torch.arange(states)[:, None] % rank == torch.arange(rank)).float()
    log_cores = random(len(kinds), states, rank, rank) + 3 * stay + 2 * move + 4 * match[:, :, None]
    log_cores = log_cores.to(dtype)
    order = order or tuple(torch.randperm(len(kinds), generator=generator).tolist())
    return Ring(TensorRing(log_cores, variables, boundary, order), log_cores, variables, boundary, order)


def random_value(ring: Ring, rows: int, missing: float = 0.0, seed: int = 1) -> Tensor:
    """Values that the ring can take, some of them NaN."""
    generator = torch.Generator().manual_seed(seed)
    columns = []
    for kind in ring.variables.kinds:
        if isinstance(kind, Discrete):
            columns.append(torch.randint(kind.categories, (rows,), generator=generator).double())
        else:
            columns.append(torch.randn(rows, generator=generator, dtype=torch.float64) * 1.5)
    value = torch.stack(columns, -1)
    value[torch.rand(value.shape, generator=generator) < missing] = NAN
    return value.to(ring.log_cores.dtype)


class EncodedVamp(nn.Module):
    """A VampPrior with an encoder of its own, for the laws that call a prior with nothing."""

    def __init__(self, components: int, latent_dim: int) -> None:
        super().__init__()
        self.latent_dim, self.encoder = latent_dim, nn.Linear(5, 2 * latent_dim)
        self.prior = pp.VampPrior(torch.rand(components, 5))

    def forward(self):
        return self.prior(self.encode)

    def encode(self, x):
        loc, raw_scale = self.encoder(x).chunk(2, -1)
        return Normal(loc, raw_scale.exp()).to_event(1)


def mixture_parameters(prior: nn.Module) -> tuple[Tensor, Tensor, Tensor]:
    """Log weights `(K,)`, means and standard deviations `(K, d)` of a prior that is a mixture of Gaussians."""
    if isinstance(prior, EncodedVamp):
        components = prior.encode(prior.prior.pseudo_inputs).base_dist
        loc, scale = components.loc, components.scale
    else:
        loc, scale = prior.loc, prior.log_scale.exp()
    return getattr(prior, "logits", loc.new_zeros(len(loc))).log_softmax(0), loc, scale


RINGS = {
    "ring of latents": ("ccc", 3, "ring"),
    "train of latents": ("cCc", 3, "train"),
    "mixed ring": ("cdCb", 2, "ring"),
    "mixed train": ("DcbC", 3, "train"),
    "ring of labels": ("bdD", 3, "ring"),
    "one variable": ("C", 2, "ring"),
    "rank one": ("cDc", 1, "ring"),
    "rank one train": ("cDc", 1, "train"),
}

PRIORS = {
    "StandardNormal": lambda: pp.StandardNormal(3),
    "GaussianMixture": lambda: pp.GaussianMixture(3, 4),
    "GaussianMixture equal": lambda: pp.GaussianMixture(3, 4, "equal"),
    "GaussianMixture fixed": lambda: pp.GaussianMixture(3, 4, fixed=True),
    "CategoricalGaussian": lambda: pp.CategoricalGaussian(4, 3),
    "CategoricalGaussian fixed": lambda: pp.CategoricalGaussian(4, 3, fixed=True),
    "VampPrior": lambda: EncodedVamp(4, 3),
    "TRIP": lambda: pp.TRIP(3, components=4, rank=3),
    "TRIP train": lambda: pp.TRIP(3, components=4, rank=3, boundary="train"),
    "TRIP noise": lambda: pp.TRIP(3, components=4, rank=3, init="noise"),
    "TRIP fixed": lambda: pp.TRIP(3, components=4, rank=3, fixed=True),
    "FlowNormal": lambda: pp.FlowNormal(3, layers=3, hidden=(8,)),
    "FlowNormal spline": lambda: pp.FlowNormal(3, layers=2, hidden=(8,), transform="spline"),
    "FlowNormal fixed": lambda: pp.FlowNormal(3, layers=2, hidden=(8,), fixed=True),
    "FlowNormal over TRIP": lambda: pp.FlowNormal(3, layers=2, hidden=(8,), base=pp.TRIP(3, components=4, rank=3)),
    "TTLP of latents": lambda: pp.TTLP(3, {}, components=4, rank=3),
}
"""Priors with an event of three real latents."""

JOINT_PRIORS = {
    "TTLP": lambda: pp.TTLP(2, {"digit": Discrete(3), "age": Continuous(2)}, components=3, rank=3),
    "TTLP ring": lambda: pp.TTLP(2, {"digit": Discrete(3)}, components=3, rank=3, boundary="ring", order="declared"),
    "TTLP noise": lambda: pp.TTLP(1, {"digit": Discrete(3), "sex": Discrete(2)}, components=3, rank=2, init="noise"),
    "TTLP fixed": lambda: pp.TTLP(2, {"digit": Discrete(3)}, components=3, rank=3, fixed=True),
    "TTLP of attributes": lambda: pp.TTLP(0, {"digit": Discrete(3), "sex": Discrete(2)}, rank=2),
}
