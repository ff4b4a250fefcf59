"""TRIP and TTLP with factored cores, and chains whose order comes from data."""

import warnings

import pytest
import torch
from catalogue import NAN

import pyro_priors as pp
from pyro_priors.distributions import FactoredTrain, TensorRing
from pyro_priors.training import load, save

ATTRIBUTES = {"digit": pp.Discrete(4), "sex": pp.Discrete(2), "age": pp.Continuous(3)}


def chained(rows=400, seed=0, columns=8):
    """Binary columns, each like the one before, declared in a shuffled order; and what that order is."""
    generator = torch.Generator().manual_seed(seed)
    flips = torch.rand(rows, columns, generator=generator) < 0.15
    flips[:, 0] = torch.rand(rows, generator=generator) < 0.5
    place = torch.randperm(columns, generator=generator)
    return (flips.cumsum(1) % 2)[:, place].float(), place.argsort().tolist()


def table(columns=8, **how):
    return pp.TTLP(0, {f"x{k}": pp.Discrete(2) for k in range(columns)}, **{"rank": 4, "order": "data", **how})


def test_the_form_decides_law_and_parameters():
    full, factored = pp.TRIP(3, 4, 4), pp.TRIP(3, 4, 4, cores="factored")
    assert type(full()) is TensorRing
    assert type(factored()) is FactoredTrain
    assert (full.boundary, factored.boundary) == ("ring", "train")
    shapes = {name: tuple(x.shape) for name, x in factored.named_parameters()}
    leaves = {"loc": (3, 4), "log_scale": (3, 4)}
    assert shapes == {"initial_logits": (4,), "emission_logits": (12, 4), "transition_logits": (2, 4, 4), **leaves}
    assert pp.TTLP(2, ATTRIBUTES, boundary=None).boundary == "train"
    assert not list(pp.TRIP(3, 4, 4, cores="factored", fixed=True).parameters())


@pytest.mark.parametrize("make", [lambda **how: pp.TRIP(3, **how), lambda **how: pp.TTLP(1, ATTRIBUTES, **how)])
def test_a_ring_has_full_cores(make):
    with pytest.raises(ValueError, match=r"boundary: expected 'train' with cores='factored' \(a ring has cores='full'"):
        make(cores="factored", boundary="ring")
    with pytest.raises(ValueError, match="cores: expected one of 'full', 'factored', got 'sparse'"):
        make(cores="sparse")


@pytest.mark.parametrize("init", ["mixture", "noise"])
def test_tables_start_as_probabilities_and_are_set_from_data(init):
    torch.manual_seed(0)
    prior = pp.TTLP(2, ATTRIBUTES, components=3, rank=4, cores="factored", order="declared", init=init)
    before = {name: x.clone() for name, x in prior.state_dict().items()}
    prior().sample((3,))
    z = torch.randn(300, 2) + 3
    y = torch.stack([torch.randint(4, (300,)).float(), torch.randint(2, (300,)).float(), z[:, 0] + 1], 1)
    y[::3, 0] = NAN
    assert prior.reinitialize(z, y)
    changed = {name for name, x in prior.named_parameters() if not torch.equal(x, before[name])}
    assert changed >= {"emission_logits", "transition_logits", "loc", "log_scale"}
    assert prior().marginal("z").mean.allclose(z.mean(0), atol=1.5 if init == "noise" else 0.5)


def test_a_mixture_start_hardly_leaves_its_clusters():
    """What the first of 32 variables still says about the last one's state."""
    torch.manual_seed(0)
    prior = pp.TTLP(0, {f"v{k}": pp.Discrete(4) for k in range(32)}, rank=8, cores="factored", order="declared")
    laws = prior().condition(v0=torch.arange(4.0)).categorical("v31").probs
    assert (laws - laws.mean(0)).abs().max() > 1e-2


def test_states_of_a_cluster_are_up_to_four_and_not_more_than_clusters():
    ranks = (64, 18, 10, 7, 8, 3, 1)
    assert [table(rank=m).local for m in ranks] == [4, 3, 2, 1, 2, 1, 1]
    assert table(rank=64, cores="full").local == table(rank=64, init="noise").local == 1
    assert pp.TRIP(2, rank=64, cores="factored").local == pp.TTLP(1, ATTRIBUTES).local == 1  # latents are told apart


def test_an_order_waits_for_columns_that_nobody_has_seen():
    torch.manual_seed(0)
    prior = pp.TTLP(2, ATTRIBUTES, components=3, rank=4)
    z = torch.randn(300, 2)
    prior.reinitialize(z)
    assert not prior.order_laid
    y = torch.stack([torch.randint(4, (300,)).float(), torch.randint(2, (300,)).float(), z[:, 0]], 1)
    prior.reinitialize(z, y)
    assert prior.order_laid


@pytest.mark.parametrize("cores", ["full", "factored"])
def test_the_first_rows_lay_the_chain(cores):
    torch.manual_seed(0)
    rows, truth = chained()
    prior = table(cores=cores)
    assert prior.order.tolist() == list(range(8))
    assert prior.reinitialize(rows)
    assert prior.order.tolist() in (truth, truth[::-1])
    assert prior.order_names == tuple(f"x{column}" for column in prior.order)
    other, truth_of_other = chained(seed=1)
    prior.reinitialize(other, force=True)
    assert prior.order.tolist() in (truth, truth[::-1])  # what was learned belongs to the order that it has
    prior.reinitialize(other, force=True, new_order=True)
    assert prior.order.tolist() in (truth_of_other, truth_of_other[::-1])


def test_an_order_that_is_laid_stays_so_in_files(tmp_path):
    torch.manual_seed(0)
    prior = table(cores="factored")
    rows, _ = chained()
    prior.reinitialize(rows)
    save(prior, tmp_path)
    again = load(tmp_path)
    assert torch.equal(again.order, prior.order)
    assert torch.equal(again().log_prob(rows), prior().log_prob(rows))
    again.reinitialize(chained(seed=1)[0], force=True)
    assert torch.equal(again.order, prior.order)


def test_training_before_the_order_is_known_warns_once():
    rows, _ = chained()
    prior = table(cores="factored")
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        with torch.no_grad():
            prior().log_prob(rows)
        prior().sample((2,))
    with pytest.warns(UserWarning, match="order: expected `reinitialize` or `fit_prior` before training"):
        prior().log_prob(rows).sum().backward()
    prior().log_prob(rows).sum().backward()  # a warning would be an error
    laid = table(cores="factored")
    laid.reinitialize(rows)
    laid().log_prob(rows).sum().backward()


def test_another_form_is_another_law():
    full, factored = pp.TRIP(3, 4, 4, boundary="train"), pp.TRIP(3, 4, 4, cores="factored")
    with pytest.raises(ValueError, match="law: expected FactoredTrain, got TensorRing"):
        factored.load_state_dict(full.state_dict())


def test_rows_alone_are_attributes_where_there_are_no_latents():
    rows, _ = chained()
    torch.manual_seed(0)
    one, two = table(), table()
    two.load_state_dict(one.state_dict())
    for prior, given in ((one, {"z": rows}), (two, {"y": rows})):
        torch.manual_seed(1)
        assert prior.reinitialize(**given)
    assert torch.equal(one.emission_logits, two.emission_logits)
    with pytest.raises(ValueError, match="z: expected codes of 2 latents, got None"):
        pp.TTLP(2, ATTRIBUTES).reinitialize(y=torch.zeros(4, 3))


def test_latents_stand_in_the_order_under_their_names():
    prior = pp.TTLP(2, {"digit": pp.Discrete(3)}, rank=2, order=[2, 0, 1])
    assert prior.order_names == ("digit", "z[0]", "z[1]")
    assert pp.TRIP(2).order_names == ("z[0]", "z[1]")
