"""The bounds of regularised autoencoders: beta-VAE-B, beta-TCVAE, FactorVAE, InfoVAE.

(beta-VAE-H is `ELBO(kl_weight=beta)`.) Each is the `ELBO` with one more term, which acts on the representation z,
under any prior: a flow, a mixture or a tensor ring enters through log p(z) and its draws alone (dpVAE section 4.3).
Without their regularisation all are the ELBO. Terms that are no means over examples are taken over the batch: with
several devices, over each device's part.
"""

import itertools
import math
from typing import NamedTuple

import pyro.distributions as dist
import torch
from torch import Tensor, nn
from torch.nn.functional import cross_entropy

from inference.objectives import ELBO, ELBOTerms
from inference.traces import LatentSite, LogTerms, Program, log_terms
from pyro_priors.checks import check_choice, check_count

KERNELS = ("rbf", "imq")


class RegularisedTerms(NamedTuple):
    """Means over the batch, as `ELBOTerms`, and the regularising quantity before its weight."""

    elbo: Tensor
    reconstruction: Tensor
    kl: Tensor
    regulariser: Tensor


def _told(told: ELBOTerms, regulariser: Tensor) -> RegularisedTerms:
    return RegularisedTerms(*told, regulariser.detach())


class CapacityELBO(ELBO):
    """beta-VAE-B: reconstruction - gamma |KL - capacity|, KL the mean over the batch.

    `capacity` is an ordinary attribute, in nats; a schedule raises it from 0.

    References:
        Burgess et al., "Understanding disentangling in beta-VAE", 2018, eq. 8, arXiv:1804.03599.

    Args:
        gamma: weight of the distance from the capacity.
        capacity: nats that z may tell of x.
        latent, kwargs: as for `ELBO`.

    Raises:
        ValueError: a negative number.
    """

    def __init__(self, gamma: float, capacity: float = 0.0, latent: str = "z", **kwargs) -> None:
        super().__init__(latent, **kwargs)
        self.gamma, self.capacity = _check_weight("gamma", gamma), _check_weight("capacity", capacity)

    def loss(self, reconstruction: Tensor, kl: Tensor, told: ELBOTerms, terms: LogTerms):
        distance = (kl - self.capacity).abs()
        return self.gamma * distance - reconstruction, _told(told, distance)


class TotalCorrelationELBO(ELBO):
    """beta-TCVAE: reconstruction - mutual information - beta total correlation - dimension-wise KL.

    The three parts of the KL add up to it, so the loss is that of the ELBO plus (beta - 1) times the total correlation
    KL(q(z), prod_d q(z_d)), estimated from the batch by minibatch-weighted sampling. Where posteriors overlap much the
    estimate exceeds it by the constant (d - 1) log data_size, which no gradient sees.

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
        self.beta, self.data_size = _check_weight("beta", beta), check_count("data_size", data_size)

    def loss(self, reconstruction: Tensor, kl: Tensor, told: ELBOTerms, terms: LogTerms):
        correlation = total_correlation(terms.site, self.data_size)
        return kl - reconstruction + (self.beta - 1) * correlation, _told(told, correlation)


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


class FactorELBO(ELBO):
    """FactorVAE: the ELBO - gamma times the total correlation, read off a discriminator.

    Train the discriminator beside it, by an optimizer of its own: two `OptimizationStep`s, this one with the model's
    parameters, `DensityRatio` with the discriminator's. As the discriminator changes, losses of different epochs do not
    compare: `inference.fit` keeps the last weights, not those of the least validation loss.

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
        self.discriminator, self.gamma = discriminator, _check_weight("gamma", gamma)

    def loss(self, reconstruction: Tensor, kl: Tensor, told: ELBOTerms, terms: LogTerms):
        correlation = self.discriminator(_codes(terms.site.value)).mean()
        return kl - reconstruction + self.gamma * correlation, _told(told, correlation)


class DensityRatioTerms(NamedTuple):
    """Share of the codes that the discriminator tells rightly."""

    accuracy: Tensor


class DensityRatio(nn.Module):
    """The discriminator's own loss: codes of one half of the batch against permuted codes of the other.

    Each latent is permuted by itself over the examples, which makes draws of prod_d q(z_d) of draws of q(z).

    References:
        Kim, Mnih, "Disentangling by factorising", 2018, algorithm 1 and 2, arXiv:1802.05983.

    Args:
        discriminator: as `Discriminator`.
        latent: the site of the latents.

    Raises:
        ValueError: on a call, codes that are no `(batch, d)`.
    """

    def __init__(self, discriminator: nn.Module, latent: str = "z") -> None:
        super().__init__()
        self.discriminator, self.latent = discriminator, latent

    def forward(self, model: Program, guide: Program, *batch: Tensor) -> tuple[Tensor, DensityRatioTerms]:
        with torch.no_grad():
            z = _codes(log_terms(model, guide, batch, latent=self.latent).site.value)
        half = (len(z) + 1) // 2
        codes, permuted = z[:half], permute_latents(z[-half:])
        logits = self.discriminator(torch.cat([codes, permuted]))
        truth = torch.arange(2, device=z.device).repeat_interleave(half)
        loss = cross_entropy(torch.stack([logits, torch.zeros_like(logits)], -1), truth)
        return loss, DensityRatioTerms(((logits < 0) == truth.bool()).float().mean().detach())


def permute_latents(z: Tensor) -> Tensor:
    """Every column of `(n, d)` in an order of its own."""
    return z.gather(0, torch.rand_like(z).argsort(0))


class InfoELBO(ELBO):
    """InfoVAE: reconstruction - (1 - alpha) KL - (alpha + lambda - 1) MMD(q(z), p(z)).

    The squared maximum mean discrepancy is estimated without bias from the codes of the batch and as many draws of the
    prior, with gradients to it where it has them (a flow through its inverse). alpha = 0 and lambda = 1 give the ELBO.

    References:
        Zhao, Song, Ermon, "InfoVAE", 2019, eq. 6, arXiv:1706.02262; Gretton et al., "A kernel two-sample test", 2012.

    Args:
        alpha, lambda_: the weights.
        kernel: ``"rbf"``, exp(-r^2 / (2 width)), or ``"imq"``, width / (width + r^2), with width d as a rule.
        width: squared width of the kernel; None: the number of latents.
        latent, kwargs: as for `ELBO`.

    Raises:
        ValueError: an unknown kernel, a width that is not positive, alpha + lambda < 1; on a call, a batch of one.
    """

    def __init__(
        self,
        alpha: float = 0.0,
        lambda_: float = 1000.0,
        kernel: str = "rbf",
        width: float | None = None,
        latent: str = "z",
        **kwargs,
    ) -> None:
        super().__init__(latent, **kwargs)
        check_choice("kernel", kernel, KERNELS)
        _check_width(width)
        if not alpha + lambda_ >= 1:
            raise ValueError(f"alpha, lambda_: expected a sum of at least 1, got {alpha} and {lambda_}")
        self.alpha, self.lambda_, self.kernel, self.width = alpha, lambda_, kernel, width

    def loss(self, reconstruction: Tensor, kl: Tensor, told: ELBOTerms, terms: LogTerms):
        z, prior = _codes(terms.site.value), terms.site.prior
        # The plate has expanded the prior to the batch.
        draws = prior.rsample() if prior.has_rsample else prior.sample()
        discrepancy = squared_mmd(z, draws.expand_as(z), self.kernel, self.width)
        loss = (1 - self.alpha) * kl - reconstruction + (self.alpha + self.lambda_ - 1) * discrepancy
        return loss, _told(told, discrepancy)


def squared_mmd(a: Tensor, b: Tensor, kernel: str = "rbf", width: float | None = None) -> Tensor:
    """The squared maximum mean discrepancy of two sets of draws, `(n, d)` and `(m, d)`, without bias: a scalar.

    Args:
        a, b: draws of the two laws.
        kernel, width: as for `InfoELBO`.

    Raises:
        ValueError: shapes that do not fit, fewer than two rows, an unknown kernel, a width that is not positive.
    """
    if a.dim() != 2 or b.dim() != 2 or a.shape[1] != b.shape[1] or min(len(a), len(b)) < 2:
        raise ValueError(
            "a, b: expected shapes (n, d) and (m, d), two draws of each law or more, got "
            f"{tuple(a.shape)} and {tuple(b.shape)}"
        )
    check_choice("kernel", kernel, KERNELS)
    _check_width(width)
    width = a.shape[-1] if width is None else width

    def mean(x: Tensor, y: Tensor, same: bool) -> Tensor:
        squares = (x.unsqueeze(1) - y).square().sum(-1)
        similar = (-squares / (2 * width)).exp() if kernel == "rbf" else width / (width + squares)
        return (similar.sum() - len(x)) / (len(x) * (len(x) - 1)) if same else similar.mean()

    return mean(a, a, True) + mean(b, b, True) - 2 * mean(a, b, False)


def _diagonal(site: LatentSite) -> dist.Normal:
    """A posterior over `(batch, d)` as independent Gaussians."""
    law = getattr(site.posterior, "base_dist", site.posterior)
    if not isinstance(law, torch.distributions.Normal) or law.loc.dim() != 2:
        raise ValueError(f"guide: expected a diagonal Gaussian over (batch, d) for the latents, got {site.posterior}")
    return law


def _codes(z: Tensor) -> Tensor:
    """Draws of the latents of a batch, `(batch, d)`."""
    if z.dim() != 2:
        raise ValueError(f"guide: expected codes of shape (batch, d), got {tuple(z.shape)}")
    return z


def _check_width(width: float | None) -> None:
    if width is not None and not width > 0:
        raise ValueError(f"width: expected a positive number or None, got {width}")


def _check_weight(name: str, weight: float) -> float:
    if not weight >= 0:
        raise ValueError(f"{name}: expected a number of at least 0, got {weight}")
    return weight
