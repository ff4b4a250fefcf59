"""What clusters know of a vector, and of other columns, while their mixture is fitted by stepwise EM."""

from collections.abc import Iterator, Sequence

import torch
from torch import Tensor

from pyro_priors.distributions import Variables
from pyro_priors.distributions.kinds import Covariance
from pyro_priors.modules.starting.clustered_vectors import (
    CAUTION,
    CENTRED,
    FLOOR,
    SHRINKAGE,
    ClusterGaussians,
    Moments,
    Spread,
    factored,
    weighted_moments,
)
from pyro_priors.modules.starting.initialise import ProductMixture, fit_leaves
from pyro_priors.modules.starting.stepwise_mixture import LEAF_ROWS, Leaves, drawn, normalised
from pyro_priors.ops.gaussians import eye_like

OWN = 0.9  # how much a cluster is at first like the row that it starts from, in columns that are no vectors
NARROW = 0.1  # of the columns' variances: those of the clusters at first
REMEMBERED = 20_000_000  # numbers of factors of marginals
PSEUDO = 0.1  # rows of a column's own law that each cluster has seen
BORROWED, RARE = 1.0, 0.03  # at the end: rows of what is near, and how many rows of its own law that has seen


class ClusteredVector:
    """Gaussians of the clusters over one vector, in units in which its columns have mean 0 and variance 1.

    Args:
        value: rows ``(B, n)``, NaN = missing.
        covariance: what it may be.
        factors: of a low-rank covariance.
        shrinkage: rows of the law within clusters that each cluster has seen, for each coordinate; None: as the rows
            themselves make probable.
        floor: of the standard deviation that a column has left where all others are given.
    """

    def __init__(
        self,
        value: Tensor,
        covariance: Covariance = "full",
        factors: int | None = None,
        shrinkage: float | None = None,
        floor: float = FLOOR,
    ):
        self.covariance, self.factors, self.shrinkage, self.floor = covariance, factors, shrinkage, floor
        self.probable = SHRINKAGE / CAUTION
        missing = value.isnan()
        self.centre = value.nanmean(0).nan_to_num(0.0)
        spread = (value - self.centre).square().nanmean(0).sqrt().nan_to_num(1.0)
        # As of scalars: a column without variance gets the scale 1e-3.
        self.spread = torch.where(spread > 1e-6 * self.centre.abs(), spread, 0.1).clamp(min=1e-6)
        self.x = ((value - self.centre) / self.spread).masked_fill(missing, 0.0)
        self.patterns, self.pattern = None, None
        if missing.any():
            patterns, self.pattern = (~missing).unique(dim=0, return_inverse=True)
            self.patterns = patterns.to(value)
        self.loadings: tuple[Tensor, Tensor] | None = None

    def width(self, clusters: int) -> int:
        """Numbers that a row takes, at most."""
        size = self.x.shape[1]
        return max(clusters, size) * size

    def start(self, seeds: Tensor) -> None:
        loc = self.x[seeds]
        covariance = NARROW * eye_like(loc)
        self.sums = Moments(
            loc.new_zeros(len(loc)), torch.zeros_like(loc), torch.zeros_like(covariance).expand(len(loc), -1, -1)
        )
        self._set(loc, covariance.expand(len(loc), -1, -1))

    def score(self, rows: Tensor) -> Tensor:
        """Log-densities of some rows, ``(b,) -> (b, G)``."""
        if self.patterns is None:
            return self.law.log_density(self.x[rows])
        score = self.x.new_empty(len(rows), len(self.law.loc))
        for pattern, places in self._patterns_of(rows):
            score[places] = self._marginals(pattern).log_density(self.x[rows[places]])
        return score

    def moments(self, rows: Tensor, shares: Tensor) -> Moments:
        """Expected sums of the rows, by their shares ``(b, G)`` of each cluster."""
        if self.patterns is None:
            return weighted_moments(self.x[rows], shares)
        total = None
        for pattern, places in self._patterns_of(rows):
            sums = weighted_moments(self.x[rows[places]], shares[places])
            whole = self.law.completed(self._marginals(pattern), sums)
            total = whole if total is None else Moments(*(a + b for a, b in zip(total, whole, strict=True)))
        assert total is not None
        return total

    def move(self, means: Sequence[Tensor], step: float, known: float) -> None:
        """Take in what some rows say, means over them, and set the Gaussians; the means remember so many rows."""
        self.sums = Moments(*(a.lerp(b, step) for a, b in zip(self.sums, means, strict=True)))
        sums = Moments(*(part * len(self.x) for part in self.sums))
        spread = Spread.of(sums, self.floor, 0.0 if self.shrinkage == 0 else CENTRED)
        if self.shrinkage is None:
            self.probable = spread.of_fewer(known / len(self.x)).better(self.probable)
        covariance = spread.covariance(CAUTION * self.probable if self.shrinkage is None else self.shrinkage)
        if self.covariance == "diagonal":
            covariance = torch.diag_embed(covariance.diagonal(dim1=-2, dim2=-1))
        elif self.covariance == "low-rank":
            assert self.factors is not None
            loadings, scale = self.loadings = factored(covariance, self.loadings, self.factors)
            covariance = loadings @ loadings.mT + torch.diag_embed(scale.square())
        self._set(spread.loc, covariance)

    def result(self) -> tuple[Tensor, ...]:
        """In units of the rows, what `VectorMixture` says."""
        loc = self.law.loc * self.spread + self.centre
        if self.covariance == "full":
            return loc, self.law.factor / self.spread
        if self.covariance == "diagonal":
            return loc, self.law.covariance.diagonal(dim1=-2, dim2=-1).sqrt() * self.spread
        assert self.loadings is not None
        loadings, scale = self.loadings
        return loc, loadings * self.spread.unsqueeze(-1), scale * self.spread

    def _set(self, loc: Tensor, covariance: Tensor) -> None:
        self.law = ClusterGaussians(loc, covariance)
        self._seen: dict[int, ClusterGaussians] = {}

    def _marginals(self, pattern: int) -> ClusterGaussians:
        assert self.patterns is not None
        if pattern not in self._seen:
            if len(self._seen) * self.law.factor.numel() > REMEMBERED:
                self._seen.clear()  # or many patterns would fill the memory
            self._seen[pattern] = self.law.given(self.patterns[pattern])
        return self._seen[pattern]

    def _patterns_of(self, rows: Tensor) -> Iterator[tuple[int, Tensor]]:
        """The patterns of gaps among some rows, and where among them they are."""
        assert self.pattern is not None
        order = self.pattern[rows].argsort(stable=True)
        patterns, counts = self.pattern[rows][order].unique_consecutive(return_counts=True)
        yield from zip(patterns.tolist(), order.split(counts.tolist()), strict=True)


class ClusteredTables:
    """Tables of the clusters over the states of all other columns, as those of `stepwise_mixture`.

    Args:
        value: rows ``(B, D)``, NaN = missing.
        variables: what they are, with present component parameters.
        pseudo: rows of a column's own law that each cluster has seen.
    """

    def __init__(self, value: Tensor, variables: Variables, pseudo: float = PSEUDO):
        self.value, self.pseudo = value, pseudo
        self.loc, self.scale = fit_leaves(value[drawn(len(value), LEAF_ROWS)], variables)
        self.leaves = Leaves(variables.bind(self.loc, self.scale))
        self.usual = self.leaves.usual(value)[:, None]

    def width(self, clusters: int) -> int:
        """Numbers that a row takes, at most."""
        return clusters * self.value.shape[1]

    def start(self, seeds: Tensor) -> None:
        weights = self.leaves(self.value[seeds]).T
        layout = self.leaves.layout
        missing = torch.cat(
            [(part.sum(1, keepdim=True) == 0).expand_as(part).flatten(0, 1) for part in layout.split(weights, 0)]
        )
        own = torch.where(missing, self.usual, weights)
        self.probs = normalised(OWN * own + (1 - OWN) * self.usual, layout)
        self.counts = torch.zeros_like(self.probs)

    def score(self, rows: Tensor) -> Tensor:
        """Log-weights of some rows, ``(b,) -> (b, G)``."""
        weights = self.leaves(self.value[rows])
        return self.leaves.score(weights, self.probs, weights.new_zeros(()))[0]

    def moments(self, rows: Tensor, shares: Tensor) -> tuple[Tensor]:
        """How often each cluster uses each state, by the rows' shares ``(b, G)``: ``(S, G)``."""
        weights = self.leaves(self.value[rows])
        fits = self.leaves.score(weights, self.probs, weights.new_zeros(()))[1]
        return (self.leaves.used(weights, self.probs, fits, shares),)

    def move(self, means: Sequence[Tensor], step: float, known: float) -> None:
        """Take in what some rows say, means over them, and set the tables."""
        self.counts = self.counts.lerp(means[0], step)
        counts = self.counts + self.pseudo / len(self.value) * self.usual
        self.probs = normalised(counts, self.leaves.layout)

    def borrow(self, counts: Tensor) -> None:
        """At the end, a cluster that knows few rows has the states of those near it, used so often: ``(S, G)``."""
        near = normalised(counts + RARE * self.usual, self.leaves.layout)
        self.probs = normalised(self.counts * len(self.value) + BORROWED * near, self.leaves.layout)

    def result(self, log_mix: Tensor) -> ProductMixture:
        groups = self.leaves.layout.split(self.probs, 0)
        return ProductMixture(self.loc, self.scale, [part.log() for part in groups], log_mix)
