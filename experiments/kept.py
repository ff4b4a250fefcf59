"""Results that are kept in the checkout: one JSON file a run, made by commands in processes of their own."""

import dataclasses
import json
import statistics
import subprocess
import sys
from pathlib import Path

from experiments.config import UserError, to_flags, to_json
from experiments.runs import write_json

FOLDER = Path(__file__).parent / "results"
# Knobs that change where a run happens, not what comes out.
ELSEWHERE = {"data_root", "runs_dir", "name", "threads", "progress"}


def identity(values):
    """The part of a configuration (as `to_json` gives it) that decides the outcome; of a run to start from, whether."""
    values = {key: value for key, value in values.items() if key not in ELSEWHERE}
    if "pretrained" in values:
        values["pretrained"] = values["pretrained"] not in (None, False)
    return json.loads(json.dumps(values))


def result(folder, config):
    """The kept result of this configuration, or None."""
    path = Path(folder) / f"{config.name}.json"
    if not path.is_file():
        return None
    kept = json.loads(path.read_text())
    return kept if same(kept["config"], config) else None


def same(values, config):
    """Whether what was written of a configuration is `config`, up to where it ran; later knobs had their defaults."""
    then = {field.name: field.default for field in dataclasses.fields(config)} | values
    return identity(then) == identity(to_json(config))


def train(config):
    """Run `train` in a process of its own -> its run folder; the output goes to a log beside it."""
    run(["train", *config.model.split(), *to_flags(config)], config.runs_dir / f"{config.name}.log", config.name)
    return newest(config)


def newest(config):
    """The last finished run folder of this configuration, or None."""
    found = []
    for path in (config.runs_dir / config.name).glob("*/summary.json"):
        written = json.loads((path.parent / "config.json").read_text())
        if same(written["config"], config):
            found.append(path)
    return max(found, key=lambda path: path.stat().st_mtime_ns).parent if found else None


def run(arguments, log, name):
    """`python -m experiments ARGUMENTS` with its output in `log`; `UserError` with the end of it where it fails."""
    log.parent.mkdir(parents=True, exist_ok=True)
    with log.open("w") as output:
        command = [sys.executable, "-m", "experiments", *arguments]
        status = subprocess.run(command, stdout=output, stderr=subprocess.STDOUT).returncode
    if status:
        raise UserError(f"{name}: {arguments[0]} ended with status {status}; {log.absolute()} ends:\n{_tail(log)}")


def keep(folder, config, found):
    """Write what was `found` of a configuration without the paths of the machine it ran on."""
    command = ["python", "-m", "experiments", "train", *config.model.split(), *to_flags(anywhere(config))]
    provenance = {**found["provenance"], "command": command}
    kept = {"config": identity(to_json(config)), **found, "provenance": provenance}
    write_json(Path(folder) / f"{config.name}.json", kept)


def anywhere(config):
    """The same configuration with the knobs that change where a run happens at their defaults."""
    fields = [field for field in dataclasses.fields(config) if field.name in ELSEWHERE]
    if getattr(config, "pretrained", None) is not None:
        config = dataclasses.replace(config, pretrained=Path("RUN"))
    return dataclasses.replace(config, **{field.name: field.default for field in fields})


def command_of(words, config, prefix="--train."):
    """The command that makes a table whose runs share `config`."""
    flags = to_flags(anywhere(config))
    return " ".join([words, *(flag.replace("--", prefix, 1) if flag.startswith("--") else flag for flag in flags)])


def measured(provenances, where):
    """With what: kept results may be of different versions and commits, and the reader should know."""
    versions = [", ".join(f"{name} {version}" for name, version in one["versions"].items()) for one in provenances]
    commits = list(dict.fromkeys(map(_commit, provenances)))
    at = f"commit {commits[0]}" if len(commits) == 1 else f"different commits ({', '.join(commits)})"
    return f"Measured with {' or '.join(dict.fromkeys(versions))} at {at}; every run's command stands in `{where}/`."


def _commit(provenance):
    """
    Example:
        >>> _commit({"commit": "7ab8f0e2c41d", "uncommitted_changes": True})
        '7ab8f0e with changes'
    """
    commit = (provenance["commit"] or "unknown")[:7]
    return f"{commit} with changes" if provenance["uncommitted_changes"] else commit


def mean(values, digits=2):
    """Mean and standard error of numbers, as text.

    Example:
        >>> mean([1.0, 2.0, 3.0]), mean([1.0])
        ('2.00 +- 0.58', '1.00')
    """
    middle = f"{statistics.mean(values):.{digits}f}"
    return middle if len(values) == 1 else f"{middle} +- {statistics.stdev(values) / len(values) ** 0.5:.{digits}f}"


def _tail(log, lines=5):
    return "\n".join(log.read_text().splitlines()[-lines:])
