"""Images of 12 and 16 bits a channel, grey and colour: the nearest 8 bits, or a sentence where they would be black."""

import struct

import numpy as np
import pytest
from deep_images import MAX_SAMPLE_VALUE, chunk, nearest, png, tiff
from PIL import Image

from pyro_priors.checks import UserError
from pyro_priors.data import user_folder
from pyro_priors.data.image_files import ImageFiles
from pyro_priors.data.loading import load

NOISE = np.random.default_rng(0)
GREY, COLOUR, FEW = (
    NOISE.integers(0, 65536, (6, 8)),
    NOISE.integers(0, 65536, (6, 8, 3)),
    NOISE.integers(0, 4096, (6, 8)),
)
CLEAR, OPAQUE = np.full((6, 8, 1), 0), np.full((6, 8, 1), 65535)
SBIT = chunk(b"sBIT", bytes([12]))

READ = {  # bytes of a file, what is to come out
    "grey.png": (png(GREY), nearest(GREY)),
    "colour.png": (png(COLOUR), nearest(COLOUR)),
    "grey_alpha.png": (png(np.concatenate([GREY[..., None], OPAQUE], 2)), nearest(GREY)),
    "clear.png": (png(np.concatenate([GREY[..., None], CLEAR], 2)), np.full((6, 8), 255)),
    "colour_alpha.png": (png(np.concatenate([COLOUR, OPAQUE], 2)), nearest(COLOUR)),
    "clear_colour.png": (png(np.concatenate([COLOUR, CLEAR], 2)), np.full((6, 8, 3), 255)),
    "little.tif": (tiff(COLOUR), nearest(COLOUR)),
    "big.tif": (tiff(COLOUR, ">"), nearest(COLOUR)),
    "alpha.tif": (tiff(np.concatenate([COLOUR, OPAQUE], 2)), nearest(COLOUR)),
    "grey.tif": (tiff(GREY), nearest(GREY)),
    "big_grey.tif": (tiff(GREY, ">"), nearest(GREY)),
    "turned.tif": (tiff(GREY, white_is_zero=True), nearest(65535 - GREY)),
    "twelve.tif": (tiff(FEW, bits=12), nearest(FEW, 4095)),
    "said.tif": (tiff(FEW, extra=[(MAX_SAMPLE_VALUE, 4095)]), nearest(FEW, 4095)),
    "said.png": (png(FEW, SBIT), nearest(FEW, 4095)),
    "stretched.png": (png(FEW << 4 | FEW >> 8, SBIT), nearest(FEW << 4 | FEW >> 8)),  # as PNG wants it
    "dark_stretched.png": (png(FEW >> 5 << 4, SBIT), nearest(FEW >> 5 << 4)),
    "more_than_said.png": (png(GREY, SBIT), nearest(GREY)),
    "colour.ppm": (b"P6 8 6 65535\n" + COLOUR.astype(">u2").tobytes(), nearest(COLOUR)),
    "twelve.pgm": (b"P5 8 6 4095\n" + FEW.astype(">u2").tobytes(), nearest(FEW, 4095)),
}


@pytest.mark.parametrize("name", READ)
def test_the_nearest_of_eight_bits(tmp_path, name):
    content, expected = READ[name]
    (tmp_path / name).write_bytes(content)
    files = ImageFiles(tmp_path)
    image = files.decode(name)
    assert np.array_equal(np.asarray(image).astype(int), expected)
    assert files.are_grey([name]) == (image.mode == "L") == (expected.ndim == 2)


def test_transparent_values_of_sixteen_bits(tmp_path):
    grey, colour = GREY.copy(), COLOUR.copy()
    grey[2, 3], colour[2, 3] = 30_001, (300, 60_000, 5)
    (tmp_path / "grey.png").write_bytes(png(grey, chunk(b"tRNS", struct.pack(">H", 30_001))))
    (tmp_path / "colour.png").write_bytes(png(colour, chunk(b"tRNS", struct.pack(">HHH", 300, 60_000, 5))))
    for name, values in (("grey.png", grey), ("colour.png", colour)):
        expected = nearest(values)
        expected[2, 3] = 255
        assert np.array_equal(np.asarray(ImageFiles(tmp_path).decode(name)).astype(int), expected)


@pytest.mark.parametrize("orientation", range(1, 9))
def test_deep_colours_are_turned_too(tmp_path, orientation):
    exif = Image.Exif()
    exif[0x0112] = orientation
    plain = Image.fromarray((COLOUR >> 8).astype(np.uint8))
    plain.save(tmp_path / "eight.png", exif=exif)
    (tmp_path / "deep.png").write_bytes(png((COLOUR >> 8) * 257, chunk(b"eXIf", exif.tobytes()[6:])))
    files = ImageFiles(tmp_path)
    assert np.array_equal(files.decode("deep.png"), files.decode("eight.png"))


@pytest.mark.parametrize("bits", [8, 12, 14])
@pytest.mark.parametrize("stack", [False, True])
def test_what_would_be_black_is_refused(tmp_path, bits, stack):
    for index in range(20):
        values = NOISE.integers(0, 2**bits, (8, 8, 3) if stack else (8, 8))
        values[0, 0] = 2**bits - 1
        (tmp_path / f"{index:02d}.png").write_bytes(png(values))
    message = (
        rf"reach 16384 of 65535 somewhere, got at most {2**bits - 1}, in \d\d\.png \(20 such images\).*of {bits} bits"
    )
    with pytest.raises(UserError, match=message):
        load("folder", tmp_path, image_size=8)
    with pytest.raises(UserError, match="multiply them by"):
        user_folder.images_named(tmp_path, ["00.png"], 8, 1)
    (tmp_path / "20.png").write_bytes(png(np.full((8, 8), 40_000)))  # the others are dark, not of fewer bits
    assert len(load("folder", tmp_path, image_size=8).train)


def test_black_images_are_black(tmp_path):
    (tmp_path / "black.png").write_bytes(png(np.zeros((8, 8))))
    assert user_folder.images_named(tmp_path, ["black.png"], 8, 1).max() == 0
