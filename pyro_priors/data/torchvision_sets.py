"""Public data sets through torchvision's own classes and on-disk layouts, as uint8 tensors."""

import functools
import shutil
import tempfile
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any

import numpy as np
import torch
from PIL import Image
from torch import Tensor
from tqdm import tqdm

from pyro_priors.checks import UserError
from pyro_priors.data.attributes import BINARY, DIGITS, Attribute
from pyro_priors.data.images import split
from pyro_priors.data.readers import Options, Parts
from pyro_priors.data.streaming import OnDisk
from pyro_priors.training import replace_file

# torchvision's class, and where its files lie below the root.
LAYOUT = {
    "mnist": ("MNIST", "MNIST/raw"),
    "fashion-mnist": ("FashionMNIST", "FashionMNIST/raw"),
    "cifar10": ("CIFAR10", "cifar-10-batches-py"),
    "svhn": ("SVHN", "train_32x32.mat"),
    "celeba": ("CelebA", "celeba"),
    "omniglot": ("Omniglot", "omniglot-py"),
}
# Name of the only attribute, of ten states.
LABELS = {"mnist": "digit", "fashion-mnist": "class", "cifar10": "class", "svhn": "digit"}
CELEBA = ("train", "valid", "test")


def classes(root: Path, options: Options) -> Parts:
    """MNIST, Fashion-MNIST, CIFAR-10 and SVHN, uint8 tensors `(n, C, H, W)`; the label is one of ten classes.

    The validation part is the end of the training part: 10,000 of 60,000 (MNIST, Fashion-MNIST) or a tenth.

    Raises:
        UserError: the data are not below `root` and cannot be downloaded.
    """
    name = options.name
    train, test = (_open(name, root, part) for part in (("train", "test") if name == "svhn" else (True, False)))
    count = len(train) // (6 if "mnist" in name else 10)

    def parts(read: Callable[[Any], Tensor]) -> Sequence[Tensor]:
        values = read(train)
        return values[:-count], values[-count:], read(test)

    field = "labels" if name == "svhn" else "targets"
    labels = parts(lambda part: torch.as_tensor(getattr(part, field)).float().unsqueeze(1))
    return Parts(lambda: parts(_pixels), (Attribute(LABELS[name], DIGITS),), labels).select(options)


def omniglot(root: Path, options: Options) -> Parts:
    """32,460 drawings as 28x28 bytes with ink = 255, cut at random with a fixed seed: 23,045 / 1,345 / 8,070.

    They are made from torchvision's files once, then read from an npz file. They have no labels.

    Raises:
        UserError: as `classes`; a damaged npz file.
    """
    return Parts(lambda: split(_drawings(root), validation=1345 / 32460, test=8070 / 32460))


def celeba(root: Path, options: Options) -> Parts:
    """Faces, centre crop resized, in CelebA's own parts; forty binary attributes, their names in lower case.

    They are decoded once, then read from npy files beside the originals; with a `streaming.Streaming` they stay on
    disk: `OnDisk` each.

    Raises:
        UserError: as `classes`; a face that is unreadable or smaller than `crop`; a damaged npy file.
    """
    open_part = functools.cache(functools.partial(_open, "celeba", root))

    def pixels() -> Sequence[Tensor | OnDisk]:
        return [_faces(root, part, options, lambda: open_part(part).filename) for part in CELEBA]

    if options.attributes is None:
        return Parts(pixels)
    # torchvision's list of names may end in an empty one.
    attributes = tuple(Attribute(text.lower(), BINARY) for text in open_part("train").attr_names if text)
    return Parts(pixels, attributes, [open_part(part).attr.float() for part in CELEBA]).select(options)


def _pixels(dataset: Any) -> Tensor:
    """torchvision keeps (n, H, W), (n, H, W, 3) or (n, 3, H, W) -> (n, C, H, W)."""
    data = torch.as_tensor(dataset.data)
    if data.dim() == 3:
        return data.unsqueeze(1)
    return data if data.shape[1] == 3 else data.movedim(-1, 1).contiguous()


def _open(name: str, root: Path, part: str | bool) -> Any:
    """The torchvision data set, downloaded to `root` first if it is not there."""
    from torchvision import datasets  # here, since it is slow to import and the generated data do without it

    kind_name, below = LAYOUT[name]
    kind, where = getattr(datasets, kind_name), Path(root).absolute() / below
    try:
        return kind(root, part, download=False)
    except RuntimeError:  # torchvision's "not found or corrupted"
        pass
    except Exception as error:
        raise UserError(f"data: expected torchvision's files of {name} at {where}, got bad ones") from error
    # Into a folder of its own first, so that an interrupted download leaves nothing half-written.
    with tempfile.TemporaryDirectory() as staging:
        try:
            kind(staging, part, download=True)
        except (RuntimeError, OSError, ImportError) as error:
            raise UserError(
                f"data: expected {name} at {where}, got nothing usable there, and the download failed "
                f"({str(error).splitlines()[0]}). Put the files of torchvision's {kind_name} there, or pass "
                "--data-root the folder that has them"
            ) from error
        shutil.copytree(staging, root, dirs_exist_ok=True)
    return kind(root, part, download=False)


def _drawings(root: Path) -> Tensor:
    path = root / "omniglot28.npz"
    if not path.exists():
        drawings = [
            255 - np.asarray(drawing.resize((28, 28), Image.Resampling.BOX))
            for background in (True, False)
            for drawing, _ in tqdm(_open("omniglot", root, background), desc="omniglot", leave=False)
        ]
        _save(path, np.savez_compressed, images=np.stack(drawings))
    return _loaded(path).unsqueeze(1)


def _faces(root: Path, part: str, options: Options, names: Callable[[], Sequence[str]]) -> Tensor | OnDisk:
    """A part of CelebA, in memory or on disk; `names` gives those of its files, where they are looked at."""
    folder, size, crop = root / "celeba", options.image_size, options.crop
    face = functools.partial(_face, folder / "img_align_celeba", size, crop)
    if options.stream is not None:
        return OnDisk(face, names(), (3, size, size), options.stream).check(f"celeba {part}")
    path = folder / f"{part}-crop{crop}-{size}.npy"
    if not path.exists():
        files = names()
        pixels = np.empty((len(files), 3, size, size), np.uint8)
        for index, name in enumerate(tqdm(files, desc=f"celeba {part}", leave=False)):
            pixels[index] = face(name).numpy()
        _save(path, np.save, pixels)
    return _loaded(path)


def _face(folder: Path, image_size: int, crop: int, name: str) -> Tensor:
    """A face as all are prepared: uint8 `(3, image_size, image_size)`."""
    try:
        with Image.open(folder / name) as file:
            face = file.convert("RGB")
    except Exception:  # bad bytes raise what Pillow's formats raise
        raise UserError(f"data: expected an image, got an unreadable file {name}") from None
    if crop > min(face.size):
        raise UserError(f"crop: expected at most {min(face.size)} pixels, as {name} has, got {crop}")
    left, top = (face.width - crop) // 2, (face.height - crop) // 2
    face = face.crop((left, top, left + crop, top + crop)).resize((image_size, image_size))
    return torch.from_numpy(np.array(face)).movedim(-1, 0)


def _save(path: Path, save: Callable[..., Any], *args: Any, **kwargs: Any) -> None:
    """Have one of numpy's `save` functions write `path`, whole or not at all."""

    def write(temporary: Path) -> None:
        with temporary.open("wb") as file:  # numpy would change the ending of a name
            save(file, *args, **kwargs)

    replace_file(path, write)


def _loaded(path: Path) -> Tensor:
    """The array at `path`, which `_save` wrote."""
    with path.open("rb") as file:
        try:
            array = np.load(file)
            return torch.from_numpy(array["images"] if path.suffix == ".npz" else array)
        except Exception as error:  # bad bytes raise what zipfile, zlib, pickle or numpy raise
            raise UserError(
                f"data: expected numpy arrays in {path}, got a damaged file (without it, it is made anew)"
            ) from error
