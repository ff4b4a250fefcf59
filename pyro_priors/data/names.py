"""Which data there are."""

from typing import Literal

DataName = Literal[
    "digits",
    "mnist",
    "fashion-mnist",
    "omniglot",
    "celeba",
    "cifar10",
    "svhn",
    "shapes",
    "moons",
    "gaussians",
    "grid",
    "ring",
    "folder",
]
STREAMED = RESIZED = ("celeba", "folder")  # data that can stay on disk, and that are made of any size
CROPPED = ("celeba",)  # data of which a part of each image is used
POINTS = ("moons", "grid", "ring")  # data that are points of the plane, not images
CLASSED = ("digits", "mnist", "fashion-mnist", "cifar10", "svhn")  # data with one label, which clusters may match
GENERATED = ("digits", "shapes", "moons", "gaussians", "grid", "ring")  # data that need no files
