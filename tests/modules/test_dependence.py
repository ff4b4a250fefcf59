"""Information between columns of data, and the order of a chain that is laid from it."""

import itertools
import math
import time
import tracemalloc

import pytest
import torch
from sklearn.metrics import mutual_info_score

import pyro_priors as pp
from pyro_priors.distributions import Variables
from pyro_priors.modules.dependence import (
    Dependence,
    codes_of,
    data_order,
    information_of_codes,
    measure_dependence,
    order_names,
    pairwise_mutual_information,
)

nan = torch.nan


def variables_of(*kinds):
    """Columns v0, v1, ...: a number of categories each, or None for a continuous one."""
    real = sum(states is None for states in kinds)
    named = {f"v{k}": pp.Continuous(2) if states is None else pp.Discrete(states) for k, states in enumerate(kinds)}
    return Variables(named, torch.zeros(real, 2), torch.ones(real, 2)) if real else Variables(named)


def mixed(rows=400, gaps=0.3, seed=0):
    """Columns of all kinds that depend on each other, with gaps."""
    torch.manual_seed(seed)
    base = torch.randn(rows, 1)
    sizes = (2, None, 5, None, 40, 3, 700)
    value = base + torch.randn(rows, len(sizes))
    for column, states in enumerate(sizes):
        if states is not None:
            value[:, column] = (torch.special.ndtr(value[:, column] / 2**0.5) * states).floor().clamp(max=states - 1)
    value[:, 3] = value[:, 3].clamp(min=0.5)  # ties
    value[torch.rand(value.shape) < gaps] = nan
    return value, variables_of(*sizes)


def bias(a, b):
    return (len(a.unique()) - 1) * (len(b.unique()) - 1) / (2 * len(a))


def expected_information(codes):
    """scikit-learn's, pair by pair."""
    count = codes.shape[1]
    expected = torch.zeros(count, count, dtype=torch.float64)
    for i, j in itertools.combinations(range(count), 2):
        a, b = codes[(codes[:, [i, j]] >= 0).all(1)][:, [i, j]].T
        if len(a):
            expected[i, j] = expected[j, i] = max(0.0, mutual_info_score(a, b) - bias(a, b))
    return expected


@pytest.mark.parametrize("gaps", [0.0, 0.3, 0.9])
def test_information_is_that_of_scikit_learn_less_the_bias(gaps):
    value, variables = mixed(gaps=gaps)
    information = pairwise_mutual_information(value, variables)
    torch.testing.assert_close(information, expected_information(codes_of(value, variables)), rtol=0, atol=1e-10)
    assert torch.equal(information, information.T)
    assert information.dtype == torch.float64
    if gaps == 0.0:
        assert (information > 0).sum() >= 20


def test_categories_are_taken_as_they_are():
    """From the data to scikit-learn, without our codes; states that nobody has do not count."""
    value = torch.tensor([[0.0, 7.0, 1.0], [2.0, 7.0, 0.0], [0.0, 3.0, nan], [2.0, 3.0, 1.0]]).repeat(30, 1)
    value[::7, 0], value[::11, 1] = nan, nan
    information = pairwise_mutual_information(value, variables_of(3, 9, 2))
    for i, j in ((0, 1), (0, 2), (1, 2)):
        a, b = value[~value[:, [i, j]].isnan().any(1)][:, [i, j]].T
        assert float(information[i, j]) == pytest.approx(max(0, mutual_info_score(a, b) - bias(a, b)), abs=1e-10)


def test_all_types_of_numbers_give_the_same():
    value, variables = mixed(gaps=0.0)
    value = (value * 8).floor() / 8  # which half precision holds
    information = pairwise_mutual_information(value, variables)
    assert torch.equal(pairwise_mutual_information(value.double().requires_grad_(), variables), information)
    assert torch.equal(pairwise_mutual_information(value.half(), variables), information)
    with torch.autocast("cpu"):
        assert torch.equal(pairwise_mutual_information(value, variables), information)
    whole, counts = value[:, [0, 2, 5]], variables_of(2, 5, 3)
    assert torch.equal(pairwise_mutual_information(whole.int(), counts), pairwise_mutual_information(whole, counts))


def test_independent_columns_come_near_zero():
    """Corrected, half of the pairs fall on each side of zero, whose mean was 0.049 before (failure rate 1e-6)."""
    torch.manual_seed(0)
    information = pairwise_mutual_information(torch.randint(0, 8, (500, 60)).float(), variables_of(*[8] * 60))
    pairs = information[tuple(torch.triu_indices(60, 60, 1))]
    assert 0.44 < (pairs == 0).double().mean() < 0.6
    assert pairs.mean() < 0.007


@pytest.mark.parametrize("rho", [0.3, 0.6, 0.9])
def test_a_gaussian_pair_comes_from_below(rho):
    """Bins lose up to 12 % (failure rate 1e-4: four standard errors)."""
    torch.manual_seed(0)
    a, b = torch.randn(2, 40_000)
    value = torch.stack([a, rho * a + (1 - rho**2) ** 0.5 * b], 1)
    truth = -0.5 * math.log(1 - rho**2)
    error = 4 * rho / 200  # the standard deviation of the information of a row is rho
    assert 0.88 * truth - error < pairwise_mutual_information(value, variables_of(None, None))[0, 1] < truth + error


def test_bins_have_equally_many_rows():
    torch.manual_seed(0)
    for rows, bins in ((8, 2), (100, 5), (1000, 10), (10_000, 16)):
        x = torch.randn(rows, 1).exp()
        codes = codes_of(x, variables_of(None))[:, 0]
        counts = codes.bincount()
        assert len(counts) == bins
        assert counts.max() - counts.min() <= 1
        assert torch.equal(codes[x[:, 0].argsort()], codes.sort().values)


def test_equal_values_share_a_bin():
    torch.manual_seed(0)
    x = torch.randn(1000, 1)
    x[:600], x[600:650] = 0.0, -0.0  # a value of its own
    codes = codes_of(x, variables_of(None))[:, 0]
    assert len(codes[:650].unique()) == 1
    assert not torch.isin(codes[650:], codes[:1]).any()
    few = torch.randint(0, 3, (1000, 1)) / 3
    assert torch.equal(codes_of(few, variables_of(None)), (few * 3).round().int())


def test_rare_categories_beyond_a_thousand_share_a_code():
    x = torch.cat([torch.arange(3000), torch.arange(2000, 2999)]).float()[:, None]
    codes = codes_of(x, variables_of(3000))[:, 0]
    assert torch.equal(codes[3000:], torch.arange(999, dtype=torch.int32))
    assert torch.equal(codes[2000:2999], codes[3000:])
    assert (codes[:2000] == 999).all()
    assert codes[2999] == 999
    assert len(codes_of(x[1000:2000], variables_of(3000)).unique()) == 1000


def test_the_memory_for_tables_changes_nothing(monkeypatch):
    value, variables = mixed()
    information = pairwise_mutual_information(value, variables)
    for cells in (1, 200, 3000):
        monkeypatch.setattr("pyro_priors.modules.dependence.CELLS", cells)
        torch.testing.assert_close(pairwise_mutual_information(value, variables), information, rtol=0, atol=1e-14)


def test_codes_of_the_user_count_as_columns():
    """A vector's clusters stand beside columns."""
    value, variables = mixed()
    codes = codes_of(value, variables)
    clusters = torch.randint(-1, 4, (len(codes), 1))
    both = information_of_codes(torch.cat([codes, clusters], 1))
    assert torch.equal(both[:-1, :-1], pairwise_mutual_information(value, variables))
    torch.testing.assert_close(both, expected_information(torch.cat([codes, clusters], 1)), rtol=0, atol=1e-10)


def test_nothing_is_known_of_empty_and_constant_columns():
    value, _ = mixed(gaps=0.0)
    value = torch.stack([value[:, 0], torch.full((400,), nan), torch.full((400,), 3.7), torch.ones(400)], 1)
    variables = variables_of(2, None, None, 2)
    assert torch.equal(pairwise_mutual_information(value, variables), torch.zeros(4, 4, dtype=torch.float64))
    for rows in (0, 1, 2):
        assert torch.equal(pairwise_mutual_information(value[:rows], variables), torch.zeros(4, 4).double())
    torch.manual_seed(0)
    beside = torch.cat([torch.randint(0, 7, (997, 40)), torch.ones(997, 1)], 1)
    assert (pairwise_mutual_information(beside, variables_of(*[7] * 40, 2))[-1] == 0).all()
    apart = torch.tensor([[0.0, nan], [1.0, nan], [nan, 0.0], [nan, 1.0]]).repeat(50, 1)
    assert (pairwise_mutual_information(apart, variables_of(2, 2)) == 0).all()


@pytest.mark.parametrize(
    ("value", "message"),
    [
        (torch.zeros(5, 3), r"value: expected shape \(n, 2\), got \(5, 3\)"),
        (torch.zeros(2), r"value: expected shape \(n, 2\), got \(2,\)"),
        ([[0.0, 0.0]], r"value: expected shape \(n, 2\), got list"),
        (torch.tensor([[0.0, 2.0]]), r"v1: expected one of 0..1 or NaN at index \(0, 1\), got 2.0"),
        (torch.zeros(5, 2, dtype=torch.complex64), r"value: expected shape \(n, 2\), got \(5, 2\)"),
        (torch.tensor([[torch.inf, 1.0]]), r"v0: expected a finite value or NaN at index \(0, 0\), got inf"),
    ],
)
def test_bad_values_are_refused(value, message):
    with pytest.raises(ValueError, match=message):
        pairwise_mutual_information(value, variables_of(None, 2))


def hidden_markov(rows=6000, columns=14, seed=0):
    """Columns that each tell of a walk over three states, in order of the walk."""
    torch.manual_seed(seed)
    state, value = torch.randint(0, 3, (rows,)), []
    for _ in range(columns):
        state = torch.where(torch.rand(rows) < 0.8, state, torch.randint(0, 3, (rows,)))
        value.append(torch.where(torch.rand(rows) < 0.9, state, torch.randint(0, 3, (rows,))))
    return torch.stack(value, 1).float()


def test_a_shuffled_sequence_is_laid_back():
    """Neighbours have 0.2 nats, their neighbours 0.1, at a standard error of 0.006 (failure rate below 1e-6)."""
    value = hidden_markov()
    shuffle = torch.randperm(14)
    value = value[:, shuffle]
    value[torch.rand(value.shape) < 0.1] = nan
    laid = shuffle[list(data_order(pairwise_mutual_information(value, variables_of(*[3] * 14))))].tolist()
    assert laid in (list(range(14)), list(range(13, -1, -1)))


def test_a_sequence_stays_in_declared_order():
    value = hidden_markov(columns=8)
    assert data_order(pairwise_mutual_information(value, variables_of(*[3] * 8))) == tuple(range(8))


def test_wide_categories_do_not_take_the_start():
    """Uncorrected, 2,000 rows of two columns with 300 categories each have 5 nats, and the pair that depends 0.1."""
    torch.manual_seed(0)
    value = torch.randint(0, 300, (2000, 5)).float()
    value[:, 1] = torch.randint(0, 2, (2000,))
    value[:, 3] = torch.where(torch.rand(2000) < 0.7, value[:, 1], 1 - value[:, 1])
    assert mutual_info_score(value[:, 0], value[:, 2]) > 3
    information = pairwise_mutual_information(value, variables_of(300, 2, 300, 2, 300))
    assert information[1, 3] > 0.05
    assert information[0, 2] == information[0, 4] == information[2, 4] == 0
    order = data_order(information)
    assert abs(order.index(1) - order.index(3)) == 1


def test_an_order_is_read_by_name():
    kinds = {"z": [pp.Continuous(2)] * 2, "digit": pp.Discrete(3)}
    variables = Variables(kinds, torch.zeros(2, 2), torch.ones(2, 2), groups={"y": ("digit",)})
    assert order_names(variables, torch.tensor([2, 0, 1])) == ("digit", "z[0]", "z[1]")
    with pytest.raises(ValueError, match=r"order: expected a permutation of 0..2, got \(0, 0, 1\)"):
        order_names(variables, (0, 0, 1))


def test_the_table_names_the_strongest_pairs():
    value = hidden_markov(columns=4)[:, [2, 0, 1, 3]]
    dependence = measure_dependence(value, variables_of(3, 3, 3, 3))
    assert dependence.names == ("v0", "v1", "v2", "v3")
    assert dependence.order == (1, 2, 0, 3)
    lines = dependence.table(most=4).splitlines()
    beside = {tuple(line.split()[:3:2]): line.split()[-1] for line in lines[1:-1]}
    assert len(beside) == 4
    assert {pair for pair, word in beside.items() if word == "yes"} == {("v1", "v2"), ("v0", "v2"), ("v0", "v3")}
    numbers = [float(line.split()[-2]) for line in lines[1:-1]]
    assert numbers == sorted(numbers, reverse=True)
    assert f"{sum(numbers[:3]):.3f}" in lines[-1] or "6 pairs" in lines[-1]
    alone = Dependence(("a",), torch.zeros(1, 1), (0,)).table()
    assert alone.splitlines()[1].startswith("0 of 0 pairs")


@pytest.mark.slow
def test_many_columns_take_seconds():
    """200 columns of all kinds, 100,000 rows, in less than 20 seconds of one processor; tables stay below 100 MB."""
    torch.manual_seed(0)
    sizes = [size for _ in range(20) for size in (None, 2, None, 3, None, 5, None, 10, 30, 1000)]
    base = torch.randn(100_000, 8)
    value = 0.7 * base[:, torch.arange(200) % 8] + 0.7 * torch.randn(100_000, 200)
    for column, states in enumerate(sizes):
        if states is not None:
            value[:, column] = (torch.special.ndtr(value[:, column]) * states).floor().clamp(max=states - 1)
    value[torch.rand(value.shape) < 0.15] = nan
    start = time.process_time()
    measure_dependence(value, variables_of(*sizes))
    assert time.process_time() - start < 20
    tracemalloc.start()  # of numpy's memory: most of it
    pairwise_mutual_information(value[:2000], variables_of(*sizes))
    peak = tracemalloc.get_traced_memory()[1]
    tracemalloc.stop()
    assert peak < 100e6
