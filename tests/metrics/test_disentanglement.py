"""The mutual information gap on codes whose information is known."""

import math

import pytest
import torch

from pyro_priors.metrics import mutual_information_gap

FACTORS = torch.cartesian_prod(torch.arange(4), torch.arange(3), torch.arange(2))


def noisy(factor, seed):
    generator = torch.Generator().manual_seed(seed)
    return factor + 0.001 * torch.rand(len(factor), generator=generator)


def test_one_latent_for_each_factor_and_one_for_nothing():
    """Any order, sign and scale of the latents."""
    idle = torch.zeros(len(FACTORS))
    codes = torch.stack([-5.0 * FACTORS[:, 2], idle, FACTORS[:, 0] / 7, FACTORS[:, 1] + 100.0], -1)
    assert mutual_information_gap(codes, FACTORS) == pytest.approx(1)


def test_a_rotation_mixes_what_latents_tell():
    factors = torch.cartesian_prod(torch.arange(8), torch.arange(8))
    angle = torch.tensor(math.pi / 4)
    turn = torch.stack([torch.stack([angle.cos(), -angle.sin()]), torch.stack([angle.sin(), angle.cos()])])
    codes = factors.float() - 3.5
    assert mutual_information_gap(codes, factors) == pytest.approx(1)
    assert mutual_information_gap(codes @ turn, factors) < 0.05


def test_a_second_latent_that_tells_half():
    """A factor of four states: one latent tells log 4 of it, another log 2; over the entropy log 4 that is 1/2."""
    factor = torch.arange(400) % 4
    codes = torch.stack([factor, factor // 2], -1).float()
    assert mutual_information_gap(codes, factor.unsqueeze(1)) == pytest.approx(0.5)


def test_bins_of_equal_width():
    """Two bins of a latent that tells four states leave log 2."""
    factor = torch.arange(400) % 4
    codes = torch.stack([factor.float(), torch.zeros(400)], -1)
    assert mutual_information_gap(codes, factor.unsqueeze(1), bins=2) == pytest.approx(0.5)


GOOD = torch.rand(5, 2)


@pytest.mark.parametrize(
    ("codes", "factors", "bins", "message"),
    [
        (GOOD[:, :1], torch.arange(5)[:, None], 20, r"latents, factors: expected shapes .* got \(5, 1\) and \(5, 1\)"),
        (GOOD, torch.arange(4)[:, None], 20, "latents, factors: expected shapes"),
        (GOOD, torch.arange(5), 20, "latents, factors: expected shapes"),
        (GOOD * math.nan, torch.arange(5)[:, None], 20, "expected finite values"),
        (GOOD, torch.ones(5, 1), 20, "factors: expected each to vary"),
        (GOOD, torch.arange(5)[:, None], 1, "bins: "),
    ],
)
def test_bad_input(codes, factors, bins, message):
    with pytest.raises(ValueError, match=message):
        mutual_information_gap(codes, factors, bins)
