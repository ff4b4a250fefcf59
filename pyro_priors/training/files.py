"""Files that are written to a temporary neighbour and renamed: a kill at any moment leaves the old or the new."""

import csv
import errno
import os
import stat
from collections.abc import Callable, Iterable, Mapping
from contextlib import suppress
from pathlib import Path
from typing import NamedTuple

from pyro_priors.checks import UserError

KINDS = {  # that are never replaced
    stat.S_IFDIR: "a folder",
    stat.S_IFCHR: "a device",
    stat.S_IFBLK: "a device",
    stat.S_IFIFO: "a pipe",
    stat.S_IFSOCK: "a socket",
}


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


class Unfinished(NamedTuple):
    """A file that is written beside its place, which it takes when it is whole."""

    temporary: Path
    target: Path
    replaced: os.stat_result | None  # what the system says of the file that is there

    @classmethod
    def of(cls, path: Path) -> "Unfinished":
        """That of a path, whose folders are made; `OSError` where the system refuses it."""
        target, replaced = _target(path)
        target.parent.mkdir(parents=True, exist_ok=True)
        return cls(target.with_name(f".{_short(target.name)}.{os.getpid()}.tmp"), target, replaced)

    def settle(self) -> None:
        """It has been written: it is on the disk, with the owner and the permissions of the file that it replaces."""
        with self.temporary.open("rb") as file:
            os.fsync(file.fileno())  # otherwise a power cut may leave the new name on an empty file
        if self.replaced is not None and self.temporary.stat().st_nlink == 1:  # not another name of a file
            with suppress(OSError, AttributeError):  # not the owner; Windows
                os.chown(self.temporary, self.replaced.st_uid, self.replaced.st_gid)
            self.temporary.chmod(stat.S_IMODE(self.replaced.st_mode))

    def rename(self) -> None:
        """It takes its place."""
        os.replace(self.temporary, self.target)

    def remove(self) -> None:
        """What is left of one that has not taken it."""
        with suppress(OSError):
            self.temporary.unlink(missing_ok=True)


def replace_file(
    path: str | os.PathLike, write: Callable[[Path], object], before: Callable[[], object] = lambda: None
) -> None:
    """Let `write` fill a temporary file beside `path`, call `before`, then rename it over `path`.

    Through links, whose file is replaced and keeps its permissions; folders are made.

    Raises:
        OSError: there is something else than a file (a folder, a device, a pipe), or the system refuses it (a full
            disk, a read-only folder); what was there before is unchanged.
    """
    path, unfinished = Path(path), None
    try:
        unfinished = Unfinished.of(path)
        write(unfinished.temporary)
        unfinished.settle()
        before()
        unfinished.rename()
    except OSError as error:
        message = f"path: expected to write {path}, got: {error.strerror or error} (what was there before is unchanged)"
        raise OSError(*filter(None, [error.errno]), message) from error
    finally:
        if unfinished is not None:
            unfinished.remove()


def check_output(argument: str, path: str | os.PathLike, inputs: Iterable[str | os.PathLike] = ()) -> None:
    """That `replace_file` could write to a path, and would not replace one of these files, by whatever name.

    Raises:
        UserError: it names the argument.
    """
    path = Path(path)
    try:
        target, replaced = _target(path)
        _check_parent(target)
    except OSError as error:
        raise UserError(f"{argument}: expected a file to write, got {path.absolute()} ({error.strerror})") from error
    for other in inputs:
        with suppress(OSError):
            if replaced is not None and os.path.samestat(replaced, os.stat(other)):
                raise UserError(f"{argument}: expected another file than those that are read, got {path.absolute()}")


def check_folder(argument: str, path: str | os.PathLike) -> None:
    """That files could be written to a folder, which need not be there.

    Raises:
        UserError: it names the argument.
    """
    path = Path(path)
    try:
        _check_parent(_target(path / "file")[0])
    except OSError as error:
        got = f"{path.absolute()} ({error.strerror})"
        raise UserError(f"{argument}: expected a folder to write to, got {got}") from error


def remove_unfinished(folder: str | os.PathLike, name: str = "*") -> None:
    """Remove the temporary files of `replace_file` that a killed process has left, of files of a name or pattern."""
    for temporary in Path(folder).glob(f".{name}.*.tmp"):
        temporary.unlink(missing_ok=True)


def _target(path: Path) -> tuple[Path, os.stat_result | None]:
    """The file that a path names, or would name, through links; what the system says of it, None: it is not there."""
    target = path
    try:
        target = Path(os.path.realpath(path))  # of "no/such/../file" too, which the system itself does not resolve
        status = os.stat(target)
    except FileNotFoundError:
        return target, None
    except ValueError as error:  # a zero byte
        raise OSError(errno.EINVAL, str(error)) from error
    if not stat.S_ISREG(status.st_mode):
        raise OSError(errno.EINVAL, f"it is {KINDS.get(stat.S_IFMT(status.st_mode), 'no file')}")
    if not _may(target, os.W_OK):
        raise PermissionError(errno.EACCES, os.strerror(errno.EACCES))
    return target, status


def _check_parent(target: Path) -> None:
    """`OSError` where a file cannot be written below the nearest folder that there is."""
    folder = next(parent for parent in target.parents if parent.exists())
    if not folder.is_dir():
        raise NotADirectoryError(errno.ENOTDIR, f"{folder} is no folder")
    if not _may(folder, os.W_OK | os.X_OK):
        raise PermissionError(errno.EACCES, f"the folder {folder} cannot be written")


def _may(path: Path, how: int) -> bool:
    return os.access(path, how, effective_ids=os.access in os.supports_effective_ids)


def _short(name: str) -> str:
    """So much of a name that it may be longer by what is put around it."""
    return os.fsdecode(os.fsencode(name)[:200])
