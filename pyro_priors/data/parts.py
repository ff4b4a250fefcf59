"""Which part of the data an image belongs to: its path says it, so that other images do not move it."""

import hashlib
from collections.abc import Sequence

import torch
from torch import Tensor

from pyro_priors.data.listing import key

PARTS = ("training", "validation", "test")
SHARES = (0.8, 0.9)  # of the hashes: below the first training, below the second validation


def share_of(path: str) -> float:
    """Where BLAKE2 of a path (NFC, slashes) lies among all hashes, in [0, 1).

    Example:
        >>> [round(share_of(path), 3) for path in ("cats/1.png", "cats/2.png", "caf\\u00e9.png", "cafe\\u0301.png")]
        [0.076, 0.381, 0.325, 0.325]
    """
    digest = hashlib.blake2b(key(path).encode(errors="surrogateescape"), digest_size=8).digest()
    return (int.from_bytes(digest, "big") >> 11) / 2**53


def parts_of(paths: Sequence[str], contents: Sequence[str]) -> Tensor:
    """The part (0 training, 1 validation, 2 test) of each image, `(n,)`.

    It is that of the path's hash. Equal images share a part, the first of those that their paths name: an image that
    was trained on stays in training, whatever copies of it come; one of the test part moves to training where a copy
    of it belongs there.

    Example:
        >>> parts_of(["a.png", "b.png", "c.png"], ["1", "2", "3"]).tolist()
        [1, 0, 2]
        >>> parts_of(["a.png", "b.png", "c.png"], ["1", "2", "1"]).tolist()
        [1, 0, 1]
    """
    own = [sum(share_of(path) >= share for share in SHARES) for path in paths]
    shared: dict[str, int] = {}
    for content, part in zip(contents, own, strict=True):
        shared[content] = min(part, shared.get(content, part))
    return torch.tensor([shared[content] for content in contents], dtype=torch.long)


def order_of(paths: Sequence[str]) -> list[int]:
    """The order in which images stand in their parts, that of their hashes: the first few are a sample of all."""
    return sorted(range(len(paths)), key=lambda row: (share_of(paths[row]), paths[row]))
