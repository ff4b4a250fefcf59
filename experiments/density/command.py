"""`table density`: plan, fit what is missing, and write results and page."""

import dataclasses
import hashlib
import json
import shutil
import sys
import threading
from pathlib import Path
from typing import Any, Literal, NamedTuple

from experiments import launch, pages
from experiments.density import cell, circuits, page
from experiments.density.rows import ROWS
from experiments.launch import LaunchConfig
from experiments.tables import check
from experiments.tables.completed import Completed, complete
from experiments.tables.runner import remake
from experiments.trainings import check_rows
from models.shared import runs
from pyro_priors.checks import UserError, check_seed
from pyro_priors.data.binary_tables import names, read_binary_table

NAME = "density"


@dataclasses.dataclass(frozen=True)
class DensityConfig(LaunchConfig):
    """Score the test rows of binary tables under our chain and its rivals, and write the page of all there are.

    Results land in RESULTS/density.json as each fit ends, the page in RESULTS/density.md; the same command goes on
    where it was stopped. Without --path the page is made anew of the results that are there.
    """

    path: Path | None = None  # Folder of tables: NAME/NAME.{train,valid,test}.data, or such files themselves.
    data: Literal["binary"] = "binary"  # What they hold: rows of 0 and 1 between commas, an empty cell is missing.
    sets: tuple[str, ...] | None = None  # Tables to score, by name; None: all that are there.
    rows: tuple[str, ...] | None = None  # Rows to fit, by name; None: all.
    seeds: tuple[int, ...] = (0, 1, 2)  # Seeds of each; the first tries all settings of a row, the others the best.
    minutes: float = 5  # That a fit of a rival may take, of one processor.
    spflow_python: Path | None = None  # Interpreter that has SPFlow, where this one has not; without it: no such row.
    check: bool = False  # Only say whether the page is what its results give.
    runs_dir: Path = Path("runs")  # Where fits under way keep their files.
    results: Path = pages.FOLDER  # Where results lie.

    def __post_init__(self):
        super().__post_init__()
        if self.check and self.path is not None:
            raise UserError(f"path: expected none beside --check, got {self.path}")
        if self.path is None or self.check:
            where = "beside --check" if self.check else "without --path"
            for field in dataclasses.fields(self):
                if field.name not in ("path", "check", "results") and getattr(self, field.name) != field.default:
                    raise UserError(f"{field.name}: expected its default {where}, got another")
        check_rows(self.rows if self.rows is not None else ROWS, ROWS)
        if not self.seeds:
            raise UserError("seeds: expected at least one, got none")
        for seed in self.seeds:
            check_seed(seed)
        if not self.minutes > 0:
            raise UserError(f"minutes: expected a positive number, got {self.minutes}")
        if self.spflow_python is not None and not self.spflow_python.is_file():
            raise UserError(f"spflow_python: expected an interpreter, got no file at {self.spflow_python}")


def main(config: DensityConfig):
    """Fit what is missing, or only make the page or check it."""
    if config.check:
        check.main(NAME, config.results)
    elif config.path is None:
        remake(NAME, config.results)
    else:
        plan = Plan(config)
        done = fitted(plan)
        plan.show()
        done.end()


class Wanted(NamedTuple):
    """A fit: of a table, by a row with the settings of a trial, from a seed."""

    table: str
    row: str
    trial: str
    seed: int

    @property
    def name(self):
        """Of its result."""
        return "-".join(map(str, (self.table, self.row, self.trial, f"seed{self.seed}")))

    @property
    def settings(self):
        """Of the trial."""
        return dict(ROWS[self.row].trials[self.trial])


class Plan:
    """What is wanted, what is there, and what each fit rests on."""

    def __init__(self, config):
        there = names(config.path)
        check_rows(config.sets or there, there, "sets")
        self.config, self.file, self.lock = config, config.results / f"{NAME}.json", threading.Lock()
        # All of them before any work: a mistake in the last must not come out after an hour.
        self.tables = {name: described(read_binary_table(config.path, name)) for name in config.sets or there}
        self.rows = [row for row in config.rows or ROWS if row != "spflow" or self._has_spflow()]
        self.cells = runs.read_json(self.file)["cells"] if self.file.is_file() else {}
        for wanted in self._every():
            self._check(wanted)

    def _has_spflow(self):
        if circuits.python(self.config.spflow_python) is not None:
            return True
        print("spflow: left out, since this environment has no SPFlow (--spflow-python names one that has)")
        return False

    def _every(self):
        """All fits that may be wanted, the first seed's before those that depend on it."""
        keys = [(table, row) for table in self.tables for row in self.rows]
        return [
            Wanted(*key, trial, seed) for seed in self.config.seeds for key in keys for trial in ROWS[key[1]].trials
        ]

    def missing(self):
        """What can be fitted now: of the first seed everything, of others what its validation part chose."""
        cells, first = self.cells.values(), self.config.seeds[0]
        chosen = {(w.table, w.row): page.best(cells, w.table, w.row) for w in self._every()}
        wanted = [w for w in self._every() if w.seed == first or w.trial == chosen[w.table, w.row]]
        return [w for w in wanted if w.name not in self.cells]

    def identity(self, wanted):
        """What decides a result."""
        own = {"set": wanted.table, "row": wanted.row, "trial": wanted.trial, "seed": wanted.seed}
        limit = {"minutes": self.config.minutes} if wanted.row == "spflow" else {}
        return {**own, "settings": wanted.settings, **limit, **self.tables[wanted.table]}

    def asked(self, wanted):
        """What the process of a fit is told."""
        config = self.config
        python = config.spflow_python and str(config.spflow_python)
        place = {"seconds": 60 * config.minutes, "spflow_python": python}
        return {**self.identity(wanted), "path": str(config.path.absolute()), "place": place}

    def _check(self, wanted):
        """`UserError` where there is a result of other settings or data under this name, which must not be lost."""
        written, own = self.cells.get(wanted.name), json.loads(json.dumps(self.identity(wanted)))
        if written is not None and {key: written.get(key) for key in own} != own:
            differ = [key for key in own if written.get(key) != own[key]]
            raise UserError(
                f"results: expected {wanted.name} in {self.file} of the same {', '.join(differ)}, got another (leave "
                "it: choose another folder for the results; or delete it)"
            )

    def add(self, wanted, result):
        """Write a result among the others."""
        with self.lock:
            self.cells[wanted.name] = {**self.identity(wanted), **result}
            runs.write_json(self.file, self.values())

    def values(self):
        """All of the file; fits in the order of their names, so that it does not matter which ended first."""
        cells = {name: self.cells[name] for name in sorted(self.cells)}
        return {"cells": cells, "provenance": pages.portable(self._provenance())}

    def _provenance(self):
        return {**runs.provenance(), "command": ["python", "-m", "experiments", "table", NAME]}

    def show(self):
        """Print and write the page."""
        if self.cells:
            pages.write_page(self.file.with_suffix(""), self.values(), page.page)


def described(table) -> dict[str, Any]:
    """A table by its content: a hash of all cells, its columns, its rows in each part."""
    content = hashlib.sha256()
    for part in table[1:]:
        content.update(part.numpy().tobytes())
    return {"data": content.hexdigest()[:16], "width": table.width, "counts": [len(part) for part in table[1:]]}


def fitted(plan):
    """Fit everything that is missing -> `Completed`; twice, for later seeds wait for what the first one chooses."""
    done = Completed({}, [])
    for _ in range(2):
        now = complete(plan.config, lambda wanted: made(plan, wanted), plan.missing())
        done = Completed(done.made | now.made, done.failed + now.failed)
        if done.failed:
            break
    return done


def made(plan, wanted):
    """A fit in a process of its own -> its result, which is written among the others."""
    folder = plan.config.runs_dir / NAME / wanted.name
    asked, ended = json.loads(json.dumps(plan.asked(wanted))), folder / "result.json"
    if not (ended.is_file() and runs.read_json(folder / "cell.json") == asked):
        folder.mkdir(parents=True, exist_ok=True)
        ended.unlink(missing_ok=True)
        runs.write_json(folder / "cell.json", asked)
        run(folder, wanted.name)
    result = runs.read_json(ended)
    plan.add(wanted, result)
    shutil.rmtree(folder)
    return result


def run(folder, name):
    """`cell.py` on a folder; `UserError` with its last words where it fails."""
    log = folder / "log.txt"
    if status := launch.run([sys.executable, "-m", cell.__name__, str(folder)], log, name):
        words = (log.read_text(errors="replace").strip().splitlines() or [""])[-1]
        raise UserError(f"{name}: ended with status {status}: {words}; {log.absolute()}")
