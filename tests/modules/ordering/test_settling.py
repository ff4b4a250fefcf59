"""Orders in which whatever has much in common stands near."""

import pytest
import torch

from pyro_priors.modules.dependence import FADE, data_order
from pyro_priors.modules.ordering.settling import nearness, settled


def test_columns_of_one_place_stand_together():
    """Two columns of each place of a sequence: those of a place are nearly equal, and tell the next place alike."""
    places = torch.arange(12) // 2
    weights = 0.5 ** (places[:, None] - places).abs().double()
    weights[places[:, None] == places] = 0.9
    weights.fill_diagonal_(0)
    shuffle = torch.randperm(12, generator=torch.Generator().manual_seed(0))
    order = places[shuffle][list(data_order(weights[shuffle][:, shuffle]))].tolist()
    assert order in (sorted(order), sorted(order, reverse=True))


@pytest.mark.parametrize("count", [1, 2, 3, 9])
def test_settling_only_raises_the_sum(count):
    generator = torch.Generator().manual_seed(count)
    weights = torch.rand(count, count, generator=generator).double() ** 4
    weights = (weights + weights.T).fill_diagonal_(0).numpy()
    path = torch.randperm(count, generator=generator).tolist()
    after = settled(weights, path, FADE)
    assert sorted(after) == list(range(count))
    assert nearness(weights, after, FADE) >= nearness(weights, path, FADE)
    by_hand = sum(
        weights[a, b] * FADE ** (j - i - 1) for i, a in enumerate(after) for j, b in enumerate(after) if i < j
    )
    assert nearness(weights, after, FADE) == pytest.approx(by_hand, abs=1e-8)
