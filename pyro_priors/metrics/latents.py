"""How well a prior fits the aggregated posterior q(z): pockets that it fills with nothing, leaks that it never draws.

All of it by draws, in nats. A law here is any distribution with event `(d,)`; q(z) is the mixture of q(z given x_i).
"""

import math
from collections.abc import Callable, Iterable
from typing import Any, NamedTuple

import torch
from torch import Tensor

from pyro_priors.checks import check_count
from pyro_priors.distributions import GaussianMixture
from pyro_priors.objectives.traces import as_tuple, device_of
from pyro_priors.training.modes import evaluating


class SymmetricKL(NamedTuple):
    """KL(p, q) + KL(q, p) with the standard error of its estimate, and the two."""

    value: float
    standard_error: float
    of_prior: float
    of_posterior: float


@torch.no_grad()
def aggregated_posterior(encode: Callable[[Tensor], Any], batches: Iterable) -> GaussianMixture:
    """q(z) = mean over i of q(z given x_i), a mixture with as many Gaussians as examples.

    Args:
        encode: from a batch to a diagonal Gaussian `(batch, d)`, as `vae.encode`; where it is a method of a module,
            batches are moved to its device, where the mixture lies too, and it is in evaluation mode meanwhile.
        batches: tensors, or tuples that begin with what `encode` takes.

    Raises:
        ValueError: no batches.
    """
    device = device_of(encode)
    with evaluating(encode):
        laws = [encode(as_tuple(batch)[0].to(device)) for batch in batches]
    if not laws:
        raise ValueError("batches: expected at least one batch, got none")
    loc, scale = (torch.cat([getattr(law, what) for law in laws]) for what in ("mean", "stddev"))
    return GaussianMixture(loc.new_zeros(len(loc)), loc, scale)


@torch.no_grad()
def symmetric_kl(prior: Any, posterior: Any, samples: int = 5000, *, chunk: int = 250) -> SymmetricKL:
    """sKL between prior p(z) and aggregated posterior q(z), by draws of both.

    Cost: 4 * samples densities, `chunk` of them at once.

    References:
        dpVAE: Bhalodia, Lee, Elhabian, 2019, section 5.1, arXiv:1911.10506.

    Args:
        prior, posterior: the two laws.
        samples: draws of each, at least 2.
        chunk: draws whose densities are held at once.

    Raises:
        ValueError: a count too small.
    """
    check_count("samples", samples, least=2)
    of_prior, of_posterior = (
        log_prob(own, z, chunk) - log_prob(other, z, chunk)
        for own, other in ((prior, posterior), (posterior, prior))
        for z in (own.sample((samples,)),)
    )
    error = math.sqrt((of_prior.var() + of_posterior.var()) / samples)
    parts = float(of_prior.mean()), float(of_posterior.mean())
    return SymmetricKL(sum(parts), error, *parts)


@torch.no_grad()
def leakage(prior: Any, posterior: Any, thresholds: Tensor, samples: int = 5000, *, chunk: int = 250) -> Tensor:
    """LS(tau) = E_q(z) [log q(z) - log p(z) where log p(z) < tau, else 0], at every threshold: `(len(thresholds),)`.

    Note:
        The density p(z) has the flow's Jacobian where the prior is one; dpVAE eq. 6 writes p(g(z)) without it, which
        is a density of another space.

    References:
        dpVAE: Bhalodia, Lee, Elhabian, 2019, eq. 6, arXiv:1911.10506.

    Args:
        prior, posterior: p(z) and q(z).
        thresholds: tau, in nats.
        samples: draws of q(z).
        chunk: draws whose densities are held at once.

    Raises:
        ValueError: a count below 1.
    """
    z = posterior.sample((check_count("samples", samples),))
    under_prior = log_prob(prior, z, chunk)
    excess = log_prob(posterior, z, chunk) - under_prior
    leaking = under_prior < torch.as_tensor(thresholds).to(under_prior.device)[:, None]
    return torch.where(leaking, excess, 0.0).mean(-1)


@torch.no_grad()
def low_posterior(prior: Any, posterior: Any, count: int, samples: int = 5000, *, chunk: int = 250) -> Tensor:
    """Of so many draws of the prior those `count` with the least q(z), the least first: `(count, d)`.

    References:
        Rosca, Lakshminarayanan, Mohamed, "Distribution matching in variational inference", 2018, arXiv:1802.06847.

    Raises:
        ValueError: count < 1 or > samples.
    """
    return _least(prior, posterior, count, samples, chunk)


@torch.no_grad()
def high_posterior(prior: Any, posterior: Any, count: int, samples: int = 5000, *, chunk: int = 250) -> Tensor:
    """Of so many draws of the aggregated posterior those `count` with the least p(z), the least first: `(count, d)`.

    Raises:
        ValueError: count < 1 or > samples.
    """
    return _least(posterior, prior, count, samples, chunk)


def _least(drawn: Any, judge: Any, count: int, samples: int, chunk: int) -> Tensor:
    if check_count("count", count) > samples:
        raise ValueError(f"count: expected at most samples = {samples}, got {count}")
    z = drawn.sample((samples,))
    return z[log_prob(judge, z, chunk).argsort()[:count]]


def log_prob(law: Any, z: Tensor, chunk: int) -> Tensor:
    """log p of every row `(n, d)`, so many rows at a time, in float64."""
    return torch.cat([law.log_prob(part).double() for part in z.split(check_count("chunk", chunk))])
