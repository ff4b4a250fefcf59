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


KINDS = {"digit": pp.Discrete(3), "age": pp.Continuous(2), "sex": pp.Discrete(2)}
FORMS = {"factored": {"cores": "factored"}, "ring": {"cores": "full", "boundary": "ring"}}


def bent_joint(form="factored", transform="affine", kinds=KINDS, dtype=torch.float64):
    """A prior away from its start, whose attributes and latents depend on each other."""
    torch.manual_seed(3)
    prior = pp.FlowTTLP(2, kinds, 3, (8,), transform, 3, 4, order="random", **FORMS[form]).to(dtype)
    with torch.no_grad():
        for part, size in ((prior.base, 0.2), (prior.couplings, 0.2 if transform == "affine" else 0.05)):
            for parameter in part.parameters():
                parameter.add_(size * torch.randn_like(parameter))
    return prior
