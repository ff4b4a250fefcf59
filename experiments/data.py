"""Data sets by name, as tensors in memory."""

import os
from pathlib import Path
from typing import NamedTuple, get_args

import numpy as np
import torch
from sklearn.datasets import load_digits, make_moons

from experiments import data_folder, data_torchvision
from experiments.config import DataName, UserError
from experiments.images import Images, split


class ImageData(NamedTuple):
    """A data set in three parts."""

    name: str
    image_shape: tuple[int, int, int]
    train: Images
    validation: Images
    test: Images


def load(name, root=None, *, image_size=64, binarize="none"):
    """Read a data set, downloading it where that is possible.

    `moons` and `gaussians` are points: "pictures" of shape (1, 1, 2) and (1, 1, 1), values as drawn.

    Args:
        name: one of `experiments.config.DataName`.
        root: folder of the data; None is $PYRO_PRIORS_DATA, else `data/`.
        image_size: side of `celeba` and `folder` pictures.
        binarize: "none", or "dynamic": the training part draws 0/1 pixels afresh at every reading, validation and test
            are drawn once, always the same.

    Raises:
        UserError: unknown name or option, or data that are neither there nor downloadable (path and remedy are named).

    Example:
        >>> digits = load("digits")
        >>> digits.image_shape, len(digits.train), len(digits.validation), len(digits.test)
        ((1, 8, 8), 1258, 180, 359)
    """
    if name not in get_args(DataName):
        raise UserError(f"data: expected one of {', '.join(get_args(DataName))}, got {name!r}")
    if binarize not in ("none", "dynamic"):
        raise UserError(f"binarize: expected 'none' or 'dynamic', got {binarize!r}")
    root = Path(root or os.environ.get("PYRO_PRIORS_DATA") or "data")
    if name in GENERATED:
        parts = split(GENERATED[name](), validation=0.1, test=0.2)
    elif name == "folder":
        parts = data_folder.read(root, image_size)
    else:
        parts = data_torchvision.read(name, root, image_size)
    train, validation, test = parts
    train = Images(train, binarize == "dynamic")
    if binarize == "dynamic":
        generator = torch.Generator().manual_seed(0)
        validation, test = (torch.bernoulli(Images(part).first(), generator=generator) for part in (validation, test))
    return ImageData(name, tuple(train.pixels.shape[1:]), train, Images(validation), Images(test))


def _digits():
    return torch.tensor(load_digits().images, dtype=torch.float32).unsqueeze(1) / 16


def _moons():
    points, _ = make_moons(10_000, noise=0.05, random_state=0)
    return torch.tensor(points, dtype=torch.float32).view(-1, 1, 1, 2)


def _gaussians():
    """CP-VAE's toy: 50,000 draws of 1/2 N(0.3, 0.05) + 1/2 N(0.7, 0.05), scales being standard deviations."""
    draw = np.random.default_rng(0)
    points = draw.choice([0.3, 0.7], 50_000) + 0.05 * draw.standard_normal(50_000)
    return torch.tensor(points, dtype=torch.float32).view(-1, 1, 1, 1)


GENERATED = {"digits": _digits, "moons": _moons, "gaussians": _gaussians}
