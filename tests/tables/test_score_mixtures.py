"""Probabilities, quantiles and means of mixtures over a score against scipy, many digits and dense sums."""

import numpy as np
import pytest
import torch
from scipy import integrate, optimize, stats

from pyro_priors.tables.score_fitting import fit_scores
from pyro_priors.tables.score_means import ScoreMeans
from pyro_priors.tables.score_mixtures import (
    Bounds,
    log_interval,
    log_mass,
    mixture_cdf,
    mixture_density,
    mixture_quantile,
)

INFINITE = float("inf")


def some_mixtures(rows=12, components=4, seed=0):
    generator = torch.Generator().manual_seed(seed)
    w = torch.rand(rows, components, generator=generator, dtype=torch.float64) ** 4
    m = 1.5 * torch.randn(rows, components, generator=generator, dtype=torch.float64)
    s = (torch.randn(rows, components, generator=generator, dtype=torch.float64) - 1).exp().clamp_max(2)
    w[0], w[1, 1:] = 1.0, 0.0
    return w / w.sum(-1, keepdim=True), m, s


def some_bounds(rows=12):
    """Open and closed ones, far out and narrow."""
    low = torch.linspace(-3, 2, rows, dtype=torch.float64)
    high = low + torch.linspace(0.001, 3, rows, dtype=torch.float64)
    low[::5], high[1::5] = -INFINITE, INFINITE
    low[3], high[3] = 30.0, 40.0
    low[4], high[4] = -1e3, -999.0
    return Bounds(low, high)


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


def test_cdf_density_and_mass_are_scipys():
    w, m, s = some_mixtures()
    z = torch.linspace(-3, 3, len(w), dtype=torch.float64)
    cdf = (w.numpy() * stats.norm.cdf(z.numpy()[:, None], m, s)).sum(-1)
    pdf = (w.numpy() * stats.norm.pdf(z.numpy()[:, None], m, s)).sum(-1)
    np.testing.assert_allclose(mixture_cdf(z, w, m, s), cdf, rtol=1e-12)
    np.testing.assert_allclose(mixture_density(z, w, m, s), pdf, rtol=1e-10)
    upper = (w.numpy() * stats.norm.cdf(z.numpy()[:, None] + 0.3, m, s)).sum(-1)
    np.testing.assert_allclose(log_mass(w, m, s, Bounds(z, z + 0.3)).exp(), upper - cdf, rtol=1e-9)


def test_quantiles_are_those_of_a_solver():
    w, m, s = some_mixtures()
    for level in (1e-6, 0.05, 0.5, 0.9, 1 - 1e-9):
        expected = [
            optimize.brentq(
                lambda z, i=i: float((w[i] * torch.special.ndtr((z - m[i]) / s[i])).sum()) - level, -99, 99, xtol=1e-13
            )
            for i in range(len(w))
        ]
        np.testing.assert_allclose(mixture_quantile(level, w, m, s), expected, atol=1e-6 if level > 0.99999 else 1e-9)


def test_quantiles_within_bounds():
    w, m, s = some_mixtures()
    bounds = some_bounds()
    levels = torch.tensor([0.0, 1e-3, 0.3, 0.5, 0.99, 1.0], dtype=torch.float64).unsqueeze(-1)
    z = mixture_quantile(levels, w, m, s, bounds)
    assert z.shape == (6, len(w))
    assert ((z >= bounds.low) & (z <= bounds.high)).all()
    torch.testing.assert_close(mixture_cdf(z, w, m, s, bounds)[1:-1], levels[1:-1].expand(4, len(w)), rtol=0, atol=1e-7)
    one = [torch.ones(1, 1, dtype=torch.float64) * x for x in (1.0, 0.5, 2.0)]
    for low, high in ((-1.0, 4.0), (20.0, INFINITE), (-INFINITE, -9.0)):
        got = mixture_quantile(0.3, *one, Bounds(torch.tensor([low]), torch.tensor([high])))
        expected = stats.truncnorm.ppf(0.3, (low - 0.5) / 2, (high - 0.5) / 2, 0.5, 2)
        assert float(got) == pytest.approx(expected, rel=1e-8)


def test_quantiles_of_mixtures_that_lie_far_apart():
    w = torch.tensor([[0.5, 0.5], [1 - 1e-12, 1e-12], [0.3, 0.7]], dtype=torch.float64)
    m = torch.tensor([[-1e6, 1e6], [0.0, 50.0], [0.0, 0.0]], dtype=torch.float64)
    s = torch.tensor([[1.0, 1e-6], [1.0, 1.0], [1e-8, 10.0]], dtype=torch.float64)
    for level in (0.2, 0.75):
        z = mixture_quantile(level, w, m, s)
        expected = {
            0.2: (-1e6 + stats.norm.ppf(0.4), stats.norm.ppf(0.2), 10 * stats.norm.ppf(0.2 / 0.7)),
            0.75: (1e6, stats.norm.ppf(0.75), 10 * stats.norm.ppf(0.45 / 0.7)),
        }[level]
        np.testing.assert_allclose(z, expected, rtol=1e-7)


def test_rows_answer_alone_as_among_others():
    w, m, s = some_mixtures()
    means = ScoreMeans(torch.exp, -3.0, 3.0)
    for call in (lambda *law: mixture_quantile(0.4, *law), means):
        together = call(w, m, s)
        alone = torch.cat([call(w[i : i + 1], m[i : i + 1], s[i : i + 1]) for i in range(len(w))])
        torch.testing.assert_close(together, alone, rtol=1e-9, atol=1e-9)


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


def test_levels_outside_are_refused():
    with pytest.raises(ValueError, match="level"):
        mixture_quantile(1.5, *some_mixtures())
