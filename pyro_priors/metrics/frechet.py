"""The Frechet distance between two sets of features."""

import math

import torch
from torch import Tensor


@torch.no_grad()
def frechet_distance(a: Tensor, b: Tensor) -> float:
    r"""Squared Frechet (2-Wasserstein) distance between Gaussians fitted to two sets of features.

    .. math:: |\mu_a - \mu_b|^2 + \operatorname{tr}\bigl(S_a + S_b - 2 (S_a S_b)^{1/2}\bigr)

    with unbiased covariances, in float64. It is called FID for the features of one Inception network only; of any
    others say which. Biased upwards where there are few rows: compare numbers of equal counts.

    The trace of the root is the nuclear norm of the product of two triangular factors, so that no covariance is ever
    squared, and fewer rows than features are no trouble.

    Cost: O((n + m) F^2)

    References:
        Dowson and Landau, "The Frechet distance between multivariate normal distributions", 1982; Heusel et al.,
        "GANs Trained by a Two Time-Scale Update Rule", 2017, eq. 6.

    Args:
        a: features, `(n, F)`.
        b: features, `(m, F)`.

    Raises:
        ValueError: another shape, another number of features, fewer than two rows, values that are not finite.

    Example:
        >>> features = torch.tensor([[0.0], [1.0], [2.0]])
        >>> round(frechet_distance(features, 2 * features + 3), 6)  # (4 - 0)^2 + (1 - 2)^2
        17.0
    """
    _check_features("a", a)
    _check_features("b", b)
    if a.shape[1] != b.shape[1]:
        raise ValueError(f"b: expected {a.shape[1]} features as in a, got {b.shape[1]}")
    (mean_a, root_a), (mean_b, root_b) = _moments(a), _moments(b)
    overlap = torch.linalg.svdvals(root_a @ root_b.T).sum()
    distance = (mean_a - mean_b).square().sum() + root_a.square().sum() + root_b.square().sum() - 2 * overlap
    return max(float(distance), 0.0)  # equal sets may round to less


def _moments(features: Tensor) -> tuple[Tensor, Tensor]:
    """Mean `(F,)` and a factor R `(min(n, F), F)` of the covariance R^T R."""
    features = features.cpu().double()
    mean = features.mean(0)
    return mean, torch.linalg.qr((features - mean) / math.sqrt(len(features) - 1), mode="r").R


def _check_features(name: str, features: Tensor) -> None:
    if not isinstance(features, Tensor) or features.dim() != 2 or features.is_complex():
        got = f"{features.dtype} {tuple(features.shape)}" if isinstance(features, Tensor) else type(features).__name__
        raise ValueError(f"{name}: expected a tensor of real numbers of shape (n, F), got {got}")
    if len(features) < 2 or features.shape[1] == 0:
        raise ValueError(f"{name}: expected at least two rows and one feature, got shape {tuple(features.shape)}")
    if not features.isfinite().all():
        row = int((~features.isfinite()).any(-1).nonzero()[0])
        raise ValueError(f"{name}: expected finite values, got NaN or infinity in row {row}")
