"""What all figures share: they are drawn, and show what they are given."""

import matplotlib.image
import pytest
import torch

import pyro_priors as pp
from models import configure
from models.shared import figures

PRIORS = {
    "normal": pp.StandardNormal(4),
    "gmm": pp.GaussianMixture(4, 3),
    "trip": pp.TRIP(4, components=3, rank=2),
    "flow": pp.FlowNormal(4, layers=2, hidden=(8,)),  # no closed form in the plane: a histogram
}


def test_tile_puts_images_in_reading_order():
    grid = figures.tile(torch.arange(3.0).view(3, 1, 1, 1) / 4, columns=2)[..., 0]
    white = 1.0
    expected = [
        [white] * 5,
        [white, 0.0, white, 0.25, white],
        [white] * 5,
        [white, 0.5, white, white, white],
        [white] * 5,
    ]
    assert grid.tolist() == expected


@pytest.mark.parametrize("name", PRIORS)
def test_the_density_that_is_drawn_is_that_of_the_first_two_latents(name):
    """It integrates to one over a wide rectangle, and has the mean and the spread of draws."""
    torch.manual_seed(0)
    prior = PRIORS[name]
    law = prior()
    sides = [torch.linspace(-10, 10, 401), torch.linspace(-12, 12, 401)]
    with torch.no_grad():
        density = figures._plane_density(prior.plane(law), law, sides)
        drawn = law.sample((20_000,))[:, :2]
    assert (prior.plane(law) is None) == (name == "flow")
    across, down = (torch.linspace(side[0], side[-1], len(density)) for side in sides)
    if name == "flow":  # the cells of a histogram, not points
        across, down = ((side[1:] + side[:-1]) / 2 for side in (sides[0][::4], sides[1][::4]))
    mass = density * (across[1] - across[0]) * (down[1] - down[0])
    assert abs(mass.sum() - 1) < 0.02
    for axis, side in ((0, across), (1, down)):
        weights = mass.sum(axis)  # rows are the second latent
        mean = (weights * side).sum()
        spread = (weights * (side - mean) ** 2).sum().sqrt()
        # Six standard errors of a mean of 20,000 draws, and as much for the histogram's own draws.
        assert abs(drawn[:, axis].mean() - mean) < 6 * spread * (2 / 20_000) ** 0.5 + 0.02 * spread
        assert spread == pytest.approx(drawn[:, axis].std().item(), rel=0.05)


def test_figures_are_png(tmp_path):
    z = torch.randn(50, 4)
    figures.prior_density(tmp_path / "prior.png", {name: (prior, prior(), z) for name, prior in PRIORS.items()})
    figures.samples(tmp_path / "samples.png", {"normal": torch.rand(7, 3, 8, 8)})
    figures.reconstructions(tmp_path / "rows.png", torch.rand(4, 1, 8, 8), {"normal": torch.rand(4, 1, 8, 8)})
    figures.points(tmp_path / "one.png", torch.rand(9, 1, 1, 1), {"normal": torch.rand(9, 1, 1, 1)})
    figures.points(tmp_path / "two.png", torch.rand(9, 1, 1, 2), {"normal": torch.rand(9, 1, 1, 2)})
    shapes = [matplotlib.image.imread(path).shape for path in tmp_path.iterdir()]
    assert len(shapes) == 5
    assert all(min(shape[:2]) > 50 for shape in shapes)


@pytest.mark.parametrize(
    ("name", "title"),
    [
        ("vae", "TRIP"),
        ("joint-vae", "TTLP"),
        ("cp-vae", "CP-VAE"),
        ("hierarchical-vae", "two-level VAE"),
        ("aae", "AAE"),
    ],
)
def test_figures_call_a_model_what_it_calls_itself(name, title):
    assert configure(name).title == title
    assert configure("vae", prior="normal").title == "N(0, I)"
