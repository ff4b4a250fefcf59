"""Subset conditioning is consistent: all at once or one after the other, in any order, on nothing, on what cannot be.

Each goodness-of-fit test fails with probability `laws.ALPHA` under a right sampler; the seeds are fixed.
"""

from itertools import permutations

import laws
import pytest
import torch
from cases import FORMS
from catalogue import NAN, as_case
from linked_attributes import ATTRIBUTES, COLUMNS, check_codes, linked_prior

every_form = pytest.mark.parametrize("form", FORMS)


@pytest.fixture(autouse=True)
def _seed():
    torch.manual_seed(0)


def columns_of(names):
    return [column for name in names for column in COLUMNS[name]]


def pick(value, names):
    """The given values of some variables as `condition` takes them."""
    return {name: value[..., COLUMNS[name]] if name == "z" else value[..., COLUMNS[name][0]] for name in names}


def subsets():
    """Two disjoint sets of variables, in either order, with something left."""
    return [(split[:k], split[k:]) for size in (2, 3) for split in permutations(COLUMNS, size) for k in range(1, size)]


# ---- densities, exactly


@pytest.mark.slow
@every_form
def test_one_go_and_the_chain_rule_agree_in_any_order(form):
    """p(rest given a, b), and p(a) p(b given a) p(rest given a, b) = p(all): six full rows, six with their own gaps."""
    joint = linked_prior(form)()
    value = joint.sample((12,))
    value[6:][torch.rand(6, value.shape[-1]) < 0.4] = NAN
    effect, whole = torch.zeros(12), joint.log_prob(value)
    for first, second in subsets():
        rest = [column for column in range(6) if column not in columns_of(first + second)]
        given_first, given_second = pick(value, first), pick(value, second)
        after_first = joint.condition(**given_first)
        one_go = joint.condition(**given_first, **given_second).log_prob(value[:, rest])
        laws.close(after_first.condition(**given_second).log_prob(value[:, rest]), one_go)
        laws.close(joint.condition(**given_second).condition(**given_first).log_prob(value[:, rest]), one_go)
        marginal = joint.marginal(first).log_prob(value[:, sorted(columns_of(first))])
        link = after_first.marginal(second).log_prob(value[:, sorted(columns_of(second))])
        laws.close(marginal + link + one_go, whole)
        first_alone = after_first.marginal(rest_of(first, second)).log_prob(value[:, rest])
        effect = torch.maximum(effect, (one_go - first_alone).detach().abs())
    assert min(effect[:6].max(), effect[6:].max()) > 0.5  # forgetting what was said second would be noticed


def rest_of(first, second):
    return [name for name in COLUMNS if name not in first + second]


@every_form
def test_a_block_is_its_attributes_one_by_one(form):
    joint = linked_prior(form)()
    value = joint.sample((5,))
    y, names = value[:, 2:].clone(), list(ATTRIBUTES)
    y[torch.rand(y.shape) < 0.3] = NAN
    block = joint.condition(y=y)
    for order in permutations(range(4)):
        law = joint
        for column in order:
            law = law.condition(**{names[column]: y[:, column]})
        laws.close(law.log_prob(value[:, :2]), block.log_prob(value[:, :2]))


@every_form
def test_every_other_answer_agrees_too(form):
    joint = linked_prior(form)()
    value = joint.sample((5,))
    one_go = joint.condition(**pick(value, ("digit", "age")))
    chained = joint.condition(**pick(value, ("age",))).condition(**pick(value, ("digit",)))
    rest = value[:, [0, 1, 3, 5]]
    rest[torch.rand(rest.shape) < 0.5] = NAN
    laws.close(chained.mean, one_go.mean)
    laws.close(chained.variance, one_go.variance)
    laws.close(chained.state_probs(rest), one_go.state_probs(rest))
    laws.close(chained.most_probable(rest), one_go.most_probable(rest))
    laws.close(chained.categorical("hat").probs, one_go.categorical("hat").probs)


@every_form
def test_an_average_over_what_is_not_given_is_not_giving_it(form):
    """p(z given digit) = sum over sex of p(sex given digit) p(z given digit, sex), and over hat likewise."""
    joint = linked_prior(form)()
    z = joint.marginal("z").sample((7,))
    law = joint.condition(digit=2.0)
    for name in ("sex", "hat"):
        parts = law.condition(**{name: torch.arange(2.0).unsqueeze(-1)}).marginal("z").log_prob(z)  # (2, 7)
        mixed = (law.categorical(name).logits.unsqueeze(-1) + parts).logsumexp(0)
        laws.close(mixed, law.marginal("z").log_prob(z))
        assert (parts[0] - parts[1]).abs().max() > 0.1


@every_form
def test_nothing_given_is_the_marginal(form):
    joint = linked_prior(form)()
    value = joint.sample((5,))
    y_nothing, z = torch.full((4,), NAN).double(), value[:, :2]
    expected = joint.marginal("z").log_prob(z)
    laws.close(joint.condition().marginal("z").log_prob(z), expected)
    laws.close(joint.condition(y=y_nothing).log_prob(z), expected)
    laws.close(joint.condition(digit=torch.tensor(NAN), age=torch.full((5,), NAN)).marginal("z").log_prob(z), expected)
    given = joint.condition(digit=1.0)
    laws.close(given.condition(sex=torch.tensor(NAN)).marginal("z").log_prob(z), given.marginal("z").log_prob(z))
    empty = torch.full((5, 2), NAN).double()
    laws.close(joint.condition(z=empty).log_prob(value[:, 2:]), joint.marginal("y").log_prob(value[:, 2:]))


# ---- samples


@every_form
@pytest.mark.parametrize("how", ["one go", "sex first", "digit first", "beside a gap"])
def test_draws_of_z_given_two_attributes(form, how):
    prior = linked_prior(form)
    joint = prior()
    law = {
        "one go": lambda: joint.condition(digit=2.0, sex=0.0),
        "sex first": lambda: joint.condition(sex=0.0).condition(digit=2.0),
        "digit first": lambda: joint.condition(digit=2.0).condition(sex=0.0),
        "beside a gap": lambda: joint.condition(y=torch.tensor([2.0, 0.0, NAN, NAN])),
    }[how]()
    check_codes(prior, law.marginal("z").sample((4000,)), digit=2.0, sex=0.0)
    less = joint.condition(digit=2.0).marginal("z").sample((4000,))
    with pytest.raises(AssertionError):  # it would be noticed
        check_codes(prior, less, digit=2.0, sex=0.0)


@every_form
def test_draws_by_the_chain_rule_are_draws_of_the_joint(form):
    """Attributes one after the other, each given all before it, and z last."""
    prior = linked_prior(form)
    joint, draws = prior(), torch.empty(4000, 6).double()
    law = joint.expand((4000,))
    for name in ("hat", "age", "digit", "sex"):
        drawn = law.marginal(name).sample()
        draws[:, COLUMNS[name]] = drawn
        law = law.condition(**{name: drawn[:, 0]})
    draws[:, :2] = law.sample()
    laws.check_samples(as_case(prior), draws)


# ---- what cannot be


def excluding():
    """A law that was told that no digit is 1."""
    weights = torch.zeros(6, 3)
    weights[2, 1] = -torch.inf
    return linked_prior("train")().weigh(weights)


def test_the_rest_keeps_its_odds_where_a_state_is_excluded():
    torch.manual_seed(0)
    free = linked_prior("train")()
    torch.manual_seed(0)
    joint, z = excluding(), free.marginal("z").sample((6,))
    two = [free.condition(digit=digit).marginal("z").log_prob(z) for digit in (0.0, 2.0)]
    odds = free.categorical("digit").probs[[0, 2]].log().log_softmax(0)
    expected = torch.stack([odds[0] + two[0], odds[1] + two[1]]).logsumexp(0)
    laws.close(joint.marginal("z").log_prob(z), expected)
    laws.close(joint.condition(digit=2.0).marginal("z").log_prob(z), two[1])


BAD = {
    "a contradiction": (
        lambda: excluding().condition(digit=1.0),
        "contradictory evidence: every state of some variable",
    ),
    "a contradiction in one row": (
        lambda: excluding().condition(digit=torch.tensor([0.0, 1.0, NAN])),
        "contradictory evidence",
    ),
    "a contradiction later in the chain": (
        lambda: excluding().condition(sex=1.0).condition(y=torch.tensor([1.0, NAN, NAN])),
        "contradictory evidence",
    ),
    "an unknown name": (
        lambda: linked_prior("train")().condition(digit=1.0).condition(nose=1.0),
        "unknown variable 'nose'; the variables are 'z', 'digit', 'sex', 'age', 'hat', 'y'",
    ),
    "given again": (
        lambda: linked_prior("train")().condition(digit=1.0).condition(digit=1.0),
        "digit: not among the variables that are left",
    ),
    "summed out before": (
        lambda: linked_prior("train")().marginal(["z", "sex"]).condition(digit=1.0),
        "digit: not among the variables that are left",
    ),
    "a block of more than is left": (
        lambda: linked_prior("train")().condition(digit=1.0).condition(y=torch.zeros(4)),
        r"y: expected a last dimension of 3, got shape \(4,\)",
    ),
    "out of range later in the chain": (
        lambda: linked_prior("train")().condition(digit=1.0).condition(sex=2.0),
        r"one of 0..1 or NaN .*got 2",
    ),
}


@pytest.mark.parametrize("case", BAD)
def test_bad_input(case):
    call, message = BAD[case]
    with pytest.raises(ValueError, match=message):
        call()
