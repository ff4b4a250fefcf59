"""Priors fitted alone to codes, with and without labels."""

import pytest
import torch

import pyro_priors as pp
from inference import fit_prior

NAN = torch.nan


def two_clusters(rows, seed=0):
    generator = torch.Generator().manual_seed(seed)
    label = torch.randint(2, (rows,), generator=generator).float()
    return torch.randn(rows, 4, generator=generator) * 0.5 + (2 * label - 1)[:, None], label[:, None]


@pytest.mark.parametrize("make", [lambda: pp.GaussianMixture(4, 2), lambda: pp.TRIP(4, components=3, rank=3)])
def test_it_approaches_the_true_law(make):
    torch.manual_seed(0)
    z, _ = two_clusters(4000)
    held_out, _ = two_clusters(4000, seed=1)
    prior = make()
    result = fit_prior(prior, z, epochs=15)
    components = torch.stack([torch.distributions.Normal(s, 0.5).log_prob(held_out).sum(-1) for s in (-1.0, 1.0)])
    truth = components.logsumexp(0).mean() - torch.tensor(2.0).log()
    assert truth - 0.03 < prior().log_prob(held_out).mean() < truth + 0.01
    assert result.best_loss < 0.01 - truth + 0.2


def test_labels_are_learned_where_they_are_known():
    torch.manual_seed(0)
    z, y = two_clusters(2000)
    hidden = torch.where(torch.rand(len(y), 1) < 0.7, NAN, y)
    prior = pp.TTLP(4, {"label": pp.Discrete(2)}, components=3, rank=3)
    fit_prior(prior, z, hidden, epochs=5)
    test, truth = two_clusters(2000, seed=1)
    guess = prior().most_probable(torch.cat([test, torch.full_like(truth, NAN)], -1))[:, 4:]
    assert (guess == truth).float().mean() > 0.99


def mixture():
    return pp.GaussianMixture(4, 2)


BAD = {
    "too few codes": (lambda: fit_prior(mixture(), torch.zeros(9, 4)), "z: expected at least 10 codes, got 9"),
    "nothing to learn": (lambda: fit_prior(pp.StandardNormal(4), torch.zeros(20, 4)), "one with parameters"),
    "codes of another size": (lambda: fit_prior(mixture(), torch.zeros(20, 3)), r"z: expected shape \(n, 4\)"),
    "no epochs": (lambda: fit_prior(mixture(), torch.zeros(20, 4), epochs=0), "epochs: expected"),
}


@pytest.mark.parametrize("case", BAD)
def test_bad_input(case):
    call, message = BAD[case]
    with pytest.raises(ValueError, match=message):
        call()
