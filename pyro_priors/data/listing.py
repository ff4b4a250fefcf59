"""Which files of a folder or zip archive are images that can be read: hidden and system names are no data."""

import functools
import os
import unicodedata
import zipfile
from collections import Counter
from collections.abc import Iterator, Sequence
from pathlib import Path, PurePosixPath
from typing import NamedTuple

from PIL import Image

from pyro_priors.checks import UserError
from pyro_priors.data.hidden import is_hidden

# Formats of still pictures in pixels, as Pillow names them; HEIF where a plug-in of Pillow brings it.
FORMATS = {"AVIF", "BMP", "DIB", "GIF", "HEIF", "JPEG", "JPEG2000", "PCX", "PNG", "PPM", "QOI", "SGI", "TGA", "TIFF"}
FORMATS |= {"WEBP"}


class Listed(NamedTuple):
    """The names of the images, sorted, and of the other files that are no hidden or system ones."""

    images: list[str]
    others: list[str]


@functools.cache
def formats() -> tuple[str, ...]:
    """Those of `FORMATS` that this Pillow opens."""
    Image.init()
    return tuple(sorted(FORMATS & set(Image.OPEN)))


@functools.cache
def suffixes() -> frozenset[str]:
    """How names of images end, in lower case."""
    readable = formats()
    return frozenset(suffix for suffix, kind in Image.registered_extensions().items() if kind in readable)


def is_image(name: str) -> bool:
    return PurePosixPath(name).suffix.lower() in suffixes()


def key(name: str) -> str:
    """What names of the same file have in common, whatever system wrote them: NFC, slashes.

    Example:
        >>> key("e\\u0301\\\\1.png") == "\\u00e9/1.png"
        True
    """
    return unicodedata.normalize("NFC", name.replace("\\", "/"))


def below(folder: Path) -> Listed:
    """The files below a folder; links to folders are not followed.

    Raises:
        UserError: a folder that cannot be read, a link to an image that leads out of the folder or nowhere.
    """
    return _sorted(_walk(folder))


def entries(archive: zipfile.ZipFile) -> Listed:
    """The files in a zip archive.

    Raises:
        UserError: an image that is there twice or is encrypted, or a path that leads out of the archive; it is named.
    """
    path, seen = Path(archive.filename or "the archive").name, set()
    for entry in archive.infolist():
        name = entry.filename
        if entry.is_dir() or is_hidden(name) or not is_image(name):
            continue
        parts = name.replace("\\", "/").split("/")
        if not parts[0] or ":" in parts[0] or ".." in parts:
            raise UserError(f"data: expected paths of images inside {path}, got {name!r}, which leads out of it")
        if entry.flag_bits & 1:
            raise UserError(f"data: expected images without a password in {path}, got {name!r}, which is encrypted")
        if key(name) in seen:
            raise UserError(f"data: expected every name once in {path}, got {name!r} twice")
        seen.add(key(name))
    return _sorted(entry.filename for entry in archive.infolist() if not entry.is_dir())


def everything(where: Path | zipfile.ZipFile) -> list[str]:
    """The names of all files of a folder or archive, hidden or not."""
    if isinstance(where, zipfile.ZipFile):
        return where.namelist()
    return [path.relative_to(where).as_posix() for path in where.rglob("*") if path.is_file()]


def kinds(names: Sequence[str]) -> str:
    """How many files of which ending, the most frequent first.

    Example:
        >>> kinds(["a.heic", "b.HEIC", "c/notes.txt", "README"])
        '2 .heic, 1 .txt, 1 without an ending'
    """
    counts = Counter(PurePosixPath(name).suffix.lower() or "without an ending" for name in names)
    listed = [f"{count} {suffix}" for suffix, count in counts.most_common()]
    return ", ".join(listed[:5] + ([f"{len(listed) - 5} more kinds"] if len(listed) > 5 else []))


def _sorted(names: Iterator[str] | Sequence[str]) -> Listed:
    names = sorted(name for name in names if not is_hidden(name))
    return Listed([name for name in names if is_image(name)], [name for name in names if not is_image(name)])


def _walk(folder: Path) -> Iterator[str]:
    """The paths of the files that are not hidden."""
    inside = folder.resolve()

    def refuse(error: OSError) -> None:
        raise UserError(f"data: expected a folder that can be read, got {error.filename} ({error.strerror})")

    for where, folders, files in os.walk(folder, onerror=refuse if folder.exists() else None):
        folders[:] = sorted(name for name in folders if not is_hidden(name))
        for name in (*folders, *files):
            path = Path(where) / name
            relative = path.relative_to(folder).as_posix()
            if is_hidden(name) or (path.is_symlink() and not _leads_inside(path, inside, relative)):
                continue
            if name in files and path.is_file():
                yield relative


def _leads_inside(path: Path, inside: Path, name: str) -> bool:
    """Whether a link leads to a file of the folder; `UserError` where images may be meant and it does not."""
    try:
        target = path.resolve(strict=True)
    except (OSError, RuntimeError):  # Python before 3.13 raises the second in a loop of links
        if is_image(name):
            raise UserError(f"data: expected images inside {inside}, got {name}, a link that leads nowhere") from None
        return False
    if target.is_relative_to(inside):
        return True
    if target.is_dir() or is_image(name):
        raise UserError(
            f"data: expected images inside {inside}, got {name}, a link to {target} (copy what it leads to)"
        )
    return False
