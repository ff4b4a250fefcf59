"""Moments of a gradient whose law is known."""

import pytest
import torch

from pyro_priors.metrics import gradient_moments


def drawn(shift, noise, draws, seed):
    """The gradient of w by a loss is N(1 + shift, noise^2), that of v always 3."""
    generator = torch.Generator().manual_seed(seed)
    w, v, unused = (torch.zeros(size, requires_grad=True) for size in (4, 2, 3))

    def loss():
        return (w * (1 + shift + noise * torch.randn(4, generator=generator))).sum() + 3 * v.sum()

    return gradient_moments(loss, [w, v, unused], draws)


def test_moments_bias_and_variance():
    truth, noisy = drawn(0.0, 0.0, 2, 0), drawn(0.5, 2.0, 4000, 1)
    assert truth.mean.tolist() == [1.0] * 4 + [3.0] * 2 + [0.0] * 3
    assert noisy.mean.dtype == torch.float64
    assert (noisy.variance[4:] == 0).all()
    torch.testing.assert_close(noisy.variance[:4], torch.full((4,), 4.0).double(), rtol=0.1, atol=0)  # 4.5 errors
    length = 22**0.5
    assert noisy.relative_variance(truth) == pytest.approx(4 * 4 / length**2, rel=0.05)
    bias, noise = noisy.bias(truth)
    assert noise == pytest.approx((16 / 4000) ** 0.5 / length, rel=0.05)
    assert bias == pytest.approx(1 / length, abs=5 * noise)


def test_no_bias_drowns_in_the_noise():
    """The squared distance less its expectation, 4 squares of normals: below 2 of the noise but for 1 in 100,000."""
    truth = drawn(0.0, 0.0, 2, 0)
    for seed in range(5):
        bias, noise = drawn(0.0, 2.0, 500, seed).bias(truth)
        assert bias < 2.5 * noise


def test_one_draw_has_no_variance():
    with pytest.raises(ValueError, match="draws: expected an integer of at least 2, got 1"):
        drawn(0.0, 1.0, 1, 0)
