"""Flows that tests of several files bend."""

import pytest
import torch

import pyro_priors as pp

both = pytest.mark.parametrize("transform", ["affine", "spline"])


def bent(latent_dim, transform, dtype=torch.float64, **kwargs):
    """A flow away from its start."""
    torch.manual_seed(0)
    prior = pp.FlowNormal(latent_dim, layers=4, hidden=(16,), transform=transform, **kwargs).to(dtype)
    with torch.no_grad():
        for parameter in prior.couplings.parameters():
            parameter.add_(0.1 * torch.randn_like(parameter))
    return prior
