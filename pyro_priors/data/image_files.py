"""Image files: listed from a folder or zip archive, and decoded, whatever their format, to grey or colour bytes."""

import io
import os
import warnings
import zipfile
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import numpy as np
import torch
from PIL import Image, ImageOps
from torch import Tensor

from pyro_priors.checks import UserError

SUFFIXES = {".png", ".jpg", ".jpeg", ".bmp", ".webp", ".gif", ".tif", ".tiff"}
MOST_BYTES = 2**30  # of a file; more is no image, or one that fills the memory


class ImageFiles:
    """The images of `images.zip`, of `images/` (any depth) or, without these, of the folder itself, by name.

    `names` are those of the archive, or paths below the folder. It can be sent to another process, and reads there.

    Args:
        root: the folder.
        what, flag: what the message about a folder without images begins with, and the flag that names another.

    Raises:
        UserError: no images, a damaged archive, a link that leads out of the folder.
    """

    def __init__(self, root: str | Path, what: str = "data", flag: str = "--data-root"):
        root = Path(root)
        self.folder = root / "images" if (root / "images").is_dir() else root
        self.archive = root / "images.zip" if (root / "images.zip").is_file() else None
        self._opened: tuple[int, zipfile.ZipFile] | None = (
            None  # the process that opened the archive, which no other may share, and the archive
        )
        names = self._below() if self.archive is None else self._zip(self.archive).namelist()
        self.names = sorted(name for name in names if Path(name).suffix.lower() in SUFFIXES)
        if not self.names:
            raise UserError(
                f"{what}: expected images in {root.absolute()} (images.zip, images/ or the folder itself), got none "
                f"(pass {flag} the folder that has them)"
            )

    def __getstate__(self) -> dict[str, Any]:
        return {**self.__dict__, "_opened": None}

    def decode(self, name: str) -> Image.Image:
        """The image of this name: mode L or RGB, upright, 8 bits a channel, its first frame if it moves.

        What has transparent parts is laid on white; palettes and CMYK become RGB; of 16 bits the nearest 8 are taken.

        Raises:
            UserError: an unreadable, huge or vanished file; it is named.
        """
        try:
            with warnings.catch_warnings():
                # Pillow knows from the header, before it takes memory for the pixels.
                warnings.simplefilter("error", Image.DecompressionBombWarning)
                image = Image.open(io.BytesIO(self._read(name)))
            image.load()
            ImageOps.exif_transpose(image, in_place=True)
            return _plain(image, name)
        except UserError:
            raise
        except (Image.DecompressionBombError, Image.DecompressionBombWarning) as error:
            raise UserError(
                f"data: expected an image of at most {Image.MAX_IMAGE_PIXELS} pixels, got {name} of more ({error})"
            ) from None
        except Exception:  # bad bytes raise what zipfile, zlib or any of Pillow's formats raises
            raise UserError(f"data: expected an image, got an unreadable file {name}") from None

    def prepared(self, name: str, size: int, mode: str) -> Tensor:
        """Centre crop, resized: uint8 `(C, size, size)`; mode L has C = 1, RGB has 3."""
        array = np.array(ImageOps.fit(self.decode(name).convert(mode), (size, size)))
        return torch.from_numpy(array).view(size, size, -1).movedim(-1, 0)

    def _read(self, name: str) -> bytes:
        """The bytes of a file."""
        if self.archive is None:
            size, read = (self.folder / name).stat().st_size, (self.folder / name).read_bytes
        else:
            archive = self._zip(self.archive)
            size, read = archive.getinfo(name).file_size, lambda: archive.read(name)
        if size > MOST_BYTES:
            raise UserError(f"data: expected an image of at most {MOST_BYTES} bytes, got {name} of {size}")
        return read()

    def _below(self) -> Iterator[str]:
        """The paths of the files below the folder; links to folders are not followed."""
        inside = self.folder.resolve()
        for path in self.folder.rglob("*"):
            name = path.relative_to(self.folder).as_posix()
            if path.is_symlink() and not path.resolve().is_relative_to(inside):
                if path.is_dir() or path.suffix.lower() in SUFFIXES:
                    raise UserError(
                        f"data: expected images inside {inside}, got {name}, a link to {path.resolve()} (copy what "
                        "it leads to)"
                    )
            elif path.is_file():
                yield name

    def _zip(self, path: Path) -> zipfile.ZipFile:
        if self._opened is None or self._opened[0] != os.getpid():
            try:
                self._opened = os.getpid(), zipfile.ZipFile(path)
            except zipfile.BadZipFile as error:
                raise UserError(f"data: expected a zip archive, got a damaged file {path} ({error})") from error
        return self._opened[1]


def _plain(image: Image.Image, name: str) -> Image.Image:
    """A decoded image of whatever mode -> L or RGB."""
    if image.mode[0] in "IF":
        return _eight_bits(image, name)
    mode = "L" if image.mode in ("1", "L", "LA", "La") else "RGB"
    if image.mode[-1] in "Aa" or "transparency" in image.info:
        image = image.convert("RGBA")
        image = Image.alpha_composite(Image.new("RGBA", image.size, "white"), image)
    return image.convert(mode)


def _eight_bits(image: Image.Image, name: str) -> Image.Image:
    """16 bits a pixel -> 8. Pillow's own conversion clips at 255, which makes nearly all of it white."""
    values = np.asarray(image)
    if image.mode == "F" or values.min() < 0 or values.max() > 65535:
        raise UserError(f"data: expected an image of 8 or 16 bits a pixel, got {name} of mode {image.mode}")
    return Image.fromarray(((values.astype(np.int64) + 128) // 257).astype(np.uint8))
