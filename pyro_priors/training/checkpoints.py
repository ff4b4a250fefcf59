"""Weights and checkpoints: what is in them, how they are written, and read only where they are whole."""

import errno
import hashlib
import json
import os
import shutil
import warnings
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any

import torch
from safetensors import SafetensorError, safe_open
from safetensors.torch import save
from torch import Tensor, nn

from pyro_priors.checks import UserError
from pyro_priors.modules.prior import renewed
from pyro_priors.training import manifest
from pyro_priors.training.files import replace_file
from pyro_priors.training.packing import packed, unpacked

CHECKPOINT = "checkpoint.safetensors"  #: the name of the file in the folder of a run
PREVIOUS = "checkpoint.previous.safetensors"  # the one before it
FILES = "files"  # in a checkpoint: the hashes of the files that it belongs to
FORMAT = "1"  # raised when a checkpoint of this version can no longer be read by the next


class CheckpointError(ValueError):
    """A checkpoint that cannot be used: damaged, unreadable, of another version, or of another training."""


class DamagedCheckpoint(CheckpointError):
    """Its bytes are not those that were written."""


def save_weights(model: nn.Module, path: str | os.PathLike) -> None:
    """Write the parameters and buffers of a module to a safetensors file, atomically; folders are made.

    Its header holds a checksum of them. A manifest beside it that lists the file does so no longer.
    """
    write_weights(copies(model.state_dict()), path)


def write_weights(tensors: dict[str, Tensor], path: str | os.PathLike) -> None:
    manifest.forget(path)
    write_tensors(tensors, {"sha256": checksum("", tensors)}, path)


def load_weights(model: nn.Module, path: str | os.PathLike) -> None:
    """Read what `save_weights` wrote into a module of the same architecture; nothing is changed on an error.

    Raises:
        ValueError: no such file, no safetensors file, a damaged one, or names or shapes that differ from the module's.
    """
    path = Path(path)
    if not path.is_file():
        raise ValueError(f"path: expected a file of weights, got {path} (there is no such file)")
    tensors = renewed(model, read_weights(path))
    expected, got = shapes(model.state_dict()), shapes(tensors)
    if got != expected:
        raise ValueError(f"path: {path} holds the weights of another architecture ({differences(expected, got)})")
    load_into(model, tensors)


def read_weights(path: Path) -> dict[str, Tensor]:
    """The tensors of a file of weights; those of before had no checksum.

    Raises:
        ValueError: it cannot be read, or is damaged.
    """
    try:
        tensors, header = read_tensors(path)
    except (OSError, SafetensorError) as error:
        raise ValueError(f"path: expected a safetensors file, got {path} ({error})") from error
    if header.get("sha256", written := checksum("", tensors)) != written:
        raise ValueError(f"path: expected weights, got the damaged file {path} (its checksum differs)")
    return tensors


def read_tensors(path: Path) -> tuple[dict[str, Tensor], dict[str, str]]:
    """What is in a safetensors file, and in its header.

    Raises:
        OSError, SafetensorError: it cannot be read, or is damaged.
    """
    with safe_open(path, "pt") as file:
        header = file.metadata() or {}
        # A copy each: those of safetensors lie in one block, off the bounds that torch allocates by.
        tensors = {name: file.get_tensor(name).clone() for name in file.keys()}  # noqa: SIM118 (no mapping)
    return tensors, header


def load_into(module: nn.Module, state: Mapping[str, Any], *, assign: bool = False) -> None:
    """`load_state_dict`, after whose errors the module is as before; schemas may be absent.

    A prior's schema (torch calls its entry `_extra_state`) stands in no file of before there were any.
    """
    before = {name: tensor.clone() for name, tensor in module.state_dict().items()}
    absent = {name: tensor for name, tensor in before.items() if is_schema(name) and name not in state}
    try:
        module.load_state_dict({**state, **absent}, assign=assign)
    except Exception:
        module.load_state_dict(before)
        raise


def shapes(state: Mapping[str, Any]) -> dict[str, tuple[int, ...]]:
    """Of parameters and buffers, by name; what a prior says of itself is its own to compare."""
    return {name: tuple(tensor.shape) for name, tensor in state.items() if not is_schema(name)}


def is_schema(name: str) -> bool:
    return name.rpartition(".")[2] == "_extra_state"


def differences(expected: Mapping, got: Mapping) -> str:
    """Where two mappings differ, at most five places."""
    differing = sorted(name for name in expected.keys() | got.keys() if expected.get(name) != got.get(name))
    listed = [f"{name}: expected {expected.get(name)}, got {got.get(name)}" for name in differing[:5]]
    return "; ".join(listed) + (f" and {len(differing) - 5} more" if len(differing) > 5 else "")


def save_checkpoint(state: dict[str, Any], folder: str | os.PathLike) -> None:
    """Write a state as the checkpoint of a folder, atomically; the one before it is kept beside it.

    That stays until the new one has been read back. The hashes in the folder's manifest stand in it, so that it is
    never that of other files.

    Raises:
        ValueError, OSError: as `save_state`.
    """
    path, previous = Path(folder) / CHECKPOINT, Path(folder) / PREVIOUS

    def link(temporary: Path) -> None:
        try:
            os.link(path, temporary)
        except OSError:  # a file system without links
            shutil.copyfile(path, temporary)

    def keep() -> None:
        if path.is_file():  # it has its name all the time
            replace_file(previous, link)

    save_state({**state, FILES: manifest.listed(folder)}, path, before=keep)


def load_checkpoint(folder: str | os.PathLike) -> Any:
    """The state of a folder's checkpoint, None where there is none.

    Where it is damaged, or lost, it is replaced by the one before it, with a warning. One that cannot be read now, or
    by this version, stays: it may be good.

    Raises:
        CheckpointError: there is one, and none that can be used; or it is that of other files than are in the folder.
    """
    path, previous = Path(folder) / CHECKPOINT, Path(folder) / PREVIOUS
    if not has_checkpoint(folder):
        return None
    try:
        state = load_state(path)
    except DamagedCheckpoint as damaged:
        if not previous.is_file():
            raise
        state = _before(previous, damaged)
        os.replace(previous, path)  # otherwise the damaged one would be kept as the one before the next
    try:
        manifest.check_as(folder, state.pop(FILES, {}), CHECKPOINT)
    except UserError as error:
        raise CheckpointError(str(error)) from error
    return state


def _before(previous: Path, damaged: CheckpointError) -> Any:
    try:
        state = load_state(previous)
    except CheckpointError as error:
        raise CheckpointError(f"{damaged}; of the one before it, {error}") from error
    warnings.warn(f"{damaged}; going on from the one before it, {previous}", stacklevel=5)
    return state


def has_checkpoint(folder: str | os.PathLike) -> bool:
    """Whether a training in a folder can go on: from its checkpoint, or, where that was lost, from the one before."""
    return any((Path(folder) / name).is_file() for name in (CHECKPOINT, PREVIOUS))


def remove_checkpoints(folder: str | os.PathLike) -> None:
    """Remove the checkpoints of a folder, the older one first: alone it would stand for a training that goes on."""
    for name in (PREVIOUS, CHECKPOINT):
        (Path(folder) / name).unlink(missing_ok=True)


def save_state(state: Any, path: str | os.PathLike, before: Callable[[], object] = lambda: None) -> None:
    """Write dicts, lists and tuples of tensors, numbers, strings and None to one safetensors file, atomically.

    The tensors are named by where they stand; their arrangement is JSON in the file's header, beside a checksum of
    everything and the number of the format. Nothing is pickled. A tensor that stands twice is written once. `before` is
    called when all is written, and has not its name yet.

    Raises:
        ValueError: something else in it.
        OSError: the system refuses the file; what was there before is unchanged.

    Example:
        >>> import tempfile
        >>> path = Path(tempfile.mkdtemp()) / "state.safetensors"
        >>> save_state({"epoch": 3, "moments": {0: (torch.tensor([0.5]), None)}}, path)
        >>> load_state(path)
        {'epoch': 3, 'moments': {0: (tensor([0.5000]), None)}}
    """
    tensors, names = {}, {}
    arrangement = json.dumps(packed(state, "state", tensors, names))
    tensors = copies(tensors)
    header = {"format": FORMAT, "arrangement": arrangement, "sha256": checksum(arrangement, tensors)}
    write_tensors(tensors, header, path, before)


def load_state(path: str | os.PathLike) -> Any:
    """What `save_state` wrote, on the CPU.

    Raises:
        CheckpointError: one that cannot be read, or one of another version.
        DamagedCheckpoint: a CheckpointError: a damaged one, or none at all.
    """
    path = Path(path)
    if not path.is_file():
        raise DamagedCheckpoint(f"path: expected a checkpoint, got {path} (there is no such file)")
    try:
        tensors, header = read_tensors(path)
        written = header["format"]
        intact = written == FORMAT and header["sha256"] == checksum(header["arrangement"], tensors)
    except OSError as error:
        raise CheckpointError(f"path: expected a checkpoint, got {path}, which cannot be read ({error})") from error
    except (SafetensorError, KeyError, TypeError, ValueError, AttributeError) as error:
        raise DamagedCheckpoint(f"path: expected a checkpoint, got the damaged file {path} ({error!r})") from error
    if written != FORMAT:
        raise CheckpointError(f"path: expected a checkpoint of format {FORMAT}, got {path} of format {written}")
    if not intact:
        raise DamagedCheckpoint(f"path: expected a checkpoint, got the damaged file {path} (its checksum differs)")
    return unpacked(json.loads(header["arrangement"]), tensors)


def copies(tensors: Mapping[str, Tensor]) -> dict[str, Tensor]:
    """On the CPU, one each: safetensors refuses tensors that share memory."""
    return {name: tensor.detach().cpu().contiguous().clone() for name, tensor in tensors.items()}


def write_tensors(
    tensors: dict[str, Tensor],
    header: dict[str, str] | None,
    path: str | os.PathLike,
    before: Callable[[], object] = lambda: None,
) -> None:
    content = save(tensors, header)  # its save_file has temporary files of its own, which a kill would leave

    def write(temporary: Path) -> None:
        with temporary.open("w+b") as file:
            file.write(content)
            file.flush()
            os.fsync(file.fileno())
            if hasattr(os, "posix_fadvise"):  # read it from the disk
                os.posix_fadvise(file.fileno(), 0, 0, os.POSIX_FADV_DONTNEED)
            file.seek(0)
            wanted, size = memoryview(content), 1 << 24
            if any(file.read(size) != wanted[at : at + size] for at in range(0, len(content) + 1, size)):
                raise OSError(errno.EIO, "other bytes than were written")

    replace_file(path, write, before)


def checksum(text: str, tensors: Mapping[str, Tensor]) -> str:
    digest = hashlib.sha256(text.encode())
    for name, tensor in sorted(tensors.items()):
        digest.update(f"\n{name} {tensor.dtype} {tuple(tensor.shape)}\n".encode())
        digest.update(tensor.reshape(-1).view(torch.uint8).numpy().data)
    return digest.hexdigest()
