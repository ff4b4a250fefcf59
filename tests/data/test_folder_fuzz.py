"""Folders and archives of images by a seed: valid ones are read right, broken ones refused with the file's name.

The truth is made of arrays, never read back by the code under test. A picture is four flat quarters of 8 x 8 pixels,
so that formats that lose something keep it to a few of 255, and what comes out is seen at the middle of each quarter.
"""

import io
import warnings
import zipfile

import numpy as np
import pytest
from deep_images import MAX_SAMPLE_VALUE, chunk, nearest, png, tiff
from PIL import Image

from pyro_priors.checks import UserError
from pyro_priors.data import listing
from pyro_priors.data.loading import load
from pyro_priors.data.parts import share_of

SIDE, WHITE = 16, 65535
HIDDEN = [".ipynb_checkpoints/{}.png", "._{}.png", "__MACOSX/{}.png", "@eaDir/{}.jpg", ".Trash-0/{}.png", "a/.{}.png"]
OTHERS = ["{}.txt", "{}.mp4", "deep/{}.docx", "{}.nef", "{}"]
TURNED = {1: lambda a: a, 2: np.fliplr, 3: lambda a: np.rot90(a, 2), 4: np.flipud, 6: np.rot90}
TURNED[8] = lambda a: np.rot90(a, -1)


def quarters(draw, colours, white=255):
    """Four colours at least a tenth apart, `(2, 2)` or `(2, 2, 3)`, one of them bright; as a picture they fill SIDE."""
    values = draw.integers(0, white + 1, (2, 2, 3) if colours else (2, 2))
    values[draw.integers(2), draw.integers(2)] = white
    return values


def grown(values):
    return values.repeat(SIDE // 2, 0).repeat(SIDE // 2, 1)


def saved(image, kind, **how):
    file = io.BytesIO()
    image.save(file, kind, **how)
    return file.getvalue()


def exif(orientation):
    tags = Image.Exif()
    tags[0x0112] = orientation
    return tags


# Each: (draw, whether colour) -> suffix, bytes, the truth as 8 bits of grey or colour, how far off it may be.


def eight(draw, colour):
    kinds = {"png": "PNG", "bmp": "BMP", "tif": "TIFF", "tiff": "TIFF", "tga": "TGA", "webp": "WEBP", "jp2": "JPEG2000"}
    kinds |= {"pgm" if not colour else "ppm": "PPM", "PNG": "PNG", "dib": "DIB"}
    suffix = str(draw.choice(sorted(kinds)))
    truth = quarters(draw, colour)
    image = Image.fromarray(grown(truth).astype(np.uint8))
    if suffix == "webp" and not colour:
        suffix = "png"
    how = {"lossless": True} if suffix == "webp" else {}
    return suffix, saved(image, kinds[suffix], **how), truth, 0


def lossy(draw, colour):
    suffix = str(draw.choice(["jpg", "JPEG", "jfif", "jpe"]))
    truth = quarters(draw, colour)
    return suffix, saved(Image.fromarray(grown(truth).astype(np.uint8)), "JPEG", quality=100, subsampling=0), truth, 6


def oriented(draw, colour):
    turn = int(draw.choice(sorted(TURNED)))
    truth = quarters(draw, colour)
    image = Image.fromarray(np.ascontiguousarray(TURNED[turn](grown(truth))).astype(np.uint8))
    kind, suffix, off = [("PNG", "png", 0), ("JPEG", "jpg", 6)][draw.integers(2)]
    how = {"quality": 100, "subsampling": 0} if kind == "JPEG" else {}
    return suffix, saved(image, kind, exif=exif(turn), **how), truth, off


def deep(draw, colour):
    truth = quarters(draw, colour, WHITE)
    values = grown(truth)
    netpbm = b"P%d %d %d 65535\n" % (6 if colour else 5, SIDE, SIDE) + values.astype(">u2").tobytes()
    suffix, content = [
        ("png", png(values)),
        ("tif", tiff(values)),
        ("tif", tiff(values, ">")),
        ("ppm" if colour else "pgm", netpbm),
    ][draw.integers(4)]
    return suffix, content, nearest(truth), 0


def few_bits(draw, colour):
    bits = int(draw.integers(10, 15))
    white = 2**bits - 1
    truth = quarters(draw, False, white)
    values = grown(truth)
    suffix, content, white = [
        ("tif", tiff(values, extra=[(MAX_SAMPLE_VALUE, white)]), white),
        ("png", png(values, chunk(b"sBIT", bytes([bits]))), white),
        ("pgm", b"P5 %d %d %d\n" % (SIDE, SIDE, white) + values.astype(">u2").tobytes(), white),
        ("tif", tiff(values & 4095, bits=12), 4095),
    ][draw.integers(4)]
    truth = nearest(truth & 4095 if white == 4095 else truth, white)
    return suffix, content, truth.repeat(3).reshape(2, 2, 3) if colour else truth, 1


def clear(draw, colour):
    truth = quarters(draw, colour)
    alpha = np.where(draw.random((2, 2)) < 0.5, 0, 255)
    pixels = np.concatenate([np.atleast_3d(truth), alpha[..., None]], 2)
    pixels = grown(pixels)
    content = png(pixels * 257) if draw.random() < 0.5 else saved(Image.fromarray(pixels.astype(np.uint8)), "PNG")
    return "png", content, np.where((alpha == 0)[..., None] if colour else alpha == 0, 255, truth), 0


def palette(draw, colour):
    truth = quarters(draw, True)
    image = Image.frombytes("P", (SIDE, SIDE), grown(np.arange(4).reshape(2, 2)).astype(np.uint8).tobytes())
    image.putpalette(truth.reshape(-1, 3).astype(np.uint8).tobytes())
    how = {"transparency": 2} if draw.random() < 0.3 else {}
    suffix = str(draw.choice(["png", "gif"]))
    if how:
        truth = truth.copy()
        truth[1, 0] = 255
    return suffix, saved(image, suffix.upper(), **how), truth, 0


def moving(draw, colour):
    truth = quarters(draw, True)
    frames = [Image.fromarray(grown(part).astype(np.uint8)) for part in (truth, 255 - truth)]
    suffix = str(draw.choice(["webp", "png", "tif"]))
    how = {"lossless": True} if suffix == "webp" else {}
    kind = {"tif": "TIFF"}.get(suffix, suffix.upper())
    return suffix, saved(frames[0], kind, save_all=True, append_images=frames[1:], **how), truth, 0


def bilevel(draw, colour):
    truth = 255 * draw.integers(0, 2, (2, 2))
    suffix = str(draw.choice(["png", "tif", "pbm", "bmp"]))
    image = Image.fromarray(grown(truth).astype(np.uint8)).convert("1")
    kind = {"tif": "TIFF", "pbm": "PPM"}.get(suffix, suffix.upper())
    return suffix, saved(image, kind), truth.repeat(3).reshape(2, 2, 3) if colour else truth, 0


def ink(draw, colour):
    truth = quarters(draw, True)
    pixels = np.concatenate([255 - truth, np.zeros((2, 2, 1), int)], 2)
    image = Image.frombytes("CMYK", (SIDE, SIDE), grown(pixels).astype(np.uint8).tobytes())
    return "tif", saved(image, "TIFF"), truth, 0


GREY_TOO = [eight, lossy, oriented, deep, few_bits, clear, bilevel]
KINDS = [*GREY_TOO, palette, moving, ink]


def cut_short(draw):
    content = saved(Image.fromarray(draw.integers(0, 256, (64, 64, 3), np.uint8)), "PNG")
    return "png", content[: int(draw.integers(40, len(content) - 60))]


def flipped(draw):
    content = bytearray(saved(Image.fromarray(draw.integers(0, 256, (64, 64, 3), np.uint8)), "PNG"))
    content[int(draw.integers(60, len(content) - 40))] ^= 255  # in the pixels, which have a checksum
    return "png", bytes(content)


def not_an_image(draw):
    suffix = str(draw.choice(["png", "jpg", "tif", "webp", "gif"]))
    return suffix, bytes(draw.integers(0, 256, int(draw.integers(0, 200)), np.uint8))


def real_numbers(draw):
    return "tif", saved(Image.fromarray(draw.random((8, 8)).astype(np.float32)), "TIFF")


def page(draw):
    return "png", saved(Image.new("RGB", (8, 8)), "EPS")


BROKEN = [cut_short, flipped, not_an_image, real_numbers, page]


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


@pytest.mark.parametrize("seeds", [range(25), pytest.param(range(25, 500), marks=pytest.mark.slow)])
def test_folders(tmp_path, seeds):
    wrong = []
    for seed in seeds:
        (tmp_path / str(seed)).mkdir()
        wrong.append(check(tmp_path / str(seed), seed))
    assert [line for line in wrong if line] == []
