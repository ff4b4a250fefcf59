"""Densities and probabilities of kernels: their adjoints against differences, and values against sums by torch."""

from itertools import pairwise

import pytest
import torch
from torch.distributions import Normal

from pyro_priors.tables.laws.kernel_densities import interval_masses, log_density, log_mass


@pytest.fixture
def kernels():
    generator = torch.Generator().manual_seed(0)
    centre = torch.tensor([0.3, -1.0, 0.3, 2.0, -1.0]).double()  # some are alike
    width = torch.tensor(0.4).double().requires_grad_()
    logs = torch.randn(2, 5, generator=generator).double().requires_grad_()
    value = torch.randn(4, generator=generator).double()
    return value, centre, width, logs, torch.rand(4, 5, generator=generator).double()


def ends(value):
    """One interval without an end."""
    return value - 0.2, torch.cat([value[:-1] + 0.3, value.new_tensor([torch.inf])])


def test_densities_are_those_of_torch(kernels):
    value, centre, width, logs, _ = kernels
    mean, scale = centre.flip(0), centre.abs() + 0.5
    parts = Normal(centre, width).log_prob(value[:, None]), Normal(mean, scale).log_prob(value[:, None])
    expected = torch.logaddexp(*(log + part for log, part in zip(logs, parts, strict=True)))
    torch.testing.assert_close(log_density(value, centre, width, mean, scale, logs), expected)
    with torch.no_grad():
        torch.testing.assert_close(log_density(value, centre, width.detach(), mean, scale, logs.detach()), expected)
    assert torch.autograd.gradcheck(lambda w, x: log_density(value, centre, w, mean, scale, x), (width, logs))


def test_probabilities_are_those_of_torch(kernels):
    value, centre, width, logs, slab = kernels
    low, high = ends(value)
    copied = Normal(centre, width).cdf(high[:, None]) - Normal(centre, width).cdf(low[:, None])
    expected = (logs[0].exp() * copied + logs[1].exp() * slab).log()
    torch.testing.assert_close(log_mass((low, high), centre, width, slab, logs), expected)
    torch.testing.assert_close(log_mass((low, high), centre, width.detach(), slab, logs.detach()), expected)
    finite = value - 0.2, value + 0.3  # differences want these
    assert torch.autograd.gradcheck(lambda w, x: log_mass(finite, centre, w, slab, x), (width, logs))
    log_mass((low, high), centre, width, slab, logs).sum().backward()
    assert width.grad.isfinite()


def test_intervals_side_by_side_share_their_ends():
    """One error function an end either way, and the digits of tails."""
    edges = torch.linspace(-9, 9, 40).double()
    mean, scale = torch.tensor([0.0, 1.0]).double(), torch.tensor([1.0, 0.1]).double()
    together = interval_masses((edges[:-1], edges[1:]), mean, scale)
    alone = torch.cat([interval_masses((a[None], b[None]), mean, scale) for a, b in pairwise(edges)])
    torch.testing.assert_close(together, alone, rtol=1e-12, atol=0)
    torch.testing.assert_close(together.sum(0), torch.ones(2).double(), rtol=1e-12, atol=0)
    assert (together[0] > 0).any()
