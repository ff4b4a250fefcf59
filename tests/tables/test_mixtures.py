"""Mixtures of Gaussians over scores, truncated or not, against scipy."""

import numpy as np
import pytest
import torch
from scipy.stats import norm, truncnorm

from pyro_priors.tables.answers.mixtures import Mixture, pick, truncated_cdf, truncated_nodes, truncated_quantile

INFINITE = float("inf")
LOW = torch.tensor([-INFINITE, -1.0, 2.0, 8.0, 35.0, -40.0, -INFINITE]).double()
HIGH = torch.tensor([INFINITE, 0.5, INFINITE, 8.1, INFINITE, -38.0, -20.0]).double()


def test_truncated_gaussians_far_out():
    law = truncnorm(LOW.numpy(), HIGH.numpy())
    for level in (1e-6, 0.3, 0.9):
        z = torch.from_numpy(law.ppf(level))
        np.testing.assert_allclose(truncated_cdf(z, LOW, HIGH), level, rtol=1e-5)
        share, none = torch.full_like(LOW, level), torch.zeros_like(LOW)
        result = truncated_quantile(share, none, none + 1, LOW, HIGH)
        np.testing.assert_allclose(result[:5], z[:5], rtol=1e-7)
        assert ((result >= LOW) & (result <= HIGH)).all()


def test_nodes_integrate():
    nodes, log_weights = truncated_nodes(torch.zeros(7).double(), torch.ones(7).double(), LOW, HIGH)
    weights = log_weights.softmax(-1)
    law = truncnorm(LOW.numpy(), HIGH.numpy())
    np.testing.assert_allclose((weights * nodes).sum(-1), law.mean(), rtol=1e-6, atol=1e-9)
    np.testing.assert_allclose((weights * nodes.square()).sum(-1)[:4], law.moment(2)[:4], rtol=1e-6)
    assert ((nodes >= LOW.unsqueeze(-1)) & (nodes <= HIGH.unsqueeze(-1))).all()


def random_mixture(rows=50, each=9, cut=True):
    torch.manual_seed(0)
    row = torch.randperm(rows * each) % rows
    x = torch.rand(3, rows * each, dtype=torch.float64)
    mixture = Mixture.of(row, x[0], 6 * x[1], 0.01 + x[2])
    if cut:
        half = row % 2 == 0
        mixture = mixture._replace(low=torch.where(half, 2.0, mixture.low), high=torch.where(half, 4.0, mixture.high))
    return mixture


def test_quantiles_invert_the_distribution():
    for cut in (False, True):
        mixture = random_mixture(cut=cut)
        for level in (1e-6, 0.2, 0.5, 0.99):
            z = mixture.quantile(torch.full((50,), level, dtype=torch.float64))
            share = mixture.cdf(z) / mixture.whole(50)
            assert (share - level).abs().max() < 1e-6 * max(level, 1e-3)


def test_quantiles_of_very_many_components_are_found_from_few_of_them():
    """The search begins at every eighth component: in one row none of these has weight, in another none stands."""
    every = torch.arange(20_000)
    mixture = Mixture.of(
        (every % 7 == 3).long(), torch.rand(20_000).double() + 0.1, every.double() / 2e4, torch.ones(20_000).double()
    )
    weight = torch.where(mixture.row == 0, torch.where(every == 9, 1.0, 0.0), mixture.weight)
    mixture = mixture._replace(weight=weight.double())
    for level in (0.1, 0.7):
        z = mixture.quantile(torch.full((2,), level).double())
        assert float(z[0]) == pytest.approx(9 / 2e4 + norm.ppf(level), abs=1e-7)
        np.testing.assert_allclose(mixture.cdf(z) / mixture.whole(2), level, atol=1e-7)


def test_quantiles_of_points_are_points():
    row = torch.zeros(3, dtype=torch.long)
    weight, mean = torch.tensor([0.2, 0.5, 0.3]).double(), torch.tensor([3.0, 1.0, 2.0]).double()
    points = Mixture.of(row, weight, mean, torch.zeros(3).double())
    quantiles = [points.quantile(torch.tensor([level]).double()).item() for level in (0.1, 0.49, 0.6, 0.9)]
    np.testing.assert_allclose(quantiles, [1, 1, 2, 3], atol=1e-8)


def test_picks_by_weight():
    """Within five standard errors: fails once in a million."""
    generator, row = torch.Generator().manual_seed(0), torch.tensor([0, 1, 0, 1, 0])
    weight = torch.tensor([1.0, 2.0, 2.0, 0.0, 5.0]).double()
    picks = torch.stack([pick(row, weight, 3, generator) for _ in range(4000)])
    assert (picks[:, 1] == 1).all()
    assert (picks[:, 2] == 0).all()  # a row without components
    share = (picks[:, 0] == 4).double().mean().item()
    assert abs(share - 5 / 8) < 5 * (5 / 8 * 3 / 8 / 4000) ** 0.5


def test_some_rows_by_themselves():
    mixture = random_mixture()
    rows = torch.arange(50) % 3 == 0
    level = torch.full((50,), 0.4, dtype=torch.float64)
    torch.testing.assert_close(mixture.among(rows).quantile(level[rows]), mixture.quantile(level)[rows])
