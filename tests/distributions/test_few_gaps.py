"""Vectors of which a number or two are missing: these are projected away from the factor."""

import math

import pytest
import torch
from catalogue import NAN

from pyro_priors.distributions.full_gaussians import FullGaussians


def nearly_collinear(gap, dtype=torch.float64, size=16):
    """Two Gaussians; the second number is the first but for so much, and the one in the middle the third."""
    generator = torch.Generator().manual_seed(0)
    mix = torch.randn(2, size, size, generator=generator, dtype=torch.float64) / 4
    mix = mix + 2 * torch.eye(size, dtype=torch.float64)
    for copy, other in ((1, 0), (size // 2, 2 % (size // 2))):
        mix[:, copy] = mix[:, other] + gap * mix[:, copy]
    factor = torch.linalg.inv(torch.linalg.cholesky(mix @ mix.mT)).tril()
    return FullGaussians(torch.randn(2, size, generator=generator, dtype=torch.float64).to(dtype), factor.to(dtype))


def by_reflections(law, value, gone):
    """log-densities without some numbers: those of R's last rows, where L with these numbers first is Q R"""
    there = [place for place in range(law.size) if place not in gone]
    part = torch.linalg.qr(law.factor[..., gone + there]).R[:, len(gone) :, len(gone) :]
    whitened = (part @ (value[:, None, there] - law.loc[:, there]).unsqueeze(-1)).squeeze(-1)
    log_det = part.diagonal(dim1=-2, dim2=-1).abs().log().sum(-1)
    return log_det - 0.5 * whitened.square().sum(-1) - 0.5 * len(there) * math.log(2 * math.pi)


@pytest.mark.parametrize("gap", [1.0, 1e-3])
@pytest.mark.parametrize("gone", [[0], [1], [0, 1], [2, 9], [0, 8], [1, 2]])
def test_few_gaps_of_numbers_that_nearly_follow_from_others(gap, gone):
    """In double precision nothing is lost; single precision is held against double of the same parameters."""
    law = nearly_collinear(gap)
    value = law.draw(torch.arange(2).repeat(3))
    value[:, gone] = NAN
    torch.testing.assert_close(law.log_density(value), by_reflections(law, value, gone), rtol=1e-11, atol=1e-11)
    narrow = nearly_collinear(gap, torch.float32)
    wide, single = FullGaussians(narrow.loc.double(), narrow.factor.double()), value.float()
    expected = by_reflections(wide, single.double(), gone).float()
    torch.testing.assert_close(narrow.log_density(single), expected, rtol=3e-5, atol=1e-5)


def test_gradients_of_few_gaps():
    law = nearly_collinear(1.0, size=4)
    value = torch.randn(3, 4, dtype=torch.float64)
    value[0, 0], value[1, [1, 3]], value[2, [2, 3]] = NAN, NAN, NAN

    def density(loc, factor, x):
        return FullGaussians(loc, factor.tril()).log_density(torch.where(value.isnan(), NAN, x))

    inputs = [x.clone().requires_grad_() for x in (law.loc, law.factor, value.nan_to_num())]
    assert torch.autograd.gradcheck(density, inputs)
