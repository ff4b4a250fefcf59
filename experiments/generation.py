"""What the draws of a model's prior are worth: pockets, leaks, and images against real ones (dpVAE section 5.1)."""

import pyro
import torch

from inference import judges
from models.shared import answers
from pyro_priors import metrics
from pyro_priors.checks import UserError
from pyro_priors.data.images import loader
from pyro_priors.metrics.latents import log_prob

THRESHOLDS = tuple(float(tau) for tau in range(-20, 5))  # of log p(z), in nats
SHARES = (0.001, 0.003, 0.01, 0.03, 0.1, 0.3, 1.0)  # of the prior's own draws that lie below a threshold


def check_draws(samples, lowest):
    """`UserError` where there are not at least two low-posterior samples among the draws."""
    if not 2 <= lowest <= samples:
        raise UserError(f"lowest: expected 2 to samples = {samples}, got {lowest}")


@torch.no_grad()
def results(
    model, data, seed, judge=None, real=None, *, samples=5000, lowest=1000, nll_samples=21_000, nll_pictures=100
):
    """Numbers about a VAE on the test part of its data -> dict.

    `skl` against the aggregated posterior of the test part; `leakage` at thresholds of log p(z), and at those below
    which given shares of the prior's own draws lie (thresholds that do not hang on the scale of z); `nll` of the first
    images. With a judge `frechet` of `samples` images, `frechet_low` of the `lowest` among as many with the least
    q(z). With known factors the mutual information gap `mig` of the training part.

    Args:
        model: a VAE.
        data: `ImageData`, labels hidden.
        seed: of the draws.
        judge: `judges.Judge` whose features are compared.
        real: its features of the test part.
        samples: draws of prior and posterior.
        lowest: how many of them are low-posterior samples.
        nll_samples, nll_pictures: importance samples of each image, and how many images.
    """
    pyro.set_rng_seed(seed)
    prior = model.prior_law()
    posterior = metrics.aggregated_posterior(model.encode, loader(data.test, 1000))
    divergence = metrics.symmetric_kl(prior, posterior, samples)
    numbers = {
        "skl": divergence.value,
        "skl_se": divergence.standard_error,
        "kl_of_prior": divergence.of_prior,
        "kl_of_posterior": divergence.of_posterior,
        "leakage": _leakage(prior, posterior, samples),
        **_nll(model, data.test.first(nll_pictures), nll_samples),
    }
    if judge is not None:
        z = prior.sample((samples,))
        z_low = metrics.low_posterior(prior, posterior, lowest, samples)
        drawn, drawn_low = (judges.features(judge, _decoded(model, part)) for part in (z, z_low))
        numbers["frechet"] = metrics.frechet_distance(drawn, real)
        numbers["frechet_low"] = metrics.frechet_distance(drawn_low, real)
    factors = data.train.hidden
    if factors is not None and factors.shape[1] > 1:
        numbers["mig"] = metrics.mutual_information_gap(answers.codes(model, data.train)[0], factors)
    return numbers


def _leakage(prior, posterior, samples):
    own = log_prob(prior, prior.sample((samples,)), chunk=1000)
    levels = own.quantile(own.new_tensor(SHARES))
    levels[-1] = torch.inf  # everything
    thresholds = torch.cat([torch.tensor(THRESHOLDS).to(levels), levels])
    scores = metrics.leakage(prior, posterior, thresholds, samples).tolist()
    return {
        "thresholds": THRESHOLDS,
        "scores": scores[: len(THRESHOLDS)],
        "shares": SHARES,
        "share_scores": scores[len(THRESHOLDS) :],
    }


def _nll(model, images, samples):
    parts = [metrics.importance_nll(model.model, model.guide, batch, samples, chunk=500) for batch in images.split(10)]
    nll, error, k = (torch.cat([getattr(part, name) for part in parts]).double() for name in parts[0]._fields)
    return {
        "nll": float(nll.mean()),
        "nll_se": float(error.square().mean().sqrt() / len(nll) ** 0.5),  # of the estimate, not over images
        "nll_pareto_k": float((k > 0.7).double().mean()),
        "nll_pictures": len(nll),
        "nll_samples": samples,
    }


def _decoded(model, z):
    """Mean images of codes."""
    return torch.cat([model.decode(part).mean for part in z.split(1000)])
