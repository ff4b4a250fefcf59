"""`pyro-priors demo`: a table whose cells are all known loses some, and they are filled again."""

import csv
import dataclasses
import io
import shlex
from pathlib import Path
from typing import Any

import numpy as np

from pyro_priors import command_line
from pyro_priors.checks import check_seed
from pyro_priors.tables.commands import impute
from pyro_priors.tables.commands.files import write
from pyro_priors.training.files import check_folder

MISSING = 0.3  # of the cells that lose what they say


@dataclasses.dataclass(frozen=True)
class Demo:
    """Hide 30 % of the cells of scikit-learn's table of wines, fill them, and compare with what they said.

    It writes a folder with the table, the filled one, and a report. Nothing is downloaded.
    """

    out: Path = Path("pyro-priors-demo")  # Folder to write to.
    budget: float = 15.0  # Seconds of the fit, about; the report takes as long again.
    seed: int = 0  # Which cells lose what they say; of the fit.


def main(config: Demo) -> None:
    """Write the table, fill it as anyone would, and say how good the answers are."""
    check_seed(config.seed)
    check_folder("out", config.out)
    names, cells = wines()
    hidden = np.random.default_rng(config.seed).random(cells.shape) < MISSING
    table, filled = config.out / "wine.csv", config.out / "filled.csv"
    write(table, _text(names, np.where(hidden, "", cells)))
    flags = ["--out", filled, "--intervals", 0.9, "--report", config.out / "report", "--budget", config.budget]
    words = [*map(str, [table, *flags, "--seed", config.seed]), "--probabilities"]
    print(f"$ pyro-priors impute {shlex.join(words)}")
    impute.main(command_line.read(impute.Impute, words, "pyro-priors impute"))
    rows = list(csv.reader(io.StringIO(filled.read_text(encoding="utf-8"))))
    print("\n".join(compare(names, cells, hidden, rows)))


def wines() -> tuple[list[str], np.ndarray]:
    """178 wines: names of columns, and their cells as texts, the class last."""
    from sklearn.datasets import load_wine  # here, since it is slow to import

    data: Any = load_wine()
    numbers = [[f"{cell:g}" for cell in row] for row in data.data]
    classes = [str(data.target_names[state]) for state in data.target]
    return [*data.feature_names, "class"], np.array([[*row, name] for row, name in zip(numbers, classes, strict=True)])


def compare(names: list[str], cells: np.ndarray, hidden: np.ndarray, rows: list[list[str]]) -> list[str]:
    """How good the answers for hidden cells are, beside the mean of a column and its commonest category.

    Args:
        names, cells, hidden: of the table.
        rows: of the filled one, its header first, with columns NAME_low and NAME_high.
    """
    header, filled = rows[0], np.array(rows[1:])
    errors, plain, inside = [], [], []
    for place, name in enumerate(names[:-1]):
        some, truth = hidden[:, place], cells[:, place].astype(float)
        spread = np.ptp(truth)
        errors += [(filled[some, place].astype(float) - truth[some]) / spread]
        plain += [(truth[~some].mean() - truth[some]) / spread]
        low, high = (filled[some, header.index(f"{name}_{end}")].astype(float) for end in ("low", "high"))
        inside += [(low <= truth[some]) & (truth[some] <= high)]
    some = hidden[:, -1]
    right = (filled[some, len(names) - 1] == cells[some, -1]).mean()
    states, counts = np.unique(cells[~some, -1], return_counts=True)
    commonest = (states[counts.argmax()] == cells[some, -1]).mean()

    def rms(parts: list[np.ndarray]) -> float:
        return float(np.sqrt(np.square(np.concatenate(parts)).mean()))

    return [
        "Of the cells that lost what they said:",
        f"  numbers: error {rms(errors):.3f} of the column's range; filled by the mean of the column {rms(plain):.3f}",
        f"  inside the intervals of 90 %: {np.concatenate(inside).mean():.1%}",
        f"  classes: {right:.1%} right; filled by the commonest {commonest:.1%}",
    ]


def _text(names: list[str], cells: np.ndarray) -> str:
    file = io.StringIO(newline="")
    csv.writer(file, lineterminator="\n").writerows([names, *cells.tolist()])
    return file.getvalue()
