"""What only a train of factored cores has: tables of probabilities, how they are given, and their expected counts."""

import itertools
import math

import oracles
import pytest
import torch
from cases import make_case, random_value
from catalogue import NAN

from pyro_priors.distributions import Continuous, Discrete, FactoredTrain, Variables
from pyro_priors.ops import Cores
from pyro_priors.ops.layout import layout_of


def tables(rank=2, sizes=(3, 3), dtype=torch.float32):
    """Initial, emissions of each variable, transitions: uniform."""
    each = [torch.full((states, rank), 1 / states, dtype=dtype) for states in sizes]
    moves = torch.full((len(sizes) - 1, rank, rank), 1 / rank, dtype=dtype)
    return torch.full((rank,), 1 / rank, dtype=dtype), each, moves


def two(components=3):
    return Variables({"z": [Continuous(components)] * 2}, torch.zeros(2, components), torch.ones(2, components))


def train(initial=None, emissions=None, transitions=None, variables=None, order=None):
    given = [new if old is None else old for old, new in zip((initial, emissions, transitions), tables(), strict=True)]
    return FactoredTrain(*given, variables or two(), order)


def uneven(place, by=0.1):
    """Uniform tables of which one entry is off."""
    initial, emissions, transitions = tables()
    changed = {"initial": initial, "emissions": emissions[1], "transitions": transitions}[place]
    changed.view(-1)[1] += by
    return train(initial, emissions, transitions)


BAD = {
    "no tensor": (lambda: train([0.5, 0.5]), r"initial: expected a tensor of floats of shape \(m,\), got list"),
    "integers": (lambda: train(torch.tensor([0, 1])), "initial: expected a tensor of floats .* got torch.int64"),
    "a matrix": (lambda: train(torch.ones(1, 2) / 2), r"initial: expected shape \(m,\) with m >= 1, got \(1, 2\)"),
    "no bond state": (lambda: train(torch.ones(0)), r"initial: expected shape \(m,\) with m >= 1, got \(0,\)"),
    "transitions of integers": (
        lambda: train(transitions=torch.eye(2).long()[None]),
        r"transitions: expected a tensor of floats of shape \(D - 1, m, m\), got torch.int64",
    ),
    "a transition too many": (
        lambda: train(transitions=torch.ones(2, 2, 2) / 2),
        r"transitions: expected shape \(1, 2, 2\) and torch.float32, got \(2, 2, 2\), torch.float32",
    ),
    "transitions of another rank": (
        lambda: train(transitions=torch.ones(1, 3, 3) / 3),
        r"transitions: expected shape \(1, 2, 2\) .*got \(1, 3, 3\)",
    ),
    "transitions of another dtype": (
        lambda: train(transitions=torch.ones(1, 2, 2).double() / 2),
        r"transitions: expected shape .* and torch.float32, got \(1, 2, 2\), torch.float64",
    ),
    "one variable with a transition": (
        lambda: FactoredTrain(torch.ones(2) / 2, [torch.eye(2)], torch.eye(2)[None], Variables({"a": Discrete(2)})),
        r"transitions: expected shape \(0, 2, 2\)",
    ),
    "emissions of another rank": (
        lambda: train(emissions=torch.ones(2, 3, 3) / 3),
        r"emissions: expected shape \(2, 3, 2\) and torch.float32, got \(2, 3, 3\), torch.float32",
    ),
    "emissions of too few states": (
        lambda: train(emissions=torch.ones(2, 2, 2) / 2),
        r"emissions: expected shape \(2, 3, 2\) .*got \(2, 2, 2\)",
    ),
    "emissions of too many variables": (
        lambda: train(emissions=torch.ones(3, 3, 2) / 3),
        r"emissions: expected shape \(2, 3, 2\) .*got \(3, 3, 2\)",
    ),
    "emissions of another dtype": (
        lambda: train(emissions=torch.ones(2, 3, 2).double() / 3),
        r"emissions: expected .* and torch.float32, got \(2, 3, 2\), torch.float64",
    ),
    "emissions of one variable": (
        lambda: train(emissions=[torch.ones(3, 2) / 3]),
        "emissions: expected 2 tensors, one for each variable, got 1",
    ),
    "emissions of one state too many": (
        lambda: train(emissions=[torch.ones(3, 2) / 3, torch.ones(4, 2) / 4]),
        r"emissions\[1\]: expected shape \(3, 2\) and torch.float32, got \(4, 2\), torch.float32",
    ),
    "emissions of integers": (
        lambda: train(emissions=[torch.ones(3, 2) / 3, torch.ones(3, 2).long()]),
        r"emissions\[1\]: expected .*got \(3, 2\), torch.int64",
    ),
    "emissions of a number": (lambda: train(emissions=0.5), "emissions: expected a tensor or a sequence .*got float"),
    "emissions in lists": (lambda: train(emissions=[[0.5]]), "emissions: expected a tensor or a sequence .*got list"),
    "groups of another rank": (
        lambda: train(emissions=Cores([torch.ones(2, 3, 4) / 3], layout_of((3, 3)))),
        r"emissions\[0\]: expected shape \(3, 2\) and torch.float32, got \(3, 4\)",
    ),
    "groups of another dtype": (
        lambda: train(emissions=Cores([torch.ones(2, 3, 2).double() / 3], layout_of((3, 3)))),
        "emissions: expected torch.float32, got torch.float64",
    ),
    "variables of another type": (lambda: train(variables={"z": 2}), "variables: expected Variables, got dict"),
    "an order twice": (lambda: train(order=[1, 1]), r"order: expected a permutation of 0..1, got \(1, 1\)"),
    "scale of zero": (
        lambda: train(variables=two().bind(torch.zeros(2, 3), torch.zeros(2, 3))),
        "scale: expected positive finite values, got 0",
    ),
    "initial of another sum": (
        lambda: uneven("initial"),
        "initial: expected probabilities that sum to one over dimension 0, got a sum of 1.1",
    ),
    "emissions of another sum": (
        lambda: uneven("emissions"),
        r"emissions\[1\]: expected probabilities that sum to one over dimension 0, got a sum of 1.1",
    ),
    "transitions of another sum": (
        lambda: uneven("transitions", -0.2),
        r"transitions\[0\]: expected probabilities that sum to one over dimension 1, got a sum of 0.8",
    ),
    "columns for rows": (
        lambda: train(transitions=torch.tensor([[[0.9, 0.9], [0.1, 0.1]]])),
        r"transitions\[0\]: .*over dimension 1, got a sum of 1.8",
    ),
    "a negative probability": (
        lambda: train(torch.tensor([1.25, -0.25])),
        "initial: expected probabilities .*got an entry of -0.25",
    ),
    "NaN": (lambda: uneven("emissions", math.nan), r"emissions\[1\]: expected probabilities .*got an entry of nan"),
    "infinity": (lambda: uneven("transitions", math.inf), r"transitions\[0\]: expected prob.*got a sum of inf"),
    "logits": (lambda: train(torch.zeros(2)), "initial: expected probabilities .*got a sum of 0"),
}


@pytest.mark.parametrize("case", BAD)
def test_bad_input(case):
    call, message = BAD[case]
    with pytest.raises(ValueError, match=message):
        call()


def test_it_can_be_told_not_to_look():
    initial, emissions, transitions = tables()
    law = FactoredTrain(3 * initial, emissions, transitions, two(), validate_args=False)
    assert law.log_prob(torch.zeros(2)).isfinite()


# ---- the ways to give tables


def ragged(dtype=torch.float64):
    case = make_case("bDcC", 3, "factored", dtype=dtype)
    initial, emissions, transitions = case.law.initial, case.law.emissions, case.law.transitions
    return case, initial, emissions, transitions


def test_tables_in_one_tensor_with_padding_or_group_by_group_are_the_same_law():
    case, initial, emissions, transitions = ragged()
    value = random_value(case, 6, 0.3)
    padded = torch.full((4, 5, 3), NAN, dtype=torch.float64)
    for row, table in zip(padded, emissions, strict=True):
        row[: len(table)] = table
    for given in (padded, Cores.from_each(emissions), tuple(emissions)):
        law = FactoredTrain(initial, given, transitions, case.variables, case.order)
        assert torch.equal(law.log_prob(value), case.law.log_prob(value))
        assert torch.equal(law.state_probs(value)[..., :4], case.law.state_probs(value))
        torch.manual_seed(0)
        draws = law.sample((5,))
        torch.manual_seed(0)
        assert torch.equal(draws, case.law.sample((5,)))
    wide = FactoredTrain(initial, padded, transitions, case.variables, case.order)
    assert wide.state_probs(value).shape == (6, 4, 5)
    assert wide.weigh(torch.zeros(4, 5)).batch_shape == ()


def test_transitions_belong_to_positions_and_emissions_to_columns():
    """The same chain, its columns declared in another order."""
    case, initial, emissions, transitions = ragged()
    names = [f"v{column}" for column in case.order]
    kinds = dict(zip(names, (case.variables.kinds[column] for column in case.order), strict=True))
    real = [case.variables.continuous.index(c) for c in case.order if c in case.variables.continuous]
    variables = Variables(kinds, case.variables.loc[real], case.variables.scale[real])
    law = FactoredTrain(initial, [emissions[column] for column in case.order], transitions, variables)
    value = random_value(case, 6, 0.3)
    torch.testing.assert_close(law.log_prob(value[:, list(case.order)]), case.law.log_prob(value))


def test_repr_says_what_it_is():
    case = ragged()[0]
    assert repr(case.law) == (
        "FactoredTrain(v0: Discrete(2), v1: Discrete(4), v2: Continuous(2), v3: Continuous(3), rank=3, "
        f"order={list(case.order)}, batch_shape=())"
    )


# ---- what probabilities promise


def expected_counts(case, value):
    """How often each entry of the tables is used given rows of values, by enumeration of all bonds and states."""
    initial, emissions, transitions = case.law.initial, case.law.emissions, case.law.transitions
    counts = [torch.zeros_like(initial), [torch.zeros_like(e) for e in emissions], torch.zeros_like(transitions)]
    leaves = [leaf.double().exp() for leaf in oracles.log_leaves(case, value)]
    total = oracles.log_prob(case, value).exp()
    sizes = case.variables.num_states
    for bonds in itertools.product(range(len(initial)), repeat=len(sizes)):
        moves = [transitions[j, a, b] for j, (a, b) in enumerate(itertools.pairwise(bonds))]
        path = initial[bonds[0]] * math.prod(moves)
        for states in itertools.product(*map(range, sizes)):
            used = path
            for position, column in enumerate(case.order):
                used = used * emissions[column][states[column], bonds[position]] * leaves[column][:, states[column]]
            share = float((used / total).sum())
            counts[0][bonds[0]] += share
            for j, (a, b) in enumerate(itertools.pairwise(bonds)):
                counts[2][j, a, b] += share
            for position, column in enumerate(case.order):
                counts[1][column][states[column], bonds[position]] += share
    return counts


@pytest.mark.parametrize("kinds", ["cDb", "Cd"])
def test_a_probability_times_its_gradient_is_its_expected_count(kinds):
    """The E-step of EM, whatever of a row is missing."""
    case = make_case(kinds, 3, "factored")
    value = random_value(case, 4, 0.3)
    value[0] = NAN
    initial, emissions, transitions = case.law.initial, case.law.emissions, case.law.transitions
    learned = [x.detach().clone().requires_grad_() for x in (initial, transitions, *emissions)]
    law = FactoredTrain(learned[0], learned[2:], learned[1], case.variables, case.order)
    law.log_prob(value[1:]).sum().backward()
    counts = expected_counts(case, value[1:])
    for table, wanted in zip(learned, (counts[0], counts[2], *counts[1]), strict=True):
        torch.testing.assert_close(table.grad * table.detach(), wanted, rtol=1e-10, atol=1e-10)


@pytest.mark.parametrize("kinds", ["cdC", "bDb", "C"])
def test_gradients_are_those_of_the_polynomial_whatever_it_sums_to(kinds):
    case = make_case(kinds, 2, "factored", seed=3)
    value = random_value(case, 3, 0.3)
    given = [case.law.initial, case.law.transitions, *case.law.emissions]
    given = [(x * (1 + torch.rand_like(x))).detach().requires_grad_() for x in given]

    def score(initial, transitions, *emissions):
        law = FactoredTrain(initial, emissions, transitions, case.variables, case.order, validate_args=False)
        return law.log_prob(value)

    assert torch.autograd.gradcheck(score, given)
    assert torch.autograd.gradgradcheck(score, given)


@pytest.mark.parametrize("dtype", [torch.float16, torch.bfloat16, torch.float32])
def test_a_long_chain_of_rounded_tables_sums_to_one(dtype):
    """200 variables; sums of 16 bits are off by some thousandths each."""
    case = make_case("d" * 200, 4, "factored", dtype=torch.float32)
    given = [case.law.initial, case.law.emissions, case.law.transitions]
    given = [x.to(dtype) if isinstance(x, torch.Tensor) else [table.to(dtype) for table in x] for x in given]
    law = FactoredTrain(*given, case.variables, case.order)
    value = law.sample((1,)).repeat(3, 1)
    last = case.order[-1]
    value[:, last] = torch.arange(3)
    rest = value.clone()
    rest[:, last] = NAN
    scores = law.log_prob(value).logsumexp(0)
    torch.testing.assert_close(scores, law.log_prob(rest)[0], rtol=1e-4, atol=1e-3)
    one = law.marginal(f"v{last}").log_prob(torch.arange(3.0).unsqueeze(-1)).exp().sum()
    torch.testing.assert_close(one, torch.tensor(1.0), rtol=0, atol=1e-4)


def test_a_mixture_of_product_laws_in_single_precision():
    """Bonds that never change their state: what one half loses beside its best state the other half may need."""
    count = 100
    variables = Variables({f"x{k}": Discrete(2) for k in range(count)})
    emissions = torch.tensor([[0.9, 0.1], [0.1, 0.9]]).expand(count, 2, 2)
    law = FactoredTrain(torch.full((2,), 0.5), emissions, torch.eye(2).expand(count - 1, 2, 2), variables)
    value = torch.cat([torch.zeros(50), torch.ones(50)])
    expected = 50 * math.log(0.9) + 50 * math.log(0.1)  # of either state
    assert law.log_prob(value).item() == pytest.approx(expected, abs=1e-3)
    assert law.log_prob(value).dtype == torch.float32
    known = torch.where(torch.arange(count) == 3, torch.nan, value)
    torch.testing.assert_close(law.state_probs(known)[3], torch.tensor([0.18, 0.82]), atol=1e-5, rtol=0)  # 9 to 1
    assert law.impute(known).isfinite().all()
