"""Fits of a page of `density`: which are wanted, which are there, and what each rests on; one JSON holds all."""

import hashlib
import json
import shutil
import sys
import threading
from collections.abc import Callable
from typing import Any, NamedTuple

from experiments import launch, pages
from experiments.density import cell
from experiments.density.sources import read
from experiments.tables.completed import Completed, complete
from models.shared import runs
from pyro_priors.checks import UserError


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


class Page(NamedTuple):
    """A page of results: its name, the words of the command that makes it, and `page(values, name)` -> its parts."""

    name: str
    command: tuple[str, ...]
    make: Callable


class Plan:
    """What is wanted, what is there, and what each fit rests on.

    Args:
        config: has `seeds`, `runs_dir` and `results`, and says where fits run.
        page: where they are shown.
        rows: `{name: Row}`.
        sources: `{set: what sources.read takes}`.
        place: what else a fit is told, `{"seconds": ..., ...}`; what decides its result where its row is `limited`.
    """

    def __init__(self, config, page, rows, sources, place):
        self.config, self.page, self.rows, self.sources, self.place = config, page, rows, sources, place
        self.file, self.lock = config.results / f"{page.name}.json", threading.Lock()
        # All of them before any work: a mistake in the last must not come out after an hour.
        tables = {name: read(source) for name, source in sources.items()}
        self.tables = {name: described(table) for name, table in tables.items()}
        self.forms = {
            (name, row, trial): rows[row].form(table, **settings)
            for name, table in tables.items()
            for row in rows
            for trial, settings in rows[row].trials.items()
        }
        self.cells = runs.read_json(self.file)["cells"] if self.file.is_file() else {}
        for wanted in self._every():
            self._check(wanted)

    def _every(self):
        """All fits that may be wanted, the first seed's before those that depend on it."""
        keys = [(table, row) for table in self.tables for row in self.rows]
        trials = {row: self.rows[row].trials for row in self.rows}
        return [Wanted(*key, trial, seed) for seed in self.config.seeds for key in keys for trial in trials[key[1]]]

    def missing(self):
        """What can be fitted now: of the first seed everything, of others what its validation part chose."""
        cells, first = self.cells.values(), self.config.seeds[0]
        picked = {(w.table, w.row): best(cells, w.table, w.row) for w in self._every()}
        wanted = [w for w in self._every() if w.seed == first or w.trial == picked[w.table, w.row]]
        return [w for w in wanted if w.name not in self.cells]

    def identity(self, wanted):
        """What decides a result."""
        own = {"set": wanted.table, "row": wanted.row, "trial": wanted.trial, "seed": wanted.seed}
        row = self.rows[wanted.row]
        limit = {"limit": self.place["seconds"]} if row.limited else {}
        settings, form = dict(row.trials[wanted.trial]), self.forms[wanted[:3]]
        return {**own, "settings": settings, **form, **limit, **self.tables[wanted.table]}

    def task(self, wanted):
        """What the process of a fit is told."""
        return {**self.identity(wanted), "source": self.sources[wanted.table], "place": self.place}

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
        command = ["python", "-m", "experiments", *self.page.command]
        return {"cells": cells, "provenance": {**runs.provenance(), "command": command}}

    def carry_out(self):
        """Fit what is missing, then show the page of all there are; `UserError` names what failed."""
        done = fitted(self)
        if self.cells:
            pages.write_page(self.file.with_suffix(""), self.values(), self.page.make)
        done.end()


def best(cells, table, row):
    """Which of a row's trials its first seed explains the validation part best with; None where none is there."""
    tried = [cell for cell in cells if cell["set"] == table and cell["row"] == row]
    first = [cell for cell in tried if cell["seed"] == min(cell["seed"] for cell in tried)]
    return max(first, key=lambda cell: cell["valid"])["trial"] if first else None


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
    folder = plan.config.runs_dir / plan.page.name / wanted.name
    task, ended = json.loads(json.dumps(plan.task(wanted))), folder / "result.json"
    if not (ended.is_file() and runs.read_json(folder / "cell.json") == task):
        folder.mkdir(parents=True, exist_ok=True)
        ended.unlink(missing_ok=True)
        runs.write_json(folder / "cell.json", task)
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
