"""Bytes of PNG and TIFF files of 12 and 16 bits a channel, which Pillow does not write."""

import struct
import zlib

import numpy as np

PNG_COLOUR = {1: 0, 2: 4, 3: 2, 4: 6}  # of so many channels
BITS_PER_SAMPLE, PHOTOMETRIC, OFFSETS, EXTRA, MAX_SAMPLE_VALUE = 258, 262, 273, 338, 281


def nearest(values, white=65535):
    """What values of a white become with 8 bits."""
    return (np.asarray(values) * 255 / white + 0.5).astype(int)


def chunk(kind, data):
    return struct.pack(">I", len(data)) + kind + data + struct.pack(">I", zlib.crc32(kind + data))


def png(values, extra=b""):
    """A PNG file of 16 bits a channel: values `(h, w)` or `(h, w, channels)`; `extra` chunks before the pixels."""
    values = np.atleast_3d(values)
    height, width, channels = values.shape
    rows = b"".join(b"\0" + row.astype(">u2").tobytes() for row in values)
    header = struct.pack(">IIBBBBB", width, height, 16, PNG_COLOUR[channels], 0, 0, 0)
    parts = chunk(b"IHDR", header) + extra + chunk(b"IDAT", zlib.compress(rows)) + chunk(b"IEND", b"")
    return b"\x89PNG\r\n\x1a\n" + parts


def tiff(values, order="<", bits=16, white_is_zero=False, extra=()):
    """A TIFF file of 12 (grey) or 16 bits a channel; `extra` tags as (number, value of 16 bits)."""
    values = np.atleast_3d(values)
    height, width, channels = values.shape
    data = values.astype(f"{order}u2").tobytes() if bits == 16 else b"".join(map(_packed, values))
    meaning = 2 if channels > 2 else 0 if white_is_zero else 1
    tags = {256: [width], 257: [height], BITS_PER_SAMPLE: [bits] * channels, 259: [1], PHOTOMETRIC: [meaning]}
    tags |= {OFFSETS: [0], 277: [channels], 278: [height], 279: [len(data)]}
    tags |= {EXTRA: [2]} if channels == 4 else {}
    tags |= {number: [value] for number, value in extra}
    behind, words = 8 + 2 + 12 * len(tags) + 4, b""  # values of more than four bytes stand behind the table
    table = b""
    long = {256, 257, OFFSETS, 278, 279}
    behind_pixels = behind + sum(2 * len(numbers) for numbers in tags.values() if len(numbers) > 2)
    for number, numbers in sorted(tags.items()):
        numbers = [behind_pixels] if number == OFFSETS else numbers
        packed = struct.pack(order + ("I" if number in long else "H") * len(numbers), *numbers)
        if len(packed) > 4:
            place, words = behind + len(words), words + packed
            packed = struct.pack(f"{order}I", place)
        table += struct.pack(f"{order}HHI", number, 4 if number in long else 3, len(numbers)) + packed.ljust(4, b"\0")
    head = (b"II" if order == "<" else b"MM") + struct.pack(f"{order}HIH", 42, 8, len(tags))
    return head + table + bytes(4) + words + data


def _packed(row):
    """12 bits a pixel, two pixels in three bytes."""
    bits = "".join(f"{int(value):012b}" for value in row.flatten())
    bits += "0" * (-len(bits) % 8)
    return bytes(int(bits[start : start + 8], 2) for start in range(0, len(bits), 8))
