"""A mixture whose clusters have a Gaussian of their own for each vector, by stepwise EM: the start of vector chains."""

import math
from collections.abc import Sequence
from typing import NamedTuple

import torch
from torch import Tensor

from pyro_priors.distributions import Variables
from pyro_priors.distributions.kinds import Covariance
from pyro_priors.modules.starting.cluster_parts import ClusteredTables, ClusteredVector
from pyro_priors.modules.starting.initialise import ProductMixture
from pyro_priors.modules.starting.stepwise_mixture import drawn

EPOCHS, BATCH, STEPS = 10, 1024, 60  # passes over the rows, or more where they make fewer steps
ROWS = 50_000  # of which the mixture is made, where there are more
PATTERNS = 1000  # of gaps in a vector, at most, or fewer rows are taken: each costs a factor in each cluster
CHUNK = 4_000_000  # numbers of a tensor that grows with rows and clusters
STEP = 0.9  # the first step size, which falls along a line
BLUR = 3.0  # the temperature at which a row is also near to clusters beside its own


class VectorRows(NamedTuple):
    """What is known of a vector, and what covariances it is to have."""

    value: Tensor  # (B, n), NaN = missing
    covariance: Covariance = "full"
    factors: int | None = None  # of a low-rank covariance


class VectorMixture(NamedTuple):
    """A mixture of G laws of independent vectors and other variables.

    Of each vector ``(loc, factor)`` if its covariance is full, ``(loc, scale)`` if it is diagonal, and ``(loc,
    loadings, scale)`` if it has a low rank: ``loc (G, n)``, ``scale (G, n)``, ``loadings (G, n, q)``; ``factor
    (G, n, n)`` is L, lower, with a positive diagonal, of the precision L^T L.
    """

    vectors: list[tuple[Tensor, ...]]
    others: ProductMixture | None
    log_mix: Tensor  # (G,)


def fit_vector_mixture(
    vectors: Sequence[VectorRows],
    clusters: int,
    others: Tensor | None = None,
    variables: Variables | None = None,
    shrinkage: float | None = None,
    emphasis: float = 1.0,
) -> VectorMixture:
    """Fit a mixture to rows of vectors and of other columns, any of them with gaps, in a few passes.

    Clusters start at rows drawn at random, first of those of which most other columns are known: they differ by these,
    and rows without follow. Components of continuous columns stay where 1-D mixtures put them. What is drawn comes from
    torch's generator.

    Cost: O(B G n^2) a pass, and O(G n^3) for each pattern of gaps.

    Args:
        vectors: rows of each vector, all as many.
        clusters: how many, G.
        others: rows of the other columns, ``(B, D)``, NaN = missing.
        variables: what they are, with present component parameters.
        shrinkage: rows of the law within clusters that each cluster has seen, for each coordinate of a vector; None: as
            the rows themselves make probable.

    References:
        Cappé, Moulines, "On-line expectation-maximization algorithm for latent data models", 2009, arXiv:0712.4273.
    """
    rows = affordable(vectors)
    others = None if others is None else others[rows]
    tables = ClusteredTables(others, variables) if others is not None and variables is not None else None
    mixture = Clusters(
        [ClusteredVector(v.value[rows], v.covariance, v.factors, shrinkage) for v in vectors], tables, emphasis
    )
    mixture.start(_seeds(others, len(rows), clusters))
    patterns = max((len(v.patterns) for v in mixture.vectors if v.patterns is not None), default=1)
    epochs = max(EPOCHS, min(math.ceil(STEPS * min(1.0, BATCH / len(rows))), EPOCHS * PATTERNS // patterns))
    batches = [batch for _ in range(epochs) for batch in torch.randperm(len(rows), device="cpu").split(BATCH)]
    for done, batch in enumerate(batches):
        step = max(STEP * (1 - done / len(batches)), min(1.0, BATCH / len(rows))) if done else 1.0
        mixture.step(batch, step)
    mixture.blur()
    return mixture.result()


def fit_full_mixture(rows: Tensor, components: int, covariance: Covariance = "full") -> tuple[Tensor, ...]:
    """Of a mixture of Gaussians what `VectorMixture` has of its vector, and log weights: ``(B, n) -> ..., (K,)``."""
    fit = fit_vector_mixture([VectorRows(rows, covariance)], components)
    return *fit.vectors[0], fit.log_mix


class Clusters:
    """The mixture while it is fitted."""

    def __init__(self, vectors: list[ClusteredVector], tables: ClusteredTables | None = None, emphasis: float = 1.0):
        self.vectors, self.tables, self.rows = vectors, tables, len(vectors[0].x)
        self.parts = [*vectors, *([tables] if tables else [])]
        self.weights = [*(1.0 for _ in vectors), *([emphasis] if tables else [])]

    def start(self, seeds: Tensor) -> None:
        """Each cluster at a row, ``(G,)``."""
        for part in self.parts:
            part.start(seeds)
        self.sizes = self.vectors[0].x.new_full((len(seeds),), 1 / len(seeds))
        self.log_mix = self.sizes.log()
        self.chunk = max(1, CHUNK // max(part.width(len(seeds)) for part in self.parts))

    def step(self, rows: Tensor, size: float) -> Tensor:
        """A step of EM on some rows, of a size where 1 forgets all others; returns their log-likelihood before it."""
        total, counts = self.sizes.new_zeros(()), torch.zeros_like(self.sizes)
        sums: list[list[Tensor]] = [[] for _ in self.parts]
        for chunk in rows.to(total.device).split(self.chunk):
            scores = (part.score(chunk) for part in self.parts)
            score = self.log_mix + sum(w * x for w, x in zip(self.weights, scores, strict=True))
            shares = score.softmax(-1)
            total, counts = total + score.logsumexp(-1).sum(), counts + shares.sum(0)
            for i, part in enumerate(self.parts):
                new = part.moments(chunk, shares)
                sums[i] = [a + b for a, b in zip(sums[i], new, strict=True)] if sums[i] else list(new)
        # Means that move by steps of this size remember about so many rows.
        known = min(self.rows, len(rows) * (2 - size) / size)
        for part, of_part in zip(self.parts, sums, strict=True):
            part.move([x / len(rows) for x in of_part], size, known)
        self.sizes = self.sizes.lerp(counts / len(rows), size)
        self.log_mix = (self.sizes + 1 / (self.rows * len(self.sizes))).log().log_softmax(0)
        return total

    def blur(self) -> None:
        """At the end: where few rows know the other columns, clusters without such rows take after those near them."""
        if self.tables is None:
            return
        near = torch.zeros_like(self.tables.probs)
        for chunk in torch.arange(self.rows, device=near.device).split(self.chunk):
            score = self.log_mix + sum(vector.score(chunk) for vector in self.vectors)
            near = near + self.tables.moments(chunk, (score / BLUR).softmax(-1))[0]
        self.tables.borrow(near)

    def result(self) -> VectorMixture:
        others = self.tables.result(self.log_mix) if self.tables else None
        return VectorMixture([vector.result() for vector in self.vectors], others, self.log_mix)


def affordable(vectors: Sequence[VectorRows]) -> Tensor:
    """Rows drawn without replacement, half as many until their patterns of gaps are few enough."""
    rows = drawn(len(vectors[0].value), ROWS)
    gaps = [vector.value[rows].isnan() for vector in vectors]
    while len(rows) > PATTERNS and max(len(gap[: len(rows)].unique(dim=0)) for gap in gaps) > PATTERNS:
        rows = rows[: max(PATTERNS, len(rows) // 2)]
    return rows


def _seeds(others: Tensor | None, rows: int, clusters: int) -> Tensor:
    """Rows drawn at random, half of them among those of which most other columns are known; again, if there are few."""
    order = torch.randperm(rows, device="cpu")
    if others is not None:
        missing = others.isnan().sum(1).cpu()[order]
        known = order[missing.argsort(stable=True)][: clusters // 2]
        order = torch.cat([known, order[~torch.isin(order, known)]])
    return order[torch.arange(clusters, device="cpu") % rows]
