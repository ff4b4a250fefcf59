"""Folders of runs: where they are made, what is written first, how they are read back."""

import hashlib
import json
import math
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
from pyro_priors.data.schema import Field
from pyro_priors.training import load_weights, manifest, replace_file, saving
from pyro_priors.training.checkpoints import CHECKPOINT, PREVIOUS
from pyro_priors.training.nonfinite import listed, nonfinite_weights

CODE = (":(top)*.py", ":(top)pyproject.toml")  # what git is to compare; pages of results come and go
DATA = "data.json"  # what a run folder keeps of its data
BEGUN = ("config.json", DATA)  # what a training rests on, those that there are
ENDED = (*BEGUN, "model.safetensors", "summary.json")
FORMAT = 4  # raised when a run folder of this version can no longer be read by the one before


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
    stamp, count, parent = time.strftime("%Y%m%d-%H%M%S"), 1, Path(runs_dir) / name
    try:
        parent.mkdir(parents=True, exist_ok=True)
    except OSError as error:
        raise UserError(f"runs_dir: expected to make {parent.absolute()}, got: {error.strerror}") from error
    while True:
        folder = parent / (stamp if count == 1 else f"{stamp}-{count}")
        try:
            folder.mkdir()
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
    manifest.bind(folder, BEGUN)
    return Run(folder, config, tuple(image_shape), tuple(meanings), fields)


def read(folder, needed=("config.json", "model.safetensors")):
    """The run in `folder`, where these files must be.

    Raises:
        UserError: no run there, no trained model in it, a run of another version, or files that are damaged or are
            not those that belong together.
    """
    folder = Path(folder)
    for name in needed:
        if not (folder / name).is_file():
            raise UserError(f"run: expected {name} in {folder.absolute()}, got none (which folder did `train` name?)")
    manifest.check(folder, *BEGUN, *needed)
    path = folder / "config.json"
    try:
        written = _parsed(path)
        if written["format"] not in READABLE:
            raise UserError(f"run: expected format {FORMAT}, got {written['format']!r}")
        config = configured(written["model"], written["config"])
        meanings, fields = _attributes(written["attributes"]), schema.from_json(written.get("schema", []))
        shuffled = config.data == "folder" and "split" not in written
        return Run(folder, config, _shape(written["image_shape"]), meanings, fields, shuffled)
    except UserError as error:
        raise UserError(f"{error} (in {path})") from error
    except (OSError, ValueError, KeyError, TypeError, AttributeError, RecursionError) as error:
        raise UserError(f"run: expected what `train` writes in {path}, got a damaged file ({error!r})") from error


def _shape(values):
    """(channels, height, width) of images."""
    whole = isinstance(values, list) and all(isinstance(size, int) and not isinstance(size, bool) for size in values)
    if not (whole and len(values) == 3 and min(values) > 0):
        raise UserError(f"image_shape: expected (channels, height, width), got {values!r}")
    return tuple(values)


def _attributes(values):
    """What the labels mean."""
    read = attributes.from_json(values)
    if any(isinstance(value["categories"], str) for value in values):  # which is a sequence of texts too
        raise UserError(f"attributes: expected several categories of each, got {values!r}")
    for name, categories, loc, scale in read:
        texts = categories is None or (all(isinstance(text, str) for text in categories) and len(categories) > 0)
        several = categories is None or len(set(categories)) == len(categories)
        if not (isinstance(name, str) and texts and several and math.isfinite(loc) and 0 < scale < math.inf):
            raise UserError(f"attributes: expected name, categories, loc and scale of each, got {values!r}")
    return read


def files(folder):
    """Paths of what a command reads in a run folder, there or not."""
    return [Path(folder) / name for name in (*ENDED, manifest.MANIFEST, saving.PROGRAM, CHECKPOINT, PREVIOUS)]


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
    except (ValueError, TypeError, MemoryError, RuntimeError, OverflowError) as error:  # sizes that no memory holds
        reason = str(error).partition("\n")[0]
        raise UserError(f"run: expected what `train` wrote in {run.folder.absolute()}, got {reason}") from error
    if bad := nonfinite_weights(fresh):
        raise UserError(
            f"run: expected finite weights in {run.folder.absolute()}, got NaN or infinity in {listed(bad)}"
        )
    return Trained(run, fresh.eval())


def write_json(path, values):
    """Write all of it or nothing; a manifest beside it that lists the file does so no longer.

    Raises:
        FloatingPointError: JSON has neither NaN nor infinity.
    """
    try:
        text = json.dumps(values, indent=2, allow_nan=False) + "\n"
    except ValueError as error:
        raise FloatingPointError(f"{Path(path).name}: expected finite numbers, got {_not_finite(values)}") from error
    manifest.forget(path)
    write_text(path, text)


def write_text(path, text):
    """Write all of it or nothing."""
    replace_file(path, lambda temporary: temporary.write_text(text))


def read_json(path):
    """What `write_json` wrote, as the manifest beside it has it.

    Raises:
        UserError: no such file, a damaged one, or another than is listed.
    """
    path = Path(path)
    manifest.check(path.parent, path.name)
    try:
        return _parsed(path)
    except (OSError, ValueError, RecursionError) as error:
        raise UserError(f"path: expected what a command writes in {path}, got a damaged file ({error!r})") from error


def _parsed(path):
    """JSON as it should be: every key once, and numbers alone."""
    return json.loads(path.read_text(), object_pairs_hook=_once, parse_constant=_refuse)


def _not_finite(values, where=""):
    """The first number that is not finite, and where."""
    if isinstance(values, dict | list | tuple):
        pairs = values.items() if isinstance(values, dict) else enumerate(values)
        return next(filter(None, (_not_finite(value, f"{where}.{key}") for key, value in pairs)), None)
    finite = not isinstance(values, float) or math.isfinite(values)
    return None if finite else f"{values} at {where.removeprefix('.')}"


def _once(pairs):
    """A dict of pairs whose keys are different."""
    if len(values := dict(pairs)) < len(pairs):
        raise ValueError(f"a key twice among {', '.join(key for key, _ in pairs)}")
    return values


def _refuse(constant):
    raise ValueError(f"{constant} for a number")


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
