"""scikit-learn's handwritten digits, which need no files."""

from pathlib import Path
from typing import Any

import torch

from pyro_priors.data.attributes import DIGITS, Attribute
from pyro_priors.data.images import split
from pyro_priors.data.readers import Options, Parts


def read(root: Path, options: Options) -> Parts:
    """1,797 images of 8x8, grey values in [0, 1]; their label is `digit`."""
    from sklearn.datasets import load_digits  # here, since it is slow to import

    source: Any = load_digits()
    pixels = torch.tensor(source.images, dtype=torch.float32).unsqueeze(1) / 16
    labels = torch.tensor(source.target).float().unsqueeze(1)
    return Parts(lambda: split(pixels), (Attribute("digit", DIGITS),), split(labels)).select(options)
