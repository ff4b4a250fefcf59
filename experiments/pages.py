"""Pages of results: numbers as text, the command that makes them, and where they are written."""

import dataclasses
import shlex
import statistics
from pathlib import Path

from experiments.config import to_flags
from experiments.runs import write_json, write_text

FOLDER = Path(__file__).parent / "results"
# Knobs that change where a run happens, not what comes out.
ELSEWHERE = {"data_root", "runs_dir", "name", "threads", "progress", "stream", "workers"}
ELSEWHERE |= {"checkpoint_every", "tensorboard", "figures_every"}
WHERE = {"data-root", "runs-dir", "results", "folder"}  # flags that say where things lie


def show(path, text):
    """Print a page, and write it."""
    print(text)
    write_text(path, text)


def write_page(path, found, text):
    """What was `found` as PATH.json, and the page made of it, which is printed too, as PATH.md."""
    write_json(path.with_suffix(".json"), {**found, "provenance": portable(found["provenance"])})
    show(path.with_suffix(".md"), text)


def command_of(words, config, more=(), default=None):
    """The command, for a shell, that makes a table whose runs share `config`, where it differs from the `default`."""
    flags = flags_of(config, default, "train")
    return shlex.join(["python", "-m", "experiments", *words.split(), *flags, *map(str, more)])


def flags_of(config, default, name):
    """The flags, of a table, that set its configuration `name` where it differs from the `default`."""
    flags = to_flags(anywhere(config), default and anywhere(default))
    return [flag.replace("--", f"--{name}.", 1) if flag.startswith("--") else flag for flag in flags]


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
