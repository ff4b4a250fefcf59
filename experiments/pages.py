"""Pages of results: numbers and tables as text, what they were measured with, and where they are written."""

import shlex
import statistics
from pathlib import Path

from experiments.heads import refresh
from models.shared.runs import write_json, write_text

FOLDER = Path(__file__).parent / "results"
WHERE = {"data-root", "runs-dir", "results", "folder"}  # flags that say where things lie


def show(path, text):
    """Print a page, and write it; the index page of the folder, if there is one, has its answer."""
    print(text)
    write_text(path, text)
    refresh(path.parent)


def write_page(path, values, page):
    """What was measured as PATH.json, and the page made of it, which is printed too, as PATH.md."""
    values = {**values, "provenance": portable(values["provenance"])}
    write_json(path.with_suffix(".json"), values)
    show(path.with_suffix(".md"), single(values, path.name, page))


def single(values, name, page):
    """The text of a page with one JSON, NAME.json: `page(values, name)` is a list of paragraphs and tables."""
    provenance = values["provenance"]
    return text(*page(values, name), command(provenance["command"]), measured([provenance], f"{name}.json"))


def command(words):
    """A paragraph: the command that makes a page."""
    return f"    {shlex.join(words)}"


def text(*parts):
    """Paragraphs, and lists of lines such as `table` makes, as one text: an empty line between any two.

    Example:
        >>> text("# Title", ["| a |", "|---|"])
        '# Title\\n\\n| a |\\n|---|\\n'
    """
    return "\n\n".join(part if isinstance(part, str) else "\n".join(part) for part in parts if part) + "\n"


def table(columns, rows):
    """The lines of a table.

    Args:
        columns: `{title, or titles: function of a row -> text, or texts}`.
        rows: whatever the functions take.

    Example:
        >>> table({"n": str, ("half", "double"): lambda n: [f"{n / 2:g}", f"{2 * n}"]}, [1, 2])
        ['| n | half | double |', '|---|---|---|', '| 1 | 0.5 | 2 |', '| 2 | 1 | 4 |']
    """
    titles = [title for key in columns for title in ([key] if isinstance(key, str) else key)]
    lines = [f"| {' | '.join(titles)} |", f"|{'---|' * len(titles)}"]
    for row in rows:
        parts = [read(row) for read in columns.values()]
        cells = [cell for part in parts for cell in ([part] if isinstance(part, str) else part)]
        lines.append(f"| {' | '.join(cells)} |")
    return lines


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
    """With what: results may be of different versions and commits, and the reader should know."""
    versions = [", ".join(f"{name} {version}" for name, version in p["versions"].items()) for p in provenances]
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
    if len(values) == 1:
        return middle
    return f"{middle} +- {number(statistics.stdev(values) / len(values) ** 0.5, digits)}"


def number(value, digits):
    """A number with so many digits after the point, a huge one by its power of ten.

    Example:
        >>> number(1.234, 1), number(25655859.6, 2)
        ('1.2', '2.57e+07')
    """
    return f"{value:.{digits}f}" if abs(value) < 1e5 else f"{value:.2e}"
