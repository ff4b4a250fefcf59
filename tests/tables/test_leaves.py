"""Leaves: codes to the law's columns and back, in own units and whatever the kind."""

import json
import math

import numpy as np
import pytest
import torch
from scipy import stats

from pyro_priors.data.schema import Field
from pyro_priors.distributions.kinds import Continuous, Discrete
from pyro_priors.tables.leaves import few_values
from pyro_priors.tables.leaves.leaf_fitting import fit_leaf, forms
from pyro_priors.tables.leaves.leaves import NumberLeaf, StateLeaf, leaf_from_json
from pyro_priors.tables.leaves.score_mixtures import Bounds, log_interval

SHARES = [0.1, 0.35, 0.35, 0.15, 0.04, 0.01]
GAMMA = np.random.default_rng(0).gamma(2.0, 3.0, size=3000)
HOURS = np.where(np.random.default_rng(1).random(3000) < 0.4, 40.0, np.round(20 + 2 * GAMMA))
MEMORY = np.array([2.0, 4.0, 8.0, 16.0, 24.0, 32.0])[np.random.default_rng(3).choice(6, 3000, p=SHARES)]
GAPS = np.random.default_rng(2).random(3000) < 0.1


def column(x):
    return torch.tensor(np.where(GAPS, np.nan, x))


def leaves():
    return {
        "category": (fit_leaf(Field("c", "categorical", categories=("a", "b", "c")), column(np.arange(3000) % 3.0))),
        "ordinal": (fit_leaf(Field("o", "ordinal", categories=tuple("1234")), column(np.arange(3000) % 4.0))),
        "states of numbers": (fit_leaf(Field("n", "count"), column(np.round(GAMMA)), form="states")),
        "number": (fit_leaf(Field("x", "continuous"), column(GAMMA))),
        "grid": (fit_leaf(Field("x", "continuous"), column(np.round(GAMMA, 1)))),
        "hours": (fit_leaf(Field("h", "count"), column(HOURS))),
        "memory": (fit_leaf(Field("m", "count"), column(MEMORY), form="scores")),
        "date": (fit_leaf(Field("d", "continuous"), column(19000 + np.round(30 * GAMMA)))),
    }


LEAVES = leaves()
CODES = {
    "category": np.arange(3000) % 3.0,
    "ordinal": np.arange(3000) % 4.0,
    "states of numbers": np.round(GAMMA),
    "number": GAMMA,
    "grid": np.round(GAMMA, 1),
    "hours": HOURS,
    "memory": MEMORY,
    "date": 19000 + np.round(30 * GAMMA),
}


@pytest.fixture(params=LEAVES, name="case")
def every_leaf(request):
    return LEAVES[request.param], column(CODES[request.param])


def some_law(rows, components=3, seed=0):
    generator = torch.Generator().manual_seed(seed)
    w = torch.rand(rows, components, generator=generator, dtype=torch.float64)
    m = torch.randn(rows, components, generator=generator, dtype=torch.float64)
    s = 0.2 + torch.rand(rows, components, generator=generator, dtype=torch.float64)
    return w / w.sum(-1, keepdim=True), m, s


def test_codes_come_back(case):
    leaf, x = case
    columns = leaf.encode(x)
    assert columns.shape == (len(x), len(leaf.kinds))
    assert columns.dtype == torch.float64
    torch.testing.assert_close(leaf.decode(columns), x, rtol=1e-9, atol=1e-9, equal_nan=True)
    for kind, values in zip(leaf.kinds, columns.mT, strict=True):
        seen = values[~values.isnan()]
        assert len(seen)
        if isinstance(kind, Discrete):
            assert set(seen.tolist()) <= set(range(kind.categories))


def test_json_gives_the_leaf_back(case):
    leaf, x = case
    again = leaf_from_json(json.loads(json.dumps(leaf.to_json())))
    assert again.to_json() == leaf.to_json()
    assert again.kinds == leaf.kinds
    for name in ("encode", "log_jacobian"):
        torch.testing.assert_close(getattr(again, name)(x), getattr(leaf, name)(x), rtol=0, atol=0, equal_nan=True)


def test_forms_by_kind():
    assert LEAVES["category"] == StateLeaf(3, ordered=False)
    assert LEAVES["ordinal"] == StateLeaf(4, ordered=True)
    assert LEAVES["number"].kinds == (Continuous(1),)
    assert LEAVES["hours"].kinds == (Discrete(2), Continuous(1))
    assert LEAVES["hours"].atoms == (40.0,)
    assert [LEAVES[name].resolution for name in ("number", "grid", "hours", "date")] == [None, 0.1, 1.0, 1.0]
    hours = Field("h", "count")
    assert forms(hours, column(HOURS)) == ("atoms", "scores", "states")
    assert fit_leaf(hours, column(HOURS), form="scores").kinds == (Continuous(1),)
    assert forms(Field("o", "ordinal", categories=tuple("1234")), column(HOURS)) == ("states",)
    assert forms(Field("c", "categorical", categories=("a", "b")), column(HOURS)) == ("states",)
    assert forms(Field("x", "continuous"), column(GAMMA)) == ("scores",)


def test_an_atom_is_a_state_and_its_score_is_missing():
    leaf = LEAVES["hours"]
    columns = leaf.encode(torch.tensor([40.0, 41.0, torch.nan, 1000.0, -5.0]))
    assert columns[:, 0].nan_to_num(9).tolist() == [0, 1, 9, 1, 1]
    assert columns[:, 1].isnan().tolist() == [True, False, True, False, False]
    assert columns[3:].isfinite().all()
    decoded = leaf.decode(torch.tensor([[0.0, 3.0], [1.0, 99.0], [1.0, -99.0], [1.0, torch.nan], [torch.nan, 0.0]]))
    assert decoded[:3].tolist() == [40.0, leaf.high, leaf.low]  # a score never leads out of the range seen
    assert decoded[3:].isnan().all()


def test_atoms_leave_the_range_and_the_scores_alone():
    """A sentinel far away stretches neither."""
    x = torch.tensor(np.where(np.arange(3000) % 50 == 0, 99999.0, np.round(GAMMA)))
    leaf = fit_leaf(Field("x", "count"), x)
    assert leaf.atoms == (99999.0,)
    assert leaf.high == np.round(GAMMA[np.arange(3000) % 50 > 0]).max()
    assert float(leaf.scores.knots[-1]) == leaf.high


def test_the_jacobian_turns_densities_of_scores_into_own_units():
    leaf, h = LEAVES["number"], 1e-6
    x = torch.tensor(GAMMA[:50])
    slope = (leaf.encode(x + h) - leaf.encode(x - h))[:, 0] / (2 * h)
    torch.testing.assert_close(leaf.log_jacobian(x), slope.log(), rtol=1e-4, atol=1e-5)
    assert LEAVES["hours"].log_jacobian(torch.tensor([40.0, torch.nan])).tolist() == [0.0, 0.0]
    assert LEAVES["hours"].log_jacobian(torch.tensor([41.0])).item() != 0
    assert LEAVES["category"].log_jacobian(torch.tensor([1.0])).tolist() == [0.0]


def test_masses_of_a_grid_sum_to_one():
    leaf = LEAVES["grid"]
    grid = torch.arange(-300, 3000, dtype=torch.float64) / 10
    mass = log_interval(*((end - 0.3) / 0.5 for end in leaf.cell(grid)))
    assert mass.isfinite().all()
    assert float(mass.exp().sum()) == pytest.approx(1, abs=1e-9)
    for own, aside in zip(leaf.cell(grid[400:410]), leaf.cell(grid[400:410] + 0.03), strict=True):
        torch.testing.assert_close(aside, own)  # off the grid: the cell that it is in
    with pytest.raises(ValueError, match="continuous"):
        LEAVES["number"].cell(grid)


def test_few_values_share_all_of_the_law():
    """An oracle for cells, ranges, means and what is beneath: scores drawn and decoded; 5 standard errors (1e-5)."""
    leaf, levels = LEAVES["memory"], torch.tensor([2.0, 4, 8, 16, 24, 32])
    assert leaf.values == (2, 4, 8, 16, 24, 32)
    loc, scale, draws = 0.3, 0.8, 400_000
    score = loc + scale * torch.randn(draws, generator=torch.Generator().manual_seed(0), dtype=torch.float64)
    drawn = leaf.decode(score.unsqueeze(-1))
    assert set(drawn.tolist()) <= set(leaf.values)
    shares = (drawn.unsqueeze(-1) == levels).double().mean(0)
    mass = log_interval(*((end - loc) / scale for end in leaf.cell(levels))).exp()
    assert float(mass.sum()) == pytest.approx(1, abs=1e-12)
    assert ((mass - shares).abs() < 5 * (mass * (1 - mass) / draws).sqrt() + 1e-9).all()

    def below(score):
        return torch.special.ndtr((score - loc) / scale)

    for number in (1.0, 2.0, 5.0, 8.0, 12.0, 32.0, 40.0):  # values, and what lies between and beyond them
        less, upto = (float(below(end)) for end in leaf.beneath(torch.tensor(number)))
        assert less == pytest.approx(float(mass[levels < number].sum()), abs=1e-12)
        assert upto == pytest.approx(float(mass[levels <= number].sum()), abs=1e-12)
    _, bounds = leaf.score_range(torch.tensor([5.0]), torch.tensor([20.0]))
    assert float(below(bounds.high) - below(bounds.low)) == pytest.approx(float(mass[2:4].sum()), abs=1e-12)
    ones = torch.ones(1, 1, dtype=torch.float64)
    assert float(leaf.mean(ones, loc * ones, scale * ones)) == pytest.approx(float(mass @ levels.double()), rel=1e-12)
    within = leaf.mean(ones, loc * ones, scale * ones, bounds=bounds)  # 8 or 16
    assert float(within) == pytest.approx(float(mass[2:4] @ levels[2:4].double() / mass[2:4].sum()), rel=1e-12)
    _, bounds = leaf.score_range(torch.tensor([4.0]), torch.tensor([4.0]))
    assert float(leaf.mean(ones, loc * ones, scale * ones, bounds=bounds)) == pytest.approx(4, abs=1e-12)
    with pytest.raises(ValueError, match="range: expected one with a number in it that the column has, got none"):
        leaf.score_range(torch.tensor([17.0]), torch.tensor([18.0]))


def test_means_of_values_in_pieces_and_of_many_values(monkeypatch):
    """Few are exact whatever goes together; a thousand are a table of pieces, to a thousandth of their deviation."""
    leaf, (w, m, s) = LEAVES["memory"], some_law(50)
    _, bounds = leaf.score_range(torch.linspace(0, 15, 50), torch.full((50,), 32.0))
    for given in (None, bounds):
        whole = leaf.mean(w, m, s, bounds=given)
        with monkeypatch.context() as patch:
            patch.setattr(few_values, "CHUNK", 40)
            torch.testing.assert_close(leaf.mean(w, m, s, bounds=given), whole, rtol=1e-12, atol=0)
    x = torch.arange(1000.0, dtype=torch.float64).repeat(3)
    many = fit_leaf(Field("n", "count"), x)
    assert len(many.values) == 1000
    exact = few_values.FewValues(many.values, many.scores).mean(w, m, s)
    torch.testing.assert_close(many.mean(w, m, s), exact, rtol=0, atol=1e-3 * float(x.std()))


def test_a_number_that_few_values_do_not_have_is_improbable():
    """It has its own place on the grid, not that of the value which is nearest."""
    leaf = LEAVES["memory"]
    seen, aside, far = (log_interval(*leaf.cell(torch.tensor([x]))) for x in (32.0, 34.0, 999.0))
    assert float(far) < float(aside) - 1 < float(seen) - 2
    assert float(far) < -30


def test_a_column_with_further_values_to_come_has_any():
    """By the share of values seen once; few rows say too little."""
    counted = Field("n", "count")
    assert fit_leaf(counted, torch.tensor(MEMORY), form="scores").values is not None
    assert fit_leaf(counted, torch.tensor(np.round(300 * GAMMA))).values is None
    assert fit_leaf(counted, torch.tensor([1.0, 2.0, 3.0, 7.0])).values is None
    assert fit_leaf(Field("x", "continuous"), torch.tensor(GAMMA)).values is None


def test_a_fine_grid_has_the_mass_of_its_density():
    x = torch.tensor(np.round(GAMMA, 3))
    leaf = fit_leaf(Field("x", "count"), x)
    leaf = NumberLeaf(leaf.scores, (), leaf.low, leaf.high, False, 0.001)
    z = leaf.encode(x[:100])[:, 0]
    density = -(z**2) / 2 - 0.5 * math.log(2 * math.pi) + leaf.log_jacobian(x[:100])
    mass = log_interval(*leaf.cell(x[:100]))
    torch.testing.assert_close(mass, density + math.log(0.001), rtol=0, atol=0.02)


def test_ranges_of_own_units():
    low, high = torch.tensor([30.0, -torch.inf, 40.0]), torch.tensor([40.0, 39.0, torch.inf])
    leaf = LEAVES["hours"]
    states, bounds = leaf.score_range(low, high)
    assert states.tolist() == [[True, True], [False, True], [True, True]]
    np.testing.assert_allclose(bounds.low[0], leaf.scores.encode(torch.tensor(29.5)))
    np.testing.assert_allclose(bounds.high[:2], leaf.scores.encode(torch.tensor([40.5, 39.5])))
    assert bounds.low[1] == -torch.inf
    assert bounds.high[2] == torch.inf
    states, bounds = LEAVES["number"].score_range(torch.tensor([2.0]), torch.tensor([3.0]))
    assert states is None
    np.testing.assert_allclose(torch.stack(bounds), LEAVES["number"].encode(torch.tensor([2.0, 3.0])))
    states, bounds = LEAVES["ordinal"].score_range(torch.tensor([1.0]), torch.tensor([torch.inf]))
    assert bounds is None
    assert states.tolist() == [[False, True, True, True]]
    for ends in ((2.0, 1.0), (torch.nan, 1.0)):
        with pytest.raises(ValueError, match="low <= high"):
            leaf.score_range(*torch.tensor(ends).unsqueeze(-1))


def test_means_stay_within_a_range():
    leaf = LEAVES["grid"]
    w, m, s = some_law(20)
    low = torch.linspace(0, 20, 20, dtype=torch.float64)
    _, bounds = leaf.score_range(low, low + 1)
    mean = leaf.mean(w, m, s, bounds=bounds)
    assert ((mean >= low - 0.051) & (mean <= low + 1.051)).all()
    wide = Bounds(torch.full((20,), -torch.inf), torch.full((20,), torch.inf))
    torch.testing.assert_close(leaf.mean(w, m, s, bounds=wide), leaf.mean(w, m, s), rtol=1e-3, atol=1e-3)


def test_the_law_of_scores_gives_the_column_back():
    """Under one standard normal law the quantiles are those of the column."""
    leaf = LEAVES["number"]
    one = torch.ones(1, 1, dtype=torch.float64)
    levels = torch.linspace(0.05, 0.95, 7, dtype=torch.float64)
    quantiles = leaf.decode(torch.special.ndtri(levels).unsqueeze(-1))
    np.testing.assert_allclose(quantiles, np.quantile(GAMMA[~GAPS], levels), rtol=0.03)
    assert float(leaf.mean(one, 0 * one, one)) == pytest.approx(GAMMA[~GAPS].mean(), rel=0.01)
    assert stats.kstest(leaf.encode(torch.tensor(GAMMA))[:, 0], "norm").pvalue > 1e-3


def test_states_of_numbers_take_the_nearest():
    leaf = StateLeaf(3, ordered=True, values=(1.0, 2.0, 5.0))
    assert leaf.encode(torch.tensor([0.0, 2.4, 99.0]))[:, 0].tolist() == [0, 1, 2]
    assert leaf.decode(torch.tensor([[2.0], [torch.nan]])).nan_to_num(-1).tolist() == [5.0, -1.0]


@pytest.mark.parametrize(
    ("call", "message"),
    [
        (lambda: StateLeaf(3).encode(torch.tensor([3.0])), "states 0 to 2"),
        (lambda: StateLeaf(3).encode(torch.tensor([0.5])), "states 0 to 2"),
        (lambda: fit_leaf(Field("a", "count"), torch.tensor([torch.nan])), "of a that"),
        (lambda: fit_leaf(Field("a", "count"), torch.tensor([1.0]), form="nothing"), "form"),
        (lambda: fit_leaf(Field("a", "binary", categories=("x", "y")), torch.tensor([1.0]), form="scores"), "binary"),
        (lambda: leaf_from_json({"leaf": "tree"}), "leaf"),
    ],
)
def test_bad_input_is_refused(call, message):
    with pytest.raises(ValueError, match=message):
        call()
