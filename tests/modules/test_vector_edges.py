"""Rows that know little of a vector, or of which no covariance can be made."""

import pytest
import torch

import pyro_priors as pp
from pyro_priors.networks.attribute_numbers import attribute_numbers
from pyro_priors.programs import ConvClassifier
from pyro_priors.training import fit_prior

NAN = float("nan")


def rows(count, latents, known):
    """Codes, and a vector attribute that so many rows know."""
    torch.manual_seed(0)
    y = torch.randn(count, 2)
    y[known:] = NAN
    return torch.randn(count, latents), y


@pytest.mark.parametrize("known", [0, 1, 60])
def test_a_vector_that_few_rows_know_is_refined(known):
    prior, (z, y) = pp.TTLP(4, {"v": pp.Vector(2)}, rank=4), rows(200, 4, known)
    prior.reinitialize(z, y)
    prior.reinitialize(z, y)
    assert prior().log_prob(torch.cat([z, y], -1)).isfinite().all()


@pytest.mark.parametrize("known", [0, 3])
def test_batches_that_know_nothing_of_a_vector_are_fitted_by_em(known):
    prior, (z, y) = pp.TTLP(4, {"v": pp.Vector(2)}, rank=4), rows(600, 4, known)
    result = fit_prior(prior, z, y, method="em", epochs=2, seed=0)
    assert result.best_loss < 10


def test_a_vector_of_one_number_is_fitted_by_em():
    prior = pp.TRIP(3, rank=4, block_size=2)
    fit_prior(prior, torch.randn(100, 3), method="em", epochs=1, seed=0)
    assert prior().log_prob(torch.zeros(3)).isfinite()


def test_a_row_alone_has_its_most_probable_values():
    torch.manual_seed(0)
    law = pp.TRIP(3, rank=4, block_size=3)()
    row = torch.tensor([0.0, NAN, 0.5])
    torch.testing.assert_close(law.most_probable(row), law.most_probable(row[None])[0])


def test_the_last_vector_has_no_more_factors_than_latents():
    prior = pp.TRIP(5, rank=4, block_size=2, covariance="low-rank", factors=2)
    assert [tuple(leaf.loadings.shape) for leaf in prior.vectors] == [(4, 2, 2), (4, 2, 2), (4, 1, 1)]


@pytest.mark.parametrize("covariance", ["full", "diagonal", "low-rank"])
@pytest.mark.parametrize("seed", range(3))
@pytest.mark.slow
@pytest.mark.filterwarnings("ignore:z. expected draws")
def test_rows_that_are_all_alike_leave_a_law(covariance, seed):
    torch.manual_seed(seed)
    prior = pp.TRIP(4, rank=8, block_size=2, covariance=covariance)
    half = torch.cat([torch.ones(100, 2), torch.randn(100, 2)], 1)
    for z in (half, half, torch.zeros(2, 4), torch.zeros(1, 4)):
        prior.reinitialize(z)
    assert all(x.isfinite().all() for x in prior.parameters())
    assert prior().log_prob(half).isfinite().all()


def test_parts_that_take_no_vectors_say_so():
    kinds = {"v": pp.Vector(2)}
    for make in (lambda: ConvClassifier((1, 28, 28), kinds), lambda: attribute_numbers(torch.zeros(2, 2), kinds)):
        with pytest.raises(ValueError, match=r"attributes\['v'\]: expected Discrete or Continuous, got Vector\(2\)"):
            make()
    with pytest.raises(ValueError, match=r"block_size: expected an integer of at least 1, got 'auto'"):
        pp.TRIP(3, block_size="auto")


def test_a_mixture_of_one_dimension_has_no_parameter_without_entries():
    prior = pp.GaussianMixture(1, 3, covariance="full")
    assert [name for name, _ in prior.named_parameters()] == ["loc", "log_scale", "logits"]
