"""Normal scores against their definition: exact inverses, slopes, densities that integrate to one, wild columns."""

import json
import math

import numpy as np
import pytest
import torch
from scipy import stats

from pyro_priors.tables.leaves.score_fitting import MOST_KNOTS, fit_scores, tally
from pyro_priors.tables.leaves.scores import LINEAR, NormalScores

ROWS = np.random.default_rng(0)
COLUMNS = {
    "normal": ROWS.normal(size=2000),
    "uniform": ROWS.random(500) * 3 - 1,
    "few rows": ROWS.normal(size=7),
    "heavy tails": ROWS.standard_cauchy(3000) * 1e3,
    "up to 1e12": np.exp(ROWS.normal(size=3000) * 6) * 1e3,
    "tiny spread": 1e6 + 1e-9 * ROWS.normal(size=1000),
    "ties": np.round(ROWS.gamma(2.0, 3.0, size=4000)),
    "nearly all ties": np.where(ROWS.random(3000) < 0.97, 0.0, ROWS.exponential(size=3000)),
    "two values": np.array([0.0, 0.0, 0.0, 1.0, 1.0]),
    "one value": np.full(9, 37.0),
    "one large value": np.full(9, -1e20),
    "rounding": np.concatenate([np.full(500, 0.3), np.full(500, 0.1 + 0.2), ROWS.random(500)]),
    "clumps": np.concatenate([ROWS.normal(size=500) * 1e-9, 1 + ROWS.normal(size=500) * 1e-9]),
    "sentinel": np.concatenate([ROWS.normal(size=900), np.full(100, 99999.0)]),
}


@pytest.fixture(params=COLUMNS, name="column")
def every_column(request):
    x = torch.tensor(COLUMNS[request.param])
    return x, fit_scores(x)


def beyond(x, scores):
    """The values, and numbers between them and far outside."""
    ends = (scores.knots[-1] - scores.knots[0]) * torch.tensor([1e-9, 0.1, 1.0, 30.0, 1e6, 1e30]).double()
    between = torch.linspace(float(x.min()), float(x.max()), 1001, dtype=torch.float64)
    return torch.cat([x, between, scores.knots[0] - ends, scores.knots[-1] + ends]).unique()


def test_the_inverse_is_exact(column):
    x, scores = column
    x = beyond(x, scores)
    z = scores.encode(x)
    assert z.isfinite().all()
    assert (z.abs() < 500).all()
    assert (z.diff() >= 0).all()
    back = scores.decode(z)
    # A score has 53 digits of its own: what a rounding of it is worth in own units, and as much in relation to x.
    rounding = 1e-14 * (1 + z.abs()) * (-scores.log_slope(x)).exp()
    assert ((back - x).abs() <= 1e-12 * x.abs() + rounding).all()
    torch.testing.assert_close(scores.encode(back), z, rtol=1e-9, atol=1e-6)


def test_the_inverse_of_what_was_fitted_is_exact(column):
    x, scores = column
    torch.testing.assert_close(scores.decode(scores.encode(x)), x, rtol=1e-9, atol=1e-9 * float(x.std()))


def test_slopes_are_derivatives(column):
    x, scores = column
    x = beyond(x, scores).requires_grad_()
    (slopes,) = torch.autograd.grad(scores.encode(x).sum(), x)
    x = x.detach()
    middles = (scores.knots[1:] + scores.knots[:-1]) / 2  # where pieces meet, autograd gives half a slope
    inside = ~torch.isin(x, torch.cat([scores.knots, middles]))
    torch.testing.assert_close(slopes[inside].log(), scores.log_slope(x)[inside], rtol=1e-9, atol=1e-6)


def test_slopes_are_differences():
    """Of the function itself, which autograd does not know."""
    scores = fit_scores(torch.tensor(COLUMNS["normal"]))
    x = torch.linspace(-9, 9, 401, dtype=torch.float64)
    x, h = torch.cat([x, torch.tensor([-300.0, 1e5])]), 1e-6
    slopes = (scores.encode(x + h) - scores.encode(x - h)) / (2 * h)
    torch.testing.assert_close(slopes, scores.log_slope(x).exp(), rtol=1e-4, atol=1e-9)


def test_the_slope_does_not_jump(column):
    """Not at a knot, not at an end, not where a tail becomes a logarithm."""
    _, scores = column
    ends = torch.stack([scores.knots[0] - LINEAR / scores.slopes[0], scores.knots[-1] + LINEAR / scores.slopes[-1]])
    for x in torch.cat([scores.knots, ends]):
        step = 1e-12 * float(scores.knots.diff().min()) + 4e-16 * abs(float(x))
        left, right = scores.log_slope(torch.stack([x - step, x + step]))
        if float(scores.knots.diff().min()) > 1e-10 * abs(float(x)):  # else two numbers of float64 are a bin apart
            assert float(left) == pytest.approx(float(right), abs=1e-2)


@pytest.mark.parametrize("name", ["normal", "heavy tails", "ties", "two values", "few rows", "nearly all ties"])
def test_the_density_in_own_units_integrates_to_one(name):
    """Over x, half a piece at a time, out to seven scores beyond the outermost knots."""
    scores = fit_scores(torch.tensor(COLUMNS[name]))
    middles = (scores.knots[1:] + scores.knots[:-1]) / 2
    ends = scores.decode(torch.cat([scores.scores[0] - torch.arange(8), scores.scores[-1] + torch.arange(8)]))
    edges = torch.cat([scores.knots, middles, ends]).unique()
    nodes, weights = map(torch.tensor, np.polynomial.legendre.leggauss(120))
    half = edges.diff().unsqueeze(-1) / 2
    x = edges[:-1].unsqueeze(-1) + half * (1 + nodes)
    density = (scores.log_slope(x) - scores.encode(x) ** 2 / 2).exp() / math.sqrt(2 * math.pi)
    assert float((density * weights * half).sum()) == pytest.approx(1, abs=1e-6)


@pytest.mark.parametrize("name", ["normal", "uniform", "heavy tails", "up to 1e12"])
def test_scores_are_standard_normal(name):
    z = fit_scores(torch.tensor(COLUMNS[name])).encode(torch.tensor(COLUMNS[name]))
    assert stats.kstest(z.numpy(), "norm").statistic < 0.03  # a sample of 500 alone would be 0.04 away


def test_ties_have_their_mid_rank():
    x = torch.tensor([3.0] * 30 + [4.0] * 50 + [7.0] * 20)
    z = fit_scores(x).encode(torch.tensor([3.0, 4.0, 7.0]))
    np.testing.assert_allclose(z, stats.norm.ppf(np.array([15.5, 55.5, 90.5]) / 101), rtol=1e-12)


def test_a_further_value_lies_below_the_kth_of_n_with_its_probability():
    """k / (n + 1), for whatever law."""
    x = torch.tensor([-3.0, 1.0, 2.0, 9.0])
    z = fit_scores(x).encode(x)
    np.testing.assert_allclose(z[[0, -1]], stats.norm.ppf([1 / 5, 4 / 5]), rtol=1e-12)


def test_weights_are_repeated_rows():
    generator = torch.Generator().manual_seed(0)
    x = torch.randn(300, generator=generator).round(decimals=1).double()
    x[7] = torch.nan
    weight = torch.randint(0, 5, (300,), generator=generator)
    weighted, repeated = fit_scores(x, weight), fit_scores(x.repeat_interleave(weight))
    torch.testing.assert_close(weighted.knots, repeated.knots)
    torch.testing.assert_close(weighted.scores, repeated.scores)
    small = fit_scores(x, weight / weight.sum())  # no rows fewer for being written as shares
    assert len(small.knots) > 7


def test_knots_are_few_and_apart(column):
    x, scores = column
    assert len(scores.knots) <= MOST_KNOTS
    assert len(scores.knots) <= 2 + 2 * len(x) ** (1 / 3)
    spread = float(scores.knots[-1] - scores.knots[0])
    assert float(scores.slopes.max()) < 1e14 / spread * 1e12


def test_tallies():
    values, counts = tally(torch.tensor([2.0, torch.nan, 1.0, 2.0, 5.0]), torch.tensor([1.0, 9.0, 2.0, 3.0, 0.0]))
    assert values.tolist() == [1, 2]
    assert counts.tolist() == [2, 4]


def test_what_is_missing_stays_missing():
    scores = fit_scores(torch.tensor([1.0, torch.nan, 2.0, 5.0]))
    assert scores.encode(torch.tensor([torch.nan, 2.0])).isnan().tolist() == [True, False]
    assert scores.decode(torch.tensor([torch.nan, 0.0])).isnan().tolist() == [True, False]
    torch.testing.assert_close(scores.knots, fit_scores(torch.tensor([1.0, 2.0, 5.0])).knots)


def test_json_gives_back_every_bit(column):
    _, scores = column
    again = NormalScores.from_json(json.loads(json.dumps(scores.to_json())))
    for name in ("knots", "scores", "slopes"):
        assert torch.equal(getattr(again, name), getattr(scores, name))


@pytest.mark.parametrize(
    ("call", "message"),
    [
        (lambda: fit_scores(torch.tensor([torch.nan])), "expected a value"),
        (lambda: fit_scores(torch.tensor([1.0, torch.inf])), "finite"),
        (lambda: fit_scores(torch.tensor([1.0, 2.0]), torch.tensor([1.0, -1.0])), "weight"),
        (lambda: fit_scores(torch.tensor([1.0, 2.0]), torch.ones(3)), "weight"),
        (lambda: NormalScores([1.0], [0.0]), "knots"),
        (lambda: NormalScores([1.0, 1.0], [0.0, 1.0]), "knots"),
        (lambda: NormalScores([1.0, 2.0], [0.0, 1.0, 2.0]), "knots"),
    ],
)
def test_bad_input_is_refused(call, message):
    with pytest.raises(ValueError, match=message):
        call()
