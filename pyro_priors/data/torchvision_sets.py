"""Public data sets through torchvision's own classes and on-disk layouts, as uint8 tensors."""

import functools
import shutil
import tempfile
from contextlib import contextmanager
from pathlib import Path

import numpy as np
import torch
from PIL import Image
from tqdm import tqdm

from pyro_priors.checks import UserError
from pyro_priors.data.attributes import BINARY, DIGITS, Attribute
from pyro_priors.data.images import split
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


def read(name, root, image_size, crop, stream=None):
    """-> (train, validation, test), uint8 tensors `(n, C, H, W)`.

    The validation part is the end of the training part: 10,000 of 60,000 (MNIST, Fashion-MNIST) or a tenth (CIFAR-10,
    SVHN). CelebA comes with its own; Omniglot is cut at random, 23,045 / 1,345 / 8,070, with a fixed seed.

    With a `streaming.Streaming` the faces of CelebA, alone of these, stay on disk: `OnDisk` each.

    Raises:
        UserError: the data are not below `root` and cannot be downloaded; a face that is unreadable.
    """
    if name == "omniglot":
        return split(_omniglot(root), validation=1345 / 32460, test=8070 / 32460)
    if name == "celeba":
        return tuple(_celeba(root, part, image_size, crop, stream) for part in ("train", "valid", "test"))
    train, test = (_pixels(_open(name, root, *part)) for part in _parts(name))
    return *_hold_out(name, train), test


def labels(name, root):
    """-> tuple of `Attribute`, (train, validation, test), float tensors `(n, n_attributes)` that go with `read`.

    CelebA has forty binary attributes, their names in lower case; Omniglot none.

    Raises:
        UserError: as `read`; a data set without labels.
    """
    if name == "celeba":
        train, validation, test = (_open(name, root, part) for part in ("train", "valid", "test"))
        # torchvision's list of names may end in an empty one.
        attributes = tuple(Attribute(text.lower(), BINARY) for text in train.attr_names if text)
        return attributes, tuple(part.attr.float() for part in (train, validation, test))
    if name not in LABELS:
        raise UserError(f"attributes: expected a data set that has some, got {name}")
    train, test = (_open(name, root, *part) for part in _parts(name))
    field = "labels" if name == "svhn" else "targets"
    train, test = (torch.as_tensor(getattr(part, field)).float().unsqueeze(1) for part in (train, test))
    return (Attribute(LABELS[name], DIGITS),), (*_hold_out(name, train), test)


def _hold_out(name, train):
    count = len(train) // (6 if "mnist" in name else 10)
    return train[:-count], train[-count:]


def _parts(name):
    return (("train",), ("test",)) if name == "svhn" else ((True,), (False,))


def _pixels(dataset):
    """torchvision keeps (n, H, W), (n, H, W, 3) or (n, 3, H, W) -> (n, C, H, W)."""
    data = torch.as_tensor(dataset.data)
    if data.dim() == 3:
        return data.unsqueeze(1)
    return data if data.shape[1] == 3 else data.movedim(-1, 1).contiguous()


def _open(name, root, *part):
    """The torchvision data set, downloaded to `root` first if it is not there."""
    from torchvision import datasets  # here, since it is slow to import and the generated data do without it

    kind_name, below = LAYOUT[name]
    kind, where = getattr(datasets, kind_name), Path(root).absolute() / below
    try:
        return kind(root, *part, download=False)
    except RuntimeError:  # torchvision's "not found or corrupted"
        pass
    except Exception as error:
        raise UserError(f"data: {name} expected torchvision's files at {where}, got bad ones") from error
    # Into a folder of its own first, so that an interrupted download leaves nothing half-written.
    with tempfile.TemporaryDirectory() as staging:
        try:
            kind(staging, *part, download=True)
        except (RuntimeError, OSError, ImportError) as error:
            raise UserError(
                f"data: {name} expected at {where}, got nothing usable there, and the download failed "
                f"({str(error).splitlines()[0]}). Put the files of torchvision's {kind_name} there, or pass "
                "--data-root the folder that has them"
            ) from error
        shutil.copytree(staging, root, dirs_exist_ok=True)
    return kind(root, *part, download=False)


def _omniglot(root):
    """All 32,460 drawings as 28x28 bytes with ink = 255; made from torchvision's files once, then read from the npz."""
    path = Path(root) / "omniglot28.npz"
    if not path.exists():
        drawings = [
            255 - np.asarray(picture.resize((28, 28), Image.Resampling.BOX))
            for background in (True, False)
            for picture, _ in tqdm(_open("omniglot", root, background), desc="omniglot", leave=False)
        ]
        _keep(path, np.savez_compressed, images=np.stack(drawings))
    with _reading(path) as file, np.load(file) as arrays:
        return torch.from_numpy(arrays["images"]).unsqueeze(1)


def _celeba(root, part, image_size, crop, stream):
    """Faces, centre crop resized; decoded once, then read from an npy file beside the originals, or streamed."""
    folder = Path(root) / "celeba"
    path = folder / f"{part}-crop{crop}-{image_size}.npy"
    one = functools.partial(_face, folder / "img_align_celeba", image_size, crop)
    if stream is not None:
        names = _open("celeba", root, part).filename
        return OnDisk(one, names, (3, image_size, image_size), stream).check(f"celeba {part}")
    if not path.exists():
        names = _open("celeba", root, part).filename
        pixels = np.empty((len(names), 3, image_size, image_size), np.uint8)
        for index, name in enumerate(tqdm(names, desc=f"celeba {part}", leave=False)):
            pixels[index] = one(name).numpy()
        _keep(path, np.save, pixels)
    with _reading(path) as file:
        return torch.from_numpy(np.load(file))


def _face(folder, image_size, crop, name):
    """A face as all are prepared: uint8 `(3, image_size, image_size)`."""
    try:
        with Image.open(folder / name) as file:
            face = file.convert("RGB")
    except Exception:  # bad bytes raise what Pillow's formats raise
        raise UserError(f"data: expected a picture, got an unreadable file {name}") from None
    if crop > min(face.size):
        raise UserError(f"crop: expected at most {min(face.size)} pixels, as {name} has, got {crop}")
    left, top = (face.width - crop) // 2, (face.height - crop) // 2
    face = face.crop((left, top, left + crop, top + crop)).resize((image_size, image_size))
    return torch.from_numpy(np.array(face)).movedim(-1, 0)


def _keep(path, save, *args, **kwargs):
    """Have one of numpy's `save` functions write `path`, whole or not at all."""

    def write(temporary):
        with temporary.open("wb") as file:  # numpy would change the ending of a name
            save(file, *args, **kwargs)

    replace_file(path, write)


@contextmanager
def _reading(path):
    """The file at `path`, from which numpy is going to load what `_keep` wrote."""
    with path.open("rb") as file:
        try:
            yield file
        except Exception as error:  # bad bytes raise what zipfile, zlib, pickle or numpy raise
            raise UserError(
                f"data: expected numpy arrays in {path}, got a damaged file (without it, it is made anew)"
            ) from error
