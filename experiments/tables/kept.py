"""Results that are kept in the checkout: one JSON file a run, made by commands in processes of their own."""

import dataclasses
import json
import sys
from pathlib import Path

from experiments import launch
from experiments.config import to_flags, to_json, with_former
from experiments.pages import ELSEWHERE, anywhere
from experiments.runs import hashed, held, provenance, write_json
from pyro_priors.checks import UserError
from pyro_priors.data.loading import root_of
from pyro_priors.training import CHECKPOINT


def identity(config):
    """What decides the outcome of a configuration, as JSON values; of a run to start from, whether there is one."""
    values = _decisive(to_json(config))
    if "pretrained" in values:
        values["pretrained"] = values["pretrained"] is not None
    return values


def _decisive(values):
    """What decides the outcome, of a configuration that `to_json` wrote, as JSON values."""
    return json.loads(json.dumps({key: value for key, value in values.items() if key not in ELSEWHERE}))


def result(folder, config, beside=None, *, strict=True):
    """The kept result of this configuration, or None.

    Args:
        folder: of the kept results.
        config: a configuration with a name.
        beside: what else decided the outcome, as JSON values.
        strict: a result of another configuration under this name is an error; otherwise it is as none.

    Raises:
        UserError: there is one of another configuration, which must not be lost.
    """
    path = Path(folder) / f"{config.name}.json"
    if not path.is_file():
        return None
    kept = json.loads(path.read_text())
    if _same(kept["config"], identity(config), config) and kept.get("beside", {}) == (beside or {}):
        return kept
    if strict:
        raise UserError(
            f"results: expected a result of this configuration in {path}, got one of another (keep it: choose another "
            "folder or name for the results; or delete it)"
        )
    return None


def _same(written, wanted, config):
    """Whether a configuration that was written is the wanted one; a knob not known then was at its default."""
    written = with_former(written)
    defaults = {field.name: field.default for field in dataclasses.fields(config)}
    defaults = json.loads(json.dumps(defaults, default=str))
    return not set(written) - set(wanted) and all(
        written[key] == value if key in written else value == defaults[key] for key, value in wanted.items()
    )


def seeds(folder):
    """Of the results NAME-seedS.json in a folder."""
    return sorted({int(path.stem.rpartition("seed")[2]) for path in Path(folder).glob("*-seed*.json")})


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
        if not (folder / CHECKPOINT).is_file() or (folder / "summary.json").is_file():
            continue
        written, now = json.loads((folder / "config.json").read_text()), provenance()
        same = all(written["provenance"][key] == now[key] for key in ("commit", "uncommitted_changes", "versions"))
        if same and now["commit"] and not now["uncommitted_changes"] and written["config"] == wanted:
            with held(folder) as free:
                if free:
                    return folder
    return None


def newest(config):
    """The last finished run folder of this configuration, from the same start, or None."""
    found, wanted = [], _decisive(to_json(config))
    for path in (config.runs_dir / config.name).glob("*/summary.json"):
        written = json.loads((path.parent / "config.json").read_text())["config"]
        if _same(_decisive(written), wanted, config):
            found.append(path)
    return max(found, key=lambda path: path.stat().st_mtime_ns).parent if found else None


def run(arguments, log, name):
    """`python -m experiments ARGUMENTS` with its output in `log`; `UserError` with the end of it where it fails."""
    before = log.stat().st_size if log.is_file() else 0
    if status := launch.run([sys.executable, "-m", "experiments", *arguments], log, name):
        told = _tail(log, before)
        raise UserError(f"{name}: {arguments[0]} ended with status {status}; {log.absolute()} ends:\n{told}")


def keep(folder, config, found, beside=None):
    """Write what was `found` of a configuration without the paths of the machine it ran on."""
    command = ["python", "-m", "experiments", "train", config.model, *to_flags(anywhere(config))]
    provenance = {**found["provenance"], "command": command}
    kept = {"config": identity(config), **({"beside": beside} if beside else {}), **found, "provenance": provenance}
    write_json(Path(folder) / f"{config.name}.json", kept)


def train_and_keep(folder, config):
    """Train in a process of its own, unless a run has finished, and keep what its `summary.json` says."""
    keep(folder, config, json.loads((train(config) / "summary.json").read_text()))


def fingerprint(root):
    """Of the user's own data: the labels and the split, by content."""
    files = [root_of(root) / name for name in ("attributes.csv", "partition.csv")]
    return {path.name: hashed(path) for path in files if path.is_file()}


def _tail(log, before, lines=5):
    """The last lines of a log, of what stands behind so many bytes of earlier attempts."""
    return "\n".join(log.read_bytes()[before:].decode(errors="replace").splitlines()[-lines:])
