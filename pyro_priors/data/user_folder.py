"""The user's own images: a folder or zip archive of them, and optionally CSV files that list them."""

import functools
from collections.abc import Iterable, Sequence
from pathlib import Path

import torch
from torch import Tensor
from tqdm import tqdm

from pyro_priors.checks import UserError
from pyro_priors.data import csv_files, depths
from pyro_priors.data.attribute_table import table_of
from pyro_priors.data.image_files import ImageFiles, Look
from pyro_priors.data.images import split
from pyro_priors.data.listing import is_hidden
from pyro_priors.data.parts import PARTS, order_of, parts_of
from pyro_priors.data.readers import Options, Parts
from pyro_priors.data.streaming import OnDisk, survey


def read(root: Path, options: Options) -> Parts:
    """Uint8 tensors `(n, C, S, S)`: centre crop, then resized to S = `image_size`.

    With a `streaming.Streaming` they are decoded once, to see that they can be, and stay on disk: `OnDisk` each.

    Layout of `root`: `images/` (any depth) or `images.zip`, or the images themselves; `attributes.csv`, if there,
    has a column `image` that says which to use, in which order, and columns of attributes, as in
    `attribute_table.read_csv`; `partition.csv`, if there, has columns `image` and `partition` (0 train, 1 validation, 2
    test), otherwise hashes of their paths say so (`parts.parts_of`): 80 / 10 / 10 % of a large folder. Equal images
    are then in the same part. All are read as colour images if any is one, unless `options.channels` says.

    Images are turned upright as their EXIF orientation says; transparent parts become white, 16 bits a channel 8,
    palettes and CMYK colours RGB; of an animation the first frame is taken.

    Raises:
        UserError: no images, none for one of the parts, unreadable or huge ones, links that lead out of the folder,
            images of 16 bits that are all nearly black, no attributes.csv where attributes are wanted, or rows of the
            CSV files without an image (row and column are named); as `attribute_table.read_csv`.
    """
    path = root / "attributes.csv"
    if options.attributes is not None and not path.is_file():
        raise UserError(f"attributes: expected a CSV file of them at {path.absolute()}, got none")
    listed = csv_files.read(path) if path.is_file() else None
    table = None
    if listed is not None and options.attributes is not None:
        table = table_of(listed, options.attributes, None, options.kinds, options.also_missing)
    files = ImageFiles(root)
    names: list[str] = files.names if listed is None else _among(listed, files)
    partition = _partition(root / "partition.csv", names, files)
    shuffled = None
    if options.shuffled and partition is None:
        shuffled = _shuffled(names if listed else files.former(), names)
    if options.channels is None:
        mode = "L" if files.are_grey(names, functools.partial(_shown, label="folder: headers")) else "RGB"
    else:
        mode = "L" if options.channels == 1 else "RGB"
    pixels, contents = _looked(files, names, mode, options)
    rows = [(partition == part).nonzero().squeeze(1) for part in range(3)] if partition is not None else shuffled
    rows = _hashed(names, contents) if rows is None else rows
    if table is not None:
        contents = [f"{content}-{label}" for content, label in zip(contents, table.hashes, strict=True)]
    held: tuple[dict[str, str], ...] = tuple({names[row]: contents[row] for row in part.tolist()} for part in rows)

    def cut() -> Sequence[Tensor | OnDisk]:
        return [pixels.part(part) if isinstance(pixels, OnDisk) else pixels[part] for part in rows]

    notes = (files.note,) if files.note else ()
    if table is None:
        return Parts(cut, contents=held, notes=notes)
    return Parts(cut, table.attributes, [table.values[part] for part in rows], table.schema, held, notes)


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
    own = []
    for name, row in zip(names, rows or ["images"] * len(names), strict=True):
        if (known := files.named(name)) is None:
            beside = f" ({files.note.partition(': ')[2]})" if files.note else ""
            raise UserError(f"{row}: expected the name of an image in {Path(root).absolute()}, got {name!r}{beside}")
        own.append(known)
    return _decoded(files, own, image_size, "L" if channels == 1 else "RGB")[0]


def _shown(names: Sequence[str], label: str = "folder") -> Iterable[str]:
    """With a progress bar where there are many."""
    return tqdm(names, desc=label, leave=False, disable=len(names) < 1000 or None)


def _decoded(files: ImageFiles, names: Sequence[str], image_size: int, mode: str) -> tuple[Tensor, list[str]]:
    """Images in memory, and hashes of their contents."""
    pixels = torch.empty(len(names), len(mode), image_size, image_size, dtype=torch.uint8)
    contents, largest = [], {}
    for index, name in enumerate(_shown(names)):
        look = files.look(name, image_size, mode)
        pixels[index] = look.pixels
        contents.append(look.content)
        largest[name] = look.largest
    depths.check_dark({name: value for name, value in largest.items() if value is not None})
    return pixels, contents


def _looked(files: ImageFiles, names: Sequence[str], mode: str, options: Options) -> tuple[Tensor | OnDisk, list[str]]:
    """Images in memory or on disk, which have been looked at once, and hashes of their contents."""
    if options.stream is None:
        return _decoded(files, names, options.image_size, mode)
    how = {"size": options.image_size, "mode": mode}
    looks = survey(functools.partial(_without_pixels, files, **how), names, options.stream, "folder")
    depths.check_dark({name: look.largest for name, look in zip(names, looks, strict=True) if look.largest is not None})
    shape = (len(mode), options.image_size, options.image_size)
    contents = [look.content for look in looks]
    return OnDisk(functools.partial(files.prepared, **how), names, shape, options.stream, contents), contents


def _without_pixels(files: ImageFiles, name: str, size: int, mode: str) -> Look:
    return files.look(name, size, mode)._replace(pixels=torch.empty(0))


def _hashed(names: Sequence[str], contents: Sequence[str]) -> list[Tensor]:
    """Rows of training, validation and test part, as the hashes of their names say."""
    parts, order = parts_of(names, contents), torch.tensor(order_of(names))
    return _filled([order[parts[order] == part] for part in range(3)], len(set(contents)))


def _shuffled(every: Sequence[str], names: Sequence[str]) -> list[Tensor]:
    """Rows of each part in the split of the runs of before, drawn at random with a fixed seed for so many.

    Hidden files counted as images then, and other endings than today's did not.
    """
    row_of = {name: row for row, name in enumerate(names) if not is_hidden(name)}
    cut = split(torch.arange(len(every)), validation=0.1, test=0.1)
    rows = [[row_of[name] for i in part.tolist() if (name := every[int(i)]) in row_of] for part in cut]
    return _filled([torch.tensor(part, dtype=torch.long) for part in rows])


def _filled(rows: list[Tensor], different: int | None = None) -> list[Tensor]:
    """The rows of the parts, none of which may be empty."""
    if not all(map(len, rows)):
        count = sum(map(len, rows))
        got = ", ".join(f"{len(part)} for {name}" for part, name in zip(rows, PARTS, strict=True))
        equal = "" if different in (None, count) else f", of which {different} differ (equal ones share a part)"
        raise UserError(
            f"data: expected images for each part, got {count} in all{equal}: {got} (add images, or a "
            "partition.csv with columns image and partition: 0 train, 1 validation, 2 test)"
        )
    return rows


def _among(file: csv_files.CsvFile, files: ImageFiles) -> list[str]:
    """The names in the file, all of which are images."""
    names: dict[str, int] = {}
    for line, name in zip(file.lines, file.cells["image"], strict=True):
        known = files.named(name)
        if known is None:
            raise UserError(f"{file.name} line {line}, column image: expected the name of an image, got {name!r}")
        if known in names:
            got = f"{name!r}, which is that of line {names[known]}"
            raise UserError(f"{file.name} line {line}, column image: expected every image once, got {got}")
        names[known] = line
    return list(names)


def _partition(path: Path, names: Sequence[str], files: ImageFiles) -> Tensor | None:
    """The part of each name as the file says, if it is there."""
    if not path.is_file():
        return None
    _, _, _, lines, cells, _ = csv_files.read(path)
    if "partition" not in cells:
        raise UserError(f"{path.name}: expected a column 'partition', got {', '.join(cells)}")
    for line, part in zip(lines, cells["partition"], strict=True):
        if part not in ("0", "1", "2"):
            raise UserError(f"{path.name} line {line}, column partition: expected 0, 1 or 2, got {part!r}")
    part_of = {files.named(name) or name: part for name, part in zip(cells["image"], cells["partition"], strict=True)}
    if missing := [name for name in names if name not in part_of]:
        raise UserError(f"{path.name}: expected a row for every image, got none for {missing[0]}")
    if empty := {"0", "1", "2"} - {part_of[name] for name in names}:
        raise UserError(f"{path.name}: expected images in parts 0, 1 and 2, got none in {', '.join(sorted(empty))}")
    return torch.tensor([int(part_of[name]) for name in names])
