"""Pictures that stay on disk: decoded by the batch, by worker processes where these are wanted."""

from typing import NamedTuple

import numpy as np
import torch
from torch.utils.data import DataLoader
from tqdm import tqdm

from pyro_priors.checks import UserError


class Streaming(NamedTuple):
    """How pictures are read while a model trains: by so many processes, 0 being this one."""

    workers: int = 0


class OnDisk:
    """Pictures in place of the uint8 tensor `(n, C, S, S)` that they would be in memory: a list of rows reads those.

    Args:
        read: name -> uint8 `(C, S, S)`; a function that another process can be sent.
        names: of the pictures.
        shape: (C, S, S).
        how: a `Streaming`.
    """

    def __init__(self, read, names, shape, how):
        # An array: a list would be copied bit by bit to every worker, as its texts are counted there.
        self.read, self.names, self.one, self.how = read, np.asarray(names), tuple(shape), how

    def __len__(self):
        return len(self.names)

    def __getitem__(self, indices):
        names = self.names[torch.as_tensor(indices).numpy()]
        rows = [self.read(str(name)) for name in names]
        return torch.stack(rows) if rows else torch.empty(0, *self.one, dtype=torch.uint8)

    @property
    def shape(self):
        return len(self), *self.one

    def is_floating_point(self):
        return False

    def part(self, indices):
        """The pictures of these indices, on disk as before."""
        return OnDisk(self.read, self.names[torch.as_tensor(indices).numpy()], self.one, self.how)

    def check(self, label):
        """Decode everything once, so that an unreadable picture is named before a training begins -> self."""
        batches = [rows.tolist() for rows in torch.arange(len(self)).split(64)]
        # A generator of its own: the draws of a training do not depend on how its pictures are read.
        how = {"num_workers": self.how.workers, "generator": torch.Generator()}
        loader = StreamLoader(_Decoded(self), None, sampler=batches, **how)
        hidden = len(self) < 1000 or None
        for _ in tqdm(loader, total=len(batches), desc=f"{label}: looking at all", leave=False, disable=hidden):
            pass
        return self


class StreamLoader(DataLoader):
    """A DataLoader whose workers' mistakes of the caller say what this process would."""

    def __iter__(self):
        try:
            yield from super().__iter__()
        except UserError as error:  # a worker's message stands at the end of its traceback
            raise UserError(str(error).rstrip().rpartition("UserError: ")[2]) from None


class _Decoded:
    """Decodes a batch for its errors alone: its pixels stay in the worker."""

    def __init__(self, pictures):
        self.pictures = pictures

    def __getitem__(self, indices):
        return len(self.pictures[indices])
