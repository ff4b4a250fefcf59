"""Pixels of an opened image file, whatever its mode and depth, as 8 bits of grey or colour."""

import struct
import sys
from collections.abc import Callable
from typing import Any

import numpy as np
from PIL import Image, ImageOps
from PIL.TiffImagePlugin import TiffImageFile

from pyro_priors.checks import UserError

WHITE = 65535  # of 16 bits
DARK = 2**14  # where all values of 16 bits are below this in all of the data, they are of fewer bits
BITS_PER_SAMPLE, PHOTOMETRIC, MAX_SAMPLE_VALUE, ORIENTATION = 258, 262, 281, 0x0112
TURNS = dict(
    zip(
        range(2, 9),
        [
            Image.Transpose.FLIP_LEFT_RIGHT,
            Image.Transpose.ROTATE_180,
            Image.Transpose.FLIP_TOP_BOTTOM,
            Image.Transpose.TRANSPOSE,
            Image.Transpose.ROTATE_270,
            Image.Transpose.TRANSVERSE,
            Image.Transpose.ROTATE_90,
        ],
        strict=True,
    )
)


def is_grey(image: Image.Image) -> bool:
    """Whether an image file has no colours, as its header says; it need not have been decoded."""
    return image.mode[0] in "IF" or image.mode in ("1", "L", "LA", "La") or (_deep(image) or "").startswith("LA")


def plain(image: Image.Image, name: str, content: bytes, reopened: Callable[[], Image.Image]) -> tuple:
    """An opened image -> the same upright in mode L or RGB, and the largest of its values of 16 bits.

    What has transparent parts is laid on white; palettes and CMYK become RGB; of 16 bits the nearest 8 are taken. The
    largest value is None where there are 8 bits a channel, or where the file says how many of the 16 it uses.

    Args:
        image: as Pillow opened it.
        name: of the file, for messages.
        content: its bytes.
        reopened: opens it once more.

    Raises:
        UserError: numbers that are not of 8 or 16 bits.
    """
    largest, rawmode = None, _deep(image)
    if rawmode is not None:
        image, largest = _colours(image, rawmode, name, reopened)
    else:
        image.load()
        ImageOps.exif_transpose(image, in_place=True)
        if image.mode[0] in "IF":
            image, largest = _greys(image, name, content)
    mode = "L" if image.mode in ("1", "L", "LA", "La") else "RGB"
    if image.mode[-1] in "Aa" or "transparency" in image.info:
        image = image.convert("RGBA")
        image = Image.alpha_composite(Image.new("RGBA", image.size, "white"), image)
    return image.convert(mode), largest


def check_dark(largest: dict[str, int]) -> None:
    """`UserError` where the values of all images of 16 bits, by name, are far from white: they would come out black."""
    name = max(largest, key=lambda key: largest[key], default="")
    if largest and 0 < largest[name] < DARK:
        bits = largest[name].bit_length()
        raise UserError(
            f"data: expected images of 16 bits a pixel whose values reach {DARK} of {WHITE} somewhere, got at most "
            f"{largest[name]}, in {name} ({len(largest)} such images): they would be black. If they are of {bits} bits "
            f"({2**bits - 1} is white), multiply them by {WHITE / (2**bits - 1):.6g}, or save them with 8 bits a pixel"
        )


def _deep(image: Image.Image) -> str | None:
    """Pillow's word for the order of bytes in colours of 16 bits a channel, of which it would drop the lower 8."""
    for tile in getattr(image, "tile", ()):
        words = tile[3] if isinstance(tile[3], tuple) else (tile[3],)
        if words and isinstance(words[0], str) and ";16" in words[0] and image.mode[0] != "I":
            return words[0]
    return None


def _colours(image: Any, rawmode: str, name: str, reopened: Callable[[], Any]) -> tuple:
    """16 bits a channel: decoded twice, once with the bytes the other way round, which gives the lower ones."""
    if rawmode.startswith("LA"):  # two numbers of two bytes are as four of one
        image.tile = [_tile(tile, "RGBA") for tile in image.tile]
        numbers = np.asarray(_loaded(image), np.int64)
        values = numbers[..., ::2] * 256 + numbers[..., 1::2]
    else:
        last = rawmode[-1] if rawmode[-1] != "N" else "L" if sys.byteorder == "little" else "B"
        other = reopened()
        other.tile = [_tile(tile, _word(tile)[:-1] + ("B" if last == "L" else "L")) for tile in other.tile]
        try:
            values = np.asarray(_loaded(image), np.int64) * 256 + np.asarray(_loaded(other), np.int64)
        except ValueError as error:
            raise UserError(
                f"data: expected an image of 8 or 16 bits a channel in an order that Pillow reads, got {name} of "
                f"{rawmode} (save it as a PNG)"
            ) from error
    eight = ((values + 128) // 257).astype(np.uint8)
    clear = image.info.get("transparency")
    if isinstance(clear, tuple) and values.shape[-1] == 3:  # one colour, of 16 bits
        eight[(values == np.array(clear)).all(-1)] = 255
    colours = 1 if values.shape[-1] < 3 else 3
    modes = {2: "LA", 3: "RGB"}
    mode: Any = modes.get(values.shape[-1], image.mode)
    made = Image.frombytes(mode, (eight.shape[1], eight.shape[0]), eight.tobytes())
    turn = TURNS.get(image.getexif().get(ORIENTATION, 1))
    return (made if turn is None else made.transpose(turn)), int(values[..., :colours].max())


def _word(tile: tuple) -> str:
    return tile[3][0] if isinstance(tile[3], tuple) else tile[3]


def _tile(tile: Any, word: str) -> tuple:
    """A tile of Pillow's with another order of bytes."""
    args = (word, *tile[3][1:]) if isinstance(tile[3], tuple) else word
    return tile._replace(args=args) if hasattr(tile, "_replace") else (*tile[:3], args)


def _loaded(image: Image.Image) -> Image.Image:
    image.load()
    return image


def _greys(image: Image.Image, name: str, content: bytes) -> tuple:
    """16 bits a pixel -> 8. Pillow's own conversion clips at 255, which makes nearly all of it white."""
    values = np.asarray(image)
    if image.mode == "F" or values.min() < 0 or values.max() > WHITE:
        raise UserError(f"data: expected an image of 8 or 16 bits a pixel, got {name} of mode {image.mode}")
    values = values.astype(np.int64)
    white = _white(image, values, content)
    if isinstance(image, TiffImageFile) and image.tag_v2.get(PHOTOMETRIC) == 0:  # of 8 bits Pillow turns them itself
        values = white - values
    eight = ((values * 255 + white // 2) // white).astype(np.uint8)
    if isinstance(clear := image.info.get("transparency"), int):
        eight[values == clear] = 255
    return Image.fromarray(eight), int(values.max()) if white == WHITE else None


def _white(image: Image.Image, values: np.ndarray, content: bytes) -> int:
    """The value of white: that of the bits which the file says it uses, where its values are of no more."""
    bits = 16
    if isinstance(image, TiffImageFile):
        bits = int(min(image.tag_v2.get(BITS_PER_SAMPLE, (16,))))
        if bits == 16:
            bits = int(max(np.atleast_1d(image.tag_v2.get(MAX_SAMPLE_VALUE, WHITE)))).bit_length()
    elif image.format == "PNG":
        bits = _significant(content)
    if not 8 < bits < 16 or values.max() >= 2**bits:
        return WHITE
    # PNG wants them stretched to 16 bits, of which the upper ones say all; few writers do it.
    upper = values >> (16 - bits)
    stretched = [upper << (16 - bits), upper << (16 - bits) | upper >> (2 * bits - 16), _nearest(upper, bits)]
    return WHITE if image.format == "PNG" and any((values == way).all() for way in stretched) else 2**bits - 1


def _nearest(values: np.ndarray, bits: int) -> np.ndarray:
    return np.rint(values * (WHITE / (2**bits - 1))).astype(np.int64)


def _significant(content: bytes) -> int:
    """The bits of a grey pixel that a PNG file says it uses, in its chunk sBIT; 16 without one."""
    place = 8
    while place + 8 <= len(content):
        length, kind = struct.unpack(">I4s", content[place : place + 8])
        if kind == b"sBIT" and length:
            return content[place + 8]
        if kind == b"IDAT":
            break
        place += 12 + length
    return 16
