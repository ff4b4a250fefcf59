"""Data sets by name, as tensors in memory."""

import os
from pathlib import Path
from typing import NamedTuple, get_args

import torch

from pyro_priors.checks import UserError, check_seed
from pyro_priors.data import points, shapes, torchvision_sets, user_folder
from pyro_priors.data.attributes import DIGITS, Attribute, moments, select
from pyro_priors.data.images import Images, split
from pyro_priors.data.names import STREAMED, DataName


class ImageData(NamedTuple):
    """A data set in three parts."""

    name: str
    image_shape: tuple[int, int, int]
    train: Images
    validation: Images
    test: Images
    attributes: tuple[Attribute, ...] = ()


def load(
    name, root=None, *, image_size=64, crop=148, binarize="none", attributes=None, missing=0.0, seed=0, stream=None
):
    """Read a data set, downloading it where that is possible.

    `moons`, `grid`, `ring` and `gaussians` are points: "pictures" of shape (1, 1, 2), or (1, 1, 1), values as drawn.
    `shapes` are rendered, one picture of each combination of kind, size, angle and place, which are its attributes.

    Args:
        name: one of `pyro_priors.data.names.DataName`.
        root: folder of the data; None is $PYRO_PRIORS_DATA, else `data/`.
        image_size: side of `celeba` and `folder` pictures.
        crop: side of what is used of the pictures of `celeba`.
        binarize: "none", or "dynamic": the training part draws 0/1 pixels afresh at every reading, validation and test
            are drawn once, always the same.
        attributes: None: pictures without labels. Else names of those to read, () for all there are, as in
            `attributes.read_csv`. `omniglot` and points have none; `folder` has those of attributes.csv.
            Continuous ones are standardised by what is visible in the training part.
        missing: share of the known labels of training and validation that is hidden, in [0, 1); `Images.hidden` keeps
            them. The test part keeps all.
        stream: a `streaming.Streaming`: the pictures of `celeba` and `folder` stay on disk, and are the same when read.
            None: they are decoded to memory.
        seed: of the choice of what is hidden; with more missing, more is hidden of the same data, never other entries.

    Raises:
        UserError: unknown name or option; data that are neither there nor downloadable (path and remedy are named);
            attributes that are not there, or of which the training part shows nothing.

    Example:
        >>> digits = load("digits")
        >>> digits.image_shape, len(digits.train), len(digits.validation), len(digits.test)
        ((1, 8, 8), 1258, 180, 359)
        >>> digits = load("digits", attributes=(), missing=0.7)
        >>> digits.attributes[0].name, digits.train.labels.shape, digits.train.labels.isnan().sum().item()
        ('digit', torch.Size([1258, 1]), 881)
    """
    if name not in get_args(DataName):
        raise UserError(f"data: expected one of {', '.join(get_args(DataName))}, got {name!r}")
    if binarize not in ("none", "dynamic"):
        raise UserError(f"binarize: expected 'none' or 'dynamic', got {binarize!r}")
    if not 0 <= missing < 1:
        raise UserError(f"missing: expected a share in [0, 1), got {missing}")
    if missing and attributes is None:
        raise UserError(f"missing: expected 0 where no attributes are read, got {missing}")
    if stream is not None and (name not in STREAMED or binarize != "none"):
        raise UserError(
            f"stream: expected data {' or '.join(STREAMED)} and binarize 'none', got {name} and {binarize!r}"
        )
    check_seed(seed)
    root = root_of(root)
    # Labels first: mistakes in a CSV file come out before thousands of pictures are decoded.
    meanings, labels, hidden = (), [None] * 3, [None] * 3
    if attributes is not None:
        meanings, labels, hidden = _labels(name, root, attributes, missing, seed)
    if name in GENERATED:
        parts = split(GENERATED[name](), **SHARES)
    elif name == "folder":
        parts = user_folder.read(root, image_size, stream)
    else:
        parts = torchvision_sets.read(name, root, image_size, crop, stream)
    train, validation, test = parts
    if binarize == "dynamic":
        Images(train, binarize=True)  # values that are no grey values
        generator = torch.Generator().manual_seed(0)
        validation, test = (torch.bernoulli(Images(part).first(), generator=generator) for part in (validation, test))
    parts = zip((train, validation, test), (binarize == "dynamic", False, False), labels, hidden, strict=True)
    return ImageData(name, tuple(train.shape[1:]), *(Images(*part) for part in parts), meanings)


def without_labels(data):
    """The same pictures, their labels kept only as the hidden truth."""
    parts = (Images(part.pixels, part.binarize, None, part.labels) for part in (data.train, data.validation, data.test))
    return ImageData(data.name, data.image_shape, *parts)


def root_of(root):
    """Where the data lie: as asked, else $PYRO_PRIORS_DATA, else `data/`."""
    return Path(root or os.environ.get("PYRO_PRIORS_DATA") or "data")


def _labels(name, root, columns, missing, seed):
    """-> attributes, labels and hidden labels of training, validation and test."""
    if name == "folder":
        attributes, parts = user_folder.labels(root, columns)
    elif name == "digits":
        attributes = (Attribute("digit", DIGITS),)
        parts = split(torch.tensor(_sklearn_digits().target).float().unsqueeze(1), **SHARES)
    elif name == "shapes":
        attributes, parts = shapes.FACTORS, split(shapes.factors().float(), **SHARES)
    elif name in GENERATED:
        raise UserError(f"attributes: expected a data set that has some, got {name}")
    else:
        attributes, parts = torchvision_sets.labels(name, root)
    if name != "folder":
        chosen = [select(f"attributes of {name}", attributes, part, columns) for part in parts]
        attributes, parts = chosen[0][0], [values for _, values in chosen]
    generator = torch.Generator().manual_seed(seed)
    masks = [_hide(part, share, generator) for part, share in zip(parts, (missing, missing, 0), strict=True)]
    visible = [part.masked_fill(mask, torch.nan) for part, mask in zip(parts, masks, strict=True)]
    hidden = [part.masked_fill(~mask, torch.nan) for part, mask in zip(parts, masks, strict=True)]
    attributes, loc, scale = _standardised(attributes, visible[0], missing)
    visible, hidden = ([((part - loc) / scale).float() for part in parts] for parts in (visible, hidden))
    return attributes, visible, hidden


def _hide(labels, share, generator):
    """True for that share of the known entries, drawn at random; a smaller share is part of a larger one."""
    known = (~labels.isnan()).flatten().nonzero().squeeze(1)
    chosen = known[torch.randperm(len(known), generator=generator)[: round(share * len(known))]]
    return torch.zeros(labels.numel(), dtype=torch.bool).index_fill(0, chosen, True).view(labels.shape)


def _standardised(attributes, labels, missing):
    """Continuous attributes with the mean and deviation of these labels -> attributes, what to take off, to divide by.

    The labels are in units of `scale` already: they say where those of this part lie among those of the whole file.
    """
    attributes, shape = list(attributes), (2, len(attributes))
    loc, scale = torch.tensor([[0.0], [1.0]], dtype=torch.float64).expand(shape).clone()
    for column, attribute in enumerate(attributes):
        seen = labels[~labels[:, column].isnan(), column]
        if not len(seen):
            why = f" (missing is {missing})" if missing else ""
            raise UserError(f"attributes: expected a known {attribute.name} in the training part, got none{why}")
        if attribute.categories is None:
            mean, deviation = moments(seen)
            loc[column], scale[column] = mean, deviation
            in_file = {"loc": attribute.loc + attribute.scale * mean, "scale": attribute.scale * deviation}
            attributes[column] = attribute._replace(**in_file)
    return tuple(attributes), loc, scale


def _digits():
    return torch.tensor(_sklearn_digits().images, dtype=torch.float32).unsqueeze(1) / 16


def _sklearn_digits():
    from sklearn.datasets import load_digits  # here, since it is slow to import

    return load_digits()


SHARES = {"validation": 0.1, "test": 0.2}
GENERATED = {"digits": _digits, "shapes": shapes.render, **points.SETS}
