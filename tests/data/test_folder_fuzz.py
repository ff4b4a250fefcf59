"""Folders and archives of images by a seed: valid ones are read right, broken ones refused with the file's name.

The truth is made of arrays, never read back by the code under test. A picture is four flat quarters of 8 x 8 pixels,
so that formats that lose something keep it to a few of 255, and what comes out is seen at the middle of each quarter.
"""

import warnings
import zipfile

import numpy as np
import pytest
from picture_files import BROKEN, GREY_TOO, KINDS, SIDE, deep, eight

from pyro_priors.checks import UserError
from pyro_priors.data import listing
from pyro_priors.data.loading import load
from pyro_priors.data.parts import share_of

HIDDEN = [".ipynb_checkpoints/{}.png", "._{}.png", "__MACOSX/{}.png", "@eaDir/{}.jpg", ".Trash-0/{}.png", "a/.{}.png"]
OTHERS = ["{}.txt", "{}.mp4", "deep/{}.docx", "{}.nef", "{}"]


class Made:
    """A folder or archive, what is to come out of it, and what a message about it must name."""

    def __init__(self, root, seed):
        self.root, self.draw, self.broken = root, np.random.default_rng(seed), None
        draw = self.draw
        self.files, self.truth = [], {}  # (name, bytes); {name: (truth, tolerance)}
        self.colour = draw.random() < 0.6
        kinds = KINDS if self.colour else GREY_TOO
        while not self.whole():
            number = len(self.truth)
            if number and draw.random() < 0.15:  # a copy under another name
                name, content = self.files[draw.integers(number)]
                copy = f"copy/{number:03d}.{name.rpartition('.')[2]}"
                self.files.append((copy, content))
                self.truth[copy] = self.truth[name]
                continue
            grey = self.colour and number and draw.random() < 0.3
            make = kinds[draw.integers(len(kinds))] if number else (eight if self.colour else deep)
            suffix, content, truth, off = make(draw, self.colour and not grey if make in GREY_TOO else True)
            folder = str(draw.choice(["", "", "deep/", "ünï/é/", "a b/"]))
            name = f"{folder}{number:03d}.{suffix}"
            if f".{suffix.lower()}" in listing.suffixes():
                self.files.append((name, content))
                self.truth[name] = truth, off
        self.hidden = [str(form).format(self.name()) for form in draw.choice(HIDDEN, draw.integers(0, 4))]
        self.others = [str(form).format(self.name()) for form in draw.choice(OTHERS, draw.integers(0, 3))]
        self.files += [(name, b"nothing") for name in [*self.hidden, *self.others]]
        self.packed = draw.random() < 0.5
        self.broken = self.spoil() if draw.random() < 0.4 else None
        self.write()

    def name(self):
        return f"{self.draw.integers(10**9):09d}"

    def whole(self):
        """Whether each part has an image."""
        return set(self.parts().values()) == {0, 1, 2}

    def parts(self):
        """{name: part}; equal pictures share the first of theirs."""
        keys = {}
        for (name, content), (truth, off) in zip(self.files, self.truth.values(), strict=False):
            rgb = truth if truth.ndim == 3 else truth.repeat(3).reshape(2, 2, 3)
            keys[name] = content if off else rgb.astype(np.uint8).tobytes()
        own = {name: (share_of(name) >= 0.8) + (share_of(name) >= 0.9) for name in keys}
        return {name: min(own[other] for other in keys if keys[other] == keys[name]) for name in keys}

    def spoil(self):
        """Break it in one way -> what the message must hold."""
        draw = self.draw
        ways = len(BROKEN) + (5 if self.packed else 2)
        way = int(draw.integers(ways))
        if way < len(BROKEN):
            suffix, content = BROKEN[way](draw)
            name = f"deep/bad.{suffix}"
            self.files.append((name, content))
            return name
        if not self.packed:
            self.link = "missing.png" if way == len(BROKEN) else "/etc/hostname"
            return "leads.png"
        name = self.files[0][0]
        if way == len(BROKEN):
            self.files.append(self.files[0])
            return repr(name)
        bad = ["../bad.png", "/bad.png", "C:\\bad.png", "locked.png"][way - len(BROKEN) - 1]
        self.files.append((bad, self.files[0][1]))
        self.locked = bad == "locked.png"
        return repr(bad)

    link, locked = None, False

    def write(self):
        if not self.packed:
            for name, content in self.files:
                path = self.root / "images" / name
                path.parent.mkdir(parents=True, exist_ok=True)
                path.write_bytes(content)
            if self.link:
                (self.root / "images" / "leads.png").symlink_to(self.link)
            return
        with zipfile.ZipFile(self.root / "images.zip", "w", zipfile.ZIP_DEFLATED) as archive, warnings.catch_warnings():
            warnings.simplefilter("ignore")  # a name twice
            archive.writestr("deep.png/", b"")
            for name, content in self.files:
                archive.writestr(name, content)
        if self.locked:
            path = self.root / "images.zip"
            content = bytearray(path.read_bytes())
            place = content.rindex(b"PK\x01\x02")  # the last entry
            content[place + 8] |= 1
            path.write_bytes(content)


def check(root, seed):
    """ "" where what is read is right, and what is broken is refused by its name; else what went wrong."""
    made = Made(root, seed)
    if made.broken is not None:
        try:
            load("folder", root, image_size=SIDE)
        except UserError as error:
            return "" if made.broken in str(error) else f"{seed}: expected {made.broken} in {error}"
        return f"{seed}: expected it to be refused for {made.broken}"
    data = load("folder", root, image_size=SIDE)
    if sorted(name for part in data.contents for name in part) != sorted(made.truth):
        return f"{seed}: expected {sorted(made.truth)}, got {data.contents}"
    if len(made.others) and f": {len(made.others)} (" not in "".join(data.notes):
        return f"{seed}: expected {made.others} to be counted, got {data.notes}"
    if data.image_shape[0] != (3 if made.colour else 1):
        return f"{seed}: expected {'colour' if made.colour else 'grey'}, got {data.image_shape}"
    parts = made.parts()
    for number, names in enumerate(data.contents):
        for name, pixels in zip(names, data[2 + number].pixels.movedim(1, -1).numpy(), strict=True):
            truth, off = made.truth[name]
            got = pixels[4::8, 4::8].astype(int)
            expected = np.atleast_3d(truth) if truth.ndim == 2 else truth
            if abs(got - expected).max() > off:
                return f"{seed}: {name}: expected {expected.tolist()}, got {got.tolist()}"
            if number != parts[name]:
                return f"{seed}: {name}: expected another part than {number}"
    return ""


@pytest.mark.parametrize("seeds", [range(25), pytest.param(range(25, 500), marks=pytest.mark.fuzz)])
def test_folders(tmp_path, seeds):
    wrong = []
    for seed in seeds:
        (tmp_path / str(seed)).mkdir()
        wrong.append(check(tmp_path / str(seed), seed))
    assert [line for line in wrong if line] == []
