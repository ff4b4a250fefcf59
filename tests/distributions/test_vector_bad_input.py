"""What vectors refuse: a ValueError that says what was expected and what came."""

import math

import pytest
import torch
from cases import FORMS, make_case
from catalogue import NAN

import pyro_priors as pp
from pyro_priors.distributions import FactoredTrain, Variables
from pyro_priors.distributions.diagonal_gaussians import DiagonalGaussians
from pyro_priors.distributions.full_gaussians import FullGaussians
from pyro_priors.distributions.kinds import Discrete, Vector
from pyro_priors.distributions.low_rank_gaussians import LowRankGaussians

every_form = pytest.mark.parametrize("form", FORMS)


def full(states=2, size=2):
    return FullGaussians(torch.zeros(states, size), torch.eye(size).expand(states, size, size))


def train(gaussians, emissions=(None, None), kinds=None):
    variables = Variables(kinds or {"z": Vector(2), "d": Discrete(2)}, vectors=[gaussians])
    eye = torch.eye(2)
    return FactoredTrain(torch.full((2,), 0.5), [eye if e == "eye" else e for e in emissions], eye[None], variables)


BAD = {
    "full of other shapes": (
        lambda: FullGaussians(torch.zeros(2, 3), torch.zeros(2, 3, 2)),
        r"loc, factor: expected shapes \(N, n\) and \(N, n, n\), got \(2, 3\) and \(2, 3, 2\)",
    ),
    "full of nothing": (lambda: FullGaussians(torch.zeros(2, 0), torch.zeros(2, 0, 0)), "loc, factor: expected shapes"),
    "diagonal of other shapes": (
        lambda: DiagonalGaussians(torch.zeros(2, 3), torch.ones(3)),
        r"loc, scale: expected one shape \(N, n\), got \(2, 3\) and \(3,\)",
    ),
    "low-rank of other shapes": (
        lambda: LowRankGaussians(torch.zeros(2, 3), torch.zeros(2, 2, 1), torch.ones(2, 3)),
        r"loc, loadings, scale: expected shapes .* got \(2, 3\), \(2, 2, 1\) and \(2, 3\)",
    ),
    "infinite mean": (
        lambda: train(FullGaussians(torch.full((2, 2), math.inf), torch.eye(2).expand(2, 2, 2)), (None, "eye")),
        "z: expected finite loc, got inf",
    ),
    "factor with NaN": (
        lambda: train(FullGaussians(torch.zeros(2, 2), torch.full((2, 2, 2), NAN).tril()), (None, "eye")),
        "z: expected finite factor, got nan",
    ),
    "factor without scale": (
        lambda: train(FullGaussians(torch.zeros(2, 2), torch.zeros(2, 2, 2)), (None, "eye")),
        "z: expected factors with a positive diagonal, got 0",
    ),
    "negative scale": (
        lambda: train(DiagonalGaussians(torch.zeros(2, 2), -torch.ones(2, 2)), (None, "eye")),
        "z: expected positive scales, got -1",
    ),
    "negative scale of low rank": (
        lambda: train(LowRankGaussians(torch.zeros(2, 2), torch.ones(2, 2, 1), -torch.ones(2, 2)), (None, "eye")),
        "z: expected positive scales, got -1",
    ),
    "Gaussians of another size": (
        lambda: Variables({"z": Vector(3)}, vectors=[full()]),
        r"vectors: expected Gaussians of \(states, numbers\) \[\(2, 3\)\], got \[\(2, 2\)\]",
    ),
    "too few Gaussians": (
        lambda: Variables({"z": [Vector(2), Vector(2)]}, vectors=[full()]),
        "components|vectors|Gaussians",
    ),
    "as many states as the bond has not": (
        lambda: train(full(3), (None, "eye")),
        r"emissions\[0\]: expected a table, or as many states as the bond, 2, got 3",
    ),
    "no table of a category": (
        lambda: train(full(), (None, None), {"z": Vector(2), "d": Discrete(3)}),
        r"emissions\[1\]: expected a table, or as many states as the bond, 2, got 3",
    ),
    "size of nothing": (lambda: Vector(0), "size: expected an integer of at least 1, got 0"),
    "covariance of no kind": (lambda: Vector(2, "round"), "covariance: expected one of 'full', 'diagonal', 'low-rank'"),
    "factors of full covariances": (
        lambda: Vector(2, factors=1),
        "factors: expected none with covariance='full', got 1",
    ),
    "too many factors": (
        lambda: Vector(2, "low-rank", 3),
        "factors: expected at most 2, the size of the vector, got 3",
    ),
    "components of nothing": (lambda: Vector(2, components=0), "components: expected an integer of at least 1, got 0"),
    "block_size too large": (
        lambda: pp.TRIP(3, block_size=4),
        "block_size: expected at most 3, the number of latents, got 4",
    ),
    "block_size of nothing": (lambda: pp.TRIP(3, block_size=0), "block_size: expected an integer of at least 1, got 0"),
    "covariance without vectors": (
        lambda: pp.TRIP(3, covariance="diagonal"),
        "covariance: expected none without block_size.* got 'diagonal'",
    ),
    "more factors than a vector has latents": (
        lambda: pp.TRIP(5, block_size=2, covariance="low-rank", factors=3),
        "factors: expected at most 2, the size of the vector, got 3",
    ),
    "factors that are no number": (
        lambda: pp.TRIP(5, block_size=2, covariance="low-rank", factors="two"),
        "factors: expected an integer of at least 1, got 'two'",
    ),
    "factors without vectors": (lambda: pp.TRIP(3, factors=2), "factors: expected none without block_size.* got 2"),
    "components that do nothing": (
        lambda: pp.TRIP(3, 5, block_size=3),
        "components: expected none with vectors on factored cores.* got 5",
    ),
    "components of an attribute that do nothing": (
        lambda: pp.TTLP(2, {"body": Vector(2, components=5)}, rank=3),
        r"attributes\['body'\]: expected no components of a vector on factored cores.* got 5",
    ),
    "vectors on a ring of factored cores": (
        lambda: pp.TRIP(3, block_size=3, boundary="ring"),
        "boundary: expected 'train' with cores='factored'",
    ),
}
BAD_QUERIES = {
    "too few numbers": (
        lambda law: law.condition(v0=torch.zeros(4, 1)),
        r"v0: expected a last dimension of 2, got shape \(4, 1\)",
    ),
    "one number": (lambda law: law.condition(v0=1.0), r"v0: expected a last dimension of 2, got shape \(\)"),
    "infinite number": (
        lambda law: law.condition(v0=torch.tensor([0.0, math.inf])),
        r"v0\[1\]: expected a finite value or NaN at index \(1,\), got inf",
    ),
    "infinite value": (
        lambda law: law.log_prob(torch.tensor([0.0, -math.inf, 0.0])),
        r"v0\[1\]: expected a finite value or NaN .*got -inf",
    ),
    "columns and not variables": (lambda law: law.log_prob(torch.zeros(2)), "value: expected a last dimension of 3"),
    "categories of a vector": (lambda law: law.categorical("v0"), "v0: expected one discrete variable"),
    "weights of columns": (
        lambda law: law.weigh(torch.zeros(3, 3)),
        r"log_weights: .* shape \(\*, 2, 3\), got \(3, 3\)",
    ),
    "given again": (
        lambda law: law.condition(v0=torch.tensor([NAN, 0.0])).condition(v0=torch.zeros(2)),
        "v0: not among the variables that are left",
    ),
    "twice": (lambda law: law.marginal(["v0", 1]), "each once"),
}


@pytest.mark.parametrize("name", BAD)
def test_bad_vectors(name):
    call, message = BAD[name]
    with pytest.raises(ValueError, match=message):
        call()


@every_form
@pytest.mark.parametrize("name", BAD_QUERIES)
def test_bad_queries(name, form):
    call, message = BAD_QUERIES[name]
    law = make_case("vd", 3, form).law
    with pytest.raises(ValueError, match=message):
        call(law)


def test_infinite_attributes_of_a_vector_are_refused():
    prior, y = pp.TTLP(1, {"body": Vector(2)}, rank=2), torch.zeros(5, 2)
    y[3, 1] = math.inf
    with pytest.raises(ValueError, match=r"body\[1\]: expected a finite value or NaN at index \(3, 2\), got inf"):
        prior.reinitialize(torch.randn(5, 1), y)
