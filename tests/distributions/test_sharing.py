"""A law that shares gives the answers of one that does not, and walks its chain once for a question."""

import copy
import itertools
import pickle

import pytest
import torch
from cases import FORMS, make_case
from laws import close

import pyro_priors as pp
from pyro_priors.distributions.factored_chain import FactoredChain
from pyro_priors.distributions.full_chain import FullChain

NAN = torch.nan
KINDS = {"a": pp.Discrete(2), "b": pp.Discrete(3), "height": pp.Continuous(2)}
PATTERNS = torch.tensor(list(itertools.product([True, False], repeat=3)))  # of labels that are missing


def made(form):
    torch.manual_seed(0)
    if form == "flow":
        prior = pp.FlowTTLP(3, KINDS, 2, (8,), rank=4, block_size=3)
    elif form == "vectors":
        prior = pp.TTLP(3, KINDS, rank=4, block_size=2)
    else:
        prior = pp.TTLP(3, KINDS, components=3, rank=3, cores="full", boundary=form, order="random")
    prior.double().requires_grad_()
    with torch.no_grad():
        for parameter in prior.parameters():
            parameter.add_(0.3 * torch.randn_like(parameter))
    getattr(prior, "base", prior).expect_rows()
    return prior


def batch():
    torch.manual_seed(1)
    y = torch.stack([torch.randint(2, (8,)), torch.randint(3, (8,)), torch.randn(8)], -1).double()
    return torch.randn(8, 3, dtype=torch.float64, requires_grad=True), y.masked_fill(PATTERNS, NAN)


def densities(joint, z, y):
    """As the sites of a joint VAE ask for them."""
    given = joint.condition(y=y).marginal("z")
    return [
        joint.condition(z=z).marginal("y").log_prob(y),
        joint.marginal("y").log_prob(y),
        given.log_prob(z),
        given.log_joint(z) if hasattr(given, "log_joint") else given.log_prob(z),
        joint.marginal("z").log_prob(z),
    ]


@pytest.mark.parametrize("form", ["ring", "train", "vectors", "flow"])
def test_densities_and_gradients_are_those_of_laws_by_themselves(form):
    """For every pattern of missing labels, to 1e-10, each density weighed by a number of its own."""
    prior, (z, y) = made(form), batch()
    weights, results = torch.randn(5, 8, dtype=torch.float64), []
    for joint in (prior(), prior().sharing()):
        scores = torch.stack(densities(joint, z, y))
        grads = torch.autograd.grad((weights * scores).sum(), [z, *prior.parameters()], materialize_grads=True)
        results.append([scores, *grads])
    for plain, shared in zip(*results, strict=True):
        close(shared, plain)
    assert results[0][1].abs().max() > 0.1


@pytest.mark.parametrize(("form", "chain"), [("train", FullChain), ("vectors", FactoredChain), ("flow", FactoredChain)])
def test_a_question_is_walked_once(monkeypatch, form, chain):
    """Rows of y, of z, and of both; full cores have a row more, of nothing."""
    prior, (z, y) = made(form), batch()
    rows, walk = [], chain._log_contract
    monkeypatch.setattr(chain, "_log_contract", lambda self, x: rows.append(len(x)) or walk(self, x))
    densities(prior().sharing(), z, y)
    assert sum(rows) == 3 * 8 + (chain is FullChain)
    rows.clear()
    densities(prior(), z, y)
    assert sum(rows) > 5 * 8


def test_another_tensor_and_one_that_was_written_to_are_other_questions():
    prior, (z, y) = made("vectors"), batch()
    joint = prior().sharing()
    y = y.nan_to_num(1.0)
    before = joint.marginal("y").log_prob(y)
    assert torch.equal(joint.marginal("y").log_prob(y.clone()), before)
    y[:, 0] = 1 - y[:, 0]
    after = joint.marginal("y").log_prob(y)
    assert (after != before).all()
    close(after, prior().marginal("y").log_prob(y))
    close(joint.marginal("z").log_prob(z), prior().marginal("z").log_prob(z))


@pytest.mark.parametrize("first", ["given", "joint"])
def test_what_was_made_of_a_tensor_is_of_it_as_it_stood(first):
    """Written to after a condition, in either order of the questions."""
    prior, (z, y) = made("vectors"), batch()
    y = y.nan_to_num(1.0)
    expected = prior().condition(y=y.clone()).marginal("z").log_prob(z)
    joint = prior().sharing()
    given = joint.condition(y=y).marginal("z")
    y[:, 0] = 1 - y[:, 0]
    if first == "given":
        close(given.log_prob(z), expected)
    close(joint.marginal("y").log_prob(y), prior().marginal("y").log_prob(y))
    close(given.log_prob(z), expected)


def test_gradients_are_those_of_each_question():
    """Where a condition was made without them, and where a value wants them only from then on."""
    prior, (z, y) = made("vectors"), batch()
    joint, z = prior().sharing(), z.detach()
    with torch.no_grad():
        given = joint.condition(z=z).marginal("y")
    given.log_prob(y)
    gradients = [
        torch.autograd.grad(law.marginal("z").log_prob(z).sum(), prior.parameters(), allow_unused=True)
        for law in (joint, prior())
    ]
    for shared, plain in zip(*gradients, strict=True):
        close(shared, plain) if plain is not None else None
    z.requires_grad_()
    assert torch.autograd.grad(joint.marginal("z").log_prob(z).sum(), z)[0].abs().max() > 0.1


def test_answers_may_be_written_to():
    prior, (z, y) = made("vectors"), batch()
    joint = prior().sharing()
    with torch.no_grad():
        score = joint.log_joint(torch.cat([z, y], -1))
        before = score.clone()
        score += 5
        close(joint.log_joint(torch.cat([z, y], -1)), before)
    with torch.inference_mode():
        value = z.detach().clone()
        joint.marginal("z").log_prob(value)
        value += 1
        close(joint.marginal("z").log_prob(value), prior().marginal("z").log_prob(value))


def test_columns_tell_questions_of_one_tensor_apart():
    """The same numbers as a value of one vector and of another, of an attribute and of another."""
    case = make_case("vvbb", form="factored")
    x, label = torch.randn(4, 2, dtype=torch.float64), torch.tensor([0.0, 1.0, 1.0, 0.0], dtype=torch.float64)
    joint = case.law.sharing()
    for name in ("v0", "v1"):
        close(joint.marginal(name).log_prob(x), case.law.marginal(name).log_prob(x))
    for name in ("v2", "v3"):
        given, alone = (law.condition(**{name: label}).marginal("v0") for law in (joint, case.law))
        close(given.log_prob(x), alone.log_prob(x))


def test_gradients_are_there_after_an_answer_without_them():
    prior, (z, y) = made("vectors"), batch()
    joint = prior().sharing()
    with torch.no_grad():
        assert not densities(joint, z, y)[0].requires_grad
    assert all(score.requires_grad for score in densities(joint, z, y))


@pytest.mark.parametrize("form", FORMS)
def test_soft_evidence_is_told_apart(form):
    case = make_case("cdc", form=form)
    joint, value = case.law.sharing(), torch.randn(4, 1, dtype=torch.float64)
    for _ in range(3):
        weights = torch.randn(4, 3, 3, dtype=torch.float64)
        shared, plain = (law.weigh(weights).marginal("v0").log_prob(value) for law in (joint, case.law))
        close(shared, plain)


def test_a_law_that_shares_refuses_after_a_step():
    prior, (_, y) = made("vectors"), batch()
    law = prior().sharing().marginal("y")
    (-law.log_prob(y).sum()).backward()
    torch.optim.Adam(prior.parameters(), lr=0.1).step()
    with pytest.raises(ValueError, match="build the law afresh"):
        law.log_prob(y)


@pytest.mark.parametrize("copied", [copy.deepcopy, lambda law: pickle.loads(pickle.dumps(law))])
def test_copies_share_nothing(copied):
    prior, (z, y) = made("vectors").requires_grad_(False), batch()
    joint, z = prior().sharing(), z.detach()
    expected = densities(joint, z, y)
    again = copied(joint)
    assert not again._evidence.walks.shared
    assert not again._evidence.walks._results
    for plain, score in zip(expected, densities(again, z, y), strict=True):
        close(score, plain)


def test_tensors_that_are_gone_stand_for_no_others():
    prior = made("vectors")
    joint, alone = prior().sharing(), prior()
    for _ in range(20):  # the next one takes the place of the last
        z = torch.randn(1, 3, dtype=torch.float64)
        close(joint.marginal("z").log_prob(z), alone.marginal("z").log_prob(z))
        del z


def test_transforms_leave_nothing_behind():
    """Their tensors stand for nothing once they are through."""
    prior, (z, y) = made("vectors"), batch()
    joint = prior().sharing()

    def score(law, value):
        return law.condition(y=y[:1]).marginal("z").log_prob(value).sum()

    for transform in (torch.func.grad, torch.func.vmap):
        close(*(transform(lambda value, law=law: score(law, value))(z) for law in (joint, prior())))
    assert not joint._evidence.walks._results
    close(*(torch.autograd.grad(score(law, z), prior.vectors[0].loc)[0] for law in (joint, prior())))
