"""What the commands are given: a table, a saved imputer, numbers in their ranges."""

from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, TypeVar

import numpy as np

from pyro_priors.checks import UserError
from pyro_priors.tables.frames.frames import Frame
from pyro_priors.tables.frames.schema import Schema

if TYPE_CHECKING:
    from pyro_priors.tables.imputer import TableImputer

T = TypeVar("T")


def look(
    path: Path, kinds: Mapping[str, str] | None = None, also_missing: Sequence[str] = (), schema: Schema | None = None
) -> tuple[Frame, Schema, np.ndarray]:
    """A CSV file -> the table, what its columns are (as `schema` says, None: as is found), and its codes."""
    frame = of_user(lambda: Frame.of(path))
    if schema is None:
        schema = of_user(lambda: Schema.find(frame, kinds=kinds, also_missing=tuple(also_missing)))
    return frame, schema, of_user(lambda: schema.encode(frame))


def of_user(read: Callable[[], T]) -> T:
    """What is read from a user's file: all that is wrong with it is the user's to mend, by the flags of commands."""
    try:
        return read()
    except ValueError as error:
        text = " ".join(str(error).split())
        raise UserError(f"kind: {text[7:]}" if text.startswith("kinds: ") else text) from error


def load(path: Path) -> "TableImputer":
    """A saved imputer."""
    from pyro_priors.tables.imputer import TableImputer  # here, since describing does without
    from pyro_priors.tables.saving import IMPUTER

    if path.is_file():
        beside = f"; say {path.absolute().parent}" if (path.parent / IMPUTER).is_file() else ""
        raise UserError(
            f"model: expected the folder that `impute --model` has written, got a file, {path.absolute()}{beside}"
        )
    if not path.is_dir():
        raise UserError(f"model: expected a folder that `impute --model` has written, got none at {path.absolute()}")
    return of_user(lambda: TableImputer.load(path))


def checked(name: str, number: int, least: int = 1) -> None:
    """`UserError` for a number below the least."""
    if number < least:
        raise UserError(f"{name}: expected at least {least}, got {number}")
