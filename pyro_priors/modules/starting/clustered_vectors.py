"""Gaussians of clusters over a vector with gaps: densities, expected moments, covariances that do not overfit."""

import math
from typing import NamedTuple

import torch
from torch import Tensor

from pyro_priors.ops import wide
from pyro_priors.ops.gaussians import eye_like, inverse_lower

FLOOR = 0.01  # of a column's standard deviation: what is left of it where all others are given is not less
SHRINKAGE = 3.0  # rows of the law within clusters that each has seen, for each coordinate of a vector, at first
NOTCH = 1.5  # by which that number changes, a step of EM
LEAST, MOST = 0.03, 20.0  # of it
CAUTION = 1.5  # times what the rows make most probable: clusters were chosen to fit them
CENTRED = 0.1  # rows at the mean of all that each cluster has seen: of its mean alone
INNER = 3  # steps of factor analysis in each of EM


class Moments(NamedTuple):
    """Sums over rows, or means, weighted by the rows' shares of each cluster."""

    counts: Tensor  # (G,)
    first: Tensor  # (G, n)
    second: Tensor  # (G, n, n)


class ClusterGaussians:
    """G Gaussians over R^n, or their marginals where only some coordinates are seen.

    With A the lower Cholesky factor of the covariance, L = A^-1 is lower, and row i of it gives x_i from x_<i.

    Shapes:
        ``loc (G, n)``, ``covariance (G, n, n)``, ``seen (n,)`` of ones and zeros
    """

    def __init__(self, loc: Tensor, covariance: Tensor, seen: Tensor | None = None):
        self.loc, self.covariance = loc, covariance
        self.seen = torch.ones_like(loc[0]) if seen is None else seen
        root = torch.linalg.cholesky(covariance)
        self.factor = inverse_lower(root)
        scale = root.diagonal(dim1=-2, dim2=-1)
        self.constant = -scale.log().sum(-1) - 0.5 * math.log(2 * math.pi) * self.seen.sum()
        self.centre = (self.factor @ loc.unsqueeze(-1)).flatten()

    def given(self, seen: Tensor) -> "ClusterGaussians":
        """The marginals of the coordinates that are seen, for rows that are 0 where they are not.

        There the others have mean 0 and variance 1, which adds nothing to any density.
        """
        covariance = self.covariance * (seen[:, None] * seen) + torch.diag(1 - seen)
        return ClusterGaussians(self.loc * seen, covariance, seen)

    def log_density(self, x: Tensor) -> Tensor:
        """``(B, n) -> (B, G)``, by one matrix product for all clusters."""
        standard = x @ self.factor.flatten(0, 1).mT - self.centre
        return self.constant - 0.5 * standard.unflatten(-1, self.loc.shape).square_().sum(-1)

    def completed(self, marginals: "ClusterGaussians", sums: Moments) -> Moments:
        """Expected sums of whole rows, from sums of rows that are 0 where the marginals see nothing.

        A missing entry is W x_seen + c in the mean, with the covariance that is left: what all rows with the same gaps
        add follows from their sums, cluster by cluster.
        """
        seen, hidden = marginals.seen, 1 - marginals.seen
        across = self.covariance * (hidden[:, None] * seen)
        regression = across @ marginals.factor.mT @ marginals.factor  # W
        left = self.covariance * (hidden[:, None] * hidden) - regression @ across.mT
        offset = (hidden * self.loc).unsqueeze(-1) - regression @ marginals.loc.unsqueeze(-1)  # c
        whole, count = regression + torch.diag(seen), sums.counts[:, None, None]
        moved = whole @ sums.first.unsqueeze(-1)
        cross = moved @ offset.mT
        second = whole @ sums.second @ whole.mT + cross + cross.mT + count * (offset @ offset.mT + left)
        return Moments(sums.counts, (moved + count * offset).squeeze(-1), second)


def weighted_moments(x: Tensor, shares: Tensor) -> Moments:
    """``(B, n), (B, G)``: one matrix product with the products of all pairs of coordinates."""
    size = x.shape[1]
    pairs = (x.unsqueeze(-1) * x.unsqueeze(-2)).flatten(1)  # (B, n^2)
    return Moments(shares.sum(0), shares.mT @ x, (shares.mT @ pairs).unflatten(-1, (size, size)))


class Spread(NamedTuple):
    """What rows of clusters, of columns of mean 0 and variance 1, say of the means and covariances of these."""

    counts: Tensor  # (G,)
    loc: Tensor  # (G, n)
    scatter: Tensor  # (G, n, n), sums of squares and products about the means
    within: Tensor  # (n, n), the covariance within all clusters

    @classmethod
    def of(cls, sums: Moments, floor: float = FLOOR, centred: float = CENTRED) -> "Spread":
        """The covariance within clusters is held away from singular ones by n rows of N(0, I)."""
        counts, first, second = sums
        size = first.shape[-1]
        eye = eye_like(first)
        loc = first / (counts + centred).clamp(min=1e-30).unsqueeze(-1)
        cross = loc.unsqueeze(-1) * first.unsqueeze(-2)
        about = counts[:, None, None] * (loc.unsqueeze(-1) * loc.unsqueeze(-2))
        scatter = second - cross - cross.mT + about + floor**2 * counts[:, None, None] * eye
        within = (scatter.sum(0) + size * eye) / (counts.sum() + size) + floor**2 * eye
        return cls(counts, loc, scatter, within)

    def of_fewer(self, share: float) -> "Spread":
        """The same clusters of fewer rows."""
        return self._replace(counts=self.counts * share, scatter=self.scatter * share)

    def covariance(self, shrinkage: float) -> Tensor:
        """As if each cluster had seen, for each coordinate, so many rows of the law within clusters. ``-> (G, n, n)``

        A cluster without rows has the covariance within clusters.
        """
        rows = max(shrinkage * len(self.within), 1e-30)
        covariance = (self.scatter + rows * self.within) / (self.counts + rows)[:, None, None]
        # Rounding may leave a cluster far from all others with a covariance that is none.
        wrong = torch.linalg.cholesky_ex(covariance).info > 0
        return torch.where(wrong[:, None, None], self.within, covariance)

    def log_evidence(self, shrinkage: float) -> Tensor:
        """Log-probability of the rows, up to a constant, where covariances of clusters vary about that within them.

        They have an inverse Wishart law, whose posterior means are `covariance`.
        """
        size = len(self.within)
        counts, scatter, within = map(wide, (self.counts, self.scatter, self.within))
        prior, before = shrinkage * size * within, torch.full_like(counts, (shrinkage + 1) * size + 1)
        after = before + counts
        root, failed = torch.linalg.cholesky_ex(prior + scatter)
        log_det = 2 * root.diagonal(dim1=-2, dim2=-1).log().sum(-1)
        evidence = 0.5 * before * torch.linalg.slogdet(prior).logabsdet - 0.5 * after * log_det
        evidence = evidence + torch.special.multigammaln(after / 2, size) - torch.special.multigammaln(before / 2, size)
        return evidence.masked_fill(failed > 0, 0.0).sum()

    def better(self, shrinkage: float) -> float:
        """A shrinkage near this one that explains the rows best."""
        near = [min(max(shrinkage * step, LEAST), MOST) for step in (1.0, 1 / NOTCH, NOTCH)]
        return near[int(torch.stack([self.log_evidence(each) for each in near]).argmax())]


def factored(covariance: Tensor, before: tuple[Tensor, Tensor] | None, factors: int) -> tuple[Tensor, Tensor]:
    """Loadings and scales of low-rank covariances plus diagonals, by steps of factor analysis from those before.

    The first start at the leading axes, each variance of the rest its own.

    Shapes:
        ``(G, n, n) -> (G, n, factors), (G, n)``

    References:
        Rubin, Thayer, "EM algorithms for ML factor analysis", 1982.
    """
    if before is None:
        values, axes = torch.linalg.eigh(covariance)
        rest = values[:, :-factors].mean(-1)[:, None, None] if factors < values.shape[-1] else values[:, :1, None]
        loadings = axes[..., -factors:] * (values[:, None, -factors:] - rest).clamp(min=0).sqrt()
        diagonal = covariance.diagonal(dim1=-2, dim2=-1)
        scale = (diagonal - loadings.square().sum(-1)).clamp(min=FLOOR**2).sqrt()
    else:
        loadings, scale = before
    for _ in range(INNER):
        weighted = loadings / scale.square().unsqueeze(-1)
        inner = eye_like(loadings) + loadings.mT @ weighted
        root = torch.linalg.cholesky(inner)
        beta = torch.cholesky_solve(weighted.mT, root)  # E[factors given x] = beta x
        against = covariance @ beta.mT
        second = torch.cholesky_inverse(root) + beta @ against
        loadings = torch.cholesky_solve(against.mT, torch.linalg.cholesky(second)).mT
        variance = covariance.diagonal(dim1=-2, dim2=-1) - (loadings * against).sum(-1)
        scale = variance.clamp(min=FLOOR**2).sqrt()
    return loadings, scale
