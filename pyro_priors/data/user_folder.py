"""The user's own pictures: a folder or zip archive of images, and optionally CSV files that list them."""

import functools
from pathlib import Path

import torch
from tqdm import tqdm

from pyro_priors.checks import UserError
from pyro_priors.data import csv_files
from pyro_priors.data.attributes import read_csv
from pyro_priors.data.image_files import PictureFiles
from pyro_priors.data.images import split
from pyro_priors.data.streaming import OnDisk

PARTS = ("training", "validation", "test")


def read(root, image_size, stream=None):
    """-> (train, validation, test), uint8 tensors `(n, C, S, S)`: centre crop, then resized to S = `image_size`.

    With a `streaming.Streaming` they are decoded once, to see that they can be, and stay on disk: `OnDisk` each.

    Layout of `root`: `images/` (any depth) or `images.zip`, or the pictures themselves; `attributes.csv`, if there,
    has a column `image` that says which to use, in which order; `partition.csv`, if there, has columns `image` and
    `partition` (0 train, 1 validation, 2 test), otherwise 80 / 10 / 10 % are drawn with a fixed seed. All are read as
    grey pictures if the first is one.

    Pictures are turned upright as their EXIF orientation says; transparent parts become white, 16 bits a pixel 8,
    palettes and CMYK colours RGB; of an animation the first frame is taken.

    Raises:
        UserError: no pictures, too few for three parts, unreadable or huge ones, links that lead out of the folder, or
            rows of the CSV files without a picture (row and column are named).
    """
    pictures = PictureFiles(root)
    names, parts = _listed(Path(root), pictures.names)
    mode = pictures.decode(names[0]).mode
    if stream is not None:
        cut = _cut(torch.arange(len(names)), parts)
        one = functools.partial(pictures.prepared, size=image_size, mode=mode)
        every = OnDisk(one, names, (len(mode), image_size, image_size), stream).check("folder")
        return tuple(every.part(part) for part in cut)
    return _cut(_pixels(pictures, names, image_size, mode), parts)


def labels(root, columns):
    """-> tuple of `Attribute`, (train, validation, test), float tensors `(n, n_attributes)` that go with `read`.

    Args:
        root: as in `read`; `attributes.csv` must be there.
        columns: as in `attributes.read_csv`.

    Raises:
        UserError: as `read` and `attributes.read_csv`.
    """
    path = Path(root) / "attributes.csv"
    if not path.is_file():
        raise UserError(f"attributes: expected a CSV file of them at {path.absolute()}, got none")
    table = read_csv(path, columns)
    _, parts = _listed(Path(root), PictureFiles(root).names)
    return table.attributes, _cut(table.values, parts)


def pictures_named(root, names, image_size, channels, rows=None):
    """The pictures of these names, as `read` prepares them: uint8 `(n, C, S, S)`, S = `image_size`.

    Args:
        root: folder of pictures, laid out as in `read`; its CSV files are not looked at.
        names: of pictures, as `attributes.csv` has them.
        channels: C, 1 (grey) or 3.
        rows: where each name stands, for the message about one that is no picture; default `images`.

    Raises:
        UserError: a name that is no picture there, an unreadable one, other channels.
    """
    if channels not in (1, 3):
        raise UserError(f"channels: expected 1 or 3, got {channels}")
    pictures = PictureFiles(root, "images:", "--images")
    known = set(pictures.names)
    for name, row in zip(names, rows or ["images"] * len(names), strict=True):
        if name not in known:
            raise UserError(f"{row}: expected the name of a picture in {Path(root).absolute()}, got {name!r}")
    return _pixels(pictures, names, image_size, "L" if channels == 1 else "RGB")


def _pixels(pictures, names, image_size, mode):
    pixels = torch.empty(len(names), 1 if mode == "L" else 3, image_size, image_size, dtype=torch.uint8)
    for index, name in enumerate(tqdm(names, desc="folder", leave=False, disable=len(names) < 1000 or None)):
        pixels[index] = pictures.prepared(name, image_size, mode)
    return pixels


def _cut(rows, parts):
    """Train, validation, test: as `partition.csv` says, or at random with a fixed seed."""
    if parts is None:
        cut = split(rows, validation=0.1, test=0.1)
        if not all(map(len, cut)):
            got = ", ".join(f"{len(part)} for {name}" for part, name in zip(cut, PARTS, strict=True))
            raise UserError(
                f"data: expected pictures for each part, got {len(rows)} in all: {got} (add pictures, or a "
                "partition.csv with columns image and partition: 0 train, 1 validation, 2 test)"
            )
        return cut
    return tuple(rows[torch.tensor(parts) == part] for part in range(3))


def _listed(root, names):
    """The names to use and, if partition.csv is there, the part of each."""
    path = root / "attributes.csv"
    if path.is_file():
        (lines, cells), known = csv_files.columns(path), set(names)
        for line, name in zip(lines, cells["image"], strict=True):
            if name not in known:
                raise UserError(f"{path.name} line {line}, column image: expected the name of a picture, got {name!r}")
        names = cells["image"]
    path = root / "partition.csv"
    if not path.is_file():
        return names, None
    lines, cells = csv_files.columns(path)
    if "partition" not in cells:
        raise UserError(f"{path.name}: expected a column 'partition', got {', '.join(cells)}")
    for line, part in zip(lines, cells["partition"], strict=True):
        if part not in ("0", "1", "2"):
            raise UserError(f"{path.name} line {line}, column partition: expected 0, 1 or 2, got {part!r}")
    part_of = dict(zip(cells["image"], cells["partition"], strict=True))
    if missing := [name for name in names if name not in part_of]:
        raise UserError(f"{path.name}: expected a row for every picture, got none for {missing[0]}")
    if empty := {"0", "1", "2"} - {part_of[name] for name in names}:
        raise UserError(f"{path.name}: expected pictures in parts 0, 1 and 2, got none in {', '.join(sorted(empty))}")
    return names, [int(part_of[name]) for name in names]
