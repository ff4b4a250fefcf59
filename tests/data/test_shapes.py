"""Shapes: they are where their factors say."""

import torch
from small_shapes import few_shapes

from pyro_priors.data import shapes
from pyro_priors.data.loading import load


def test_shapes_are_where_and_as_large_as_their_factors_say(monkeypatch):
    few_shapes(monkeypatch)
    images, factors = shapes.render()[:, 0].double() / 255, shapes.factors()
    assert len(images) == 3 * 4 * 6 * 3 * 3
    kind, size, angle, left, top = factors.T
    size, left, top = (
        torch.tensor(v)[i] for v, i in ((shapes.SIZES, size), (shapes.PLACES, left), (shapes.PLACES, top))
    )
    mass = images.sum((1, 2))
    # A half side a: rectangle 2a x a, ellipse pi a a/2, triangle of base a and height 2a.
    area = torch.tensor([2.0, torch.pi / 2, 1.0])[kind] * (32 * size) ** 2
    torch.testing.assert_close(mass, area.double(), rtol=0.03, atol=0.5)
    axis = (torch.arange(32) + 0.5) / 32
    across, down = (images.sum(1) @ axis.double()) / mass, (images.sum(2) @ axis.double()) / mass
    even = kind < 2  # the centroid of a triangle is a sixth of its height before the middle
    assert (across - left)[even].abs().max() < 0.004
    assert (down - top)[even].abs().max() < 0.004
    tilt = torch.tensor(shapes.ANGLES)[angle] * torch.pi / 180
    torch.testing.assert_close(across[~even], (left - size / 3 * tilt.cos())[~even].double(), rtol=0, atol=0.006)
    torch.testing.assert_close(down[~even], (top - size / 3 * tilt.sin())[~even].double(), rtol=0, atol=0.006)
    assert len(images.flatten(1).unique(dim=0)) == len(images)


def test_shapes_come_with_their_factors(monkeypatch):
    few_shapes(monkeypatch)
    data = load("shapes", attributes=())
    assert data.image_shape == (1, 32, 32)
    assert [a.name for a in data.attributes] == ["kind", "size", "angle", "left", "top"]
    everything, table = shapes.render(), shapes.factors()
    images, labels = data.train[[0, 7]]
    rows = [(table == row).all(-1).nonzero().item() for row in labels]
    assert torch.equal(images, everything[rows].float() / 255)
