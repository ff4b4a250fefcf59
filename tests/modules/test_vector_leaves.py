"""The Gaussians of the vectors of a prior, made together, are those of each by itself."""

import pytest
import torch

import pyro_priors as pp


def made(**how):
    torch.manual_seed(0)
    prior = pp.TRIP(**{"latent_dim": 6, "block_size": 2, "cores": "factored", "components": None, "rank": 3} | how)
    with torch.no_grad():
        for parameter in prior.parameters():
            parameter.add_(torch.randn_like(parameter))
    return prior


def leaning(prior):
    basis = torch.tensor([[2.0, 0.0], [0.5, 1.0]])
    prior.vectors[1].lean(torch.ones(2), basis)
    return prior


CASES = {
    "alike": made,
    "of two sizes": lambda: made(latent_dim=5),
    "one along a basis": lambda: leaning(made()),
    "diagonal": lambda: made(covariance="diagonal"),
    "one": lambda: made(block_size=6),
}


@pytest.mark.parametrize("case", CASES)
def test_leaves_together_are_leaves_by_themselves(case):
    prior = CASES[case]()
    gaussians = prior().variables.gaussians.values()
    weights, grads = torch.randn(1000), []
    for several in (gaussians, [leaf() for leaf in prior.vectors]):
        tensors = [x for each in several for x in each.tensors.values()]
        total = sum((x.flatten() * weights[: x.numel()]).sum() * (1 + k) for k, x in enumerate(tensors))
        of_leaves = [x for leaf in prior.vectors for x in leaf.parameters()]
        grads.append([*tensors, *torch.autograd.grad(total, of_leaves)])
    for together, alone in zip(*grads, strict=True):
        torch.testing.assert_close(together, alone)
