"""Rendered shapes whose factors are known: one image of each combination, as in dSprites but small."""

import math
from pathlib import Path

import torch
from torch import Tensor

from pyro_priors.data.attributes import Attribute
from pyro_priors.data.images import split
from pyro_priors.data.readers import Options, Parts

SIDE, FINER = 32, 4  # pixels a side; sub-pixels a side of each
KINDS = ("rectangle", "ellipse", "triangle")
SIZES = (0.16, 0.2, 0.24, 0.28)  # half of the longer side, in widths of the image
ANGLES = tuple(15 * step for step in range(6))  # degrees
PLACES = tuple(round(0.32 + 0.36 * step / 11, 4) for step in range(12))  # of the centre

FACTORS = tuple(
    Attribute(name, tuple(map(str, values)))
    for name, values in (("kind", KINDS), ("size", SIZES), ("angle", ANGLES), ("left", PLACES), ("top", PLACES))
)


def read(root: Path, options: Options) -> Parts:
    """The images of `render`, their labels being `FACTORS`."""
    return Parts(lambda: split(render()), FACTORS, split(factors().float())).select(options)


def factors() -> Tensor:
    """Every combination of states, `(10368, 5)`, in the order of `FACTORS`."""
    return torch.cartesian_prod(*(torch.arange(len(states)) for states in (KINDS, SIZES, ANGLES, PLACES, PLACES)))


def render() -> Tensor:
    """The image of every row of `factors`: uint8 `(10368, 1, 32, 32)`, white on black."""
    side = SIDE * FINER
    axis = (torch.arange(side) + 0.5) / side
    kind, size, angle, x, y = factors().T
    size, x, y = torch.tensor(SIZES)[size], torch.tensor(PLACES)[x], torch.tensor(PLACES)[y]
    angle = torch.tensor(ANGLES)[angle] * math.pi / 180
    images = torch.empty(len(kind), 1, SIDE, SIDE, dtype=torch.uint8)
    for rows in torch.arange(len(kind)).split(512):
        scale, turn = (values[rows].view(-1, 1, 1) for values in (size, angle))
        right = (axis.view(1, 1, -1) - x[rows].view(-1, 1, 1)) / scale
        down = (axis.view(1, -1, 1) - y[rows].view(-1, 1, 1)) / scale
        along, across = turn.cos() * right + turn.sin() * down, turn.cos() * down - turn.sin() * right
        inside = torch.stack(
            [
                (along.abs() < 1) & (across.abs() < 0.5),
                along.square() + 4 * across.square() < 1,
                (along > -1) & (across.abs() < (1 - along) / 4),
            ]
        )
        chosen = inside[kind[rows], torch.arange(len(rows))].float().unsqueeze(1)
        images[rows] = (255 * torch.nn.functional.avg_pool2d(chosen, FINER)).round().to(torch.uint8)
    return images
