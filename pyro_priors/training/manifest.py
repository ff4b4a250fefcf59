"""`manifest.json` of a folder: the SHA-256 of files that belong together, written last and compared when they are read.

A folder without it is read as it is: there was none before. Whoever replaces a listed file takes it from the list
first (`forget`), so that a kill at any moment leaves no list that is wrong.
"""

import hashlib
import json
import os
from collections.abc import Iterable
from pathlib import Path

from pyro_priors.checks import UserError
from pyro_priors.training.files import replace_file

MANIFEST = "manifest.json"
FORMAT = 1  # raised when a manifest of this version can no longer be read by the next


def bind(folder: str | os.PathLike, names: Iterable[str]) -> None:
    """List those of these files that are in a folder, and no others; what is listed already keeps its hash.

    Example:
        >>> import tempfile
        >>> folder = Path(tempfile.mkdtemp())
        >>> _ = (folder / "a.txt").write_text("a")
        >>> bind(folder, ["a.txt", "b.txt"])
        >>> list(listed(folder))
        ['a.txt']
        >>> _ = (folder / "a.txt").write_text("b")
        >>> check(folder, "a.txt")
        Traceback (most recent call last):
            ...
        pyro_priors.checks.UserError: folder: expected a.txt as manifest.json has it, got another in ...
    """
    folder, before = Path(folder), listed(folder)
    there = [name for name in names if name in before or (folder / name).is_file()]
    _write(folder, {name: before.get(name) or file_hash(folder / name) for name in there})


def listed(folder: str | os.PathLike) -> dict[str, str]:
    """The files that a folder's manifest lists with their hashes, none where it has no manifest.

    Raises:
        UserError: it is damaged, or of another version.
    """
    path = Path(folder) / MANIFEST
    try:
        written = json.loads(path.read_text(encoding="utf-8"))
        version, files = written["format"], written["files"]
        intact = written["sha256"] == _checksum(version, files) and all(isinstance(files[name], str) for name in files)
    except FileNotFoundError:
        return {}
    except (OSError, ValueError, KeyError, TypeError, RecursionError) as error:
        raise UserError(_damaged(path, repr(error))) from error
    if not intact:
        raise UserError(_damaged(path, "its checksum differs"))
    if version != FORMAT:
        raise UserError(f"folder: expected a manifest of format {FORMAT}, got {path} of format {version}")
    return files


def check(folder: str | os.PathLike, *names: str) -> None:
    """That these files of a folder, of those that its manifest lists, are as they were written.

    Raises:
        UserError: one is damaged, lost, or another; or the manifest is damaged.
    """
    hashes = {name: digest for name, digest in listed(folder).items() if name in names}
    try:
        check_as(folder, hashes, MANIFEST)
    except UserError as error:
        raise UserError(f"{error}; without {MANIFEST} it would be read as it is") from error


def check_as(folder: str | os.PathLike, hashes: dict[str, str], where: str) -> None:
    """That files of a folder have these hashes, which stand in `where`.

    Raises:
        UserError: one has not, or is not there.
    """
    for name, digest in hashes.items():
        path = Path(folder) / name
        if not path.is_file():
            raise UserError(f"folder: expected {name}, which {where} has, got none in {folder}")
        if file_hash(path) != digest:
            raise UserError(
                f"folder: expected {name} as {where} has it, got another in {folder} (it is damaged, or was changed or "
                "replaced since)"
            )


def forget(path: str | os.PathLike) -> None:
    """Take a file, which is about to be replaced, from the manifest beside it; a damaged one stays as it is."""
    path = Path(path)
    try:
        files = listed(path.parent)
    except UserError:
        return
    if files.pop(path.name, None) is not None:
        _write(path.parent, files)


def add(path: str | os.PathLike) -> None:
    """List one more file in the manifest beside it, where it has one."""
    path = Path(path)
    if files := listed(path.parent):
        _write(path.parent, {**files, path.name: file_hash(path)})


def file_hash(path: str | os.PathLike) -> str:
    with Path(path).open("rb") as file:
        return hashlib.file_digest(file, "sha256").hexdigest()


def _write(folder: Path, files: dict[str, str]) -> None:
    written = {"format": FORMAT, "files": files, "sha256": _checksum(FORMAT, files)}
    text = json.dumps(written, indent=1) + "\n"
    replace_file(folder / MANIFEST, lambda temporary: temporary.write_text(text, encoding="utf-8"))


def _checksum(version: object, files: object) -> str:
    """The manifest's own, so that its damage is not taken for that of the files."""
    return hashlib.sha256(json.dumps([version, files], sort_keys=True).encode()).hexdigest()


def _damaged(path: Path, reason: str) -> str:
    return (
        f"folder: expected the hashes of its files in {path}, got a damaged file ({reason}); without it they would be "
        "read as they are"
    )
