"""The Frechet distance against scipy's matrix root, closed forms, and where a matrix root loses its digits."""

import math

import numpy as np
import pytest
import torch
from scipy import linalg

from pyro_priors.metrics import frechet_distance


def features(rows, count, seed, shift=0.0):
    """Correlated normal features."""
    generator = torch.Generator().manual_seed(seed)
    mix = torch.randn(count, count, generator=generator, dtype=torch.float64)
    return torch.randn(rows, count, generator=generator, dtype=torch.float64) @ mix + shift


def by_scipy(a, b):
    """The formula as it stands, with the root of a matrix that is not symmetric."""
    a, b = a.numpy(), b.numpy()
    cov_a, cov_b = np.atleast_2d(np.cov(a, rowvar=False)), np.atleast_2d(np.cov(b, rowvar=False))
    root = linalg.sqrtm(cov_a @ cov_b).real
    return float(((a.mean(0) - b.mean(0)) ** 2).sum() + np.trace(cov_a + cov_b - 2 * root))


@pytest.mark.parametrize(("n", "m", "count"), [(200, 300, 5), (40, 1000, 16), (50, 50, 1)])
def test_it_is_the_formula(n, m, count):
    a, b = features(n, count, 0), features(m, count, 1, shift=0.7)
    assert frechet_distance(a, b) == pytest.approx(by_scipy(a, b), rel=1e-9)
    assert frechet_distance(a, b) == pytest.approx(frechet_distance(b, a), rel=1e-12)


def exact_diagonal(rows, loc, scale):
    """Features whose sample mean is loc and whose sample covariance is diag(scale^2), to rounding."""
    draws = features(rows, len(loc), 2)
    q = torch.linalg.qr(draws - draws.mean(0)).Q * math.sqrt(rows - 1)
    return q * scale + loc


def test_diagonal_gaussians_in_closed_form():
    loc_a, loc_b = torch.tensor([0.0, 1.0, -2.0]).double(), torch.tensor([0.5, 1.0, 1.0]).double()
    scale_a, scale_b = torch.tensor([1.0, 2.0, 1e-4]).double(), torch.tensor([3.0, 0.1, 1e-5]).double()
    a, b = exact_diagonal(50, loc_a, scale_a), exact_diagonal(80, loc_b, scale_b)
    expected = float(((loc_a - loc_b) ** 2 + (scale_a - scale_b) ** 2).sum())
    assert frechet_distance(a, b) == pytest.approx(expected, rel=1e-10)


def test_fewer_rows_than_features():
    """Covariances without full rank. The roots of the eigenvalues of their product, by a general solver, agree."""
    a, b = features(6, 30, 3), features(9, 30, 4, shift=0.2)
    eigenvalues = linalg.eigvals(np.cov(a.numpy(), rowvar=False) @ np.cov(b.numpy(), rowvar=False)).real
    overlap = np.sqrt(np.sort(eigenvalues)[-5:]).sum()  # the smaller rank: five differences of six rows
    traces = float(a.var(0).sum() + b.var(0).sum())
    expected = float((a.mean(0) - b.mean(0)).square().sum()) + traces - 2 * overlap
    assert frechet_distance(a, b) == pytest.approx(expected, rel=1e-9)


def test_disjoint_directions_and_a_constant():
    """Gaussians on orthogonal axes have no overlap; a constant is a point mass."""
    line = torch.tensor([[-1.0], [1.0]]).double()
    nothing = torch.zeros(2, 1).double()
    a, b = torch.cat([line, nothing], -1), torch.cat([nothing, 3 * line], -1)
    assert frechet_distance(a, b) == pytest.approx(2 + 18, rel=1e-12)
    assert frechet_distance(nothing, line + 4) == pytest.approx(16 + 2, rel=1e-12)


@pytest.mark.parametrize("rows", [5, 500])
def test_equal_sets_have_distance_zero(rows):
    """Where the root of a product of covariances would leave about 1e-7 of the trace."""
    a = features(rows, 20, 5)
    assert 0 <= frechet_distance(a, a) < 1e-12 * float(a.var(0).sum())
    assert frechet_distance(a, a[torch.randperm(rows)] + 2.0) == pytest.approx(20 * 4, rel=1e-12)


def test_the_law_of_scaling_and_rotation():
    a, b = features(60, 7, 6), features(70, 7, 7, shift=1.0)
    rotation = torch.linalg.qr(features(7, 7, 8)).Q
    distance = frechet_distance(a, b)
    assert frechet_distance(3 * a + 1, 3 * b + 1) == pytest.approx(9 * distance, rel=1e-10)
    assert frechet_distance(a @ rotation, b @ rotation) == pytest.approx(distance, rel=1e-10)


def test_single_precision_far_from_zero_is_computed_in_double():
    a, b = features(100, 4, 9).float() + 1000, features(100, 4, 10).float() + 1000
    assert frechet_distance(a, b) == pytest.approx(by_scipy(a.double(), b.double()), rel=1e-8)
    assert frechet_distance(a.requires_grad_(), b) >= 0


GOOD = torch.zeros(3, 2)
BAD = {
    "a list": (lambda: frechet_distance([[0.0]], GOOD), r"a: expected a tensor .* \(n, F\), got list"),
    "one dimension": (lambda: frechet_distance(GOOD, GOOD[0]), r"b: .* shape \(n, F\), got torch.float32 \(2,\)"),
    "one row": (lambda: frechet_distance(GOOD[:1], GOOD), r"a: expected at least two rows .* got shape \(1, 2\)"),
    "no features": (lambda: frechet_distance(GOOD, GOOD[:, :0]), r"b: .* one feature, got shape \(3, 0\)"),
    "other features": (lambda: frechet_distance(GOOD, GOOD[:, :1]), "b: expected 2 features as in a, got 1"),
    "NaN": (lambda: frechet_distance(GOOD, GOOD * math.nan), "b: expected finite values, got NaN or infinity in row 0"),
    "infinity": (
        lambda: frechet_distance(torch.tensor([[0.0], [math.inf]]), GOOD),
        "a: expected finite values, got NaN or infinity in row 1",
    ),
}


@pytest.mark.parametrize("case", BAD)
def test_bad_input(case):
    call, message = BAD[case]
    with pytest.raises(ValueError, match=message):
        call()
