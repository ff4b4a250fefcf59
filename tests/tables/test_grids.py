"""The grid that values stand on, and values in excess: laws drawn from, with and without them."""

import numpy as np
import pytest
import torch

from pyro_priors.tables.leaves.grids import MOST_ATOMS, find_atoms, find_resolution

GAMMA = np.random.default_rng(0).gamma(2.0, 3.0, size=4000)


@pytest.mark.parametrize(
    ("x", "step"),
    [
        (np.round(GAMMA, 1), 0.1),
        (np.round(GAMMA), 1.0),
        (np.round(GAMMA) * 5 + 22, 5.0),
        (np.round(GAMMA) * 12, 12.0),
        (np.round(GAMMA, 1) * 2.54, 0.254),
        (np.round(GAMMA * 20) / 20, 0.05),
        (np.round(GAMMA, 1).astype(np.float32), 0.1),
        (np.round(GAMMA) * 1e9, 1e9),
        (np.round(GAMMA * 100) * 1e-9, 1e-9),
        (np.where(np.arange(4000) % 60 == 0, GAMMA, np.round(GAMMA, 1)), 0.1),  # a few have more decimals
        (np.where(np.arange(4000) % 10 == 0, GAMMA, np.round(GAMMA, 1)), None),  # many have
        (np.where(np.arange(4000) % 10 > 0, 0.0, np.round(GAMMA, 1)), 0.1),  # zeros stand on every grid
        (GAMMA, None),
        (np.round(GAMMA, 9), None),  # hardly a value repeats
        (np.array([4.0, 7.0, 12.0, 100.0]), 1.0),  # whole numbers always have one
        (np.array([4.0, np.nan, 4.0]), None),
        (np.array([np.nan]), None),
    ],
)
def test_the_step_of_a_grid(x, step):
    resolution = find_resolution(torch.tensor(x))
    assert resolution == (None if step is None else pytest.approx(step, rel=1e-9))


def test_weights_count_rows_of_a_grid():
    x = torch.tensor(np.concatenate([np.round(GAMMA[:900], 1), GAMMA[900:1800]]))
    weight = torch.cat([torch.ones(900), torch.zeros(900)])
    assert find_resolution(x) is None
    assert find_resolution(x, weight) == pytest.approx(0.1)


def mixed(values, share, rest=GAMMA):
    """A column in which values have shares of the rows."""
    chosen = np.random.default_rng(1).random(len(rest))
    x, edge = rest.copy(), 0.0
    for value, part in zip(values, share, strict=True):
        x[(chosen >= edge) & (chosen < edge + part)] = value
        edge += part
    return torch.tensor(x)


@pytest.mark.parametrize(
    ("x", "atoms"),
    [
        (mixed([], []), ()),
        (mixed([], [], np.round(GAMMA)), ()),
        (mixed([], [], np.random.default_rng(2).geometric(0.5, 4000).astype(float)), ()),  # the first has half of them
        (mixed([], [], np.random.default_rng(2).poisson(0.3, 4000).astype(float)), ()),
        (mixed([], [], np.random.default_rng(2).poisson(30.0, 4000).astype(float)), ()),
        (mixed([], [], np.round(np.random.default_rng(2).standard_cauchy(4000))), ()),
        (mixed([], [], np.random.default_rng(2).standard_cauchy(4000)), ()),
        (mixed([], [], np.random.default_rng(2).binomial(6, 0.4, 4000).astype(float)), ()),
        (mixed([0.0], [0.9]), (0.0,)),
        (mixed([0.0], [0.1]), (0.0,)),
        (mixed([0.0], [0.001]), ()),
        (mixed([0.0, 7.0], [0.2, 0.3]), (0.0, 7.0)),
        (mixed([6.0], [0.5], np.round(GAMMA)), (6.0,)),
        (mixed([0.0, 99999.0], [0.9, 0.005], np.round(GAMMA * 1e3)), (0.0, 99999.0)),
        (mixed([-999.0], [0.01]), (-999.0,)),
        (mixed([-9.0, 0.0, 99.0, 5.5, 6.5], [0.06, 0.3, 0.1, 0.25, 0.15]), None),
    ],
)
def test_values_in_excess(x, atoms):
    found_here = find_atoms(x)
    if atoms is None:
        assert len(found_here) == MOST_ATOMS
    else:
        assert found_here == atoms


def test_weights_make_values_of_a_few_rows_an_excess():
    x = torch.tensor(np.append(GAMMA[:500], 3.0))
    assert find_atoms(x) == ()
    assert find_atoms(x, torch.cat([torch.ones(500), torch.tensor([500.0])])) == (3.0,)


def test_columns_of_few_values_have_none():
    assert find_atoms(torch.tensor([0.0] * 90 + [1.0] * 5 + [2.0] * 5)) == ()
    assert find_atoms(torch.tensor([torch.nan])) == ()
