"""Files of a run, each written to a temporary neighbour and renamed: a kill at any moment leaves the old or the new."""

import csv
import os
from collections.abc import Callable, Iterable, Mapping
from pathlib import Path

from safetensors import SafetensorError
from safetensors.torch import load_file, save_file
from torch import nn


def save_weights(model: nn.Module, path: str | os.PathLike) -> None:
    """Write the parameters and buffers of a module to a safetensors file, atomically; folders are made."""
    # a copy each: safetensors refuses tensors that share memory
    tensors = {name: tensor.detach().cpu().contiguous().clone() for name, tensor in model.state_dict().items()}
    replace_file(path, lambda temporary: save_file(tensors, temporary))


def load_weights(model: nn.Module, path: str | os.PathLike) -> None:
    """Read what `save_weights` wrote into a module of the same architecture; nothing is changed on an error.

    Raises:
        ValueError: no such file, no safetensors file, or names or shapes that differ from the module's.
    """
    path = Path(path)
    if not path.is_file():
        raise ValueError(f"path: expected a file of weights, got {path} (there is no such file)")
    try:
        tensors = load_file(path)
    except SafetensorError as error:
        raise ValueError(f"path: expected a safetensors file, got {path} ({error})") from error
    expected = {name: tuple(tensor.shape) for name, tensor in model.state_dict().items()}
    got = {name: tuple(tensor.shape) for name, tensor in tensors.items()}
    if got != expected:
        differing = sorted(name for name in expected.keys() | got.keys() if expected.get(name) != got.get(name))
        listed = [f"{name}: expected {expected.get(name)}, got {got.get(name)}" for name in differing[:5]]
        more = f" and {len(differing) - 5} more" if len(differing) > 5 else ""
        raise ValueError(f"path: {path} holds the weights of another architecture ({'; '.join(listed)}{more})")
    model.load_state_dict(tensors)


def write_table(rows: Iterable[Mapping[str, object]], path: str | os.PathLike) -> None:
    """Write rows to a CSV file, atomically; the columns are all keys, in the order of their first appearance."""
    rows = list(rows)
    columns = list(dict.fromkeys(key for row in rows for key in row))

    def write(temporary: Path) -> None:
        with temporary.open("w", newline="") as file:
            writer = csv.DictWriter(file, columns)
            writer.writeheader()
            writer.writerows(rows)

    replace_file(path, write)


def replace_file(path: str | os.PathLike, write: Callable[[Path], object]) -> None:
    """Let `write` fill a temporary file beside `path`, then rename it over `path`."""
    path = Path(path)
    path.parent.mkdir(parents=True, exist_ok=True)
    temporary = path.with_name(f".{path.name}.{os.getpid()}.tmp")
    try:
        write(temporary)
        with temporary.open("rb") as file:
            os.fsync(file.fileno())  # otherwise a power cut may leave the new name on an empty file
        os.replace(temporary, path)
    finally:
        temporary.unlink(missing_ok=True)
