"""The parameters of a factored chain that make expected counts most probable: the M-step of EM."""

from typing import Any, NamedTuple

import torch
from torch import Tensor

from pyro_priors.modules.em.expected_counts import Counts, component_mass, visits
from pyro_priors.modules.em.vector_moments import Rows, apart, set_likely
from pyro_priors.ops import wide

TINY = 1e-30
LEAST = 1e-3  # rows of all, over the number of components: one that has seen fewer stays where it is
FLOOR = 0.01  # of the column's standard deviation: the least of a component


class Origins(NamedTuple):
    """Where moments are taken about: means of some time."""

    components: Tensor | None  # (C, N)
    vectors: list[Tensor]  # (N, n) each

    @classmethod
    def of(cls, prior: Any) -> "Origins":
        """The means of now."""
        return cls(
            None if prior.loc is None else prior.loc.detach().clone(),
            [leaf.loc.detach().clone() for leaf in prior.vectors],
        )


@torch.no_grad()
def maximise(
    prior: Any, counts: Counts, origins: Origins, pseudo: float, known: float, shrinkage: Tensor | None
) -> Tensor | None:
    """Set a `ChainPrior` of factored cores from counts a row, and from rows beside them.

    Args:
        prior: set in place.
        counts: expected counts.
        origins: of their moments.
        pseudo: rows beside a row that each state of a bond has seen, spread over all states alike (transitions), or as
            the column's states are (emissions, components).
        known: rows that the counts speak of, against which covariances of vectors are shrunk.
        shrinkage: of each vector ``(V,)``, see `Rows`; zeros where moments count alone.

    Returns:
        more probable shrinkages ``(V,)``
    """
    rank, tables = len(counts.initial), prior._tables()
    tables["initial_logits"].copy_(_log_normalised(counts.initial + pseudo / rank, 0))
    if "transition_logits" in tables:
        tables["transition_logits"].copy_(_log_normalised(counts.transitions + pseudo / rank, -1))
    groups = []
    for part in prior.form.split(counts.emissions):
        usual = part.sum(-1, keepdim=True) / part.sum((1, 2), keepdim=True).clamp_(min=TINY)
        groups.append(_log_normalised(part + pseudo * usual, 1).flatten(0, 1))
    if groups:
        tables["emission_logits"].copy_(torch.cat(groups))
    if counts.first is not None and counts.second is not None and origins.components is not None:
        mass = component_mass(prior, counts.emissions)
        loc, scale = _components(mass, counts.first, counts.second, origins.components, pseudo)
        alive = mass > LEAST / prior.loc.shape[1]
        prior.loc.copy_(torch.where(alive, loc, prior.loc))
        prior.log_scale.copy_(torch.where(alive, scale.log(), prior.log_scale))
    if counts.vectors is None or shrinkage is None:
        return None
    at, probable = visits(prior, counts.initial, counts.transitions), []
    sums = apart(counts.vectors, prior.vectors)
    parts = zip(prior._variables.vectors, prior.vectors, sums, origins.vectors, shrinkage.tolist(), strict=True)
    for v, leaf, moments, origin, usual in parts:
        probable.append(set_likely(leaf, at[v], moments, origin, at[v] > LEAST / rank, Rows(known, usual)))
    return torch.tensor(probable, dtype=shrinkage.dtype, device=shrinkage.device)


def _components(mass: Tensor, first: Tensor, second: Tensor, origin: Tensor, pseudo: float) -> tuple[Tensor, Tensor]:
    """Means and standard deviations, shrunk towards the column's as if so many rows had them, ``(C, N)`` each."""
    mass, first, second, origin = (wide(x) for x in (mass, first, second, origin))
    total = mass.sum(-1, keepdim=True)
    means = first / mass.clamp(min=TINY)
    spread = (second / mass.clamp(min=TINY) - means.square()).clamp_(min=0)
    loc = origin + means
    centre = (mass * loc).sum(-1, keepdim=True) / total
    column = (mass * (spread + (loc - centre).square())).sum(-1, keepdim=True) / total
    variance = (mass * spread + pseudo * column) / (mass + pseudo)
    return loc, variance.maximum(FLOOR**2 * column).clamp_(min=TINY).sqrt()


def _log_normalised(counts: Tensor, dim: int) -> Tensor:
    return (counts / counts.sum(dim, keepdim=True)).clamp_(min=TINY).log()
