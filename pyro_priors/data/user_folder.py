"""The user's own images: a folder or zip archive of them, and optionally CSV files that list them."""

import functools
from collections.abc import Sequence
from pathlib import Path

import torch
from torch import Tensor
from tqdm import tqdm

from pyro_priors.checks import UserError
from pyro_priors.data import csv_files
from pyro_priors.data.attribute_table import table_of
from pyro_priors.data.image_files import ImageFiles
from pyro_priors.data.images import split
from pyro_priors.data.readers import Options, Parts
from pyro_priors.data.streaming import OnDisk

PARTS = ("training", "validation", "test")


def read(root: Path, options: Options) -> Parts:
    """Uint8 tensors `(n, C, S, S)`: centre crop, then resized to S = `image_size`.

    With a `streaming.Streaming` they are decoded once, to see that they can be, and stay on disk: `OnDisk` each.

    Layout of `root`: `images/` (any depth) or `images.zip`, or the images themselves; `attributes.csv`, if there,
    has a column `image` that says which to use, in which order, and columns of attributes, as in
    `attribute_table.read_csv`; `partition.csv`, if there, has columns `image` and `partition` (0 train, 1 validation, 2
    test), otherwise 80 / 10 / 10 % are drawn with a fixed seed. All are read as grey images if the first is one.

    Images are turned upright as their EXIF orientation says; transparent parts become white, 16 bits a pixel 8,
    palettes and CMYK colours RGB; of an animation the first frame is taken.

    Raises:
        UserError: no images, too few for three parts, unreadable or huge ones, links that lead out of the folder, no
            attributes.csv where attributes are wanted, or rows of the CSV files without an image (row and column are
            named); as `attribute_table.read_csv`.
    """
    path = root / "attributes.csv"
    if options.attributes is not None and not path.is_file():
        raise UserError(f"attributes: expected a CSV file of them at {path.absolute()}, got none")
    listed = csv_files.read(path) if path.is_file() else None
    table = None
    if listed is not None and options.attributes is not None:
        table = table_of(listed, options.attributes, None, options.kinds, options.also_missing)
    files = ImageFiles(root)
    names = files.names if listed is None else _among(listed, files.names)
    partition = _partition(root / "partition.csv", names)

    def pixels() -> Sequence[Tensor | OnDisk]:
        mode = files.decode(names[0]).mode
        if options.stream is None:
            return _cut(_decoded(files, names, options.image_size, mode), partition)
        decode = functools.partial(files.prepared, size=options.image_size, mode=mode)
        shape = (len(mode), options.image_size, options.image_size)
        every = OnDisk(decode, names, shape, options.stream).check("folder")
        return [every.part(rows) for rows in _cut(torch.arange(len(names)), partition)]

    if table is None:
        return Parts(pixels)
    return Parts(pixels, table.attributes, _cut(table.values, partition), table.schema)


def images_named(
    root: str | Path, names: Sequence[str], image_size: int, channels: int, rows: Sequence[str] | None = None
) -> Tensor:
    """The images of these names, as `read` prepares them: uint8 `(n, C, S, S)`, S = `image_size`.

    Args:
        root: folder of images, laid out as in `read`; its CSV files are not looked at.
        names: of images, as `attributes.csv` has them.
        channels: C, 1 (grey) or 3.
        rows: where each name stands, for the message about one that is no image; default `images`.

    Raises:
        UserError: a name that is no image there, an unreadable one, other channels.
    """
    if channels not in (1, 3):
        raise UserError(f"channels: expected 1 or 3, got {channels}")
    files = ImageFiles(root, "images", "--images")
    known = set(files.names)
    for name, row in zip(names, rows or ["images"] * len(names), strict=True):
        if name not in known:
            raise UserError(f"{row}: expected the name of an image in {Path(root).absolute()}, got {name!r}")
    return _decoded(files, names, image_size, "L" if channels == 1 else "RGB")


def _decoded(files: ImageFiles, names: Sequence[str], image_size: int, mode: str) -> Tensor:
    pixels = torch.empty(len(names), len(mode), image_size, image_size, dtype=torch.uint8)
    for index, name in enumerate(tqdm(names, desc="folder", leave=False, disable=len(names) < 1000 or None)):
        pixels[index] = files.prepared(name, image_size, mode)
    return pixels


def _cut(rows: Tensor, partition: Tensor | None) -> Sequence[Tensor]:
    """Train, validation, test: as `partition.csv` says, or at random with a fixed seed."""
    if partition is not None:
        return [rows[partition == part] for part in range(3)]
    cut = split(rows, validation=0.1, test=0.1)
    if not all(map(len, cut)):
        got = ", ".join(f"{len(part)} for {name}" for part, name in zip(cut, PARTS, strict=True))
        raise UserError(
            f"data: expected images for each part, got {len(rows)} in all: {got} (add images, or a partition.csv with "
            "columns image and partition: 0 train, 1 validation, 2 test)"
        )
    return cut


def _among(file: csv_files.CsvFile, known: Sequence[str]) -> list[str]:
    """The names in the file, all of which are images."""
    there = set(known)
    for line, name in zip(file.lines, file.cells["image"], strict=True):
        if name not in there:
            raise UserError(f"{file.name} line {line}, column image: expected the name of an image, got {name!r}")
    return file.cells["image"]


def _partition(path: Path, names: Sequence[str]) -> Tensor | None:
    """The part of each name as the file says, if it is there."""
    if not path.is_file():
        return None
    _, _, _, lines, cells, _ = csv_files.read(path)
    if "partition" not in cells:
        raise UserError(f"{path.name}: expected a column 'partition', got {', '.join(cells)}")
    for line, part in zip(lines, cells["partition"], strict=True):
        if part not in ("0", "1", "2"):
            raise UserError(f"{path.name} line {line}, column partition: expected 0, 1 or 2, got {part!r}")
    part_of = dict(zip(cells["image"], cells["partition"], strict=True))
    if missing := [name for name in names if name not in part_of]:
        raise UserError(f"{path.name}: expected a row for every image, got none for {missing[0]}")
    if empty := {"0", "1", "2"} - {part_of[name] for name in names}:
        raise UserError(f"{path.name}: expected images in parts 0, 1 and 2, got none in {', '.join(sorted(empty))}")
    return torch.tensor([int(part_of[name]) for name in names])
