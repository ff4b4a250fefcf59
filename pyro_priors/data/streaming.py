"""Images that stay on disk: decoded by the batch, by worker processes where these are wanted."""

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
    """

    def __init__(
        self, read: Callable[[str], Tensor], names: Sequence[str] | np.ndarray, shape: tuple[int, ...], how: Streaming
    ):
        # An array: a list would be copied bit by bit to every worker, as its texts are counted there.
        self.read, self.names, self.image_shape, self.how = read, np.asarray(names), tuple(shape), how

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
        return OnDisk(self.read, self.names[torch.as_tensor(indices).numpy()], self.image_shape, self.how)

    def check(self, label: str) -> "OnDisk":
        """Decode everything once, so that an unreadable image is named before a training begins -> self."""
        batches = [rows.tolist() for rows in torch.arange(len(self)).split(64)]
        # A generator of its own: the draws of a training do not depend on how its images are read.
        how = {"num_workers": self.how.workers, "generator": torch.Generator()}
        loader = StreamLoader(_Decoded(self), None, sampler=batches, **how)
        hidden = len(self) < 1000 or None
        for _ in tqdm(loader, total=len(batches), desc=f"{label}: looking at all", leave=False, disable=hidden):
            pass
        return self


class StreamLoader(DataLoader):
    """A DataLoader whose workers' mistakes of the caller say what this process would."""

    def __iter__(self) -> Any:
        try:
            yield from super().__iter__()
        except UserError as error:  # a worker's message stands at the end of its traceback
            raise UserError(str(error).rstrip().rpartition("UserError: ")[2]) from None


class _Decoded(Dataset):
    """Decodes a batch for its errors alone: its pixels stay in the worker."""

    def __init__(self, images: OnDisk):
        self.images = images

    def __getitem__(self, indices: Sequence[int]) -> int:
        return len(self.images[indices])
