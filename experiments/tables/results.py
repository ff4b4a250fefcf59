"""Results that lie in the checkout: one JSON file a run, made by commands in processes of their own."""

import contextlib
import dataclasses
import json
import sys
from pathlib import Path

from experiments import launch
from experiments.trainings import anywhere, configured, decisive, identity, same, to_flags, to_json
from models.shared.runs import hashed, provenance, read_json, write_json
from pyro_priors.checks import UserError
from pyro_priors.data.loading import root_of
from pyro_priors.training.checkpoints import has_checkpoint
from pyro_priors.training.locks import UnderWay, held


def result(folder, config, beside=None, *, strict=True):
    """The result of this configuration in a folder of results, or None.

    Args:
        folder: of the results.
        config: a configuration with a name.
        beside: what else decided the outcome, as configurations and JSON values.
        strict: a result of another configuration under this name is an error; otherwise it is as none.

    Raises:
        UserError: there is one of another configuration, which must not be lost.
    """
    path = Path(folder) / f"{config.name}.json"
    if not path.is_file():
        return None
    written = read_json(path)
    if same(written["config"], config) and _as_well(written.get("beside", {}), beside or {}):
        return {**written, "config": to_json(configured(config.model, written["config"]))}
    if strict:
        raise UserError(
            f"results: expected a result of this configuration in {path}, got one of another (leave it: choose another "
            "folder or name for the results; or delete it)"
        )
    return None


def _as_well(written, wanted):
    """Whether what else decided an outcome is what is wanted."""
    return written.keys() == wanted.keys() and all(
        same(written[key], value) if dataclasses.is_dataclass(value) else written[key] == value
        for key, value in wanted.items()
    )


def write(folder, config, result, beside=None):
    """Write the result of a configuration without the paths of the machine it ran on."""
    command = ["python", "-m", "experiments", "train", config.model, *to_flags(anywhere(config))]
    beside = {k: identity(v) if dataclasses.is_dataclass(v) else v for k, v in (beside or {}).items()}
    written = {"config": identity(config), **({"beside": beside} if beside else {}), **result}
    written["provenance"] = {**result["provenance"], "command": command}
    write_json(Path(folder) / f"{config.name}.json", written)


def train(config):
    """The run folder of this configuration: one that has finished, or else `train` runs in a process of its own.

    That goes on with a run that was cut off, where there is one of the same code; its output goes to a log beside it.
    """
    if finished := newest(config):
        return finished
    begun = cut_off(config)
    arguments = [config.model, *to_flags(config)] if begun is None else ["--resume", str(begun)]
    run(["train", *arguments], config.runs_dir / f"{config.name}.log", config.name)
    return newest(config)


def cut_off(config):
    """The last run folder of this configuration that was cut off, and that the same code can go on with, or None."""
    wanted = json.loads(json.dumps(to_json(config)))
    for folder in sorted((config.runs_dir / config.name).glob("*/"), reverse=True):
        if not has_checkpoint(folder) or (folder / "summary.json").is_file():
            continue
        written, now = read_json(folder / "config.json"), provenance()
        code = all(written["provenance"][key] == now[key] for key in ("commit", "uncommitted_changes", "versions"))
        if code and now["commit"] and not now["uncommitted_changes"] and written["config"] == wanted:
            with contextlib.suppress(UnderWay), held(folder):
                return folder
    return None


def newest(config):
    """The last finished run folder of this configuration, from the same start, or None."""
    finished = [
        path
        for path in (config.runs_dir / config.name).glob("*/summary.json")
        if same(read_json(path.parent / "config.json")["config"], config, decisive)
    ]
    return max(finished, key=lambda path: path.stat().st_mtime_ns).parent if finished else None


def run(arguments, log, name):
    """`python -m experiments ARGUMENTS` with its output in `log`; `UserError` with the end of it where it fails."""
    before = log.stat().st_size if log.is_file() else 0
    if status := launch.run([sys.executable, "-m", "experiments", *arguments], log, name):
        said = "\n".join(log.read_bytes()[before:].decode(errors="replace").splitlines()[-5:])  # by this attempt
        raise UserError(f"{name}: {arguments[0]} ended with status {status}; {log.absolute()} ends:\n{said}")


def fingerprint(root):
    """Of the user's own data: the labels and the split, by content."""
    files = [root_of(root) / name for name in ("attributes.csv", "partition.csv")]
    return {path.name: hashed(path) for path in files if path.is_file()}
