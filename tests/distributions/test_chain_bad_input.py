"""Bad input gets a ValueError that says what was expected and what came, before any work."""

import math

import numpy as np
import pytest
import torch
from cases import FORMS, make_case

import pyro_priors as pp
from pyro_priors.distributions import Continuous, Discrete, TensorRing, Variables


def latents(count=2, components=3):
    return Variables(
        {"z": [Continuous(components)] * count}, torch.zeros(count, components), torch.ones(count, components)
    )


def cores(count=2, components=3, rank=2):
    return torch.zeros(count, components, rank, rank)


def joint(**options):
    return pp.TTLP(2, {"digit": Discrete(3)}, rank=2, **{"order": "random", **options})


def excluding(law):
    """A law of three variables that was told that its label is not 1."""
    weights = torch.zeros(3, 3)
    weights[1, 1] = -math.inf
    return law.weigh(weights)


def excluded_row():
    return torch.tensor([math.nan, 1.0, math.nan])


NAME_OR_INDEX = "expected the name or the index of a variable"
QUERIES = {
    "complex value": (
        lambda law: law.log_prob(torch.zeros(3) * 1j),
        "expected a tensor of real numbers, got torch.c",
    ),
    "condition on nothing said": (lambda law: law.condition(v1=None), "v1: expected a tensor or a number, got None"),
    "condition on text": (lambda law: law.condition(v1="three"), "v1: expected a tensor or a number, got 'three'"),
    "marginal of a fraction": (lambda law: law.marginal(1.5), f"names: {NAME_OR_INDEX}, got 1.5"),
    "marginal of None": (lambda law: law.marginal(None), f"names: {NAME_OR_INDEX}, got None"),
    "marginal of a truth value": (lambda law: law.marginal(True), f"names: {NAME_OR_INDEX}, got True"),
    "weigh with a list": (lambda law: law.weigh([0.0]), "log_weights: expected a tensor .*got list"),
    "weigh with another batch": (
        lambda law: law.condition(v1=torch.zeros(3)).weigh(torch.zeros(2, 2, 3)),
        "log_weights: expected batch shapes that fit each other",
    ),
    "condition on an excluded state": (
        lambda law: excluding(law).condition(v1=torch.tensor(1.0)),
        "contradictory evidence",
    ),
    "impute beside an excluded state": (lambda law: excluding(law).impute(excluded_row()), "contradictory evidence"),
    "state_probs beside an excluded state": (
        lambda law: excluding(law).state_probs(excluded_row()),
        "contradictory evidence",
    ),
    "most_probable beside an excluded state": (
        lambda law: excluding(law).most_probable(excluded_row()),
        "contradictory",
    ),
    "expand to another shape": (
        lambda law: law.expand((2,)).expand((3,)),
        r"cannot expand \(2,\) to \(3,\)",
    ),
    "expand to fewer": (lambda law: law.expand((2,)).expand(()), r"batch_shape: cannot expand \(2,\) to \(\)"),
    "event size": (lambda law: law.log_prob(torch.zeros(4, 2)), r"last dimension of 3, got shape \(4, 2\)"),
    "scalar value": (lambda law: law.log_prob(torch.tensor(0.0)), r"last dimension of 3, got shape \(\)"),
    "not a tensor": (lambda law: law.log_prob([0.0, 0.0, 0.0]), "expected a tensor of real numbers, got list"),
    "category too large": (
        lambda law: law.log_prob(torch.tensor([0.0, 3.0, 0.0])),
        r"one of 0..2 or NaN at index \(1,\), got 3",
    ),
    "category negative": (lambda law: law.impute(torch.tensor([0.0, -1.0, 0.0])), r"one of 0..2 or NaN .*got -1"),
    "category fractional": (
        lambda law: law.state_probs(torch.tensor([0.0, 0.5, 0.0])),
        r"one of 0..2 or NaN .*got 0.5",
    ),
    "infinite value": (lambda law: law.log_prob(torch.tensor([math.inf, 0.0, 0.0])), "a finite value or NaN .*got inf"),
    "infinite category": (lambda law: law.log_prob(torch.tensor([0.0, math.inf, 0.0])), "one of 0..2 or NaN .*got inf"),
    "batch does not fit": (
        lambda law: law.condition(v1=torch.zeros(3)).log_prob(torch.zeros(2, 2)),
        r"value: expected batch shapes that fit each other, got \(2,\) and \(3,\)",
    ),
    "condition on unknown": (
        lambda law: law.condition(w=torch.tensor(0.0)),
        "unknown variable 'w'; .*'v0', 'v1', 'v2'",
    ),
    "condition again": (
        lambda law: law.condition(v0=torch.tensor(0.0)).condition(v0=torch.tensor(1.0)),
        "v0: not among the variables that are left",
    ),
    "condition on all": (
        lambda law: law.condition(v0=torch.tensor(0.0), v1=torch.tensor(0.0), v2=torch.tensor(0.0)),
        "nothing is left",
    ),
    "condition on an impossible state": (
        lambda law: law.condition(v1=torch.tensor(7.0)),
        r"one of 0..2 or NaN .*got 7",
    ),
    "condition on infinity": (lambda law: law.condition(v0=torch.tensor(-math.inf)), "a finite value or NaN"),
    "condition with shapes that do not fit": (
        lambda law: law.condition(v0=torch.zeros(2), v1=torch.zeros(3)),
        r"given values: expected batch shapes that fit",
    ),
    "marginal of unknown": (lambda law: law.marginal("w"), "unknown variable 'w'"),
    "marginal of a column that is not there": (lambda law: law.marginal([0, 5]), "names: .* below 3, got 5"),
    "marginal twice": (lambda law: law.marginal(["v0", 0]), "each once"),
    "marginal of nothing": (lambda law: law.marginal([]), "at least one variable"),
    "weigh with another shape": (
        lambda law: law.weigh(torch.zeros(3, 2)),
        r"log_weights: .* shape \(\*, 3, 3\), got \(3, 2\)",
    ),
    "weigh with NaN": (
        lambda law: law.weigh(torch.full((3, 3), math.nan)),
        "log_weights: expected finite values or -inf",
    ),
    "contradictory evidence": (lambda law: law.weigh(torch.full((3, 3), -math.inf)), "contradictory evidence"),
    "categorical of a column that is not there": (
        lambda law: law.categorical(5),
        "name: expected a column below 3, got 5",
    ),
    "categorical of a continuous variable": (lambda law: law.categorical("v0"), "v0: expected one discrete variable"),
}

CASES = {
    "cores in a list": (lambda: TensorRing([[0.0]], latents()), "log_cores: expected a tensor of floats, got list"),
    "cores of integers": (
        lambda: TensorRing(cores().long(), latents()),
        "a tensor of floats, got torch.int64",
    ),
    "variables of another type": (lambda: TensorRing(cores(), {"z": 2}), "variables: expected Variables, got dict"),
    "order of one number": (lambda: TensorRing(cores(), latents(), order=3), "order: expected a permutation of 0..1"),
    "order of text": (lambda: TensorRing(cores(), latents(), order=["a", 1]), "order: expected a permutation of 0..1"),
    "order with NaN": (lambda: TensorRing(cores(), latents(), order=[math.nan, 1]), "order: expected a permutation"),
    "loc in a list": (lambda: Variables({"z": Continuous(1)}, [[0.0]], [[1.0]]), "loc: expected a tensor, got list"),
    "scale infinite": (
        lambda: TensorRing(cores(), latents().bind(torch.zeros(2, 3), torch.full((2, 3), math.inf))),
        "scale: expected positive finite values, got inf",
    ),
    "group named like a variable": (
        lambda: Variables({"a": Discrete(2), "b": Discrete(2)}, groups={"a": ("b",)}),
        "groups: the name 'a' is that of a variable",
    ),
    "variable called self": (lambda: Variables({"self": Discrete(2)}), "the name 'self' is taken"),
    "attributes in a list": (lambda: pp.TTLP(2, ["digit"]), "attributes: expected a mapping .*got list"),
    "codes in a list": (lambda: pp.TRIP(3).reinitialize([[0.0, 0.0, 0.0]]), r"z: expected shape \(n, 3\) .*got list"),
    "labels in a list": (lambda: joint().reinitialize(torch.zeros(1, 2), [[1.0]]), "y: expected a tensor .*got list"),
    "condition twice": (lambda: joint()().condition(digit=torch.tensor(1.0), y=torch.ones(1)), "given twice"),
    "condition on a block of another size": (
        lambda: joint()().condition(z=torch.zeros(5, 3)),
        r"z: expected a last dimension of 2",
    ),
    "cores of another shape": (
        lambda: TensorRing(cores(3), latents()),
        r"log_cores: expected shape \(2, 3, m, m\).*got \(3, 3, 2, 2\)",
    ),
    "cores not square": (lambda: TensorRing(torch.zeros(2, 3, 2, 4), latents()), r"log_cores: expected shape"),
    "cores not finite": (lambda: TensorRing(cores() + math.inf, latents()), "log_cores: expected finite values"),
    "boundary": (
        lambda: TensorRing(cores(), latents(), "tree"),
        "boundary: expected one of 'ring', 'train', got 'tree'",
    ),
    "order": (
        lambda: TensorRing(cores(), latents(), order=[0, 0]),
        r"order: expected a permutation of 0..1, got \(0, 0\)",
    ),
    "scale of zero": (
        lambda: TensorRing(cores(), latents().bind(torch.zeros(2, 3), torch.zeros(2, 3))),
        "scale: expected positive finite values, got 0",
    ),
    "loc not finite": (
        lambda: TensorRing(cores(), latents().bind(torch.full((2, 3), math.nan), torch.ones(2, 3))),
        "loc: expected finite values",
    ),
    "loc of another shape": (
        lambda: Variables({"z": Continuous(3)}, torch.zeros(2, 3), torch.ones(2, 3)),
        r"loc: expected shape \(1, 3\)",
    ),
    "loc left out": (lambda: Variables({"z": Continuous(3)}), "loc: expected shape .*got None"),
    "no variables": (lambda: Variables({}), "at least one variable"),
    "variable of no kind": (lambda: Variables({"z": 3}), r"kinds\['z'\]: expected Discrete, Continuous or Vector"),
    "no categories": (lambda: Discrete(0), "categories: expected an integer of at least 1, got 0"),
    "no components": (lambda: Continuous(0), "components: expected an integer of at least 1"),
    "fractional components": (lambda: Continuous(2.5), "components: expected an integer of at least 1, got 2.5"),
    "rank below one": (lambda: pp.TRIP(3, rank=0), "rank: expected an integer of at least 1, got 0"),
    "latent_dim below one": (lambda: pp.TRIP(0), "latent_dim: expected an integer of at least 1"),
    "latent_dim of a normal": (lambda: pp.StandardNormal(-1), "latent_dim: expected an integer of at least 1"),
    "boundary of a prior": (
        lambda: pp.TRIP(3, boundary="open"),
        "boundary: expected one of 'ring', 'train', got 'open'",
    ),
    "init": (lambda: pp.TRIP(3, init="zeros"), "init: expected one of 'mixture', 'noise', got 'zeros'"),
    "weights": (lambda: pp.GaussianMixture(3, 2, "some"), "weights: expected one of 'learned', 'equal', got 'some'"),
    "attribute called z": (lambda: pp.TTLP(2, {"z": Discrete(2)}), "the name 'z' is taken"),
    "attribute called y": (lambda: pp.TTLP(2, {"y": Discrete(2)}), "the name 'y' is taken"),
    "attribute called self": (lambda: pp.TTLP(2, {"self": Discrete(2)}), "the name 'self' is taken"),
    "attribute of no kind": (
        lambda: pp.TTLP(2, {"digit": 10}),
        r"attributes\['digit'\]: expected Discrete, Continuous or Vector, got 10",
    ),
    "no variable at all": (lambda: pp.TTLP(0, {}), "attributes: expected at least one"),
    "order of a prior": (
        lambda: joint(order="sorted"),
        "order: expected 'data', 'random', 'declared', 'spread' or a permutation, got 'sorted'",
    ),
    "order that is no permutation": (
        lambda: joint(order=[0, 1, 1]),
        r"order: expected a permutation of 0..2, got \(0, 1, 1\)",
    ),
    "codes of another size": (
        lambda: pp.TRIP(3).reinitialize(torch.zeros(5, 2)),
        r"z: expected shape \(n, 3\) with n >= 1, got \(5, 2\)",
    ),
    "no codes": (lambda: pp.GaussianMixture(3, 2).reinitialize(torch.zeros(0, 3)), r"z: expected shape \(n, 3\)"),
    "codes not finite": (lambda: pp.TRIP(3).reinitialize(torch.full((5, 3), math.nan)), "z: expected finite values"),
    "attributes of another size": (
        lambda: joint().reinitialize(torch.zeros(5, 2), torch.zeros(5, 2)),
        r"y: expected a tensor of shape \(5, 1\), got \(5, 2\)",
    ),
    "attributes out of range": (
        lambda: joint().reinitialize(torch.zeros(5, 2), torch.full((5, 1), 3.0)),
        "one of 0..2 or NaN",
    ),
}


@pytest.mark.parametrize("form", FORMS)
@pytest.mark.parametrize("query", QUERIES)
def test_bad_queries(query, form):
    call, message = QUERIES[query]
    law = make_case("cdc", 2, form).law
    with pytest.raises(ValueError, match=message):
        call(law)


@pytest.mark.parametrize("case", CASES)
def test_bad_input(case):
    call, message = CASES[case]
    with pytest.raises(ValueError, match=message):
        call()


@pytest.mark.parametrize("form", FORMS)
def test_validation_can_be_switched_off(form):
    case = make_case("cd", 2, form)
    law = case.of(case.parts(), validate_args=False).law
    assert law.log_prob(torch.tensor([0.0, 9.0])) == -math.inf


@pytest.mark.parametrize("form", FORMS)
def test_an_excluded_value_has_density_zero_and_no_gradient(form):
    case = make_case("cdc", 2, form)
    leaves = case.leaves()
    weights = torch.zeros(3, 3).double()
    weights[1, 1] = -math.inf
    score = case.of(leaves).law.weigh(weights).log_prob(torch.tensor([0.0, 1.0, 0.0]).double())
    assert score == -math.inf
    score.backward()
    assert all(leaf.grad.isfinite().all() for leaf in leaves)


def test_padding_of_component_parameters_is_ignored():
    loc, scale = torch.tensor([[0.0, math.nan], [0.0, 1.0]]), torch.tensor([[1.0, -1.0], [1.0, 1.0]])
    variables = Variables({"a": Continuous(1), "b": Continuous(2)}, loc, scale)
    assert TensorRing(torch.zeros(2, 2, 1, 1), variables).log_prob(torch.zeros(2)).isfinite()


def test_numpy_integers_are_indices():
    assert make_case().law.marginal([np.int64(0)]).event_shape == (1,)
