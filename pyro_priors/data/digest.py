"""What a training was given, as hashes: whether the data are others today, and which images are new."""

import hashlib
from collections.abc import Collection, Iterator, Mapping
from typing import Any, NamedTuple

from torch import Tensor

from pyro_priors.data.loading import ImageData
from pyro_priors.data.names import GENERATED
from pyro_priors.data.parts import PARTS
from pyro_priors.data.streaming import OnDisk

LEARNED = PARTS[:2]  # what a training saw


class Changes(NamedTuple):
    """How many images came, went, were replaced under their name, are in another part, or have other labels.

    `others` are parts that are others, of data whose images have no names.
    """

    added: int = 0
    removed: int = 0
    changed: int = 0
    moved: int = 0
    relabelled: int = 0
    others: tuple[str, ...] = ()

    def __str__(self) -> str:
        counts = ("added", "removed", "changed", "moved", *(["relabelled"] if self.relabelled else []))
        words = [f"{getattr(self, name)} {name}" for name in counts if not self.others]
        return ", ".join([*words, *(f"other images in the {part} part" for part in self.others)])


def digest(data: ImageData) -> dict[str, Any]:
    """What a run keeps of its data: {part: {name: hash}} of a folder, {part: hash} of files that are one set.

    The hash of an image with labels is "IMAGE-LABELS", two hashes: equal images are equal whatever their labels.
    Nothing is kept of what needs no files, nor of pixels that are not those of the files.

    Example:
        >>> from pyro_priors.data.loading import load
        >>> digest(load("digits"))
        {}
    """
    if data.contents:
        return dict(zip(PARTS, data.contents, strict=True))
    if data.name in GENERATED:
        return {}
    hashes = {name: _whole(part.pixels) for name, part in zip(PARTS, data[2:5], strict=True)}
    return {name: text for name, text in hashes.items() if text}


def changes(then: Mapping[str, Any], now: Mapping[str, Any], parts: Collection[str] = PARTS) -> Changes | None:
    """What differs between two digests as far as these parts are concerned; None where nothing does.

    Example:
        >>> then = {"training": {"a": "1", "b": "2"}, "validation": {"c": "3"}, "test": {"d": "4"}}
        >>> now = {"training": {"b": "0", "e": "5"}, "validation": {"d": "4"}, "test": {"c": "3", "f": "6"}}
        >>> print(changes(then, now))
        2 added, 1 removed, 1 changed, 2 moved
        >>> print(changes(then, now, ("training", "validation")))
        1 added, 1 removed, 1 changed, 2 moved
    """
    if not all(isinstance(part, dict) for digest in (then, now) for part in digest.values()):
        others = tuple(part for part in parts if part in then and then[part] != now.get(part))
        return Changes(others=others) if others else None
    before, after = dict(_places(then)), dict(_places(now))

    def concerned(names: Collection[str]) -> list[str]:
        return [name for name in names if {side[name].part for side in (before, after) if name in side} & set(parts)]

    both = concerned(before.keys() & after.keys())
    changed = [name for name in both if before[name].image != after[name].image]
    moved = [name for name in both if before[name].part != after[name].part and before[name].image == after[name].image]
    labels = [(before[name].labels, after[name].labels) for name in both]
    relabelled = sum(bool(old and new) and old != new for old, new in labels)  # "" is of images alone
    added, removed = concerned(after.keys() - before.keys()), concerned(before.keys() - after.keys())
    counts = Changes(len(added), len(removed), len(changed), len(moved), relabelled)
    return counts if any(counts) else None


def unseen(then: Mapping[str, Any], data: ImageData, part: str) -> list[int]:
    """Rows of a part whose images a training did not see: neither to learn from nor, in a test part, to stop by."""
    seen = {_image(text) for name in (LEARNED if part == "test" else PARTS[:1]) for text in then[name].values()}
    return [row for row, text in enumerate(data.contents[PARTS.index(part)].values()) if _image(text) not in seen]


def repeated(data: ImageData) -> str:
    """A line about images of one part that equal images of a part before it, "" where there are none."""
    if not data.contents:
        return ""
    owner: dict[str, tuple[int, str]] = {}
    counts: dict[int, list[tuple[str, str]]] = {}
    for index, names in enumerate(data.contents):
        for name, text in names.items():
            first = owner.setdefault(_image(text), (index, name))
            if first[0] < index:
                counts.setdefault(index, []).append((name, first[1]))
    words = [
        f"{len(pairs)} of {len(data.contents[index])} {PARTS[index]} images equal images of the "
        f"{' or '.join(PARTS[:index])} part (such as {pairs[0][0]} and {pairs[0][1]})"
        for index, pairs in counts.items()
    ]
    return f"data: {'; '.join(words)}" if words else ""


def notes(data: ImageData) -> list[str]:
    """Lines for people about the data that a command reads."""
    return [line for line in (*data.notes, repeated(data)) if line]


class _Place(NamedTuple):
    """Where an image is, and its hashes; `labels` is "" where there are none."""

    part: str
    image: str
    labels: str


def _places(digest: Mapping[str, Mapping[str, str]]) -> Iterator[tuple[str, _Place]]:
    """Each name with its place."""
    for part, names in digest.items():
        for name, text in names.items():
            image, _, labels = text.partition("-")
            yield name, _Place(part, image, labels)


def _image(text: str) -> str:
    """That of the image alone."""
    return text.partition("-")[0]


def _whole(pixels: Tensor | OnDisk) -> str:
    """A hash of all images of a part, "" where their bytes are not those of files."""
    whole = hashlib.blake2b(str(tuple(pixels.shape)).encode(), digest_size=8)
    if isinstance(pixels, OnDisk):
        for text in pixels.contents:
            whole.update(str(text).encode())
    elif pixels.is_floating_point():
        return ""
    else:
        values: Any = pixels.contiguous().numpy()
        whole.update(values)
    return whole.hexdigest()
