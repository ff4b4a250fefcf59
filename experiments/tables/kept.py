"""Results that are kept in the checkout: one JSON file a run, made by commands in processes of their own."""

import dataclasses
import json
import shlex
import statistics
import sys
from pathlib import Path

from experiments import launch
from experiments.config import UserError, check_counts, to_flags, to_json
from experiments.data.loading import root_of
from experiments.runs import hashed, held, provenance, write_json
from inference import CHECKPOINT, replace_file

FOLDER = Path(__file__).parent.parent / "results"
# Knobs that change where a run happens, not what comes out.
ELSEWHERE = {"data_root", "runs_dir", "name", "threads", "progress", "stream", "workers"}
ELSEWHERE |= {"checkpoint_every", "tensorboard", "figures_every"}
WHERE = {"data-root", "runs-dir", "results", "folder"}  # flags that say where things lie


def check_asked(table, rows, decided, some=("rows", "seeds"), counts=()):
    """`UserError` where a table is asked for rows that it does not have, for nothing, or for what its rows decide.

    Args:
        table: its configuration, with `rows`, and `train`, what all rows share.
        rows: those it has.
        decided: knobs of `train` that the rows, seeds and so on decide.
        some: fields of which there must be at least one.
        counts: fields that must be at least 1.
    """
    check_rows(table.rows, rows)
    check_left(table, "train", decided)
    for field in some:
        if not getattr(table, field):
            raise UserError(f"{field}: expected at least one, got none")
    check_counts(table, *counts)


def check_left(table, name, decided):
    """`UserError` where a configuration in a table sets what its rows decide."""
    shared = getattr(table, name)
    for field in sorted(decided):
        if getattr(shared, field, None) != getattr(type(shared), field, None):
            raise UserError(f"{name}.{field}: expected its default (the rows of the table decide it), got another")


def check_rows(asked, rows, field="rows"):
    """`UserError` where a row is asked for that is none of `rows`, or none at all."""
    if unknown := [row for row in asked if row not in rows]:
        raise UserError(f"{field}: expected some of {', '.join(rows)}, got {', '.join(unknown)}")
    if not asked:
        raise UserError(f"{field}: expected at least one, got none")


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


def anywhere(config):
    """The same configuration with the knobs that change where a run happens at their defaults."""
    fields = [field for field in dataclasses.fields(config) if field.name in ELSEWHERE]
    if getattr(config, "pretrained", None) is not None:
        config = dataclasses.replace(config, pretrained=Path("RUN"))
    return dataclasses.replace(config, **{field.name: field.default for field in fields})


def portable(provenance):
    """The same without what its command says of the machine: where data, runs and results lie.

    Example:
        >>> portable({"command": ["python", "figure", "x", "/", "--runs-dir", "here", "--seed", "1"]})["command"]
        ['python', 'figure', 'x', 'RUN', '--seed', '1']
    """
    command, words = [], iter(provenance["command"])
    for word in words:
        if word.rpartition(".")[2].lstrip("-") in WHERE and word.startswith("--"):
            next(words, None)
        else:
            command.append("RUN" if "/" in word and Path(word).is_dir() else word)
    return {**provenance, "command": command}


def write_page(path, found, text):
    """What was `found` as PATH.json, and the page made of it as PATH.md."""
    path.parent.mkdir(parents=True, exist_ok=True)
    write_json(path.with_suffix(".json"), {**found, "provenance": portable(found["provenance"])})
    replace_file(path.with_suffix(".md"), lambda temporary: temporary.write_text(text))


def command_of(words, config, more=(), default=None):
    """The command, for a shell, that makes a table whose runs share `config`, where it differs from the `default`."""
    flags = flags_of(config, default, "train")
    return shlex.join(["python", "-m", "experiments", *words.split(), *flags, *map(str, more)])


def flags_of(config, default, name):
    """The flags, of a table, that set its configuration `name` where it differs from the `default`."""
    flags = to_flags(anywhere(config), default and anywhere(default))
    return [flag.replace("--", f"--{name}.", 1) if flag.startswith("--") else flag for flag in flags]


def measured(provenances, where):
    """With what: kept results may be of different versions and commits, and the reader should know."""
    versions = [", ".join(f"{name} {version}" for name, version in one["versions"].items()) for one in provenances]
    commits = list(dict.fromkeys(map(_commit, provenances)))
    at = f"commit {commits[0]}" if len(commits) == 1 else f"different commits ({', '.join(commits)})"
    return f"Measured with {' or '.join(dict.fromkeys(versions))} at {at}; every run's command stands in `{where}`."


def _commit(provenance):
    """
    Example:
        >>> _commit({"commit": "7ab8f0e2c41d", "uncommitted_changes": True})
        '7ab8f0e with changes'
    """
    commit = (provenance["commit"] or "unknown")[:7]
    return f"{commit} with changes" if provenance["uncommitted_changes"] else commit


def fingerprint(root):
    """Of the user's own data: the labels and the split, by content."""
    files = [root_of(root) / name for name in ("attributes.csv", "partition.csv")]
    return {path.name: hashed(path) for path in files if path.is_file()}


def mean(values, digits=2):
    """Mean and standard error of numbers, as text; empty where one is missing.

    Example:
        >>> mean([1.0, 2.0, 3.0]), mean([1.0]), mean([1.0, None])
        ('2.00 +- 0.58', '1.00', '')
    """
    if None in values or not values:
        return ""
    middle = number(statistics.mean(values), digits)
    return (
        middle if len(values) == 1 else f"{middle} +- {number(statistics.stdev(values) / len(values) ** 0.5, digits)}"
    )


def number(value, digits):
    """A number with so many digits after the point, a huge one by its power of ten.

    Example:
        >>> number(1.234, 1), number(25655859.6, 2)
        ('1.2', '2.57e+07')
    """
    return f"{value:.{digits}f}" if abs(value) < 1e5 else f"{value:.2e}"


def _tail(log, before, lines=5):
    """The last lines of a log, of what stands behind so many bytes of earlier attempts."""
    return "\n".join(log.read_bytes()[before:].decode(errors="replace").splitlines()[-lines:])
