"""Training objectives: `loss, terms = objective(model, guide, *batch)`.

The loss is a scalar tensor with gradients, the negative bound per example (the mean over the batch) in nats;
`terms` holds its parts, detached. Build one, call it in a loop; nothing is remembered between calls. One that needs
several examples at once says so by `least_batch`; all refuse an empty batch.
"""

import math
from collections.abc import Collection
from typing import NamedTuple, cast

import pyro
import torch
from torch import Tensor

from pyro_priors.checks import check_count
from pyro_priors.objectives.traces import LogTerms, Program, check_examples, log_terms


class ELBOTerms(NamedTuple):
    """Means over the batch: elbo = reconstruction - kl, whatever the KL weight of the loss."""

    elbo: Tensor
    reconstruction: Tensor
    kl: Tensor


class ELBO:
    """The evidence lower bound: E_q[log p(x given z)] - kl_weight KL(q(z given x), p(z)).

    The KL of each latent is in closed form where torch knows it for its two laws, a one-draw estimate otherwise.

    Note:
        `kl_weight` is an ordinary attribute; a schedule may set it before every step.

    Args:
        latent: the site of the latents (one of several: its plates are the examples).
        kl_weight: 1 for the bound, other values for beta-VAE or a warm-up.
        unweighted: latents whose KL always counts in full, such as the categories of `CategoricalVAE`, which are never
            used again once a warm-up has let them collapse.
        enumerate: sum over the discrete latents that the guide marks for it, exactly, instead of drawing them.
        max_plate_nesting: how many plates the programs nest; read where latents are enumerated.

    Raises:
        ValueError: on a call, where the two programs do not fit together (see `traces.log_terms`).

    See Also:
        `ImportanceWeightedELBO`, `metrics.evaluate_bounds`.

    Example:
        >>> import pyro, pyro.distributions as dist
        >>> def model(x):
        ...     with pyro.plate("data", len(x)):
        ...         z = pyro.sample("z", dist.Normal(0.0, 1.0))
        ...         pyro.sample("x", dist.Normal(z, 1.0), obs=x)
        >>> def guide(x):
        ...     with pyro.plate("data", len(x)):
        ...         pyro.sample("z", dist.Normal(x / 2, math.sqrt(0.5)))
        >>> x = torch.tensor([0.3, -2.0])
        >>> loss, terms = ELBO()(model, guide, x)
        >>> float(terms.kl)  # the mean of KL(N(x / 2, 1 / 2), N(0, 1))
        0.352...
    """

    def __init__(
        self,
        latent: str = "z",
        kl_weight: float = 1.0,
        *,
        unweighted: Collection[str] = (),
        enumerate: bool = False,
        max_plate_nesting: int = 1,
    ) -> None:
        self.latent, self.kl_weight, self.unweighted = latent, kl_weight, frozenset(unweighted)
        self.how = {"enumerate": enumerate, "max_plate_nesting": max_plate_nesting}

    def __call__(self, model: Program, guide: Program, *batch: Tensor) -> tuple[Tensor, NamedTuple]:
        check_examples(batch)
        terms = log_terms(model, guide, batch, latent=self.latent, **self.how)
        reconstruction, kl = terms.observed.mean(), terms.kl.mean()
        weights = {name: 1.0 if name in self.unweighted else self.kl_weight for name in terms.kls}
        weighted = cast(Tensor, sum(weights[name] * kl_of.mean() for name, kl_of in terms.kls.items()))
        parts = ELBOTerms((reconstruction - kl).detach(), reconstruction.detach(), kl.detach())
        return self.loss(reconstruction, weighted, parts, terms)

    def loss(self, reconstruction: Tensor, kl: Tensor, parts: ELBOTerms, terms: LogTerms) -> tuple[Tensor, NamedTuple]:
        """The loss and what is said of it, from the mean reconstruction and the weighted KL; for regularised bounds."""
        return kl - reconstruction, parts


class ImportanceWeightedTerms(NamedTuple):
    """Means over the batch: the bound, and the one-draw bound from the same draws."""

    iwae: Tensor
    elbo: Tensor


class ImportanceWeightedELBO:
    """The importance-weighted bound: E log of the mean over k draws of p(x, z) / q(z given x).

    Note:
        The logarithm is taken example by example, without the scale of a subsampled plate: taken of the scaled sum, as
        in Pyro's RenyiELBO, it overstates the bound.

    References:
        Burda, Grosse, Salakhutdinov, "Importance weighted autoencoders", arXiv:1509.00519.

    Args:
        num_particles: draws per example, k.
        latent: the site of the latents.
        max_plate_nesting: how many plates the programs nest; the particles' plate goes outside them.

    Raises:
        ValueError: num_particles < 1; on a call, as `ELBO`, and where a site lies outside the latent's plates.
    """

    def __init__(self, num_particles: int, latent: str = "z", max_plate_nesting: int = 1) -> None:
        check_count("num_particles", num_particles)
        self.num_particles, self.latent, self.max_plate_nesting = num_particles, latent, max_plate_nesting

    def __call__(self, model: Program, guide: Program, *batch: Tensor) -> tuple[Tensor, ImportanceWeightedTerms]:
        check_examples(batch)
        log_weight = log_terms(
            model,
            guide,
            batch,
            latent=self.latent,
            particles=self.num_particles,
            max_plate_nesting=self.max_plate_nesting,
            shared=False,
        ).log_weight
        iwae = (torch.logsumexp(log_weight, 0) - math.log(self.num_particles)).mean()
        return -iwae, ImportanceWeightedTerms(iwae.detach(), log_weight.mean().detach())


class LogLikelihoodTerms(NamedTuple):
    """Mean over the batch, in nats."""

    log_likelihood: Tensor


class LogLikelihood:
    """log p(observed), for programs without latents: a classifier, or a prior of codes that are given.

    Example:
        >>> import pyro, pyro.distributions as dist
        >>> def model(x):
        ...     with pyro.plate("data", len(x)):
        ...         pyro.sample("x", dist.Normal(0.0, 1.0), obs=x)
        >>> loss, terms = LogLikelihood()(model, lambda x: None, torch.zeros(3))
        >>> float(loss)
        0.918...
    """

    def __call__(self, model: Program, guide: Program, *batch: Tensor) -> tuple[Tensor, LogLikelihoodTerms]:
        check_examples(batch)
        trace = pyro.poutine.trace(model).get_trace(*batch)
        log_likelihood = cast(Tensor, trace.log_prob_sum()) / len(batch[0])
        return -log_likelihood, LogLikelihoodTerms(log_likelihood.detach())
