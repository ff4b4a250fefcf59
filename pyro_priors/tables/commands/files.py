"""Files that the commands write: never one that they read, each whole or not at all."""

import os
from collections.abc import Iterable, Mapping
from pathlib import Path

from pyro_priors.checks import UserError
from pyro_priors.training.files import check_output, replace_file


def check_outputs(outputs: Mapping[str, Iterable[Path]], inputs: Iterable[Path]) -> None:
    """`UserError` where a file cannot be written, would replace one that is read, or two are the same.

    Args:
        outputs: {flag: files that it writes}.
        inputs: files that are read.
    """
    inputs, seen = tuple(inputs), {}
    for flag, paths in outputs.items():
        for path in paths:
            check_output(flag, path, inputs)
            real = os.path.realpath(path)
            if real in seen:
                raise UserError(f"{flag}: expected another file than that of {seen[real]}, got {path.absolute()}")
            seen[real] = flag


def copies_of(path: Path, count: int) -> list[Path]:
    """Names of completed copies beside a file.

    Example:
        >>> [path.name for path in copies_of(Path("filled.csv"), 2)]
        ['filled-1.csv', 'filled-2.csv']
    """
    return [path.with_name(f"{path.stem}-{number}{path.suffix}") for number in range(1, count + 1)]


def write(path: Path, text: str) -> None:
    """A text to a file, as UTF-8, its line ends as they are."""
    replace_file(path, lambda temporary: temporary.write_bytes(text.encode()))
