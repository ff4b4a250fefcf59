"""Picture files: found in a folder or zip archive, and decoded, whatever their format, to grey or colour bytes."""

import io
import os
import warnings
import zipfile
from pathlib import Path

import numpy as np
import torch
from PIL import Image, ImageOps

from pyro_priors.checks import UserError

SUFFIXES = {".png", ".jpg", ".jpeg", ".bmp", ".webp", ".gif", ".tif", ".tiff"}
MOST_BYTES = 2**30  # of a file; more is no picture, or one that fills the memory


class PictureFiles:
    """The pictures of `images.zip`, of `images/` (any depth) or, without these, of the folder itself, by name.

    `names` are those of the archive, or paths below the folder. It can be sent to another process, and reads there.

    Args:
        root: the folder.
        asked, flag: what the message about a folder without pictures begins with, and the flag that names another.

    Raises:
        UserError: no pictures, a damaged archive, a link that leads out of the folder.
    """

    def __init__(self, root, asked="data: folder", flag="--data-root"):
        root = Path(root)
        self.folder = root / "images" if (root / "images").is_dir() else root
        self.archive = root / "images.zip" if (root / "images.zip").is_file() else None
        self._opened = None, None  # the process that opened the archive, which no other may share, and the archive
        found = self._below() if self.archive is None else self._zip().namelist()
        self.names = sorted(name for name in found if Path(name).suffix.lower() in SUFFIXES)
        if not self.names:
            raise UserError(
                f"{asked} expected pictures in {root.absolute()} (images.zip, images/ or the folder itself), got none "
                f"(pass {flag} the folder that has them)"
            )

    def __getstate__(self):
        return {**self.__dict__, "_opened": (None, None)}

    def decode(self, name):
        """The picture of this name: mode L or RGB, upright, 8 bits a channel, its first frame if it moves.

        What has transparent parts is laid on white; palettes and CMYK become RGB; of 16 bits the nearest 8 are taken.

        Raises:
            UserError: an unreadable, huge or vanished file; it is named.
        """
        try:
            with warnings.catch_warnings():
                # Pillow knows from the header, before it takes memory for the pixels.
                warnings.simplefilter("error", Image.DecompressionBombWarning)
                picture = Image.open(io.BytesIO(self._read(name)))
            picture.load()
            ImageOps.exif_transpose(picture, in_place=True)
            return _plain(picture, name)
        except UserError:
            raise
        except (Image.DecompressionBombError, Image.DecompressionBombWarning) as error:
            raise UserError(
                f"data: expected a picture of at most {Image.MAX_IMAGE_PIXELS} pixels, got {name} of more ({error})"
            ) from None
        except Exception:  # bad bytes raise what zipfile, zlib or any of Pillow's formats raises
            raise UserError(f"data: expected a picture, got an unreadable file {name}") from None

    def prepared(self, name, size, mode):
        """Centre crop, resized: uint8 `(C, size, size)`; mode L has C = 1, RGB has 3."""
        array = np.array(ImageOps.fit(self.decode(name).convert(mode), (size, size)))
        return torch.from_numpy(array).view(size, size, -1).movedim(-1, 0)

    def _read(self, name):
        """The bytes of a file."""
        if self.archive is None:
            size, read = (self.folder / name).stat().st_size, (self.folder / name).read_bytes
        else:
            archive = self._zip()
            size, read = archive.getinfo(name).file_size, lambda: archive.read(name)
        if size > MOST_BYTES:
            raise UserError(f"data: expected a picture of at most {MOST_BYTES} bytes, got {name} of {size}")
        return read()

    def _below(self):
        """The paths of the files below the folder; links to folders are not followed."""
        inside = self.folder.resolve()
        for path in self.folder.rglob("*"):
            name = path.relative_to(self.folder).as_posix()
            if path.is_symlink() and not path.resolve().is_relative_to(inside):
                if path.is_dir() or path.suffix.lower() in SUFFIXES:
                    raise UserError(
                        f"data: expected pictures inside {inside}, got {name}, a link to {path.resolve()} (copy what "
                        "it leads to)"
                    )
            elif path.is_file():
                yield name

    def _zip(self):
        process, archive = self._opened
        if process != os.getpid():
            try:
                archive = zipfile.ZipFile(self.archive)
            except zipfile.BadZipFile as error:
                raise UserError(f"data: expected a zip archive, got a damaged file {self.archive} ({error})") from error
            self._opened = os.getpid(), archive
        return archive


def _plain(picture, name):
    """A decoded picture of whatever mode -> L or RGB."""
    if picture.mode[0] in "IF":
        return _eight_bits(picture, name)
    mode = "L" if picture.mode in ("1", "L", "LA", "La") else "RGB"
    if picture.mode[-1] in "Aa" or "transparency" in picture.info:
        picture = picture.convert("RGBA")
        picture = Image.alpha_composite(Image.new("RGBA", picture.size, "white"), picture)
    return picture.convert(mode)


def _eight_bits(picture, name):
    """16 bits a pixel -> 8. Pillow's own conversion clips at 255, which makes nearly all of it white."""
    values = np.asarray(picture)
    if picture.mode == "F" or values.min() < 0 or values.max() > 65535:
        raise UserError(f"data: expected a picture of 8 or 16 bits a pixel, got {name} of mode {picture.mode}")
    return Image.fromarray(((values.astype(np.int64) + 128) // 257).astype(np.uint8))
