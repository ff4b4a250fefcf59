"""Stein's discrepancy against closed forms and quadrature, and its gradients through every kind of prior."""

import math

import numpy as np
import pyro
import pyro.distributions as dist
import pytest
import torch

import pyro_priors as pp
from pyro_priors.objectives import squared_stein
from pyro_priors.objectives.kernels import score_of


@pytest.fixture(autouse=True)
def _seed():
    pyro.set_rng_seed(0)


def normal(d=1, scale=1.0):
    return dist.Normal(torch.zeros(d), scale).to_event(1)


@pytest.mark.parametrize("d", [1, 3])
def test_a_shift_in_closed_form(d):
    """Scores of p = N(0, I) and q = N(shift, I) differ by the shift: |shift|^2 E k, under the RBF kernel known."""
    shift, width = 0.7, 2.0
    estimates = torch.stack([squared_stein(torch.randn(400, d) + shift, normal(d), width=width) for _ in range(20)])
    exact = d * shift**2 * (width / (width + 2)) ** (d / 2)
    assert abs(estimates.mean() - exact) < 4.5 * estimates.std() / 20**0.5  # with 19 degrees: 1 seed in 4,000 fails
    assert estimates.std() / 20**0.5 < 0.05 * exact


@pytest.mark.parametrize("kernel", ["rbf", "imq"])
def test_another_scale_and_a_mixture_by_quadrature(kernel):
    """E over two draws of q of (s_p - s_q)(z) (s_p - s_q)(z') k(z, z'): no derivative of the kernel is in it."""
    grid = np.linspace(-9, 9, 1501)
    two = dist.MixtureSameFamily(dist.Categorical(torch.ones(2)), dist.Normal(torch.tensor([-1.0, 1.5]), 0.6))
    for p, q in ((dist.Normal(0.0, 1.0), dist.Normal(0.0, 1.6)), (two, dist.Normal(0.0, 1.0))):
        z = torch.tensor(grid).requires_grad_()
        (off,) = torch.autograd.grad((p.log_prob(z) - q.log_prob(z)).sum(), z)
        weights = q.log_prob(z).exp().detach() * off * (grid[1] - grid[0])
        squares = (z[:, None] - z).detach() ** 2
        exact = weights @ ((-squares / 2).exp() if kernel == "rbf" else 1 / (1 + squares)) @ weights
        law = p.expand([1]).to_event(1)
        estimates = torch.stack([squared_stein(q.sample((400, 1)), law, kernel) for _ in range(20)])
        assert abs(estimates.mean() - exact) < 4.5 * estimates.std() / 20**0.5  # 1 seed in 4,000 fails
        assert exact > 0.03


@pytest.mark.parametrize("kernel", ["rbf", "imq"])
def test_of_equal_laws_it_is_nothing_on_average(kernel):
    prior = pp.TRIP(3, components=3, rank=2)
    with torch.no_grad():
        law = prior()
        estimates = torch.stack([squared_stein(law.sample((60,)), law, kernel) for _ in range(50)])
        others = torch.stack([squared_stein(law.sample((60,)) + 0.5, law, kernel) for _ in range(10)])
    assert abs(estimates.mean()) < 4.5 * estimates.std() / 50**0.5  # without bias: 1 seed in 20,000 fails
    assert others.mean() > 10 * estimates.std() / 50**0.5


def test_each_pair_once_by_autograd():
    """The derivatives of the kernel, by autograd."""
    z = torch.randn(4, 2, dtype=torch.float64)
    law = dist.Normal(torch.tensor([0.3, -1.0], dtype=torch.float64), 0.8).to_event(1)
    kernels = {"rbf": lambda r: (-r / 3).exp(), "imq": lambda r: 1.5 / (1.5 + r)}
    for kernel, value in kernels.items():

        def k(a, b, value=value):
            return value((a - b).square().sum())

        s, total = score_of(law, z), 0.0
        for i in range(4):
            for j in set(range(4)) - {i}:
                a, b = z[i].clone().requires_grad_(), z[j].clone().requires_grad_()
                first, second = torch.autograd.grad(k(a, b), (a, b), create_graph=True)
                mixed = sum(torch.autograd.grad(first[d], b, retain_graph=True)[0][d] for d in range(2))
                total += (k(a, b) * s[i] @ s[j] + s[i] @ second + s[j] @ first + mixed).detach()
        torch.testing.assert_close(squared_stein(z, law, kernel, width=1.5), total / 12)


PRIORS = {
    "ring": lambda: pp.TRIP(2, components=3, rank=2, boundary="ring"),
    "factored": lambda: pp.TRIP(2, components=3, rank=2, boundary="train", cores="factored"),
    "vector": lambda: pp.TRIP(2, rank=3, block_size=2, covariance="full"),
    "mixture": lambda: pp.GaussianMixture(2, components=3, covariance="full"),
    "flow": lambda: pp.FlowNormal(2, layers=2, hidden=(4,)),
    "normal": lambda: pp.StandardNormal(2),
}


@pytest.mark.parametrize("name", PRIORS)
def test_gradients_reach_codes_and_prior(name):
    """Against finite differences in double precision: second derivatives of every kind of law."""
    prior = PRIORS[name]().double()
    with torch.no_grad():
        for parameter in prior.parameters():
            parameter.add_(0.3 * torch.randn_like(parameter))
    z = torch.randn(4, 2, dtype=torch.float64, requires_grad=True)
    assert torch.autograd.gradcheck(lambda z: squared_stein(z, prior(), "imq"), (z,))
    squared_stein(z, prior()).backward()
    for parameter in prior.parameters():
        if parameter.requires_grad:
            place = int(parameter.grad.abs().flatten().argmax())
            direction = torch.zeros_like(parameter).flatten()
            direction[place] = 1e-6
            direction = direction.view_as(parameter)
            values = []
            for sign in (1, -2):
                with torch.no_grad():
                    parameter.add_(sign * direction)
                    values.append(squared_stein(z, prior()))
            with torch.no_grad():
                parameter.add_(direction)
            numeric = (values[0] - values[1]) / 2e-6
            torch.testing.assert_close(parameter.grad.flatten()[place], numeric, rtol=1e-4, atol=1e-7)


def test_codes_go_to_the_prior_by_its_gradient():
    """50 points that start far off and in one place."""
    z = (0.1 * torch.randn(50, 1) + 3).requires_grad_()
    optimizer = torch.optim.Adam([z], 0.1)
    before = squared_stein(z, normal())
    for _ in range(100):
        loss = squared_stein(z, normal())
        optimizer.zero_grad()
        loss.backward()
        optimizer.step()
    assert loss < 0.05 < before
    assert abs(z.mean()) < 0.3
    assert abs(z.std() - 1) < 0.3


def test_without_gradients_it_is_the_same_number():
    z, law = torch.randn(5, 2, requires_grad=True), normal(2)
    with torch.no_grad():
        value = squared_stein(z, law)
        assert not value.requires_grad
    torch.testing.assert_close(value, squared_stein(z, law).detach())
    with torch.autocast("cpu", dtype=torch.bfloat16):
        torch.testing.assert_close(squared_stein(z, law).detach(), value)


@pytest.mark.parametrize(
    ("z", "how", "message"),
    [
        (torch.zeros(1, 2), {}, r"z: expected shape \(n, d\), two draws or more, got \(1, 2\)"),
        (torch.zeros(4), {}, r"z: expected shape \(n, d\), two draws or more, got \(4,\)"),
        (torch.zeros(4, 2), {"kernel": "linear"}, "kernel: expected one of 'rbf'"),
        (torch.zeros(4, 2), {"width": 0.0}, "width: expected a positive number or None"),
        (torch.zeros(4, 2), {"width": math.nan}, "width: expected a positive number or None"),
    ],
)
def test_bad_arguments(z, how, message):
    with pytest.raises(ValueError, match=message):
        squared_stein(z, normal(2), **how)
