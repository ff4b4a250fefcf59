"""A folder of few small images with attributes, some of them missing."""

import csv

import numpy as np
from PIL import Image


def write(root, count=40, size=28):
    """Images whose left or right half is bright, in one of two tones; the last attribute is a number."""
    draw = np.random.default_rng(0)
    (root / "images").mkdir(parents=True)
    with (root / "attributes.csv").open("w", newline="") as file:
        writer = csv.writer(file)
        writer.writerow(["image", "side", "bright", "level"])
        for index in range(count):
            side, bright = draw.integers(2), draw.integers(2)
            level = 120 + 100 * bright + draw.integers(-15, 15)
            pixels = np.zeros((size, size), np.uint8)
            pixels[:, size // 2 * side : size // 2 * (side + 1)] = level
            Image.fromarray(pixels).save(root / "images" / f"{index:03d}.png")
            cells = [["left", "right"][side], bright, f"{level / 7:.3f}"]
            writer.writerow([f"{index:03d}.png", *("" if draw.random() < 0.1 else cell for cell in cells)])
    return root
