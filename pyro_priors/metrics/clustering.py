"""What a model's discrete latent has found: against labels, and as parts of the bound."""

import math
from typing import Any, NamedTuple

import numpy
import pyro.distributions as dist
import torch
from torch import Tensor

from pyro_priors.checks import check_count
from pyro_priors.training.callbacks import Callback, FitState
from pyro_priors.training.modes import evaluating


class Clusters(NamedTuple):
    """Categories against labels.

    `accuracy` under the best one-to-one match of categories and labels, `majority_accuracy` where each category stands
    for the label it holds most of, `nmi` the normalised mutual information (arithmetic mean), `used` the number of
    categories whose share of the data is above a tenth of 1 / K.
    """

    accuracy: float
    majority_accuracy: float
    nmi: float
    used: int


class CategoryDecomposition(NamedTuple):
    """The mean of KL(q(z, c given x), p(z, c)) over data as three parts, in nats (CP-VAE eq. 13).

    `category` is log K - H(q(c)), `conditional` E_q(c) KL(q(z given c), p(z given c)) and `information`
    I_q((z, c), x), where q(c) and q(z given c) are aggregated over the data.
    """

    category: float
    conditional: float
    information: float


def clusters(probs: Tensor, labels: Tensor) -> Clusters:
    """How well the most probable categories match labels that they were not trained with.

    Rows whose label is missing (NaN) count for `used` alone.

    Args:
        probs: q(c given x), `(n, K)`.
        labels: `(n,)`, of any values, NaN = missing.

    Raises:
        ValueError: shapes that do not fit, no rows, no label that is known.

    Example:
        >>> probs = torch.eye(3)[[0, 0, 1, 1, 1]]
        >>> clusters(probs, torch.tensor([7, 7, 4, 4, 7]))
        Clusters(accuracy=0.8, majority_accuracy=0.8, nmi=0.432..., used=2)
    """
    from sklearn.metrics import normalized_mutual_info_score  # here, since it takes a second to import
    from sklearn.metrics.cluster import contingency_matrix

    if probs.dim() != 2 or len(probs) == 0 or labels.shape != probs.shape[:1]:
        raise ValueError(
            f"probs, labels: expected shapes (n, K) and (n,) with n >= 1, got {tuple(probs.shape)} and "
            f"{tuple(labels.shape)}"
        )
    known = _known(labels)
    assigned, truth = probs.argmax(-1).cpu()[known].numpy(), labels.cpu()[known].numpy()
    table: Any = contingency_matrix(truth, assigned)  # labels by the categories that occur
    from scipy.optimize import linear_sum_assignment  # here, since it is slow to import

    matched = table[linear_sum_assignment(table, maximize=True)].sum() / len(truth)
    nmi = normalized_mutual_info_score(truth, assigned)
    return Clusters(float(matched), float(numpy.max(table, 0).sum() / len(truth)), float(nmi), _used(probs))


def _known(labels: Tensor) -> Tensor:
    """Which labels are not missing, on the CPU; at least one must be."""
    known = ~labels.cpu().isnan()
    if not known.any():
        raise ValueError(f"labels: expected at least one that is known, got {len(labels)} that are missing (NaN)")
    return known


def _used(probs: Tensor) -> int:
    """How many categories have a share of the data above a tenth of 1 / K."""
    return int((probs.mean(0) > 0.1 / probs.shape[1]).sum())


@torch.no_grad()
def category_decomposition(
    categories: dist.Categorical, latents: dist.Normal, prior: dist.TorchDistribution, *, chunk: int = 100
) -> CategoryDecomposition:
    """The three parts of eq. 13, by one draw of (c, z) for each x.

    Aggregated laws are mixtures over the same n rows, so that no part exceeds log n by more than the noise: take n well
    above e to the information that is expected. Cost: O(n^2 d).

    Args:
        categories: q(c given x), batch shape `(n,)`.
        latents: q(z given x, c), `Normal(loc, scale)` of shape `(K, n, d)`, or `(1, n, d)` where c makes no difference.
        prior: p(z given c), batch shape `(K,)` and event shape `(d,)`, or `Normal(loc, scale)` of shape `(K, d)`.
        chunk: rows whose density under all n posteriors is held at once.

    Raises:
        ValueError: shapes that do not fit, chunk < 1.
    """
    check_count("chunk", chunk)
    count, (_, rows, size) = categories.logits.shape[-1], latents.batch_shape
    shape = prior.batch_shape + prior.event_shape
    if categories.batch_shape != (rows,) or shape != (count, size) or len(latents.loc) not in (1, count):
        raise ValueError(
            "categories, latents, prior: expected shapes (n, K), (K or 1, n, d) and (K, d), got "
            f"{tuple(categories.logits.shape)}, {tuple(latents.batch_shape)} and {tuple(shape)}"
        )
    c = categories.sample()
    of_c = c if len(latents.loc) > 1 else torch.zeros_like(c)
    row = torch.arange(rows, device=c.device)
    z = torch.normal(latents.loc[of_c, row], latents.scale[of_c, row])
    log_probs = categories.logits.log_softmax(-1)
    log_joint = []  # log q(z, c), aggregated
    for some in row.split(chunk):
        own = dist.Normal(latents.loc[of_c[some]], latents.scale[of_c[some]])  # (chunk, n, d)
        given_all = own.log_prob(z[some, None]).sum(-1) + log_probs[:, c[some]].T
        log_joint.append(given_all.logsumexp(-1) - math.log(rows))
    log_joint = torch.cat(log_joint)
    log_category = (log_probs.logsumexp(0) - math.log(rows))[c]  # log q(c)
    own = dist.Normal(latents.loc[of_c, row], latents.scale[of_c, row]).log_prob(z).sum(-1) + log_probs[row, c]
    of_all = prior if prior.event_shape else dist.Independent(prior, 1)
    log_prior = of_all.log_prob(z.unsqueeze(1))[row, c]
    entropy = dist.Categorical(probs=categories.probs.mean(0)).entropy()
    conditional = (log_joint - log_category - log_prior).mean()
    return CategoryDecomposition(math.log(count) - float(entropy), float(conditional), float((own - log_joint).mean()))


class CategoryMetrics(Callback):
    """After every epoch the decomposition of eq. 13 on some images and, with labels, how well clusters match them.

    Args:
        model: as `programs.CategoricalVAE`: `posterior(x)` and a `prior` with two levels.
        x: images; the cost is quadratic in their number.
        labels: `(len(x),)`, NaN = missing, or None.

    Raises:
        ValueError: another number of labels, or none that is known.
    """

    def __init__(self, model: Any, x: Tensor, labels: Tensor | None = None) -> None:
        if labels is not None:
            if labels.shape != x.shape[:1]:
                raise ValueError(f"labels: expected shape ({len(x)},) as x has it, got {tuple(labels.shape)}")
            _known(labels)
        self.model, self.x, self.labels = model, x, labels

    @torch.no_grad()
    def on_epoch_end(self, state: FitState) -> dict[str, float]:
        law = self.model.prior()
        with evaluating(self.model):
            categories, latents = self.model.posterior(self.x.to(law.loc.device))
        with torch.random.fork_rng():  # the training draws what it would draw without this
            every = torch.arange(categories.logits.shape[-1], device=law.loc.device)
            parts = category_decomposition(categories, latents, law.component(every))
        row: dict[str, float] = {f"kl_{name}": value for name, value in parts._asdict().items()}
        if self.labels is None:
            return row | {"used": _used(categories.probs)}
        return row | clusters(categories.probs.cpu(), self.labels)._asdict()
