"""Every data set by its name: a table of readers, what they are given, and what they give."""

from collections.abc import Callable, Mapping, Sequence
from importlib import import_module
from pathlib import Path
from typing import NamedTuple

from torch import Tensor

from pyro_priors.checks import UserError
from pyro_priors.data.attribute_table import select
from pyro_priors.data.attributes import Attribute
from pyro_priors.data.schema import Field
from pyro_priors.data.streaming import OnDisk, Streaming


class Options(NamedTuple):
    """Which data a reader is to read, and how; the arguments of `loading.load`."""

    name: str
    image_size: int
    crop: int
    attributes: Sequence[str] | None
    stream: Streaming | None
    kinds: Mapping[str, str | Field] | None = None
    also_missing: Sequence[str] = ()
    channels: int | None = None
    shuffled: bool = False


class Parts(NamedTuple):
    """Training, validation and test part.

    Args:
        pixels: gives the images; it decodes them only now, so that mistakes in labels come out before.
        attributes: of the labels.
        labels: `(n, n_attributes)`, float, in the order of the images, NaN = missing; None: of images alone.
        schema: what each column of a user's table is.
        contents: of files that a user may change: {name: hash of the image, or "IMAGE-LABELS" with that of its row of
            labels}, in the order of the images.
        notes: what people should know of the files, a line each.
    """

    pixels: Callable[[], Sequence[Tensor | OnDisk]]
    attributes: tuple[Attribute, ...] = ()
    labels: Sequence[Tensor] | None = None
    schema: tuple[Field, ...] = ()
    contents: tuple[dict[str, str], ...] = ()
    notes: tuple[str, ...] = ()

    def select(self, options: Options) -> "Parts":
        """Only those attributes that are wanted."""
        if options.attributes is None or self.labels is None:
            return Parts(self.pixels)
        where = f"attributes of {options.name}"
        chosen = [select(where, self.attributes, part, options.attributes) for part in self.labels]
        return Parts(self.pixels, chosen[0][0], [values for _, values in chosen])


READERS: dict[str, str] = {
    "digits": "pyro_priors.data.digits:read",
    "mnist": "pyro_priors.data.torchvision_sets:classes",
    "fashion-mnist": "pyro_priors.data.torchvision_sets:classes",
    "omniglot": "pyro_priors.data.torchvision_sets:omniglot",
    "celeba": "pyro_priors.data.torchvision_sets:celeba",
    "cifar10": "pyro_priors.data.torchvision_sets:classes",
    "svhn": "pyro_priors.data.torchvision_sets:classes",
    "shapes": "pyro_priors.data.shapes:read",
    "moons": "pyro_priors.data.points:read",
    "gaussians": "pyro_priors.data.points:read",
    "grid": "pyro_priors.data.points:read",
    "ring": "pyro_priors.data.points:read",
    "folder": "pyro_priors.data.user_folder:read",
}


def read(root: Path, options: Options) -> Parts:
    """The parts of a data set, whose reader is imported only now.

    Raises:
        UserError: an unknown name; attributes of data that have none; what the reader raises.
    """
    if options.name not in READERS:
        raise UserError(f"data: expected one of {', '.join(READERS)}, got {options.name!r}")
    module, _, function = READERS[options.name].partition(":")
    parts = getattr(import_module(module), function)(root, options)
    if options.attributes is not None and parts.labels is None:
        raise UserError(f"attributes: expected a data set that has some, got {options.name}")
    return parts
