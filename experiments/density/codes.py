"""Codes of images with what is known of them: rows for a joint law of latents and one discrete attribute."""

from pathlib import Path
from typing import NamedTuple

import pyro
import torch
from safetensors import SafetensorError, safe_open
from safetensors.torch import save_file
from torch import Tensor

from models.shared import runs
from pyro_priors.checks import UserError
from pyro_priors.data import loading
from pyro_priors.data.binary_tables import PARTS

BATCH = 1000  # images encoded at a time


class Codes(NamedTuple):
    """One draw of q(z given x) and the category of each image, ``(n, d + 1)``."""

    name: str
    train: Tensor
    valid: Tensor
    test: Tensor

    @property
    def categories(self):
        """How many there are."""
        return int(max(part[:, -1].max() for part in self[1:])) + 1

    @property
    def width(self):
        """Of all columns."""
        return self.train.shape[1]


def encode(folder, data_root=None, rows=20_000, seed=0):
    """Codes of a trained VAE, of so many training images and of all others, beside the only label of its data.

    Args:
        folder: of the run.
        data_root: where its data lie, if not where they did.
        rows: training images.
        seed: of the draws.

    Raises:
        UserError: no such run, or one of another model; data without a discrete label.
    """
    run, model = runs.trained(folder)
    config = run.config
    if not config.reconstructs:
        raise UserError(f"run: expected a VAE of images alone, got a {config.model} in {run.folder}")
    root = data_root or config.data_root
    data = loading.load(config.data, root, binarize=config.binarize, attributes=())
    if len(data.attributes) != 1 or data.attributes[0].categories is None:
        raise UserError(f"data: expected one discrete attribute, got {len(data.attributes)} of {config.data}")
    pyro.set_rng_seed(seed)
    return Codes(config.data, *(_drawn(model, part, rows if part is data.train else len(part)) for part in data[2:5]))


@torch.no_grad()
def _drawn(model, images, rows):
    rows = min(rows, len(images))
    parts = [images.__getitems__(list(range(start, min(start + BATCH, rows)))) for start in range(0, rows, BATCH)]
    return torch.cat([torch.cat([model.encoder(x).sample(), labels], -1) for x, labels in parts])


def write(path, codes):
    """As a file of tensors."""
    parts = {name: getattr(codes, name).contiguous() for name in PARTS}
    save_file(parts, Path(path), metadata={"name": codes.name})


def read(path):
    """What `write` wrote.

    Raises:
        UserError: no such file, or another.
    """
    if not Path(path).is_file():
        raise UserError(f"codes: expected a file that --run made, got none at {Path(path).absolute()}")
    try:
        with safe_open(path, "pt") as file:
            name, parts = (file.metadata() or {}).get("name"), {key: file.get_tensor(key) for key in list(file.keys())}
    except SafetensorError as error:
        raise UserError(f"codes: expected what --run writes in {path}, got a damaged file ({error})") from error
    if name is None or set(parts) != set(PARTS):
        raise UserError(f"codes: expected {', '.join(PARTS)} in {path}, got {', '.join(sorted(parts))}")
    return Codes(name, **parts)
