"""Probabilities of intervals of scores and means of mixtures against many digits, scipy and dense sums."""

import numpy as np
import pytest
import torch
from scipy import integrate

from pyro_priors.tables.leaves.score_fitting import fit_scores
from pyro_priors.tables.leaves.score_means import ScoreMeans
from pyro_priors.tables.leaves.score_mixtures import Bounds, log_interval

INFINITE = float("inf")


def some_mixtures(rows=12, components=4, seed=0):
    generator = torch.Generator().manual_seed(seed)
    w = torch.rand(rows, components, generator=generator, dtype=torch.float64) ** 4
    m = 1.5 * torch.randn(rows, components, generator=generator, dtype=torch.float64)
    s = (torch.randn(rows, components, generator=generator, dtype=torch.float64) - 1).exp().clamp_max(2)
    w[0], w[1, 1:] = 1.0, 0.0
    return w / w.sum(-1, keepdim=True), m, s


def exact_log_interval(a, b):
    """With a few hundred digits."""
    mpmath = pytest.importorskip("mpmath")
    with mpmath.workdps(400):
        return float(
            mpmath.log((mpmath.erf(mpmath.mpf(b) / mpmath.sqrt(2)) - mpmath.erf(mpmath.mpf(a) / mpmath.sqrt(2))) / 2)
        )


@pytest.mark.parametrize("middle", [0.0, 0.7, -3.0, 12.0, -25.0])
@pytest.mark.parametrize("half", [1e-9, 1e-6, 0.99e-4, 1.01e-4, 1e-2, 1.0, 7.0])
def test_log_intervals_have_all_their_digits(middle, half):
    a, b = middle - half, middle + half
    expected = exact_log_interval(a, b)
    got = float(log_interval(torch.tensor(a, dtype=torch.float64), torch.tensor(b, dtype=torch.float64)))
    assert got == pytest.approx(expected, rel=1e-10, abs=1e-7)


def test_log_intervals_far_out_are_finite():
    """Where they begin the density has its largest part: -t^2 / 2 - log(t sqrt(2 pi))."""
    for low, high in ((1e6, 1e6 + 1.0), (-3e8, -1e8), (1e4, INFINITE)):
        near = min(abs(low), abs(high))
        expected = -(near**2) / 2 - np.log(near * np.sqrt(2 * np.pi))
        got = log_interval(torch.tensor(low, dtype=torch.float64), torch.tensor(high, dtype=torch.float64))
        assert float(got) == pytest.approx(expected, rel=1e-12)
    every = log_interval(torch.tensor([-INFINITE, 1.0, 2.0]), torch.tensor([INFINITE, 1.0, 1.0]))
    assert every.tolist() == [0.0, -INFINITE, -INFINITE]


def test_rows_answer_alone_as_among_others():
    w, m, s = some_mixtures()
    means = ScoreMeans(torch.exp, -3.0, 3.0)
    alone = torch.cat([means(w[i : i + 1], m[i : i + 1], s[i : i + 1]) for i in range(len(w))])
    torch.testing.assert_close(means(w, m, s), alone, rtol=1e-9, atol=1e-9)


COLUMNS = {
    "gamma": np.random.default_rng(1).gamma(1.5, 2.0, 2000),
    "heavy tails": np.random.default_rng(2).standard_cauchy(2000),
    "few whole": np.random.default_rng(3).binomial(6, 0.4, 900).astype(float),
    "two values": np.array([3.0, 3.0, 4.0]),
    "far from zero": 1e6 + 1e-3 * np.random.default_rng(4).normal(size=800),
}


@pytest.mark.parametrize("name", COLUMNS)
def test_means_are_those_of_dense_sums(name):
    x = torch.tensor(COLUMNS[name])
    scores, low, high = fit_scores(x), float(x.min()), float(x.max())
    ends = scores.encode(torch.tensor([low, high], dtype=torch.float64)).tolist()
    means = ScoreMeans(lambda z: scores.decode(z).clamp(low, high), *ends)
    w, m, s = some_mixtures()
    z = torch.linspace(-15, 15, 20001, dtype=torch.float64)
    value = scores.decode(z).clamp(low, high) - low
    law = (
        w.unsqueeze(1) * torch.exp(-(((z.unsqueeze(-1) - m.unsqueeze(1)) / s.unsqueeze(1)) ** 2) / 2) / s.unsqueeze(1)
    ).sum(-1)
    for bounds in (
        None,
        Bounds(torch.full((12,), -0.7), torch.linspace(0, 3, 12)),
        Bounds(*torch.tensor([[-INFINITE], [0.4]]).expand(2, 12)),
    ):
        p = law if bounds is None else law * ((z > bounds.low.unsqueeze(-1)) & (z < bounds.high.unsqueeze(-1)))
        p = p / p.sum(-1, keepdim=True)
        mean = p @ value
        spread = (p @ value**2 - mean**2).clamp_min(0).sqrt()
        error = (means(w, m, s, bounds) - low - mean).abs()
        # The sums themselves see a bound to half a step of theirs; what a quadrature may lose is a part of the spread.
        assert (error <= 2e-3 * spread + 1e-3 * float(x.std()) * (bounds is not None) + 1e-9 * float(x.std())).all()


def test_a_narrow_gaussian_has_its_own_value_as_the_mean():
    means = ScoreMeans(torch.tanh, -3.0, 3.0)
    m = torch.linspace(-5, 5, 50, dtype=torch.float64).unsqueeze(-1)
    for s in (1e-3, 1e-6, 1e-9):
        got = means(torch.ones_like(m), m, torch.full_like(m, s))
        torch.testing.assert_close(got, m[:, 0].clamp(-3, 3).tanh(), rtol=0, atol=1e-5)


@pytest.mark.parametrize(("low", "high"), [(8.0, INFINITE), (-INFINITE, -30.0), (2.0, 2.001), (5.0, 9.0)])
def test_means_far_out_within_bounds(low, high):
    """Of the identity: scipy's truncated normal law, where nothing of the density is left in 64 bits."""
    means = ScoreMeans(lambda z: z, -60.0, 60.0)
    one = [torch.ones(1, 1, dtype=torch.float64) * x for x in (1.0, 0.25, 0.5)]
    got = means(*one, Bounds(torch.tensor([low]), torch.tensor([high])))
    a, b = (low - 0.25) / 0.5, (high - 0.25) / 0.5
    top = a if a > 0 else b
    weight = lambda t: np.exp(-(t**2 - top**2) / 2)  # noqa: E731
    a, b = max(a, top - 9), min(b, top + 9)
    expected = integrate.quad(lambda t: t * weight(t), a, b)[0] / integrate.quad(weight, a, b)[0] * 0.5 + 0.25
    assert float(got) == pytest.approx(expected, abs=1e-6)


def test_a_function_that_is_constant_has_that_mean():
    """Such as of a column whose values are all one: its two ends are the same score."""
    w, m, s = some_mixtures()
    for low, high in ((0.5, 0.5), (-1.0, 2.0)):
        means = ScoreMeans(lambda z: torch.full_like(z, 7.0), low, high)
        assert torch.equal(means(w, m, s), torch.full((len(w),), 7.0, dtype=torch.float64))
