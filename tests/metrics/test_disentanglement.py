"""The mutual information gap on codes whose information is known."""

import math

import numpy
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


def information(first, second):
    """Mutual information of two columns of states by the counts of their pairs, in nats."""
    joint = numpy.zeros((first.max() + 1, second.max() + 1))
    numpy.add.at(joint, (first, second), 1 / len(first))
    apart = joint.sum(1, keepdims=True) * joint.sum(0, keepdims=True)
    return (joint[joint > 0] * numpy.log(joint[joint > 0] / apart[joint > 0])).sum()


@pytest.mark.parametrize("bins", [2, 5, 20])
def test_against_counts(bins):
    """Factors of unequal entropy, each told in part by all of four latents of other sizes and places."""
    generator = torch.Generator().manual_seed(bins)
    factors = torch.stack([torch.randint(n, (700,), generator=generator) for n in (2, 3, 7)], -1)
    mix = torch.randn(3, 4, generator=generator)
    codes = factors.float() @ mix + 0.3 * torch.randn(700, 4, generator=generator)
    codes = codes * torch.tensor([0.01, 1.0, 5.0, 100.0]) + torch.tensor([3.0, 0.0, -7.0, 50.0])
    cells = []
    for code in codes.double().numpy().T:
        edges = numpy.linspace(code.min(), code.max(), bins + 1)
        cells.append(numpy.digitize(code, edges[1:-1]))
    gaps = []
    for factor in factors.numpy().T:
        best, second = sorted((information(factor, cell) for cell in cells), reverse=True)[:2]
        gaps.append((best - second) / information(factor, factor))
    assert len(set(numpy.round(gaps, 3))) == 3
    assert mutual_information_gap(codes, factors, bins) == pytest.approx(sum(gaps) / 3, abs=1e-9)


def test_a_latent_that_never_varies_tells_nothing():
    factor = torch.arange(40) % 4
    codes = torch.stack([torch.full((40,), 3.0), factor.float()], -1)
    assert mutual_information_gap(codes, factor[:, None]) == pytest.approx(1)


def test_two_examples_and_two_bins_are_enough():
    codes = torch.tensor([[0.0, 0.0], [1.0, 0.0]])
    assert mutual_information_gap(codes, torch.tensor([[0], [1]]), bins=2) == pytest.approx(1)
