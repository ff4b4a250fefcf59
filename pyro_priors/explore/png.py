"""Images as PNG files in addresses of their own, without a library of images."""

import base64
import struct
import zlib

import numpy as np


def png(pixels: np.ndarray) -> bytes:
    """Bytes 0..255 `(H, W, 1)` or `(H, W, 3)` as a PNG file.

    Raises:
        ValueError: another shape or type.

    Example:
        >>> png(np.zeros((2, 3, 1), np.uint8))[:8]
        b'\\x89PNG\\r\\n\\x1a\\n'
    """
    if pixels.dtype != np.uint8 or pixels.ndim != 3 or pixels.shape[-1] not in (1, 3):
        raise ValueError(f"pixels: expected bytes of shape (H, W, 1) or (H, W, 3), got {pixels.dtype} {pixels.shape}")
    height, width, channels = pixels.shape
    lines = np.zeros((height, 1 + width * channels), np.uint8)  # each begins with its filter, 0: none
    lines[:, 1:] = pixels.reshape(height, -1)
    head = struct.pack(">IIBBBBB", width, height, 8, 2 if channels == 3 else 0, 0, 0, 0)
    parts = (b"IHDR", head), (b"IDAT", zlib.compress(lines.tobytes(), 6)), (b"IEND", b"")
    return b"\x89PNG\r\n\x1a\n" + b"".join(_chunk(*part) for part in parts)


def _chunk(name: bytes, content: bytes) -> bytes:
    return struct.pack(">I", len(content)) + name + content + struct.pack(">I", zlib.crc32(name + content))


def address_of(pixels: np.ndarray) -> str:
    """A PNG as `data:` in an address."""
    return "data:image/png;base64," + base64.b64encode(png(pixels)).decode()
