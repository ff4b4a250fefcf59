"""Pictures in memory, or on disk in place of that: reading by the batch, splitting, loading."""

import torch
from torch.utils.data import DataLoader, Dataset

from pyro_priors.checks import UserError
from pyro_priors.data.streaming import OnDisk, StreamLoader


class Images(Dataset):
    """Pictures `(n, C, H, W)` in one tensor, or on disk; an index, or a list of them, reads floats, labels beside.

    Bytes are kept as bytes (a quarter of the memory) and divided by 255 when read.

    Args:
        pixels: uint8 tensor 0..255, or a float tensor that is read as it is, or a `streaming.OnDisk`.
        binarize: draw 0/1 from the grey values at every reading, with torch's global generator.
        labels: float tensor `(n, n_attributes)`, NaN = missing.
        hidden: the truth of labels that were hidden on purpose, `(n, n_attributes)`, NaN elsewhere.
    """

    def __init__(self, pixels, binarize=False, labels=None, hidden=None):
        for name, values in (("labels", labels), ("hidden", hidden)):
            if values is not None and len(values) != len(pixels):
                raise UserError(f"{name}: expected a row for each of {len(pixels)} pictures, got {len(values)}")
        if binarize and pixels.is_floating_point() and not (pixels.min() >= 0 and pixels.max() <= 1):
            low, high = pixels.min().item(), pixels.max().item()
            raise UserError(f"binarize: expected values in [0, 1], got {low:.3g} to {high:.3g} (pass --binarize none)")
        self.pixels, self.binarize, self.labels, self.hidden = pixels, binarize, labels, hidden

    def __len__(self):
        return len(self.pixels)

    def __getitem__(self, index):
        batch = self.__getitems__([index])
        return batch[0] if self.labels is None else (batch[0][0], batch[1][0])

    def __getitems__(self, indices):
        # torch's DataLoader calls this once a batch: one gather instead of one Python call per picture.
        indices = torch.as_tensor(indices)
        return self._read(indices) if self.labels is None else (self._read(indices), self.labels[indices])

    def first(self, count=None):
        """The first `count` pictures, or all, as one float tensor `(n, C, H, W)`; no labels."""
        return self._read(torch.arange(len(self))[:count])

    def _read(self, indices):
        batch = self.pixels[indices]
        batch = batch if batch.is_floating_point() else batch.float().div_(255)
        # The numbers of torch.bernoulli(batch), four times faster: it draws one at a time.
        return torch.rand_like(batch).lt_(batch) if self.binarize else batch


def split(pixels, validation, test):
    """Shuffle with a fixed seed and cut off the two shares -> train, validation, test."""
    order = torch.randperm(len(pixels), generator=torch.Generator().manual_seed(0))
    sizes = [round(len(pixels) * share) for share in (validation, test)]
    return pixels[order].split([len(pixels) - sum(sizes), *sizes])


def loader(images, batch_size, *, shuffle=False, signed=False, whole=False, pin=False):
    """A DataLoader whose batches are tensors `(batch, C, H, W)`, with labels `(x, y)`.

    `signed` takes [0, 1] to [-1, 1], `whole` leaves out a last batch that is smaller, `pin` puts batches into pinned
    memory. Pictures on disk come in the same order, from the processes that they are to be read by.
    """
    collate = _signed if signed else _as_is
    how = {"shuffle": shuffle, "collate_fn": collate, "drop_last": whole, "pin_memory": pin}
    if isinstance(images.pixels, OnDisk):
        return StreamLoader(images, batch_size, num_workers=images.pixels.how.workers, **how)
    return DataLoader(images, batch_size, **how)


def _as_is(batch):
    return batch


def _signed(batch):
    return (2 * batch[0] - 1, batch[1]) if isinstance(batch, tuple) else 2 * batch - 1
