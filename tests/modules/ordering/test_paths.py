"""Heavy paths through a graph: orders of a chain, given the information between its variables."""

import itertools
import time

import numpy as np
import pytest
import torch

from pyro_priors.modules.dependence import data_order
from pyro_priors.modules.ordering.paths import _move, _turn, greedy_path, heaviest_path, improved, path_weight


def test_the_best_path_of_few_columns():
    """Against all orders; the search need not find the best one, and comes close."""
    torch.manual_seed(0)
    ratios = []
    for _ in range(20):
        weights = torch.rand(7, 7).double() ** 4
        weights = weights + weights.T
        best = max(path_weight(weights.numpy(), list(order)) for order in itertools.permutations(range(7)))
        ratios.append(path_weight(weights.numpy(), heaviest_path(weights.numpy())) / best)
    assert max(ratios) < 1 + 1e-9
    assert min(ratios) > 0.94
    assert sum(ratios) > 0.99 * 20
    assert sum(ratio > 1 - 1e-9 for ratio in ratios) >= 16


def test_the_path_is_heavier_than_declared_and_greedy_ones():
    torch.manual_seed(0)
    for count in (2, 3, 4, 5, 30):
        weights = torch.rand(count, count).double() ** 4
        weights = (weights + weights.T).fill_diagonal_(0)
        order = heaviest_path(weights.numpy())
        assert sorted(order) == list(range(count))
        weight = path_weight(weights.numpy(), order)
        for other in (greedy_path(weights.numpy()), list(range(count))):
            assert weight >= path_weight(weights.numpy(), other) - 1e-9
        assert data_order(weights) == data_order(weights)
    noise = torch.rand(30, 30).double() * 1e-14
    assert data_order(torch.ones(30, 30) + noise + noise.T) == tuple(range(30))  # rounding lays no order


def test_no_order_is_worse_than_the_declared_one():
    """Where moves from the greedy path lead no further."""
    rng = np.random.default_rng(0)
    caught = 0
    for _ in range(30):
        weights = rng.random((12, 12)) * 0.5
        weights = weights + weights.T
        weights[np.arange(11), np.arange(1, 12)] = weights[np.arange(1, 12), np.arange(11)] = 0.85
        np.fill_diagonal(weights, 0.0)
        declared = path_weight(weights, list(range(12)))
        assert path_weight(weights, heaviest_path(weights)) >= declared - 1e-9
        caught += path_weight(weights, improved(weights, greedy_path(weights))) < declared - 1e-9
    assert caught


def test_a_greedy_path_grows_at_both_ends():
    weights = torch.zeros(5, 5)
    for a, b, weight in ((1, 3, 0.9), (1, 4, 0.5), (3, 0, 0.4), (4, 2, 0.3), (0, 2, 0.2), (3, 4, 0.6)):
        weights[a, b] = weights[b, a] = weight
    assert greedy_path(weights.numpy()) == [1, 3, 4, 2, 0]
    weights[3, 4] = weights[4, 3] = 0.0
    assert greedy_path(weights.numpy()) == [2, 4, 1, 3, 0]
    apart = torch.zeros(6, 6)
    apart[(0, 1, 2, 3, 4, 5), (1, 0, 3, 2, 5, 4)] = torch.tensor([0.1, 0.1, 0.3, 0.3, 0.2, 0.2])
    assert greedy_path(apart.numpy()) == [2, 3, 4, 5, 0, 1]


def around(weights, tour):
    return float(weights[tour, np.roll(tour, -1)].sum())


def test_a_move_is_the_best_one_and_gains_what_it_says():
    """Against all stretches, and all places for the first nodes of a tour."""
    rng = np.random.default_rng(0)
    for _ in range(20):
        weights = rng.random((8, 8))
        weights, tour = weights + weights.T, rng.permutation(8)
        links, before = weights[tour, np.roll(tour, -1)], around(weights, tour)
        turns = [np.r_[tour[:1], tour[j:0:-1], tour[j + 1 :]] for j in range(1, 8)]
        results = [(_turn(weights, tour, links), turns)]
        for length in (1, 2, 3):
            rest = tour[length:]
            moves = [
                np.r_[rest[:k], piece, rest[k:]]
                for k in range(1, len(rest))
                for piece in (tour[:length], tour[:length][::-1])
            ]
            results.append((_move(weights, tour, links, length), moves))
        for (gain, after), others in results:
            assert sorted(after) == list(range(8))
            assert around(weights, after) - before == pytest.approx(gain, abs=1e-12)
            assert gain == pytest.approx(max(around(weights, other) for other in others) - before, abs=1e-12)


def test_columns_without_information_stand_at_the_end():
    weights = torch.zeros(7, 7)
    weights[1, 5] = weights[5, 1] = 0.2
    weights[2, 6] = weights[6, 2] = 0.3  # of no use to the others
    order = data_order(weights)
    assert order[4:] == (0, 3, 4)
    assert {frozenset(order[:2]), frozenset(order[2:4])} == {frozenset({1, 5}), frozenset({2, 6})}
    assert data_order(torch.zeros(4, 4)) == (0, 1, 2, 3)
    assert data_order(torch.ones(4, 4)) == (0, 1, 2, 3)
    assert data_order(torch.zeros(1, 1)) == (0,)
    assert data_order(torch.tensor([[0.0, 1.0], [1.0, 0.0]])) == (0, 1)


@pytest.mark.parametrize(
    ("information", "message"),
    [
        (torch.zeros(2, 3), r"information: expected shape \(V, V\), got \(2, 3\)"),
        (torch.tensor([[0.0, torch.nan], [torch.nan, 0.0]]), "information: expected finite entries"),
        (torch.tensor([[0.0, -1.0], [-1.0, 0.0]]), "information: expected finite entries"),
        (torch.tensor([[0.0, 1.0], [2.0, 0.0]]), "information: expected finite entries"),
    ],
)
def test_bad_information_is_refused(information, message):
    with pytest.raises(ValueError, match=message):
        data_order(information)


@pytest.mark.slow
def test_five_hundred_columns_are_laid_in_seconds():
    """Of one processor."""
    torch.manual_seed(0)
    weights = torch.rand(500, 500) ** 6
    start = time.process_time()
    assert len(data_order(weights + weights.T)) == 500
    assert time.process_time() - start < 30
