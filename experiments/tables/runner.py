"""`table NAME`: plan, train or go on with each cell, read, and write results and page."""

import ast
import dataclasses
from fnmatch import fnmatch
from pathlib import Path
from typing import NamedTuple

import tyro

from experiments import pages
from experiments.launch import LaunchConfig, check_devices
from experiments.tables import catalogue, check, results
from experiments.tables.completed import Completed, complete
from experiments.tables.reading import Judged
from experiments.tables.spec import Cell
from experiments.trainings import check_rows, knobs
from pyro_priors.checks import UserError


@dataclasses.dataclass(frozen=True)
class TableConfig(LaunchConfig):
    """Make a table of the papers: train and judge what is missing of its results, and write the page of all there are.

    Results land in RESULTS/NAME/ROW-seedS.json, the page in RESULTS/NAME.md. At its defaults a table has its results in
    the checkout. The page of a figure's or a benchmark's numbers is made anew of these. Without a name: the list.
    """

    table: tyro.conf.Positional[str | None] = None  # Name of the table.
    check: bool = False  # Only say which page or figure is not what its results give (of all tables without a name).
    rows: tuple[str, ...] | None = None  # Rows to make, each by its name, a part or a pattern: --rows vae 'cp-*'.
    seeds: tuple[int, ...] | None = None  # Seeds of each, by their numbers: --seeds 0 1 2.
    set: tuple[
        str, ...
    ] = ()  # Knobs of all rows that have them, or of one row, model or prior: --set epochs=3 wgan.clip=0.1.
    classifier: Path | None = None  # Run of `train classifier` that judges generated images.
    name: str | None = None  # Of results and page, where they are others: default that of the table.
    data_root: Path | None = None  # Where the data lie; default $PYRO_PRIORS_DATA, else data/.
    runs_dir: Path = Path("runs")  # Where runs land.
    results: Path = pages.FOLDER  # Where results lie.

    def __post_init__(self):
        if self.check or self.table is None or self.table in catalogue.PAGES:
            self._check_idle()
        super().__post_init__()
        for field in ("rows", "seeds"):
            if getattr(self, field) == ():
                raise UserError(f"{field}: expected at least one, got none")

    def _check_idle(self):
        """`UserError` where a flag is set though nothing is trained."""
        if self.check:
            where, more = "beside --check", ""
        elif self.table is None:
            where, more = "without a table", ""
        else:
            where = f"for the page {self.table}"
            more = f" (`{catalogue.PAGES[self.table].command}` measures it anew)"
        for field in dataclasses.fields(self):
            acts = field.name in ("table", "check", "results")
            if not acts and getattr(self, field.name) != field.default:
                raise UserError(f"{field.name}: expected its default {where}, got another{more}")


def main(config: TableConfig):
    """Make a table or another page, or check, or list."""
    if config.check:
        check.main(config.table, config.results)
    elif config.table is None:
        print("\n".join(catalogue.lines()))
    elif config.table in catalogue.PAGES:
        remake(config.table, config.results)
    else:
        plan = Plan(config, catalogue.table(config.table))
        done = make(plan)
        rows, _ = check.stored(plan.table, plan.folder, plan.beside)
        if text := check.page(plan.table, rows):
            pages.show(config.results / f"{plan.table.name}.md", text)
            if plan.table.figure:
                plan.table.figure(config.results / f"{plan.table.name}.png", rows)
            if plan.table.figures:
                plan.draw()
        done.end()


def remake(name, folder):
    """Write a page, and its figure, of the JSON beside it, and say what measures that."""
    module, values = catalogue.page(name), catalogue.values(name, folder)
    pages.show(folder / f"{name}.md", catalogue.text(name, values))
    if hasattr(module, "draw_results"):
        module.draw_results(folder / f"{name}.png", values)
    print(f"To measure it anew: python -m experiments {catalogue.PAGES[name].command}")


class Wanted(NamedTuple):
    """A cell with a seed."""

    name: str
    cell: Cell
    seed: int


class Plan:
    """What is wanted of a table, where it runs, and how results are read."""

    def __init__(self, config, table):
        self.config, self.table = config, changed(table, config)
        self.folder = config.results / self.table.name
        self.classifier, self.counts = config.classifier, self.table.counts
        self.where = {"runs_dir": config.runs_dir / self.table.name, "data_root": config.data_root}
        self.readings = {}
        cells = chosen(table.cells, config.rows)
        if self.classifier and not any(cell.reading.takes_judge for cell in table.cells):
            raise UserError(f"classifier: expected none for table {table.name}, got {self.classifier}")
        seeds = {cell.name: config.seeds or cell.seeds or (0,) for cell in cells}
        self.wanted = [
            Wanted(self.train(cell, seed).name, cell, seed)
            for seed in sorted({seed for own in seeds.values() for seed in own})  # all once, then all again
            for cell in cells
            if seed in seeds[cell.name]
        ]
        for cell in self.table.cells:  # the page reads every row
            self.train(cell, 0)
        check_devices(config, [self.train(cell, seed) for _, cell, seed in self.wanted])

    def train(self, cell, seed, needed=None):
        """The configuration of a training."""
        return self.table.train(cell, seed, self.where, needed)

    def reading(self, cell):
        """How results of a cell are read."""
        if cell.reading not in self.readings:
            self.readings[cell.reading] = cell.reading(self, self.train(cell, 0))
        return self.readings[cell.reading]

    def beside(self, cell, seed):
        """What else decides a result: its judge, where it started, and the user's own data."""
        beside = self.table.needed(cell, seed, self.where) | self.reading(cell).beside()
        if self.table.data == "folder":
            beside["data"] = results.fingerprint(self.config.data_root) or self.said("data") or {}
        return beside

    def said(self, key):
        """What the results that are there say was beside them; None where none says anything."""
        return check.said(self.folder, key)

    def missing(self):
        """What is wanted and not there; what it takes to read it must be there."""
        missing = [
            wanted
            for wanted in self.wanted
            if results.result(self.folder, self.train(*wanted[1:]), self.beside(*wanted[1:])) is None
        ]
        judged = [wanted for wanted in missing if issubclass(wanted.cell.reading, Judged)]
        shown = {images_of(self.train(cell, seed)) for _, cell, seed in judged}
        if len(shown) > 1:
            words = "; ".join(sorted(map(str, shown)))
            raise UserError(f"data, image_size, crop: expected the same of all that one classifier judges, got {words}")
        for _, cell, _ in judged:
            if self.classifier is None and (cell.reading.needs_judge or self.said("judge")):
                raise UserError("classifier: expected a run of `train classifier` beside what is missing, got none")
        return missing

    def draw(self):
        """Images that need the models, where all were trained here."""
        first = {cell.name: seed for _, cell, seed in reversed(self.wanted)}
        cells = [cell for cell in self.table.cells if cell.name in first]
        runs = [(cell, results.newest(self.train(cell, first[cell.name]))) for cell in cells]
        if all(run for _, run in runs):
            self.table.figures(self.config.results, runs)


def make(plan):
    """Train and judge what is missing -> `Completed`."""
    missing = plan.missing()
    beside = {
        train.name: train for _, cell, seed in missing for train in plan.table.needed(cell, seed, plan.where).values()
    }
    first = complete(plan.config, results.train, list(beside.values()))
    ended = {train.name: run for train, run in first.made.items()}

    def made(wanted):
        needed = {}
        for word, train in plan.table.needed(*wanted[1:], plan.where).items():
            if train.name not in ended:
                raise UserError(f"{wanted.name}: expected {train.name}, which it needs, to end well, but it failed")
            needed[word] = ended[train.name]
        return plan.reading(wanted.cell).make(plan.train(*wanted[1:], needed), needed)

    def read(wanted, end):
        train = plan.train(*wanted[1:])
        result = plan.reading(wanted.cell).read(train, end)
        results.write(plan.folder, train, result, plan.beside(*wanted[1:]))

    then = complete(plan.config, made, missing).then(read)
    return Completed(first.made | then.made, first.failed + then.failed)


def chosen(cells, patterns):
    """The cells that are named, by name, first part or pattern; without any, those with results in the checkout."""
    if patterns is None:
        return [cell for cell in cells if cell.seeds]
    names = dict.fromkeys([*(cell.key[0] for cell in cells), *(cell.name for cell in cells)])
    if unknown := [p for p in patterns if not any(fnmatch(name, p) for name in names)]:
        check_rows(unknown, names)
    return [cell for cell in cells if any(fnmatch(cell.name, p) or cell.key[0] == p for p in patterns)]


def images_of(train):
    """What must agree between trainings whose images one classifier judges."""
    resized = {"celeba": ("image_size", "crop"), "folder": ("image_size",)}.get(train.data, ())
    return (train.data, *(f"{knob} {getattr(train, knob)}" for knob in resized))


def changed(table, config):
    """The table with another name and with knobs at other values, of those that its rows do not decide."""
    shared, counts = dict(table.shared), dict(table.counts)
    models = {model: knobs(model) for model in (cell.model for cell in table.cells)}
    for text in config.set:
        key, _, value = text.partition("=")
        *prefix, knob = key.split(".", 1)
        own = [cell for cell in table.cells if not prefix or prefix[0] in names_of(table, cell)]
        decided = {"seed", "name", "pretrained"}.union(*(cell.values for cell in own))
        if knob in decided or not (key in counts or any(knob in models[cell.model] for cell in own)):
            raise UserError(f"set: expected KNOB=VALUE of what rows share, got {text!r} (rows decide their own knobs)")
        (counts if key in counts else shared)[key] = parsed(value)
    name = config.name or table.name
    options = (table.name, *(["--set", *config.set] if config.set else []), *(["--name", name] if config.name else []))
    return dataclasses.replace(table, name=name, shared=shared, counts=counts, options=options)


def names_of(table, cell):
    """What a knob of a cell may stand behind: the names of its model, row and prior."""
    return cell.model, cell.key[0], cell.values.get("prior", table.shared.get("prior"))


def parsed(text):
    """A value as Python writes it, else a text.

    Example:
        >>> parsed("1e-3"), parsed("8,8"), parsed("digits"), parsed("None")
        (0.001, (8, 8), 'digits', None)
    """
    try:
        return ast.literal_eval(text)
    except (ValueError, SyntaxError):
        return text
