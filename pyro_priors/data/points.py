"""Points on a line or a plane, as "images" of one row, and which modes of their law a sample finds."""

import functools
import math
from pathlib import Path
from typing import NamedTuple

import numpy as np
import torch
from torch import Tensor

from pyro_priors.data.images import split
from pyro_priors.data.readers import Options, Parts

# Modes and standard deviation of two laws that GANs are tested on: the grid as in Lin et al. (PacGAN), 2018,
# arXiv:1712.04086, the ring as in Metz et al. (unrolled GANs), 2017, arXiv:1611.02163.
MODES = {
    "grid": (torch.cartesian_prod(torch.arange(-4.0, 5, 2), torch.arange(-4.0, 5, 2)), 0.05),
    "ring": (2 * torch.stack([f(torch.arange(8) * math.pi / 4) for f in (torch.cos, torch.sin)], -1), 0.02),
}


class Coverage(NamedTuple):
    """How many modes have a good point, and the share of good points: those within three standard deviations of one.

    Of the law itself 98.9 % are good. `balance` is the entropy of the modes of good points over the largest possible.
    """

    modes: int
    good: float
    balance: float


def coverage(points: Tensor, name: str) -> Coverage:
    """Which modes of "grid" or "ring" points `(n, 2)` find.

    Example:
        >>> coverage(torch.tensor([[4.0, 4.0], [4.01, 4.0], [3.0, 3.0], [-2.0, 0.0]]), "grid")
        Coverage(modes=2, good=0.75, balance=0.197...)
    """
    centres, scale = MODES[name]
    distance, nearest = torch.cdist(points, centres).min(-1)
    good = distance < 3 * scale
    counts = nearest[good].bincount(minlength=len(centres)).double()
    entropy = torch.special.entr(counts / counts.sum().clamp(min=1)).sum() / math.log(len(centres))
    return Coverage(int((counts > 0).sum()), good.double().mean().item(), entropy.item())


def read(root: Path, options: Options) -> Parts:
    """The points of `SETS`, as drawn; they have no labels."""
    return Parts(lambda: split(SETS[options.name]()))


def _moons() -> Tensor:
    from sklearn.datasets import make_moons  # here, since it is slow to import

    points, _ = make_moons(10_000, noise=0.05, random_state=0)
    return torch.tensor(points, dtype=torch.float32).view(-1, 1, 1, 2)


def _gaussians() -> Tensor:
    """CP-VAE's toy: 50,000 draws of 1/2 N(0.3, 0.05) + 1/2 N(0.7, 0.05), scales being standard deviations."""
    draw = np.random.default_rng(0)
    points = draw.choice([0.3, 0.7], 50_000) + 0.05 * draw.standard_normal(50_000)
    return torch.tensor(points, dtype=torch.float32).view(-1, 1, 1, 1)


def _mixture(name: str) -> Tensor:
    """50,000 draws of the equal mixture of Gaussians at the modes."""
    (centres, scale), generator = MODES[name], torch.Generator().manual_seed(0)
    chosen = centres[torch.randint(len(centres), (50_000,), generator=generator)]
    return (chosen + scale * torch.randn(50_000, 2, generator=generator)).view(-1, 1, 1, 2)


SETS = {
    "moons": _moons,
    "gaussians": _gaussians,
    **{name: functools.partial(_mixture, name) for name in MODES},
}
