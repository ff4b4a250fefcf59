"""Fits by scikit-learn, on tensors. It is imported when first needed: it takes a second and sets warning filters."""

import warnings
from typing import Any

import numpy
import torch
from torch import Tensor

from pyro_priors.modules.starting.clustered_vectors import CAUTION, SHRINKAGE, Moments, Spread, weighted_moments
from pyro_priors.ops.gaussians import inverse_factors


def fit_mixture(z: Tensor, components: int) -> tuple[Tensor, Tensor, Tensor]:
    """A Gaussian mixture with diagonal covariance, by EM.

    Components that the rows cannot carry repeat others, sharing their weight. No standard deviation falls below 1 % of
    its column's, or below 1e-3 where the column is constant.

    Shapes:
        ``(n, d) -> loc (K, d), scale (K, d), log weights (K,)``
    """
    from sklearn.exceptions import ConvergenceWarning
    from sklearn.mixture import GaussianMixture

    centre, spread = z.mean(0), z.std(0, correction=0)
    spread = torch.where(spread > 1e-6 * centre.abs(), spread, 0.1).clamp(min=1e-6)
    rows = ((z - centre) / spread).double().cpu()
    count = min(components, len(rows.unique(dim=0)))
    fit = GaussianMixture(count, covariance_type="diag", reg_covar=1e-4, random_state=seed(), max_iter=50)
    with warnings.catch_warnings():  # a start need not have converged
        warnings.simplefilter("ignore", ConvergenceWarning)
        fit.fit((rows if len(rows) > 1 else rows.repeat(2, 1)).numpy())
    used = torch.arange(components) % count
    shared = torch.from_numpy(fit.weights_).clamp(min=1e-8) / torch.bincount(used, minlength=count)
    loc, variance = torch.from_numpy(fit.means_)[used].to(z), torch.from_numpy(fit.covariances_)[used].to(z)
    return loc * spread + centre, variance.sqrt() * spread, shared.log()[used].to(z)


def clusters_of(z: Tensor, scale: Tensor, clusters: int, restarts: int = 4) -> Tensor:
    """Probabilities of each code's cluster under a Gaussian mixture, ``(n, d), (n, d) -> (n, K)``.

    The codes are means z of posteriors with standard deviations `scale`, in units of the spread of all posteriors
    together: so a latent that says nothing, whose means hardly vary, counts for nothing. Where a cluster has ten codes
    for each latent, covariances are full, and the best of `restarts` mixtures counts; otherwise they are diagonal, and
    one has to do. EM starts with covariances that are held wide, and lets go in steps: it is caught by fewer poor
    mixtures. Clusters that the codes cannot carry repeat others, sharing their probability.
    """
    spread = (z.var(0, correction=0) + scale.square().mean(0)).sqrt().clamp(min=1e-6)
    rows = ((z - z.mean(0)) / spread).double().cpu()
    count = min(clusters, len(rows.unique(dim=0)))
    full = len(rows) >= 10 * count * rows.shape[1]
    data = (rows if len(rows) > 1 else rows.repeat(2, 1)).numpy()
    fits = [_annealed_mixture(data, count, "full" if full else "diag") for _ in range(restarts if full else 1)]
    best = max(fits, key=lambda fit: fit.lower_bound_).predict_proba(rows.numpy())
    used = torch.arange(clusters) % count
    return (torch.from_numpy(best)[:, used] / torch.bincount(used, minlength=count)[used]).to(z)


def full_clusters(z: Tensor, scale: Tensor, probs: Tensor) -> tuple[Tensor, Tensor]:
    """The Gaussian of each cluster of codes, those of a small cluster held near the covariance within all of them.

    Shapes:
        means and standard deviations of the codes, ``(n, d)`` each, their clusters ``(n, K)`` -> ``loc (K, d)``,
        precision factors ``(K, d, d)``
    """
    centre, spread = z.mean(0), (z.var(0, correction=0) + scale.square().mean(0)).sqrt().clamp(min=1e-6)
    x, wide, shares = ((z - centre) / spread).double(), (scale / spread).double(), probs.double()
    parts = [weighted_moments(*some) for some in zip(x.split(2000), shares.split(2000), strict=True)]
    counts, first, second = (torch.stack(part).sum(0) for part in zip(*parts, strict=True))
    seen = Spread.of(Moments(counts, first, second + torch.diag_embed(shares.T @ wide.square())))
    shrinkage = SHRINKAGE
    for _ in range(20):  # steps that reach every number it may be
        shrinkage = seen.better(shrinkage)
    factor = inverse_factors(seen.covariance(CAUTION * shrinkage))
    return centre + (seen.loc * spread).to(z), (factor / spread).to(z)


def _annealed_mixture(rows: numpy.ndarray, count: int, covariance: str) -> Any:
    """A mixture fitted with less and less added to its variances."""
    from sklearn.exceptions import ConvergenceWarning
    from sklearn.mixture import GaussianMixture

    start = {}
    for added in (0.3, 0.1, 0.01):
        how = {"covariance_type": covariance, "reg_covar": added, "random_state": seed(), "max_iter": 50}
        fit = GaussianMixture(count, **how, **start)
        with warnings.catch_warnings():
            warnings.simplefilter("ignore", ConvergenceWarning)
            fit.fit(rows)
        start = {"weights_init": fit.weights_, "means_init": fit.means_, "precisions_init": fit.precisions_}
        start["init_params"] = "random_from_data"  # what it draws is replaced by the others
    return fit


def fit_clusters(features: Tensor, clusters: int) -> Tensor:
    """k-means labels, ``(n, f) -> (n,)``; fewer clusters where there are fewer distinct rows."""
    from sklearn.cluster import KMeans
    from sklearn.exceptions import ConvergenceWarning

    rows = features.double().cpu()
    how: dict[str, Any] = {"n_init": 3, "random_state": seed()}
    means = KMeans(min(clusters, len(rows.unique(dim=0))), **how)
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", ConvergenceWarning)
        return torch.from_numpy(means.fit(rows.numpy()).labels_).long().to(features.device)


def seed() -> int:
    """A seed for scikit-learn drawn from torch's generator, so that `torch.manual_seed` rules both."""
    return int(torch.randint(2**31 - 1, ()))
