"""Files that are written to a temporary neighbour and renamed: a kill at any moment leaves the old or the new."""

import csv
import os
from collections.abc import Callable, Iterable, Mapping
from contextlib import suppress
from pathlib import Path


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


def replace_file(
    path: str | os.PathLike, write: Callable[[Path], object], before: Callable[[], object] = lambda: None
) -> None:
    """Let `write` fill a temporary file beside `path`, call `before`, then rename it over `path`.

    Raises:
        OSError: the system refuses it (a full disk, a read-only folder); what was there before is unchanged.
    """
    path = Path(path)
    temporary = path.with_name(f".{path.name}.{os.getpid()}.tmp")
    try:
        path.parent.mkdir(parents=True, exist_ok=True)
        write(temporary)
        with temporary.open("rb") as file:
            os.fsync(file.fileno())  # otherwise a power cut may leave the new name on an empty file
        before()
        os.replace(temporary, path)
    except OSError as error:
        message = f"path: expected to write {path}, got: {error.strerror or error} (what was there before is unchanged)"
        raise OSError(*filter(None, [error.errno]), message) from error
    finally:
        with suppress(OSError):
            temporary.unlink(missing_ok=True)


def remove_unfinished(folder: str | os.PathLike) -> None:
    """Remove the temporary files of `replace_file` that a killed process has left."""
    for temporary in Path(folder).glob(".*.*.tmp"):
        temporary.unlink(missing_ok=True)
