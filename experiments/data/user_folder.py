"""The user's own pictures: a folder or zip archive of images, and optionally CSV files that list them."""

import io
import zipfile
from pathlib import Path

import numpy as np
import torch
from PIL import Image, ImageOps
from tqdm import tqdm

from experiments.config import UserError
from experiments.data import csv_files
from experiments.data.attributes import read_csv
from experiments.data.images import split

SUFFIXES = {".png", ".jpg", ".jpeg", ".bmp", ".webp", ".gif", ".tif", ".tiff"}
PARTS = ("training", "validation", "test")


def read(root, image_size):
    """-> (train, validation, test), uint8 tensors `(n, C, S, S)`: centre crop, then resized to S = `image_size`.

    Layout of `root`: `images/` (any depth) or `images.zip`, or the pictures themselves; `attributes.csv`, if there,
    has a column `image` that says which to use, in which order; `partition.csv`, if there, has columns `image` and
    `partition` (0 train, 1 validation, 2 test), otherwise 80 / 10 / 10 % are drawn with a fixed seed. All are read as
    grey pictures if the first is one.

    Pictures are turned upright as their EXIF orientation says; 16 bits a pixel become 8.

    Raises:
        UserError: no pictures, too few for three parts, unreadable ones, or rows of the CSV files without a picture
            (row and column are named).
    """
    pictures = _pictures(Path(root))
    names, parts = _listed(Path(root), sorted(pictures))
    mode = "L" if _decode(pictures, names[0]).mode in ("1", "L") else "RGB"
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
    _, parts = _listed(Path(root), sorted(_pictures(Path(root))))
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
    pictures = _pictures(Path(root), "images:", "--images")
    for name, row in zip(names, rows or ["images"] * len(names), strict=True):
        if name not in pictures:
            raise UserError(f"{row}: expected the name of a picture in {Path(root).absolute()}, got {name!r}")
    return _pixels(pictures, names, image_size, "L" if channels == 1 else "RGB")


def _pixels(pictures, names, image_size, mode):
    pixels = torch.empty(len(names), 1 if mode == "L" else 3, image_size, image_size, dtype=torch.uint8)
    for index, name in enumerate(tqdm(names, desc="folder", leave=False, disable=len(names) < 1000 or None)):
        picture = _decode(pictures, name).convert(mode)
        array = np.array(ImageOps.fit(picture, (image_size, image_size)))
        pixels[index] = torch.from_numpy(array).view(image_size, image_size, -1).movedim(-1, 0)
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


def _pictures(root, asked="data: folder", flag="--data-root"):
    """Name -> function that reads its bytes."""
    if (root / "images.zip").is_file():
        archive = _archive(root / "images.zip")
        found = {name: lambda name=name: archive.read(name) for name in archive.namelist()}
    else:
        folder = root / "images" if (root / "images").is_dir() else root
        found = {path.relative_to(folder).as_posix(): path.read_bytes for path in folder.rglob("*") if path.is_file()}
    pictures = {name: reader for name, reader in found.items() if Path(name).suffix.lower() in SUFFIXES}
    if not pictures:
        raise UserError(
            f"{asked} expected pictures in {root.absolute()} (images.zip, images/ or the folder itself), got none "
            f"(pass {flag} the folder that has them)"
        )
    return pictures


def _archive(path):
    try:
        return zipfile.ZipFile(path)
    except zipfile.BadZipFile as error:
        raise UserError(f"data: expected a zip archive, got a damaged file {path} ({error})") from error


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


def _decode(pictures, name):
    """A picture, upright, with 8 bits a pixel and channel."""
    try:
        picture = Image.open(io.BytesIO(pictures[name]()))
        picture.load()
        ImageOps.exif_transpose(picture, in_place=True)
    except Exception:  # bad bytes raise what zipfile, zlib or any of Pillow's formats raises
        raise UserError(f"data: expected a picture, got an unreadable file {name}") from None
    return picture if picture.mode[0] not in "IF" else _eight_bits(picture, name)


def _eight_bits(picture, name):
    """16 bits a pixel -> 8. Pillow's own conversion clips at 255, which makes nearly all of it white."""
    values = np.asarray(picture)
    if picture.mode == "F" or values.min() < 0 or values.max() > 65535:
        raise UserError(f"data: expected a picture of 8 or 16 bits a pixel, got {name} of mode {picture.mode}")
    return Image.fromarray(((values.astype(np.int64) + 128) // 257).astype(np.uint8))
