"""Clusters against labels, and the decomposition of CP-VAE eq. 13 against closed forms."""

import itertools
import math

import pytest
import torch
from pyro.distributions import Categorical, Normal
from torch.distributions import kl_divergence

from pyro_priors.distributions import PrecisionNormal
from pyro_priors.metrics import category_decomposition, clusters


def test_the_best_match_is_found_by_trying_all():
    generator = torch.Generator().manual_seed(0)
    labels, assigned = (torch.randint(n, (200,), generator=generator) for n in (4, 4))
    assigned = torch.where(torch.rand(200, generator=generator) < 0.6, (labels + 1) % 4, assigned)
    best = max((torch.tensor(p)[assigned] == labels).float().mean().item() for p in itertools.permutations(range(4)))
    result = clusters(torch.eye(4)[assigned], labels)
    assert result.accuracy == pytest.approx(best)
    assert result.majority_accuracy >= result.accuracy
    assert result.used == 4


def test_more_categories_than_labels_and_fewer():
    labels = torch.tensor([0, 0, 1, 1])
    apart = clusters(torch.eye(5)[[0, 1, 2, 3]], labels)
    assert (apart.accuracy, apart.majority_accuracy, apart.used) == (0.5, 1.0, 4)
    together = clusters(torch.ones(4, 1), labels)
    assert (together.accuracy, together.nmi, together.used) == (0.5, 0.0, 1)
    with pytest.raises(ValueError, match="probs, labels: expected shapes"):
        clusters(torch.eye(3), labels)


def test_the_parts_add_up_to_the_divergence():
    """Sums over 4,000 rows of one draw each: within 4.5 standard errors of the closed form."""
    torch.manual_seed(0)
    rows, count, size = 4000, 3, 2
    categories = Categorical(logits=2 * torch.randn(rows, count))
    latents = Normal(torch.randn(count, rows, size), 0.3 + torch.rand(count, rows, size))
    prior = Normal(torch.randn(count, size), 0.5 + torch.rand(count, size))
    of_category = kl_divergence(categories, Categorical(torch.ones(count)))
    given = kl_divergence(latents, Normal(prior.loc[:, None], prior.scale[:, None])).sum(-1)  # (K, n)
    each = of_category + (categories.probs.T * given).sum(0)
    torch.manual_seed(1)
    parts = category_decomposition(categories, latents, prior)
    torch.manual_seed(1)
    full = category_decomposition(
        categories, latents, PrecisionNormal(prior.loc, torch.diag_embed(1 / prior.scale), validate_args=False)
    )
    assert full == pytest.approx(parts, abs=1e-5)
    assert abs(sum(parts) - each.mean()) < 4.5 * 2 * each.std() / rows**0.5


def test_laws_that_say_nothing_and_everything():
    rows, count = 600, 2
    torch.manual_seed(0)
    prior = Normal(torch.tensor([[-3.0], [3.0]]), torch.ones(2, 1))
    uniform = Categorical(logits=torch.zeros(rows, count))
    silent = category_decomposition(uniform, Normal(prior.loc[:, None].expand(2, rows, 1), 1.0), prior)
    assert all(abs(part) < 1e-5 for part in silent)  # q(z, c given x) = p(z, c) for every x
    certain = Categorical(logits=torch.tensor([50.0, 0.0]).expand(rows, 2))
    loud = category_decomposition(certain, Normal(1000.0 * torch.arange(rows).view(1, rows, 1), 1.0), prior)
    assert loud.category == pytest.approx(math.log(2), abs=1e-6)
    assert loud.information == pytest.approx(math.log(rows), abs=1e-4)
    with pytest.raises(ValueError, match="categories, latents, prior: expected shapes"):
        category_decomposition(uniform, Normal(torch.zeros(3, rows, 1), 1.0), prior)
