"""What numbers of a vector are missing given those that are not, under the state of each row."""

import numpy as np
import pytest
import torch
from cases import random_gaussians

from pyro_priors.distributions import full_gaussians
from pyro_priors.distributions.full_gaussians import FullGaussians
from pyro_priors.distributions.kinds import Vector

NAN = float("nan")
every_covariance = pytest.mark.parametrize("covariance", ["full", "diagonal", "low-rank"])


def random_law(covariance, size, states):
    kind = Vector(size, covariance, factors=min(2, size) if covariance == "low-rank" else None)
    return random_gaussians(kind, states, torch.Generator().manual_seed(0), torch.float64)


def with_gaps(rows, size):
    generator = torch.Generator().manual_seed(1)
    value = torch.randn(rows, size, generator=generator, dtype=torch.float64)
    value[torch.rand(rows, size, generator=generator) < 0.4] = NAN
    return value


@every_covariance
@pytest.mark.parametrize("size", [1, 4, 9])
@pytest.mark.parametrize("entries", [2**23, 200])
def test_moments_given_what_is_known(covariance, size, entries, monkeypatch):
    monkeypatch.setattr(full_gaussians, "ENTRIES", entries)  # in one piece, or in several
    law, value = random_law(covariance, size, 3), with_gaps(40, size)
    value[0], value[1] = NAN, 0.5
    states = torch.arange(40) % 3
    mean, variance = law.conditional_moments(states, value)
    loc, covariance_of = law.loc.numpy(), covariance_matrices(law)
    for n, (row, s) in enumerate(zip(value.numpy(), states.tolist(), strict=True)):
        gone, known = np.isnan(row), ~np.isnan(row)
        c = covariance_of[s]
        gain = np.linalg.solve(c[np.ix_(known, known)], c[np.ix_(known, gone)]).T
        np.testing.assert_allclose(
            mean[n, gone], loc[s][gone] + gain @ (row[known] - loc[s][known]), rtol=1e-9, atol=1e-9
        )
        expected = (c[np.ix_(gone, gone)] - gain @ c[np.ix_(known, gone)]).diagonal()
        np.testing.assert_allclose(variance[n, gone], expected, rtol=1e-9)
        assert (mean[n, known] == value[n, known]).all()
        assert (variance[n, known] == 0).all()
    every = law.conditional_mean(value)[torch.arange(40), states]
    torch.testing.assert_close(mean, every, rtol=1e-9, atol=1e-9)


def covariance_matrices(law):
    factor = law.triangular(list(range(law.size)))[1]
    return torch.linalg.inv(factor.mT @ factor).numpy()


def test_nearly_singular():
    factor = torch.tensor([[1.0, 0], [-1e5, 1e5]]).double()
    law = FullGaussians(torch.zeros(1, 2).double(), factor[None])
    mean, variance = law.conditional_moments(
        torch.zeros(1, dtype=torch.long), torch.tensor([[0.7, NAN]], dtype=torch.float64)
    )
    assert abs(mean[0, 1] - 0.7) < 1e-9
    assert abs(variance[0, 1] - 1e-10) < 1e-15


@every_covariance
def test_no_rows(covariance):
    law = random_law(covariance, 3, 2)
    mean, variance = law.conditional_moments(torch.zeros(0, dtype=torch.long), torch.zeros(0, 3).double())
    assert mean.shape == variance.shape == (0, 3)


def test_single_precision():
    law = random_law("full", 4, 3)
    value, states = with_gaps(20, 4), torch.arange(20) % 3
    narrow = FullGaussians(law.loc.float(), law.factor.float())
    for exact, part in zip(
        law.conditional_moments(states, value), narrow.conditional_moments(states, value.float()), strict=True
    ):
        assert part.dtype == torch.float32
        torch.testing.assert_close(part.double(), exact, rtol=1e-4, atol=1e-4)
