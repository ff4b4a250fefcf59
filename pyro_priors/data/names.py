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


STREAMED = ("celeba", "folder")  # data that can stay on disk
