"""One training in a folder at a time."""

import contextlib
import errno
import os
import platform
import threading
from collections.abc import Iterator
from pathlib import Path
from typing import NoReturn

from pyro_priors.checks import UserError

try:
    import fcntl
except ImportError:  # Windows: only this process knows what it has in hand
    fcntl = None

LOCK = ".under-way"
_holders: dict[tuple[int, int], tuple[int, int]] = {}  # device and inode of a folder -> process and thread


class UnderWay(UserError):
    """Another training, of this process or another, writes to a folder."""


@contextlib.contextmanager
def held(folder: str | os.PathLike) -> Iterator[None]:
    """Within it a folder, which is made where there is none, belongs to this thread; it may be entered again.

    The lock, of a file of its own, goes with the process, however that ends; its children do not have it. Where the
    system or the file system knows no such locks, other processes are not refused.

    Raises:
        UnderWay: another has it.
        OSError: there can be no such folder, or it cannot be written.
    """
    folder, own = Path(folder), (os.getpid(), threading.get_ident())
    try:
        folder.mkdir(parents=True, exist_ok=True)
        stat = folder.stat()
    except OSError as error:
        _refuse(folder, error)
    key = stat.st_dev, stat.st_ino
    if (known := _holders.get(key)) is not None and known[0] != own[0]:  # of the process that forked this one
        _holders.pop(key, None)
    if (holder := _holders.setdefault(key, own)) != own:
        raise UnderWay(_message(folder, " in another thread of this process"))
    if known == holder:
        yield
        return
    try:
        with _locked(folder):
            yield
    finally:
        if _holders.get(key) == own:
            del _holders[key]


@contextlib.contextmanager
def _locked(folder: Path) -> Iterator[None]:
    """Against other processes."""
    if fcntl is None:
        yield
        return
    path, process = folder / LOCK, os.getpid()
    while True:
        try:  # not emptied: it says whose it is
            file = open(os.open(path, os.O_RDWR | os.O_CREAT, 0o666), "r+", encoding="utf-8")  # noqa: SIM115
        except OSError as error:
            _refuse(folder, error)
        with file:
            try:
                fcntl.lockf(file, fcntl.LOCK_EX | fcntl.LOCK_NB)
            except OSError as error:
                if error.errno in (errno.EACCES, errno.EAGAIN):
                    raise UnderWay(_message(folder, _whose(file))) from None
            if not _names(path, file.fileno()):
                continue  # the one that had it has just removed it
            with contextlib.suppress(OSError):  # a full disk
                file.truncate()
                file.write(f"process {process} on {platform.node()}")
                file.flush()
            try:
                yield
            finally:
                if os.getpid() == process:
                    with contextlib.suppress(OSError):
                        path.unlink(missing_ok=True)
            return


def _whose(file) -> str:
    try:
        text = file.read(200)
    except (OSError, UnicodeDecodeError):
        text = ""
    return f" ({text})" if text.startswith("process ") and text.isprintable() else ""


def _names(path: Path, descriptor: int) -> bool:
    """Whether a path still names an open file."""
    try:
        return os.path.samestat(os.fstat(descriptor), path.stat())
    except OSError:
        return False


def _message(folder: Path, whose: str) -> str:
    return f"run: expected a folder that no other training writes to, got {folder}, which is under way{whose}"


def _refuse(folder: Path, error: OSError) -> NoReturn:
    message = f"run: expected to write {folder}/, got: {error.strerror or error}"
    raise OSError(*filter(None, [error.errno]), message) from error
