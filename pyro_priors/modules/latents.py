"""Of what kinds the latents and attributes of a chain are, and where their components start."""

from collections.abc import Mapping, Sequence
from dataclasses import replace
from typing import Literal, get_args

import torch
from torch import Tensor

from pyro_priors.checks import check_choice, check_count
from pyro_priors.distributions.kinds import Continuous, Covariance, Kind, Vector, states_of
from pyro_priors.modules.bonds import Rank, widest
from pyro_priors.modules.forms import CoreForm, Init

Components = int | Sequence[int] | None  # Gaussians of all latents, or of each
BlockSize = int | Literal["auto"] | None
COMPONENTS = 10  # Gaussians of a variable that has states of its own


def latent_kinds(
    latent_dim: int,
    components: Components,
    block_size: int | None,
    covariance: Covariance,
    factors: int | None,
    cores: CoreForm,
    rank: Rank,
) -> list[Kind]:
    """Scalars, or vectors of so many latents (the last of what is left).

    Raises:
        ValueError: sizes out of range, a covariance without vectors, more factors than a vector has latents,
            components of vectors whose Gaussians are the bond's or that differ, not as many components as latents.
    """
    states = widest(rank)
    check_choice("covariance", covariance, get_args(Covariance))
    if block_size is None:
        counts = component_counts(components, latent_dim)
        if covariance != "full" or factors is not None:
            name, got = ("factors", factors) if factors is not None else ("covariance", covariance)
            raise ValueError(f"{name}: expected none without block_size, which makes vectors of latents, got {got!r}")
        return [Continuous(count) for count in counts]
    if check_count("block_size", block_size) > latent_dim:
        raise ValueError(f"block_size: expected at most {latent_dim}, the number of latents, got {block_size}")
    if cores == "factored" and components is not None:
        raise ValueError(
            "components: expected none with vectors on factored cores, whose Gaussians are those of the bond's "
            f"{states} states, got {components}"
        )
    if isinstance(components, Sequence):
        raise ValueError(f"components: expected one number for all vectors, got {list(components)}")
    factors = Vector(block_size, covariance, factors).factors  # which it refuses where they are too many
    sizes = [min(block_size, latent_dim - first) for first in range(0, latent_dim, block_size)]
    shared = [factors if factors is None else min(factors, size) for size in sizes]
    vectors = [Vector(size, covariance, q) for size, q in zip(sizes, shared, strict=True)]
    return [with_components(vector, cores, states, components) for vector in vectors]


def component_counts(components: Components, latent_dim: int) -> list[int]:
    """How many Gaussians each latent has.

    Raises:
        ValueError: a number below 1, not as many numbers as latents.

    Example:
        >>> component_counts(None, 2), component_counts([8, 3], 2)
        ([10, 10], [8, 3])
    """
    if not isinstance(components, Sequence):
        return [COMPONENTS if components is None else check_count("components", components)] * latent_dim
    if len(components) != latent_dim:
        raise ValueError(
            f"components: expected a number, or {latent_dim}, one for each latent, got {len(components)} numbers"
        )
    return [check_count(f"components[{place}]", count) for place, count in enumerate(components)]


def attribute_kinds(attributes: Mapping[str, Kind], cores: CoreForm, rank: Rank) -> dict[str, Kind]:
    """The kinds of attributes, a vector with as many Gaussians as it has on these cores.

    Raises:
        ValueError: components of a vector whose Gaussians are the bond's.
    """
    kinds, states = dict(attributes), widest(rank)
    for name, kind in kinds.items():
        if isinstance(kind, Vector):
            if cores == "factored" and kind.components not in (None, states):
                raise ValueError(
                    f"attributes[{name!r}]: expected no components of a vector on factored cores, whose Gaussians are "
                    f"those of the bond's {states} states, got {kind.components}"
                )
            kinds[name] = with_components(kind, cores, states, kind.components)
    return kinds


def with_components(vector: Vector, cores: CoreForm, rank: int, components: int | None) -> Vector:
    """A vector whose number of Gaussians is decided."""
    return replace(vector, components=rank if cores == "factored" else components or COMPONENTS)


def random_leaves(kinds: Sequence[Kind], init: Init) -> tuple[Tensor, Tensor]:
    """loc uniform on [-1, 1] and scale, of `component_scale`, of the `Continuous` among kinds: ``(C, N), (C, N)``."""
    counts = [states_of(kind) for kind in kinds if isinstance(kind, Continuous)]
    widest = max(counts, default=0)
    scale = torch.tensor([component_scale(n, init) for n in counts])
    return torch.rand(len(counts), widest) * 2 - 1, scale.unsqueeze(-1).repeat(1, widest)


def component_scale(components: int, init: Init) -> float:
    """Of a component at the start: 1/N (``"noise"``, TRIP section 3.2), or so that its column has variance one.

    With the second a model starts as it would under N(0, I), from where `reinitialize` and the gradient take it.
    """
    return 1 / components if init == "noise" else (2 / 3) ** 0.5
