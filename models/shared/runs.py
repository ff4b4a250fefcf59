"""Folders of runs: where they are made, what is written first, how they are read back."""

import contextlib
import dataclasses
import errno
import hashlib
import json
import os
import platform
import subprocess
import sys
import time
from importlib import metadata
from pathlib import Path
from typing import Any, NamedTuple

from torch import nn

from models.shared.former import READABLE, configured
from models.shared.knobs import to_json
from pyro_priors.checks import UserError
from pyro_priors.data import attributes, digest, schema
from pyro_priors.data.parts import PARTS
from pyro_priors.data.schema import Field
from pyro_priors.training import load_weights, replace_file

CODE = (":(top)*.py", ":(top)pyproject.toml")  # what git is to compare; pages of results come and go
DATA = "data.json"  # what a run folder keeps of its data
FORMAT = 3  # raised when a run folder of this version can no longer be read by the one before


class Run(NamedTuple):
    """A run folder: its `config.json` read back; `config` is a model of `models`."""

    folder: Path
    config: Any
    image_shape: tuple[int, int, int]
    attributes: tuple[attributes.Attribute, ...]
    schema: tuple[Field, ...] = ()
    shuffled: bool = False  # whether a folder of images was cut at random, as runs of before did

    @property
    def kinds(self):
        """What the columns of the data are, by their names; without a schema the attributes say it."""
        known = {field.name: field for field in self.schema}
        for a in self.attributes:
            field = known.get(a.name, Field(a.name, "continuous" if a.categories is None else "categorical"))
            known[a.name] = field._replace(categories=a.categories)
        return known


def new_folder(runs_dir, name):
    """Make `runs_dir/name/TIME/` and return it; runs that start in the same second get -2, -3, ... after the time."""
    stamp, count = time.strftime("%Y%m%d-%H%M%S"), 1
    while True:
        folder = Path(runs_dir) / name / (stamp if count == 1 else f"{stamp}-{count}")
        try:
            folder.mkdir(parents=True)
            return folder
        except FileExistsError:
            count += 1


def start(config, image_shape, meanings=(), name=None, data=None):
    """Make the folder of a run on images with attributes `meanings` and write its `config.json`.

    Of `data` (`ImageData`) it keeps the schema, and in `data.json` hashes, where these say whether they are the same
    later.
    """
    folder = new_folder(config.runs_dir, name or config.run_name)
    fields = () if data is None else data.schema
    if data is not None and (kept := digest.digest(data)):
        write_json(folder / DATA, kept)
    written = {
        "format": FORMAT,
        "model": config.model,
        "config": to_json(config),
        "image_shape": image_shape,
        "attributes": attributes.to_json(meanings),
        **({"schema": schema.to_json(fields)} if fields else {}),
        **({"split": "path"} if config.data == "folder" else {}),
        "provenance": provenance(),
    }
    write_json(folder / "config.json", written)
    return Run(folder, config, tuple(image_shape), tuple(meanings), fields)


def read(folder, needed=("config.json", "model.safetensors")):
    """The run in `folder`, where these files must be.

    Raises:
        UserError: no run there, no trained model in it, a run of another version, or a damaged `config.json`.
    """
    folder = Path(folder)
    for name in needed:
        if not (folder / name).is_file():
            raise UserError(f"run: expected {name} in {folder.absolute()}, got none (which folder did `train` name?)")
    path = folder / "config.json"
    try:
        written = json.loads(path.read_text())
        if written["format"] not in READABLE:
            raise UserError(f"run: expected format {FORMAT} in {path}, got {written['format']!r}")
        config = configured(written["model"], written["config"])
        meanings, fields = attributes.from_json(written["attributes"]), schema.from_json(written.get("schema", []))
        shuffled = config.data == "folder" and "split" not in written
        return Run(folder, config, tuple(written["image_shape"]), meanings, fields, shuffled)
    except UserError:
        raise
    except (ValueError, KeyError, TypeError) as error:
        raise UserError(f"run: expected what `train` writes in {path}, got a damaged file ({error!r})") from error


def data_of(run, data_root=None):
    """The data of a run as it read them, from `data_root` if it is given."""
    config, before = run.config, {}
    if config.data == "folder":
        before = {"channels": run.image_shape[0], "shuffled": run.shuffled}
        if config.labelled:
            before["kinds"] = run.kinds
        if config.labelled and not run.shuffled:
            before["meanings"] = run.attributes
    return dataclasses.replace(config, data_root=data_root or config.data_root).load_data(**before)


def kept_data(run):
    """What the run keeps of its data, `{}` where it keeps nothing, as runs of before.

    Raises:
        UserError: a damaged file.
    """
    path = run.folder / DATA
    if not path.is_file():
        return {}
    try:
        kept = json.loads(path.read_text())
    except ValueError:
        kept = None
    if not isinstance(kept, dict) or not set(kept) <= set(PARTS) or not _alike(kept):
        raise UserError(f"run: expected what `train` writes in {path}, got a damaged file")
    return kept


def _alike(kept):
    """Whether there is one hash of each part, or names and hashes of all three."""
    kinds = {type(part) for part in kept.values()}
    return kinds <= {str} or (kinds == {dict} and set(kept) == set(PARTS))


def check_data(run, images):
    """`UserError` where the data that a training goes on with are not those that it began with."""
    kept = kept_data(run)
    if kept and (changes := digest.changes(kept, digest.digest(images), digest.LEARNED)):
        raise UserError(
            f"data: expected the training and validation images that {run.folder} began with, got others: {changes} "
            "(put them back, or train anew)"
        )


class Trained(NamedTuple):
    """A model read back from its run."""

    run: Run
    model: nn.Module


def trained(folder):
    """The program of a run folder, with the weights that training left.

    Raises:
        UserError: no run there, one of another version, or a damaged one.
    """
    run = read(folder)
    try:
        fresh = run.config.build(run.image_shape, run.attributes)
        load_weights(fresh, run.folder / "model.safetensors")
    except ValueError as error:
        raise UserError(f"run: expected what `train` wrote in {run.folder.absolute()}, got {error}") from error
    return Trained(run, fresh.eval())


@contextlib.contextmanager
def held(folder):
    """Within it the run in `folder` is this process's; yields whether it could be had, or another process has it.

    The lock, of a file of its own, goes with the process, however that ends; its children do not have it. Where the
    system or the file system knows no such locks nobody is refused.
    """
    try:
        import fcntl
    except ImportError:
        yield True
        return
    path = Path(folder) / ".under-way"
    while True:
        try:
            opened = path.open("w")
        except OSError as error:
            raise UserError(f"run: expected a folder that can be written, got {folder} ({error.strerror})") from error
        with opened as file:
            try:
                fcntl.lockf(file, fcntl.LOCK_EX | fcntl.LOCK_NB)
            except OSError as error:
                yield error.errno not in (errno.EACCES, errno.EAGAIN)
                return
            if not (path.exists() and os.path.samestat(os.fstat(file.fileno()), path.stat())):
                continue  # the one that had it has just removed it
            try:
                yield True
            finally:
                path.unlink(missing_ok=True)
            return


def write_json(path, values):
    """Write all of it or nothing."""
    write_text(path, json.dumps(values, indent=2, allow_nan=False) + "\n")


def write_text(path, text):
    """Write all of it or nothing."""
    replace_file(path, lambda temporary: temporary.write_text(text))


def read_json(path):
    """What `write_json` wrote."""
    return json.loads(Path(path).read_text())


def hashed(path):
    """The first 16 digits of a file's SHA-256."""
    return hashlib.sha256(Path(path).read_bytes()).hexdigest()[:16]


def provenance():
    """What it takes to run this again: command, commit and whether code was changed since, versions, machine."""
    packages = ["torch", "pyro-ppl", "numpy", "scikit-learn", "lightning-fabric"]
    return {
        "command": ["python", "-m", "experiments", *sys.argv[1:]],
        "commit": _git("rev-parse", "HEAD"),
        "uncommitted_changes": bool(_git("status", "--porcelain", "--untracked-files=no", "--", *CODE)),
        "versions": {"python": platform.python_version(), **{name: metadata.version(name) for name in packages}},
        "machine": platform.processor() or platform.machine(),
    }


def _git(*arguments):
    """Output of git in this checkout, or None where there is no git or no commit."""
    try:
        finished = subprocess.run(
            ["git", *arguments], cwd=Path(__file__).parent, capture_output=True, text=True, check=True
        )
    except (OSError, subprocess.CalledProcessError):
        return None
    return finished.stdout.strip()
