"""A description as JSON and weights as safetensors in a folder, with a checksum that says that they belong together."""

import json
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any, NamedTuple

from torch import Tensor

import pyro_priors
from pyro_priors.training.checkpoints import checksum, read_weights, write_weights
from pyro_priors.training.files import replace_file

WEIGHTS = "model.safetensors"


class Described(NamedTuple):
    """What is kept so, and how messages call it.

    Args:
        file: name of the description.
        format: its version, raised when a file of this one can no longer be read by the next.
        argument: what the caller calls the folder.
        saved, thing, again: "a saved program", "a program", "the program".
        replaced: what may have happened to one of the files.
    """

    file: str
    format: int
    argument: str
    saved: str
    thing: str
    again: str
    replaced: str

    def write(self, made: Mapping[str, Any], tensors: dict[str, Tensor], folder: Path) -> None:
        """Write both, each to a temporary file that is renamed, the weights first.

        Raises:
            OSError: the system refuses the files.
        """
        every = {"format": self.format, "version": pyro_priors.__version__, **made}
        text = json.dumps({**every, "sha256": _checksum(every, tensors)}, indent=1, allow_nan=False)
        write_weights(tensors, folder / WEIGHTS)
        replace_file(folder / self.file, lambda temporary: temporary.write_text(text + "\n", encoding="utf-8"))

    def read(
        self, folder: Path, check: Callable[[dict[str, Any]], object] = lambda made: None
    ) -> tuple[dict[str, Any], dict[str, Tensor]]:
        """What `write` wrote, its checksum right; `check` looks at the description before the weights are read.

        Raises:
            ValueError: a file is missing, damaged or of another version, or they do not belong together.
        """
        for name in (self.file, WEIGHTS):
            if not (folder / name).is_file():
                raise ValueError(f"{self.argument}: expected {self.saved}, got {folder} (it has no file {name})")
        try:
            made = json.loads((folder / self.file).read_text(encoding="utf-8"))
            version, written = made["format"], made["sha256"]
        except (OSError, ValueError, KeyError, TypeError, RecursionError) as error:
            raise self._damaged(folder / self.file, repr(error)) from error
        if version != self.format:
            raise ValueError(
                f"{self.argument}: expected {self.thing} of format {self.format}, got format {version} in {folder}"
            )
        try:
            check(made)
        except (KeyError, TypeError, RecursionError) as error:
            raise self._damaged(folder / self.file, repr(error)) from error
        try:
            tensors = read_weights(folder / WEIGHTS)
        except ValueError as error:
            raise self._damaged(folder / WEIGHTS, str(error)) from error
        if written != _checksum(made, tensors):
            raise ValueError(
                f"{self.argument}: expected {self.file} and {WEIGHTS} as they were saved together, got others in "
                f"{folder} (the checksum differs: one is {self.replaced}); save {self.again} again"
            )
        return made, tensors

    def _damaged(self, path: Path, error: str) -> ValueError:
        return ValueError(f"{self.argument}: {path} is damaged ({error}); save {self.again} again")


def _checksum(made: Mapping[str, Any], tensors: Mapping[str, Tensor]) -> str:
    text = json.dumps({key: value for key, value in made.items() if key != "sha256"}, sort_keys=True)
    return checksum(text, tensors)
