"""Bytes of image files of every kind, each with the truth that it was made of, and of broken ones."""

import io

import numpy as np
from deep_images import MAX_SAMPLE_VALUE, chunk, nearest, png, tiff
from PIL import Image

SIDE, WHITE = 16, 65535
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
