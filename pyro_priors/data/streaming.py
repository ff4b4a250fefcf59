"""Images that stay on disk: decoded by the batch, by worker processes where these are wanted."""

import functools
import hashlib
from collections.abc import Callable, Sequence
from typing import Any, NamedTuple

import numpy as np
import torch
from torch import Tensor
from torch.utils.data import DataLoader, Dataset
from tqdm import tqdm

from pyro_priors.checks import UserError


class Streaming(NamedTuple):
    """How images are read while a model trains: by so many processes, 0 being this one."""

    workers: int = 0


class OnDisk:
    """Images in place of the uint8 tensor `(n, C, S, S)` that they would be in memory: a list of rows reads those.

    Args:
        read: name -> uint8 `(C, S, S)`; a function that another process can be sent.
        names: of the images.
        shape: (C, S, S).
        how: a `Streaming`.
        contents: hashes of the images, where they are known.
    """

    def __init__(
        self,
        read: Callable[[str], Tensor],
        names: Sequence[str] | np.ndarray,
        shape: tuple[int, ...],
        how: Streaming,
        contents: Sequence[str] | np.ndarray = (),
    ):
        # An array: a list would be copied bit by bit to every worker, as its texts are counted there.
        self.read, self.names, self.image_shape, self.how = read, np.asarray(names), tuple(shape), how
        self.contents = np.asarray(contents)

    def __len__(self) -> int:
        return len(self.names)

    def __getitem__(self, indices: Sequence[int] | Tensor) -> Tensor:
        names = self.names[torch.as_tensor(indices).numpy()]
        rows = [self.read(str(name)) for name in names]
        return torch.stack(rows) if rows else torch.empty(0, *self.image_shape, dtype=torch.uint8)

    @property
    def shape(self) -> tuple[int, ...]:
        return len(self), *self.image_shape

    def is_floating_point(self) -> bool:
        return False

    def part(self, indices: Sequence[int] | Tensor) -> "OnDisk":
        """The images of these indices, on disk as before."""
        rows = torch.as_tensor(indices).numpy()
        contents = self.contents[rows] if len(self.contents) else ()
        return OnDisk(self.read, self.names[rows], self.image_shape, self.how, contents)

    def check(self, label: str) -> "OnDisk":
        """Decode everything once, so that an unreadable image is named before a training begins -> self."""
        self.contents = np.asarray(survey(functools.partial(_hashed, self.read), self.names, self.how, label))
        return self


def content(pixels: Tensor) -> str:
    """A hash of an image as it is given to models.

    Example:
        >>> content(torch.zeros(1, 2, 2)) == content(torch.zeros(1, 2, 2)), len(content(torch.zeros(1)))
        (True, 16)
    """
    return hashlib.blake2b(pixels.contiguous().numpy().tobytes(), digest_size=8).hexdigest()


def _hashed(read: Callable[[str], Tensor], name: str) -> str:
    return content(read(name))


def survey(look: Callable[[str], Any], names: Sequence[str] | np.ndarray, how: Streaming, label: str) -> list:
    """What `look` gives of each name, by the processes that are to read them."""
    batches = [rows.tolist() for rows in torch.arange(len(names)).split(64)]
    # A generator of its own: the draws of a training do not depend on how its images are read.
    options = {"num_workers": how.workers, "generator": torch.Generator(), "collate_fn": _as_it_is}
    loader = StreamLoader(_Looks(look, names), None, sampler=batches, **options)
    hidden = len(names) < 1000 or None
    bar = tqdm(loader, total=len(batches), desc=f"{label}: looking at all", leave=False, disable=hidden)
    return [look for looks in bar for look in looks]


def _as_it_is(looks: list) -> list:
    return looks


class StreamLoader(DataLoader):
    """A DataLoader whose workers' mistakes of the caller say what this process would."""

    def __iter__(self) -> Any:
        try:
            yield from super().__iter__()
        except UserError as error:  # a worker's message stands at the end of its traceback
            raise UserError(str(error).rstrip().rpartition("UserError: ")[2]) from None


class _Looks(Dataset):
    """What is seen of a batch of images, without their pixels: these stay in the worker."""

    def __init__(self, look: Callable[[str], Any], names: Sequence[str] | np.ndarray):
        self.look, self.names = look, np.asarray(names)

    def __getitem__(self, indices: Sequence[int]) -> list:
        return [self.look(str(self.names[index])) for index in indices]
