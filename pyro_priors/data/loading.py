"""Data sets by name: read, their labels hidden and standardised, their images binarised, ready for `images.loader`."""

import os
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import NamedTuple

import torch
from torch import Tensor

from pyro_priors.checks import UserError, check_seed
from pyro_priors.data.attributes import Attribute, moments
from pyro_priors.data.images import Images
from pyro_priors.data.names import STREAMED
from pyro_priors.data.readers import Options, Parts, read
from pyro_priors.data.schema import Field
from pyro_priors.data.streaming import Streaming


class ImageData(NamedTuple):
    """A data set in three parts.

    `schema` says what each column of a user's table is. Of a `folder` `contents` has {name: hash of the image} of each
    part, in the order of its images, with labels "IMAGE-LABELS", two hashes; `notes` are lines for people about its
    files.
    """

    name: str
    image_shape: tuple[int, int, int]
    train: Images
    validation: Images
    test: Images
    attributes: tuple[Attribute, ...] = ()
    schema: tuple[Field, ...] = ()
    contents: tuple[dict[str, str], ...] = ()
    notes: tuple[str, ...] = ()


def load(
    name: str,
    root: str | os.PathLike | None = None,
    *,
    image_size: int = 64,
    crop: int = 148,
    binarize: str = "none",
    attributes: Sequence[str] | None = None,
    missing: float = 0.0,
    seed: int = 0,
    stream: Streaming | None = None,
    kinds: Mapping[str, str | Field] | None = None,
    also_missing: Sequence[str] = (),
    channels: int | None = None,
    shuffled: bool = False,
    meanings: Sequence[Attribute] | None = None,
) -> ImageData:
    """Read a data set, downloading it where that is possible.

    `moons`, `grid`, `ring` and `gaussians` are points: "images" of shape (1, 1, 2), or (1, 1, 1), values as drawn.
    `shapes` are rendered, one image of each combination of kind, size, angle and place, which are its attributes.

    Args:
        name: one of `pyro_priors.data.names.DataName`.
        root: folder of the data; None is $PYRO_PRIORS_DATA, else `data/`.
        image_size: side of `celeba` and `folder` images.
        crop: side of what is used of the images of `celeba`.
        binarize: "none", or "dynamic": the training part draws 0/1 pixels afresh at every reading, validation and test
            are drawn once, always the same.
        attributes: None: images without labels. Else names of those to read, () for all there are, as in
            `attribute_table.read_csv`. `omniglot` and points have none; `folder` has those of attributes.csv.
            Continuous ones are standardised by what is visible in the training part.
        missing: share of the known labels of training and validation that is hidden, in [0, 1); `Images.hidden` keeps
            them. The test part keeps all.
        stream: a `streaming.Streaming`: the images of `celeba` and `folder` stay on disk, and are the same when read.
            None: they are decoded to memory.
        kinds: what columns of `folder` are, where that is not what their cells say, {name: one of `schema.KINDS`}.
        also_missing: spellings of a missing cell of `folder` beside those of `numerals.is_missing`.
        channels: of `folder` images, 1 (grey) or 3; None: 3 if any of them is a colour image.
        shuffled: cut a `folder` at random with a fixed seed, as runs of before did: the cut depends on how many images
            there are. False: the hash of an image's path says its part.
        meanings: attributes of a trained run, by which labels are standardised and numbered; None: by these data.
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
    for option, value in (("kinds", kinds), ("also_missing", also_missing)):
        if value and (name != "folder" or attributes is None):
            raise UserError(f"{option}: expected attributes of data folder beside it, got {name}")
    if channels not in (None, 1, 3):
        raise UserError(f"channels: expected 1, 3 or None, got {channels}")
    check_seed(seed)
    options = Options(name, image_size, crop, attributes, stream, kinds, also_missing, channels, shuffled)
    parts = read(root_of(root), options)
    own, visible, hidden = _hidden(parts, missing, seed)
    if meanings is not None and tuple(meanings) != own:
        visible, hidden = ([_as_in(own, part, meanings) for part in labels] for labels in (visible, hidden))
        own = tuple(meanings)
    pixels = parts.pixels()  # after the labels: mistakes in them come out before thousands of images are decoded
    dynamic = binarize == "dynamic"
    train = Images(pixels[0], dynamic, visible[0], hidden[0])
    # Draws of their own: always the same, and those of a training do not depend on them.
    generator = torch.Generator().manual_seed(0)
    rest = [torch.bernoulli(Images(p).first(), generator=generator) if dynamic else p for p in pixels[1:]]
    validation, test = (Images(p, False, *labels) for p, *labels in zip(rest, visible[1:], hidden[1:], strict=True))
    _, channels, height, width = train.pixels.shape
    shape, known = (channels, height, width), (own, parts.schema, parts.contents, parts.notes)
    return ImageData(name, shape, train, validation, test, *known)


def without_labels(data: ImageData) -> ImageData:
    """The same images, their labels left only as the hidden truth."""
    train, validation, test = (Images(part.pixels, part.binarize, None, part.labels) for part in data[2:5])
    return data._replace(train=train, validation=validation, test=test, attributes=())


def root_of(root: str | os.PathLike | None) -> Path:
    """Where the data lie: at `root`, else $PYRO_PRIORS_DATA, else `data/`."""
    return Path(root or os.environ.get("PYRO_PRIORS_DATA") or "data")


Labels = Sequence[Tensor | None]  # of training, validation and test part


def _hidden(parts: Parts, missing: float, seed: int) -> tuple[tuple[Attribute, ...], Labels, Labels]:
    """Standardised labels without the share that is hidden -> attributes, these labels, those that were hidden."""
    if parts.labels is None:
        return (), [None] * 3, [None] * 3
    generator = torch.Generator().manual_seed(seed)
    masks = [_mask(part, share, generator) for part, share in zip(parts.labels, (missing, missing, 0), strict=True)]
    visible = [part.masked_fill(mask, torch.nan) for part, mask in zip(parts.labels, masks, strict=True)]
    hidden = [part.masked_fill(~mask, torch.nan) for part, mask in zip(parts.labels, masks, strict=True)]
    attributes, loc, scale = _standardised(parts.attributes, visible[0], missing)
    visible, hidden = ([((part - loc) / scale).float() for part in parts] for parts in (visible, hidden))
    return attributes, visible, hidden


def _as_in(own: Sequence[Attribute], labels: Tensor | None, meanings: Sequence[Attribute]) -> Tensor | None:
    """Labels in the units and categories of other attributes of the same names."""
    if labels is None or [attribute.name for attribute in own] != [attribute.name for attribute in meanings]:
        raise UserError(
            f"data: expected attributes {', '.join(a.name for a in meanings) or 'none'} as at training, got "
            f"{', '.join(a.name for a in own) or 'none'}"
        )
    columns = []
    for column, (now, then) in enumerate(zip(own, meanings, strict=True)):
        values = labels[:, column]
        if now.categories is not None and then.categories is not None and set(now.categories) <= set(then.categories):
            states = torch.tensor([float(then.categories.index(category)) for category in now.categories])
            values = torch.where(values.isnan(), values, states[values.nan_to_num().long()])
        elif now.categories is None and then.categories is None:
            values = ((values.double() * now.scale + now.loc - then.loc) / then.scale).float()
        else:
            raise UserError(f"data: expected {then.name} as at training, {then}, got {now}")
        columns.append(values)
    return torch.stack(columns, 1)


def _mask(labels: Tensor, share: float, generator: torch.Generator) -> Tensor:
    """True for that share of the known entries, drawn at random; a smaller share is part of a larger one."""
    known = (~labels.isnan()).flatten().nonzero().squeeze(1)
    chosen = known[torch.randperm(len(known), generator=generator)[: round(share * len(known))]]
    return torch.zeros(labels.numel(), dtype=torch.bool).index_fill(0, chosen, True).view(labels.shape)


def _standardised(
    attributes: Sequence[Attribute], labels: Tensor, missing: float
) -> tuple[tuple[Attribute, ...], Tensor, Tensor]:
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
