"""Image files: listed from a folder or zip archive, and decoded, whatever their format, to grey or colour bytes."""

import contextlib
import hashlib
import io
import os
import warnings
import zipfile
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import IO, Any, NamedTuple

import numpy as np
import torch
from PIL import Image, ImageOps
from torch import Tensor

from pyro_priors.checks import UserError
from pyro_priors.data import depths, listing

FORMER_SUFFIXES = {".png", ".jpg", ".jpeg", ".bmp", ".webp", ".gif", ".tif", ".tiff"}
MOST_BYTES = 2**30  # of a file; more is no image, or one that fills the memory
CSV_FILES = {"attributes.csv", "partition.csv"}


class Look(NamedTuple):
    """What one look at an image gives.

    Args:
        pixels: as `prepared` makes them.
        content: a hash of all its pixels, equal for equal images whatever their files.
        largest: of its values, where the file has 16 bits a channel and does not say that it uses fewer.
    """

    pixels: Tensor
    content: str
    largest: int | None


class ImageFiles:
    """The images of `images.zip`, of `images/` (any depth) or, without these, of the folder itself, by name.

    `names` are those of the archive, or paths below the folder; hidden and system names are no data. `note` says in a
    line what else lies there, "" where nothing does. It can be sent to another process, and reads there.

    Args:
        root: the folder.
        what, flag: what the message about a folder without images begins with, and the flag that names another.

    Raises:
        UserError: no images, a damaged archive, as `listing.below` or `listing.entries`.
    """

    def __init__(self, root: str | Path, what: str = "data", flag: str = "--data-root"):
        root = Path(root)
        self.folder = root / "images" if (root / "images").is_dir() else root
        self.archive = root / "images.zip" if (root / "images.zip").is_file() else None
        self._opened: tuple[int, zipfile.ZipFile] | None = (
            None  # the process that opened the archive, which no other may share, and the archive
        )
        listed = listing.below(self.folder) if self.archive is None else listing.entries(self._zip(self.archive))
        self.names = listed.images
        others = [name for name in listed.others if self.folder != root or name not in CSV_FILES]
        if not self.names:
            beside = f" but {listing.kinds(others)}" if others else ""
            raise UserError(
                f"{what}: expected images in {root.absolute()} (images.zip, images/ or the folder itself), got none"
                f"{beside} (pass {flag} the folder that has them)"
            )
        where = self.folder if self.archive is None else self.archive
        self.note = ""
        if others:
            self.note = f"{what}: not read as images in {where}: {len(others)} ({listing.kinds(others)})"
        self._keys: dict[str, str] | None = None

    def __getstate__(self) -> dict[str, Any]:
        return {**self.__dict__, "_opened": None, "_keys": None}

    def named(self, name: str) -> str | None:
        """The image that a CSV file calls so: by the same name, or one that only other systems spell otherwise."""
        if self._keys is None:
            self._keys = {listing.key(own): own for own in self.names} | {own: own for own in self.names}
        return self._keys.get(name) or self._keys.get(listing.key(name))

    def former(self) -> list[str]:
        """The names that runs of before counted: hidden ones too, of eight endings."""
        listed = listing.everything(self.folder if self.archive is None else self._zip(self.archive))
        return sorted(name for name in listed if Path(name).suffix.lower() in FORMER_SUFFIXES)

    def are_grey(self, names: Sequence[str], progress: Any = iter) -> bool:
        """Whether all of these are grey, as their headers say; `progress` wraps what is iterated over.

        Raises:
            UserError: as `decode`.
        """
        for name in progress(names):
            with self._mistakes(name), self._open(name) as file, _image(file) as image:
                if not depths.is_grey(image):
                    return False
        return True

    def decode(self, name: str) -> Image.Image:
        """The image of this name: mode L or RGB, upright, 8 bits a channel, its first frame if it moves.

        What has transparent parts is laid on white; palettes and CMYK become RGB; of 16 bits the nearest 8 are taken.

        Raises:
            UserError: an unreadable, huge or vanished file; it is named.
        """
        return self._plain(name)[0]

    def prepared(self, name: str, size: int, mode: str) -> Tensor:
        """Centre crop, resized: uint8 `(C, size, size)`; mode L has C = 1, RGB has 3."""
        return _fitted(self.decode(name), size, mode)

    def look(self, name: str, size: int, mode: str) -> Look:
        """What a training wants to know of an image, in one look."""
        image, largest = self._plain(name)
        whole = hashlib.blake2b(image.convert("RGB").tobytes(), digest_size=8)
        whole.update(str(image.size).encode())
        return Look(_fitted(image, size, mode), whole.hexdigest(), largest)

    def _plain(self, name: str) -> tuple[Image.Image, int | None]:
        with self._mistakes(name):
            content = self._read(name)
            return depths.plain(_image(io.BytesIO(content)), name, content, lambda: _image(io.BytesIO(content)))

    @contextlib.contextmanager
    def _mistakes(self, name: str) -> Iterator[None]:
        """Within it what goes wrong with an image is the caller's mistake, which says of which."""
        try:
            with warnings.catch_warnings():
                # Pillow knows from the header, before it takes memory for the pixels.
                warnings.simplefilter("error", Image.DecompressionBombWarning)
                yield
        except UserError:
            raise
        except (Image.DecompressionBombError, Image.DecompressionBombWarning) as error:
            raise UserError(
                f"data: expected an image of at most {Image.MAX_IMAGE_PIXELS} pixels, got {name} of more ({error})"
            ) from None
        except Exception:  # bad bytes raise what zipfile, zlib or any of Pillow's formats raises
            raise UserError(f"data: expected an image, got an unreadable file {name}") from None

    def _open(self, name: str) -> IO[bytes]:
        """A file, of which only what is asked for is read."""
        if self.archive is None:
            size, file = (self.folder / name).stat().st_size, (self.folder / name).open("rb")
        else:
            archive = self._zip(self.archive)
            size, file = archive.getinfo(name).file_size, archive.open(name)
        if size > MOST_BYTES:
            file.close()
            raise UserError(f"data: expected an image of at most {MOST_BYTES} bytes, got {name} of {size}")
        return file

    def _read(self, name: str) -> bytes:
        """The bytes of a file."""
        with self._open(name) as file:
            return file.read()

    def _zip(self, path: Path) -> zipfile.ZipFile:
        if self._opened is None or self._opened[0] != os.getpid():
            try:
                self._opened = os.getpid(), zipfile.ZipFile(path)
            except zipfile.BadZipFile as error:
                raise UserError(f"data: expected a zip archive, got a damaged file {path} ({error})") from error
        return self._opened[1]


def _image(file: IO[bytes]) -> Image.Image:
    """An image whose header has been read; formats that are programs or films are not opened, whatever their name."""
    return Image.open(file, formats=listing.formats())


def _fitted(image: Image.Image, size: int, mode: str) -> Tensor:
    array = np.array(ImageOps.fit(image.convert(mode), (size, size)))
    return torch.from_numpy(array).view(size, size, -1).movedim(-1, 0)
