"""Imputation, calibration and coverage against scikit-learn and by hand, mutual information against enumeration."""

import math

import laws
import oracles
import pytest
import torch
from cases import FORMS, make_case
from catalogue import NAN
from sklearn.metrics import accuracy_score, log_loss

import pyro_priors as pp
from pyro_priors.metrics import accuracy_coverage, calibration, imputation, mutual_information


def random_answers(rows=400, categories=4, sharpness=2.0):
    torch.manual_seed(0)
    return (sharpness * torch.randn(rows, categories).double()).softmax(-1), torch.randint(categories, (rows,)).float()


def test_imputation_is_that_of_scikit_learn():
    probs, truth = random_answers()
    result = imputation(probs, truth)
    hits = (probs.argmax(-1) == truth).double()
    assert result.accuracy == pytest.approx(accuracy_score(truth, probs.argmax(-1)))
    assert result.accuracy_se == pytest.approx(float(hits.std()) / 20)
    assert result.log_loss == pytest.approx(log_loss(truth, probs, labels=range(4)))
    assert result.count == 400


def test_rows_without_a_truth_are_left_out():
    probs, truth = random_answers()
    known = torch.rand(400) < 0.3
    holes = torch.where(known, truth, NAN)
    probs[~known] = NAN  # nobody looks at them
    assert imputation(probs, holes) == imputation(probs[known], truth[known])
    assert torch.equal(calibration(probs, holes).count, calibration(probs[known], truth[known]).count)
    assert torch.equal(accuracy_coverage(probs, holes).accuracy, accuracy_coverage(probs[known], truth[known]).accuracy)


def test_an_attribute_that_is_known_nowhere():
    probs, nothing = torch.full((3, 2), 0.5), torch.full((3,), NAN)
    result = imputation(probs, nothing)
    assert all(math.isnan(number) for number in result[:4])
    assert result.count == 0
    assert math.isnan(calibration(probs, nothing).ece)
    assert accuracy_coverage(probs, nothing).accuracy.shape == accuracy_coverage(probs, nothing).coverage.shape == (0,)


def test_a_truth_of_probability_zero_and_a_single_row():
    result = imputation(torch.tensor([[1.0, 0.0]]), torch.tensor([1]))
    assert result.log_loss == math.inf
    assert result.ece == 1
    assert math.isnan(result.accuracy_se)


def test_calibration_by_hand():
    """Confidences .6 (right), .6 (wrong), .8 (right), 1 (wrong), and .5 (right), in the bin that ends there."""
    rows = [[0.6, 0.4, 0.0], [0.4, 0.6, 0.0], [0.2, 0.0, 0.8], [1.0, 0.0, 0.0], [0.3, 0.2, 0.5]]
    probs, truth = torch.tensor(rows, dtype=torch.float64), torch.tensor([0.0, 0.0, 2.0, 1.0, 2.0])
    result = calibration(probs, truth, bins=4)
    assert result.count.tolist() == [0, 1, 2, 2]
    laws.close(result.confidence, torch.tensor([NAN, 0.5, 0.6, 0.9], dtype=torch.float64))
    laws.close(result.accuracy, torch.tensor([NAN, 1.0, 0.5, 0.5], dtype=torch.float64))
    assert result.ece == pytest.approx((1 * 0.5 + 2 * 0.1 + 2 * 0.4) / 5)
    assert result.ece == imputation(probs, truth, bins=4).ece
    assert calibration(probs, truth, bins=1).ece == pytest.approx(0.7 - 0.6)


def test_gaps_of_opposite_sign_do_not_cancel_between_bins():
    probs = torch.tensor([[0.6, 0.4]] * 10 + [[0.9, 0.1]] * 10)
    truth = torch.tensor([0.0] * 9 + [1.0] + [0.0] * 6 + [1.0] * 4)
    assert calibration(probs, truth).ece == pytest.approx(0.3, abs=1e-6)


def test_answers_drawn_from_their_own_probabilities_are_calibrated():
    """Each bin's share of right answers is within 4.5 standard errors: fails once in 10,000 seeds."""
    probs, _ = random_answers(100_000)
    truth = torch.multinomial(probs, 1).squeeze(-1).float()
    result = calibration(probs, truth)
    full = result.count > 100
    error = (result.confidence * (1 - result.confidence) / result.count).sqrt()[full]
    assert ((result.confidence - result.accuracy).abs()[full] < 4.5 * error).all()
    assert result.ece < 0.01
    overconfident = probs.square() / probs.square().sum(-1, keepdim=True)
    assert calibration(overconfident, truth).ece > 0.05


def test_coverage_by_hand():
    probs = torch.tensor([[0.3, 0.7], [0.9, 0.1], [0.8, 0.2], [0.4, 0.6]])
    result = accuracy_coverage(probs, torch.tensor([1.0, 0.0, 1.0, 1.0]))
    laws.close(result.coverage, torch.tensor([0.25, 0.5, 0.75, 1.0]).double())
    laws.close(result.accuracy, torch.tensor([1, 1 / 2, 2 / 3, 3 / 4], dtype=torch.float64))


def test_coverage_does_not_depend_on_the_order_of_the_rows():
    """Equal confidences, as those of answers that are certain, have no order of their own."""
    probs, truth = random_answers()
    probs[:200] = torch.tensor([1.0, 0.0, 0.0, 0.0])
    first, order = accuracy_coverage(probs, truth), torch.randperm(400)
    laws.close(accuracy_coverage(probs[order], truth[order]).accuracy, first.accuracy)
    laws.close(first.accuracy[:200], first.accuracy[199].expand(200))
    assert float(first.accuracy[-1]) == pytest.approx(imputation(probs, truth).accuracy)


def enumerated_information(table):
    """Mutual information of every two axes of a table of probabilities, entropies on the diagonal."""
    axes = range(table.dim())
    result = torch.zeros(len(axes), len(axes), dtype=torch.float64)
    for a in axes:
        alone = table.sum([k for k in axes if k != a]) if len(axes) > 1 else table
        result[a, a] = torch.special.entr(alone).sum()
        for b in range(a):
            pair = table.sum([k for k in axes if k not in (a, b)]) if len(axes) > 2 else table
            product = pair.sum(1, keepdim=True) * pair.sum(0, keepdim=True)
            result[a, b] = result[b, a] = (pair * (pair / product).log()).sum()
    return result


def discrete_table(case):
    """Names of the discrete variables, and their joint probabilities."""
    discrete = [c for c, real in enumerate(case.variables.is_continuous) if not real]
    rest = [c for c in range(len(case.variables)) if c not in discrete]
    table = oracles.log_table(case).exp()
    return tuple(f"v{c}" for c in discrete), table.sum(rest) if rest else table


@pytest.mark.parametrize("form", FORMS)
@pytest.mark.parametrize("kinds", ["bdDb", "cdCb", "DcbC", "d"])
@pytest.mark.parametrize("seed", [0, 1, 2])  # each with an order of its own
def test_mutual_information_is_that_of_enumeration(kinds, form, seed):
    case = make_case(kinds, 3, form, seed=seed)
    names, table = discrete_table(case)
    expected = enumerated_information(table)
    variables, information = mutual_information(case.law)
    assert variables == names
    laws.close(information, expected)
    if len(names) > 1:
        assert (expected - expected.diagonal().diag()).max() > 0.01  # there is something to be found


def test_mutual_information_of_single_precision_parameters_is_exact_too():
    case = make_case("bdD", 3, "train", dtype=torch.float32)
    information = mutual_information(case.law)[1]
    laws.close(information, enumerated_information(discrete_table(case)[1]))
    assert torch.equal(information, information.T)


@pytest.mark.parametrize("form", FORMS)
def test_mutual_information_given_something(form):
    case = make_case("bdDc", 3, form)
    table = oracles.log_table(case).exp()[:, 2].sum(-1)
    names, information = mutual_information(case.law.condition(v1=torch.tensor(2.0)))
    assert names == ("v0", "v2")
    laws.close(information, enumerated_information(table / table.sum()))
    assert mutual_information(case.law.marginal(["v3", "v2"]))[0] == ("v2",)


def test_mutual_information_where_states_are_excluded():
    case = make_case("bdD", 3, "ring")
    weights = torch.zeros(3, 4).double()
    weights[1, 0] = weights[2, 3] = -torch.inf
    table = oracles.log_table(case).exp()
    table[:, 0], table[:, :, 3] = 0, 0
    expected = enumerated_information(table[:, 1:, :3] / table.sum())
    laws.close(mutual_information(case.law.weigh(weights))[1], expected)


def test_mutual_information_of_a_prior_has_names_and_no_gradient():
    torch.manual_seed(0)
    attributes = {"digit": pp.Discrete(3), "age": pp.Continuous(2), "sex": pp.Discrete(2)}
    names, information = mutual_information(pp.TTLP(2, attributes, components=3, rank=3)())
    assert names == ("digit", "sex")
    assert information.shape == (2, 2)
    assert not information.requires_grad


HALVES, ZEROS = torch.full((3, 2), 0.5), torch.zeros(3)
BAD = {
    "probabilities in a list": (
        lambda: imputation([[0.5, 0.5]], ZEROS[:1]),
        r"probs: expected a tensor of real numbers of shape \(n, K\), got list",
    ),
    "one column of probabilities": (
        lambda: imputation(HALVES[:, 0], ZEROS),
        r"probs: .* shape \(n, K\), got torch.float32 \(3,\)",
    ),
    "truth as a column": (lambda: calibration(HALVES, ZEROS[:, None]), r"truth: .* \(n,\), got torch.float32 \(3, 1\)"),
    "another number of rows": (
        lambda: accuracy_coverage(HALVES, ZEROS[:2]),
        r"probs: expected shape \(2, K\) as truth has it, got \(3, 2\)",
    ),
    "no category": (lambda: imputation(HALVES[:, :0], ZEROS), r"probs: expected shape \(3, K\) .* got \(3, 0\)"),
    "a truth out of range": (
        lambda: imputation(HALVES, torch.tensor([NAN, 0.0, 2.0])),
        r"truth: expected one of 0..1 or NaN, got 2.0 in row 2",
    ),
    "a negative truth": (lambda: imputation(HALVES, ZEROS - 1), r"truth: .* got -1.0 in row 0"),
    "a fraction": (lambda: calibration(HALVES, ZEROS + 0.5), r"truth: .* got 0.5 in row 0"),
    "an infinite truth": (lambda: calibration(HALVES, ZEROS + math.inf), r"truth: .* got inf in row 0"),
    "logarithms": (
        lambda: imputation(HALVES.log(), ZEROS),
        "probs: expected probabilities that sum to 1, got entries that sum to -1.386 in row 0",
    ),
    "not normalised": (lambda: calibration(HALVES * 2, ZEROS), "probs: .* got entries that sum to 2 in row 0"),
    "negative probabilities": (
        lambda: accuracy_coverage(torch.tensor([[0.5, 0.5], [1.5, -0.5]]), ZEROS[:2]),
        "probs: .* in row 1",
    ),
    "NaN for a row that is known": (lambda: imputation(HALVES * NAN, ZEROS), "probs: .* sum to nan in row 0"),
    "no bins": (lambda: imputation(HALVES, ZEROS, bins=0), "bins: expected an integer of at least 1, got 0"),
    "half a bin": (lambda: calibration(HALVES, ZEROS, 1.5), "bins: expected an integer of at least 1, got 1.5"),
    "a prior that was not called": (
        lambda: mutual_information(pp.TTLP(1, {"a": pp.Discrete(2)})),
        r"joint: expected a TensorRing or FactoredTrain, such as prior\(\), got TTLP",
    ),
    "a batch": (
        lambda: mutual_information(make_case("bd").law.condition(v0=torch.zeros(3))),
        r"joint: expected a law without batch dimensions, got batch shape \(3,\)",
    ),
    "nothing discrete": (
        lambda: mutual_information(make_case("cdc").law.marginal(["v0", "v2"])),
        "joint: expected a law with a discrete variable",
    ),
}


@pytest.mark.parametrize("case", BAD)
def test_bad_input(case):
    call, message = BAD[case]
    with pytest.raises(ValueError, match=message):
        call()
