"""Images in memory, or on disk in place of that: reading by the batch, splitting, loading."""

from collections.abc import Sequence

import torch
from torch import Tensor
from torch.utils.data import DataLoader, Dataset

from pyro_priors.checks import UserError
from pyro_priors.data.streaming import OnDisk, StreamLoader

Batch = Tensor | tuple[Tensor, Tensor]  # images, or images and labels


class Images(Dataset):
    """Images `(n, C, H, W)` in one tensor, or on disk; an index, or a list of them, reads floats, labels beside.

    Bytes are kept as bytes (a quarter of the memory) and divided by 255 when read.

    Args:
        pixels: uint8 tensor 0..255, or a float tensor that is read as it is, or a `streaming.OnDisk`.
        binarize: draw 0/1 from the grey values at every reading, with torch's global generator.
        labels: float tensor `(n, n_attributes)`, NaN = missing.
        hidden: the truth of labels that were hidden on purpose, `(n, n_attributes)`, NaN elsewhere.
    """

    def __init__(
        self,
        pixels: Tensor | OnDisk,
        binarize: bool = False,
        labels: Tensor | None = None,
        hidden: Tensor | None = None,
    ):
        for name, values in (("labels", labels), ("hidden", hidden)):
            if values is not None and len(values) != len(pixels):
                raise UserError(f"{name}: expected a row for each of {len(pixels)} images, got {len(values)}")
        if binarize and isinstance(pixels, Tensor) and pixels.is_floating_point():
            low, high = pixels.min().item(), pixels.max().item()
            if not 0 <= low <= high <= 1:
                got = f"{low:.3g} to {high:.3g}"
                raise UserError(f"binarize: expected values in [0, 1], got {got} (pass --binarize none)")
        self.pixels, self.binarize, self.labels, self.hidden = pixels, binarize, labels, hidden

    def __len__(self) -> int:
        return len(self.pixels)

    def __getitem__(self, index: int) -> Batch:
        batch = self.__getitems__([index])
        return (batch[0][0], batch[1][0]) if isinstance(batch, tuple) else batch[0]

    def __getitems__(self, indices: Sequence[int] | Tensor) -> Batch:
        # torch's DataLoader calls this once a batch: one gather instead of one Python call per image.
        indices = torch.as_tensor(indices)
        return self._read(indices) if self.labels is None else (self._read(indices), self.labels[indices])

    def first(self, count: int | None = None) -> Tensor:
        """The first `count` images, or all, as one float tensor `(n, C, H, W)`; no labels."""
        return self._read(torch.arange(len(self))[:count])

    def part(self, rows: Sequence[int]) -> "Images":
        """These images, with what belongs to them."""
        index = torch.as_tensor(rows, dtype=torch.long)
        pixels = self.pixels.part(index) if isinstance(self.pixels, OnDisk) else self.pixels[index]
        labels, hidden = (None if values is None else values[index] for values in (self.labels, self.hidden))
        return Images(pixels, self.binarize, labels, hidden)

    def _read(self, indices: Tensor) -> Tensor:
        batch = self.pixels[indices]
        batch = batch if batch.is_floating_point() else batch.float().div_(255)
        # The numbers of torch.bernoulli(batch), four times faster: it draws one at a time.
        return torch.rand_like(batch).lt_(batch) if self.binarize else batch


def split(values: Tensor, validation: float = 0.1, test: float = 0.2) -> tuple[Tensor, ...]:
    """Shuffle with a fixed seed and cut off the two shares -> train, validation, test."""
    order = torch.randperm(len(values), generator=torch.Generator().manual_seed(0))
    sizes = [round(len(values) * share) for share in (validation, test)]
    return values[order].split([len(values) - sum(sizes), *sizes])


def loader(
    images: Images,
    batch_size: int,
    *,
    shuffle: bool = False,
    signed: bool = False,
    whole: bool = False,
    pin: bool = False,
) -> DataLoader:
    """A DataLoader whose batches are tensors `(batch, C, H, W)`, with labels `(x, y)`.

    `signed` takes [0, 1] to [-1, 1], `whole` leaves out a last batch that is smaller, `pin` puts batches into pinned
    memory. Images on disk come in the same order, from the processes that they are to be read by.
    """
    collate = _signed if signed else _as_is
    how = {"shuffle": shuffle, "collate_fn": collate, "drop_last": whole, "pin_memory": pin}
    if isinstance(images.pixels, OnDisk):
        return StreamLoader(images, batch_size, num_workers=images.pixels.how.workers, **how)
    return DataLoader(images, batch_size, **how)


def _as_is(batch: Batch) -> Batch:
    return batch


def _signed(batch: Batch) -> Batch:
    return (2 * batch[0] - 1, batch[1]) if isinstance(batch, tuple) else 2 * batch - 1
