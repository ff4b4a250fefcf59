"""Bounds and likelihoods of a trained model/guide pair on data, with their standard errors."""

import math
from collections.abc import Iterable
from typing import NamedTuple

import torch
from torch import Tensor

from pyro_priors.checks import check_count
from pyro_priors.objectives.traces import LogTerms, Program, as_tuple, device_of, log_terms
from pyro_priors.queries.arviz_bridge import pareto_k
from pyro_priors.training.modes import evaluating


class Bounds(NamedTuple):
    """Means over the examples, in nats; `_se` is the standard error of such a mean over the examples.

    `elbo` and `iwae` are lower bounds of log p(x) (larger is better); `pareto_k` is the share of the examples whose
    importance weights have k-hat above 0.7, whose log p(x) is therefore still underestimated by `iwae` (NaN for fewer
    than 25 draws).
    """

    elbo: float
    elbo_se: float
    iwae: float
    iwae_se: float
    reconstruction: float
    kl: float
    pareto_k: float
    count: int  # pyright: ignore[reportIncompatibleMethodOverride] (a count, not tuple's)


class ImportanceNLL(NamedTuple):
    """-log p(x) of each example in nats, the standard error of that estimate, and k-hat: `(batch,)` each."""

    nll: Tensor
    standard_error: Tensor
    pareto_k: Tensor


def evaluate_bounds(
    model: Program,
    guide: Program,
    batches: Iterable[Tensor | tuple],
    num_particles: int = 100,
    latent: str = "z",
    *,
    chunk: int = 100,
    max_plate_nesting: int = 1,
) -> Bounds:
    """The ELBO and the importance-weighted bound on a data set.

    Cost: num_particles passes of the model per example, at most `chunk` of them in memory at once.

    Args:
        model, guide: Pyro programs, called with each batch; where they are methods of a module, batches are moved to
            its device, and it is in evaluation mode meanwhile.
        batches: tensors, or tuples of arguments.
        num_particles: draws per example; the ELBO averages over them as well.
        latent: the site of the latents.
        chunk: draws per example in one pass.
        max_plate_nesting: how many plates the programs nest.

    Raises:
        ValueError: no example, num_particles or chunk < 1, or programs that do not fit together.
    """
    check_count("num_particles", num_particles)
    check_count("chunk", chunk)
    rows = []
    for batch in batches:
        terms = _draw(model, guide, batch, num_particles, chunk, latent, max_plate_nesting)
        log_weight, observed, kl = terms.log_weight, terms.observed.mean(0), terms.kl.mean(0)
        iwae = torch.logsumexp(log_weight, 0) - math.log(num_particles)
        k = torch.from_numpy(pareto_k(log_weight.T.numpy()))
        unreliable = torch.where(k.isnan(), k, (k > 0.7).to(k))
        rows.append(torch.stack([observed - kl, iwae, observed, kl, unreliable]))
    if not rows:
        raise ValueError("batches: expected at least one batch, got none")
    per_example = torch.cat(rows, dim=1)
    count = per_example.shape[1]
    elbo, iwae, reconstruction, kl, unreliable = per_example.mean(1).tolist()
    # the spread of one example is unknown
    elbo_se, iwae_se = (per_example[:2].std(1) / math.sqrt(count)).tolist() if count > 1 else (math.nan, math.nan)
    return Bounds(elbo, elbo_se, iwae, iwae_se, reconstruction, kl, unreliable, count)


def importance_nll(
    model: Program,
    guide: Program,
    batch: Tensor | tuple,
    num_samples: int,
    *,
    chunk: int = 100,
    latent: str = "z",
    max_plate_nesting: int = 1,
) -> ImportanceNLL:
    """-log p(x) by importance sampling from the guide: - log of the mean over draws of p(x, z) / q(z given x).

    Cost: num_samples passes of the model per example, at most `chunk` of them in memory at once.

    Note:
        The standard error is that of the Monte Carlo estimate (delta method: the relative error of the mean weight),
        and means little where k-hat exceeds 0.7.

    Args:
        model, guide: Pyro programs, called with the batch; modules that they are methods of
            are in evaluation mode meanwhile.
        batch: a tensor, or a tuple of arguments.
        num_samples: draws per example (21,000 in Bhalodia et al., arXiv:1911.10506).
        chunk: draws per example in one pass.
        latent: the site of the latents.
        max_plate_nesting: how many plates the programs nest.

    Raises:
        ValueError: num_samples or chunk < 1, or programs that do not fit together.
    """
    check_count("num_samples", num_samples)
    check_count("chunk", chunk)
    log_weight = _draw(model, guide, batch, num_samples, chunk, latent, max_plate_nesting).log_weight
    log_evidence = torch.logsumexp(log_weight, 0) - math.log(num_samples)
    relative = (log_weight - log_evidence).exp()
    error = relative.std(0) / math.sqrt(num_samples) if num_samples > 1 else torch.full_like(log_evidence, math.nan)
    k = torch.from_numpy(pareto_k(log_weight.T.numpy()))
    return ImportanceNLL(-log_evidence, error, k)


@torch.no_grad()
def _draw(
    model: Program,
    guide: Program,
    batch: Tensor | tuple,
    num_samples: int,
    chunk: int,
    latent: str,
    max_plate_nesting: int,
) -> LogTerms:
    """`num_samples` draws per example, `(num_samples, examples)`, as float64 on the CPU."""
    device = device_of(model)
    batch = tuple(part.to(device) if isinstance(part, Tensor) else part for part in as_tuple(batch))
    passes, names = [], []
    with evaluating(model, guide):
        for start in range(0, num_samples, chunk):
            terms = log_terms(
                model,
                guide,
                batch,
                latent=latent,
                particles=min(chunk, num_samples - start),
                max_plate_nesting=max_plate_nesting,
                shared=False,
            )
            passes.append([terms.observed, terms.latent, *terms.kls.values()])
            names = list(terms.kls)
    whole = [torch.cat([part.cpu().double() for part in parts]) for parts in zip(*passes, strict=True)]
    observed, latents, *kls = whole
    return LogTerms(observed, latents, dict(zip(names, kls, strict=True)))
