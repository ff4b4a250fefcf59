"""Binary tables in three parts, in the layout of the density literature: a row a line, 0 and 1 between commas."""

import os
from collections.abc import Sequence
from pathlib import Path
from typing import NamedTuple

import numpy as np
import torch
from torch import Tensor

from pyro_priors.checks import UserError

PARTS = ("train", "valid", "test")
LAYOUT = "NAME/NAME.{train,valid,test}.data or NAME.{train,valid,test}.data"
_CELLS = {"0": 0.0, "1": 1.0, "": float("nan")}
_ZERO, _COMMA, _NEWLINE = b"0,\n"


class BinaryTable(NamedTuple):
    """Rows of 0 and 1 as floats, NaN = missing; all parts have the same columns.

    Args:
        name: of the table, that of its files.
        train: rows to fit to, ``(n, d)``.
        valid: rows to choose by, ``(n, d)``.
        test: rows to score, ``(n, d)``.
    """

    name: str
    train: Tensor
    valid: Tensor
    test: Tensor

    @property
    def width(self) -> int:
        """The number of columns, d."""
        return self.train.shape[1]


def names(path: str | os.PathLike) -> tuple[str, ...]:
    """The tables in a folder, in alphabetical order: those in folders of their own, and those that lie in it itself.

    Raises:
        UserError: no such folder, or no table in it.
    """
    root = Path(path)
    if not root.is_dir():
        raise UserError(f"path: expected a folder of {LAYOUT}, got {root.absolute()}, which is none")
    here = {file.name.removesuffix(f".{part}.data") for part in PARTS for file in root.glob(f"*.{part}.data")}
    beneath = {file.parent.name for part in PARTS for file in root.glob(f"*/*.{part}.data") if _is_own(file, part)}
    listed = sorted(name for name in here | beneath if not name.startswith("."))
    if not listed:
        raise UserError(f"path: expected {LAYOUT} in {root.absolute()}, got none")
    return tuple(listed)


def read_binary_table(path: str | os.PathLike, name: str | None = None) -> BinaryTable:
    """Read ``NAME.train.data``, ``NAME.valid.data`` and ``NAME.test.data``.

    A row is a line, cells are 0 or 1 between commas, an empty cell is missing (NaN). Blank lines at the end of a file
    and blanks around cells are none of the data.

    Args:
        path: a folder with these files, or one with a folder NAME that has them.
        name: of the table; None: the only one that is there.

    Raises:
        UserError: a part that is not there or is empty, a cell that is something else (with file, line and column), a
            row longer or shorter than the first, parts of different widths, a column without any value to fit to.

    Example:
        >>> import tempfile
        >>> folder = Path(tempfile.mkdtemp())
        >>> for part in PARTS:
        ...     _ = (folder / f"coins.{part}.data").write_text("0,1\\n1,\\n")
        >>> read_binary_table(folder).train
        tensor([[0., 1.], [1., nan]])
    """
    root = Path(path)
    if name is None:
        name, *more = names(root)
        if more:
            raise UserError(f"name: expected one of {', '.join((name, *more))}, got none")
    folder = root / name if (root / name).is_dir() else root
    files = [folder / f"{name}.{part}.data" for part in PARTS]
    if missing := [file for file in files if not file.is_file()]:
        some = ", ".join(str(file.absolute()) for file in missing)
        raise UserError(f"path: expected {LAYOUT} with NAME {name} in {root.absolute()}, got no {some}")
    parts = [_rows(file) for file in files]
    for file, part in zip(files[1:], parts[1:], strict=True):
        if part.shape[1] != parts[0].shape[1]:
            raise UserError(f"{file}: expected {parts[0].shape[1]} columns as in {files[0].name}, got {part.shape[1]}")
    if unseen := (parts[0].isnan().all(0)).nonzero().flatten().tolist():
        raise UserError(f"{files[0]}: expected a value in every column, got none in column {unseen[0] + 1}")
    return BinaryTable(name, *parts)


def _is_own(file: Path, part: str) -> bool:
    """Whether a file has the name of the folder it lies in."""
    return file.name == f"{file.parent.name}.{part}.data"


def _rows(file: Path) -> Tensor:
    """The rows of a file, ``(n, d)``."""
    content = file.read_bytes().replace(b"\r\n", b"\n").rstrip()
    if not content:
        raise UserError(f"{file}: expected rows of 0 and 1 between commas, got an empty file")
    rows = _regular(content)
    return torch.from_numpy(_line_by_line(file, content) if rows is None else rows)


def _regular(content: bytes) -> np.ndarray | None:
    """Rows where every cell is one digit, at once; None where a file is written otherwise, or is wrong."""
    width = content.partition(b"\n")[0].count(b",") + 1
    signs = np.frombuffer(content + b"\n", np.uint8)
    if len(signs) % (2 * width):
        return None
    signs = signs.reshape(-1, width, 2)
    ends = np.full(width, _COMMA, np.uint8)
    ends[-1] = _NEWLINE
    values = signs[..., 0] - np.uint8(_ZERO)
    return values.astype(np.float32) if (signs[..., 1] == ends).all() and (values <= 1).all() else None


def _line_by_line(file: Path, content: bytes) -> np.ndarray:
    """The same of any file, and where it is wrong."""
    lines = content.decode("utf-8-sig", "replace").split("\n")
    width = lines[0].count(",") + 1
    rows = np.empty((len(lines), width), np.float32)
    for number, line in enumerate(lines, 1):
        cells = line.split(",")
        if len(cells) != width:
            raise UserError(f"{file}: expected {width} cells in line {number} as in the first, got {len(cells)}")
        try:
            rows[number - 1] = [_CELLS[cell] for cell in cells]
        except KeyError:
            rows[number - 1] = _with_blanks(file, number, cells)
    return rows


def _with_blanks(file: Path, line: int, cells: Sequence[str]) -> list[float]:
    """Cells with blanks around them; the first that is none is named."""
    cells = [cell.strip() for cell in cells]
    for column, cell in enumerate(cells, 1):
        if cell not in _CELLS:
            raise UserError(f"{file}: expected 0, 1 or nothing in line {line}, column {column}, got {cell!r}")
    return [_CELLS[cell] for cell in cells]
