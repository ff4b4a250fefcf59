"""Bounds that hold the total correlation of the latents down: beta-TCVAE, and FactorVAE with its discriminator."""

import itertools
import math
from typing import TYPE_CHECKING, NamedTuple

import pyro.distributions as dist
import torch
from pyro import poutine
from torch import Tensor, nn
from torch.nn.functional import cross_entropy

from pyro_priors.checks import check_count
from pyro_priors.objectives.bounds import ELBO, ELBOTerms
from pyro_priors.objectives.regularisers import check_weight, latents_of, with_regulariser
from pyro_priors.objectives.traces import LatentSite, LogTerms, Program, check_examples, site_of
from pyro_priors.ops import full_precision


class TotalCorrelationELBO(ELBO):
    """beta-TCVAE: reconstruction - mutual information - beta total correlation - dimension-wise KL.

    The three parts of the KL add up to it, so the loss is that of the ELBO plus (beta - 1) times the total correlation
    KL(q(z), prod_d q(z_d)), estimated from the batch by minibatch-weighted sampling. Where posteriors overlap much the
    estimate exceeds it by the constant (d - 1) log data_size, which no gradient sees.

    Note:
        With several devices a code is compared with those of its device's part of the batch only: the estimate is that
        of a smaller batch, which is larger.

    References:
        Chen, Li, Grosse, Duvenaud, "Isolating sources of disentanglement in VAEs", 2018, eq. 2-4, arXiv:1802.04942.

    Args:
        beta: weight of the total correlation; 1 for the ELBO.
        data_size: examples in the training data.
        latent, kwargs: as for `ELBO`.

    Raises:
        ValueError: a negative weight, data_size < 1; on a call, a posterior that is no diagonal Gaussian `(batch, d)`.
    """

    def __init__(self, beta: float, data_size: int, latent: str = "z", **kwargs) -> None:
        super().__init__(latent, **kwargs)
        self.beta, self.data_size = check_weight("beta", beta), check_count("data_size", data_size)

    def loss(self, reconstruction: Tensor, kl: Tensor, parts: ELBOTerms, terms: LogTerms):
        correlation = total_correlation(terms.site, self.data_size)
        return kl - reconstruction + (self.beta - 1) * correlation, with_regulariser(parts, correlation)


def total_correlation(site: LatentSite, data_size: int) -> Tensor:
    """KL(q(z), prod_d q(z_d)) by minibatch-weighted sampling, a scalar.

    log q(z) is taken for log 1/(N M) sum_j q(z | x_j) over the M examples of the batch, N those of the data.
    """
    law = _diagonal(site)
    each = dist.Normal(law.loc, law.scale).log_prob(site.value.unsqueeze(1))  # (i, j, d): log q(z_i | x_j)
    whole = math.log(data_size * len(each))
    joint = each.sum(-1).logsumexp(1) - whole
    single = each.logsumexp(1) - whole
    return (joint - single.sum(-1)).mean()


def _diagonal(site: LatentSite) -> torch.distributions.Normal:
    """A posterior over `(batch, d)` as independent Gaussians."""
    law = getattr(site.posterior, "base_dist", site.posterior)
    if not isinstance(law, torch.distributions.Normal) or law.loc.dim() != 2:
        raise ValueError(f"guide: expected a diagonal Gaussian over (batch, d) for the latents, got {site.posterior}")
    return law


class Discriminator(nn.Module):
    """Tells draws of q(z) from draws of prod_d q(z_d), for `FactorELBO`; its objective is `DensityRatio`.

    Shapes:
        ``(*, latent_dim) -> (*,)``, the log density ratio.

    References:
        Kim, Mnih, "Disentangling by factorising", 2018, arXiv:1802.05983 (six layers of 1,000).
    """

    def __init__(self, latent_dim: int, hidden: tuple[int, ...] = (1000,) * 5) -> None:
        super().__init__()
        widths = [check_count("latent_dim", latent_dim), *(check_count("hidden", width) for width in hidden)]
        layers = [part for a, b in itertools.pairwise(widths) for part in (nn.Linear(a, b), nn.LeakyReLU(0.2))]
        self.body = nn.Sequential(*layers, nn.Linear(widths[-1], 1))

    def forward(self, z: Tensor) -> Tensor:
        return self.body(z).squeeze(-1)

    if TYPE_CHECKING:
        __call__ = forward


class FactorELBO(ELBO):
    """FactorVAE: the ELBO - gamma times the total correlation, read off a discriminator.

    Train the discriminator beside it, by an optimizer of its own: two `OptimizationStep`s, this one with the model's
    parameters, `DensityRatio` with the discriminator's. As the discriminator changes, losses of different epochs do not
    compare: `training.fit` keeps the last weights, not those of the least validation loss.

    References:
        Kim, Mnih, "Disentangling by factorising", 2018, eq. 2-3, arXiv:1802.05983.

    Args:
        discriminator: as `Discriminator`.
        gamma: weight of the total correlation; 0 for the ELBO.
        latent, kwargs: as for `ELBO`.

    Raises:
        ValueError: a negative weight; on a call, codes that are no `(batch, d)`.
    """

    steady = False

    def __init__(self, discriminator: nn.Module, gamma: float, latent: str = "z", **kwargs) -> None:
        super().__init__(latent, **kwargs)
        self.discriminator, self.gamma = discriminator, check_weight("gamma", gamma)

    def loss(self, reconstruction: Tensor, kl: Tensor, parts: ELBOTerms, terms: LogTerms):
        correlation = full_precision(self.discriminator(latents_of(terms.site.value))).mean()
        return kl - reconstruction + self.gamma * correlation, with_regulariser(parts, correlation)


class DensityRatioTerms(NamedTuple):
    """Share of the codes that the discriminator tells rightly."""

    accuracy: Tensor


class DensityRatio(nn.Module):
    """The discriminator's own loss: codes of one half of the batch against permuted codes of the other.

    Each latent is permuted by itself over the examples, which makes draws of prod_d q(z_d) of draws of q(z). With
    several devices it is permuted within each device's part of the batch.

    References:
        Kim, Mnih, "Disentangling by factorising", 2018, algorithm 1 and 2, arXiv:1802.05983.

    Args:
        discriminator: as `Discriminator`.
        latent: the site of the latents.

    Raises:
        ValueError: on a call, codes that are no `(batch, d)`, a guide without that site.
    """

    def __init__(self, discriminator: nn.Module, latent: str = "z") -> None:
        super().__init__()
        self.discriminator, self.latent = discriminator, latent

    def forward(self, model: Program, guide: Program, *batch: Tensor) -> tuple[Tensor, DensityRatioTerms]:
        check_examples(batch)
        with torch.no_grad():  # codes are all that is needed: no pass of the model
            trace = poutine.trace(guide).get_trace(*batch)
        if self.latent not in trace.nodes:
            raise ValueError(f"latent: expected a site of the guide, got {self.latent!r}")
        z = latents_of(site_of(trace, self.latent)["value"])
        half = (len(z) + 1) // 2
        joint, permuted = z[:half], permute_latents(z[-half:])
        logits = self.discriminator(torch.cat([joint, permuted]))
        truth = torch.arange(2, device=z.device).repeat_interleave(half)
        loss = cross_entropy(torch.stack([logits, torch.zeros_like(logits)], -1), truth)
        return loss, DensityRatioTerms(((logits < 0) == truth.bool()).float().mean().detach())

    if TYPE_CHECKING:
        __call__ = forward


def permute_latents(z: Tensor) -> Tensor:
    """Every column of `(n, d)` in an order of its own."""
    return z.gather(0, torch.rand_like(z).argsort(0))
