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


def test_training_gains_over_the_start():
    """From noise cores the start knows nothing of the dependence between the codes."""
    z, _ = two_clusters(2000)
    losses = []
    for lr in (1e-30, 1e-2):
        torch.manual_seed(0)
        losses.append(fit_prior(pp.TRIP(4, components=3, rank=3, init="noise"), z, epochs=20, lr=lr).best_loss)
    assert losses[1] < losses[0] - 0.5


def test_codes_are_drawn_afresh_around_their_means():
    torch.manual_seed(0)
    prior = pp.GaussianMixture(2, 1)
    fit_prior(prior, torch.full((500, 2), 3.0), scale=torch.tensor([0.5, 2.0]).expand(500, 2), epochs=20)
    assert (prior().mean - 3).abs().max() < 0.2
    assert (prior().variance.sqrt() - torch.tensor([0.5, 2.0])).abs().max() < 0.15


def test_the_rate_falls_to_zero():
    torch.manual_seed(0)
    z, _ = two_clusters(200)
    prior = pp.GaussianMixture(4, 2)
    losses = [row["train_loss"] for row in fit_prior(prior, z, epochs=4, lr=0.3, decay=True, patience=9).history]
    assert abs(losses[-1] - losses[-2]) < abs(losses[1] - losses[0])


def test_a_training_that_only_harms_leaves_the_start():
    torch.manual_seed(0)
    z, _ = two_clusters(100)
    prior = pp.GaussianMixture(4, 2)
    result = fit_prior(prior, z, epochs=3, lr=2.0)
    assert result.best_epoch == 0
    assert abs(prior.loc[:, 0].abs() - 1).max() < 0.5


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
    "too few codes": (
        lambda: fit_prior(mixture(), torch.zeros(9, 4)),
        r"z: expected shape \(n, 4\) with n >= 10, got \(9, 4\)",
    ),
    "nothing to learn": (lambda: fit_prior(pp.StandardNormal(4), torch.zeros(20, 4)), "one with parameters"),
    "codes of another size": (lambda: fit_prior(mixture(), torch.zeros(20, 3)), r"z: expected shape \(n, 4\)"),
    "labels for a prior without": (lambda: fit_prior(mixture(), torch.zeros(20, 4), torch.zeros(20, 1)), "y: expected"),
    "scales of another size": (
        lambda: fit_prior(mixture(), torch.zeros(20, 4), scale=torch.ones(20, 3)),
        r"scale: expected shape \(20, 4\) and no negative entries, got \(20, 3\)",
    ),
    "negative scales": (lambda: fit_prior(mixture(), torch.zeros(20, 4), scale=-torch.ones(20, 4)), "got negative"),
    "a negative rate": (lambda: fit_prior(mixture(), torch.zeros(20, 4), lr=-1.0), "lr: expected a positive number"),
    "no batch": (lambda: fit_prior(mixture(), torch.zeros(20, 4), batch_size=0), "batch_size: expected"),
    "no epochs": (lambda: fit_prior(mixture(), torch.zeros(20, 4), epochs=0), "epochs: expected"),
}


def test_a_joint_prior_learns_from_codes_alone():
    torch.manual_seed(0)
    z, _ = two_clusters(1000)
    prior = pp.TTLP(4, {"label": pp.Discrete(2)}, components=3, rank=3)
    before = prior().marginal("z").log_prob(z).mean()
    fit_prior(prior, z, epochs=3)
    assert prior().marginal("z").log_prob(z).mean() > before + 1


@pytest.mark.parametrize("case", BAD)
def test_bad_input(case):
    call, message = BAD[case]
    with pytest.raises(ValueError, match=message):
        call()
