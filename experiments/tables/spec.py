"""What a table is: its cells, how each is trained and read, and the page that is made of the results."""

import dataclasses
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any, NamedTuple

from experiments import pages
from experiments.heads import Head
from experiments.tables.reading import Summary
from experiments.trainings import training

SHARED = {"threads": 1, "progress": False}  # beneath what a table says


@dataclasses.dataclass(frozen=True, eq=False)
class Cell:
    """A training, for every seed.

    `values` make it another than the others; `seeds` are those of results in the checkout, where there are none it is
    trained if it is named. `needs` are trainings beside it, `{word: (name, model, values)}`: of a `judge`, and of a
    VAE whose networks it takes from the `start`. `titles` and `paper` are for the page; `label` is what a sentence
    calls the row, where its titles will not do.
    """

    key: tuple[Any, ...]
    model: str
    values: Mapping[str, Any]
    seeds: tuple[int, ...] = (0,)
    titles: tuple[str, ...] = ()
    paper: Any = None
    reading: type = Summary
    needs: Mapping[str, tuple] = dataclasses.field(default_factory=dict)
    label: str = ""

    @property
    def called(self):
        """In a sentence."""
        return self.label or ", ".join(self.titles)

    @property
    def name(self):
        """Of its results, before the seed."""
        return "-".join(map(str, self.key))


class Row(NamedTuple):
    """A cell and its results, by seed."""

    cell: Cell
    by_seed: dict[int, dict]

    @property
    def results(self):
        """In the order of the seeds."""
        return list(self.by_seed.values())

    def mean(self, read, digits=2):
        """Mean and standard error over seeds of what `read` finds in a result, as text."""
        return pages.mean([read(result) for result in self.results], digits)


@dataclasses.dataclass(frozen=True)
class Table:
    """A page of results in the checkout, RESULTS/NAME.md, and RESULTS/NAME/ with one file a run; a spec.

    Args:
        name: of both.
        line: what it is, for the list of tables.
        page: function (table, list of `Row`) -> lines.
        cells: all that can be trained.
        shared: knobs of all cells that have them, at the values of the results in the checkout; `MODEL.knob`,
            `PRIOR.knob` and `ROW.knob` are of one.
        counts: what else decides the results: numbers for reading them.
        file: name of a result, from the name of its cell and the seed.
        figure: function (path, rows) that draws RESULTS/NAME.png from the results.
        options: of the command that makes it, where it is another than that of the same name.
        figures: function (folder, pairs of cell and run folder) for images that need the models.
        head: question, answer as a function of the rows, and what would change it.
        tuned: how the settings of a row were chosen, by its name: how many trials, and on which part.
    """

    name: str
    line: str
    page: Callable
    cells: tuple[Cell, ...]
    shared: Mapping[str, Any]
    counts: Mapping[str, int] = dataclasses.field(default_factory=dict)
    file: str = "{cell}-seed{seed}"
    figure: Callable | None = None
    figures: Callable | None = None
    options: tuple[str, ...] = ()
    head: Head = dataclasses.field(kw_only=True)
    tuned: Mapping[str, str] = dataclasses.field(default_factory=dict)

    def config(self, model, row=None, **values):
        """The configuration of a training of this table."""
        rows = {cell.key[0] for cell in self.cells} - {row, model}  # a row may have the name of a prior of others
        shared = {key: value for key, value in self.shared.items() if key.partition(".")[0] not in rows}
        return training(model, SHARED | shared, row, **values)

    def train(self, cell, seed, where=None, needed=None):
        """That of a cell; `where` are knobs that say where it runs, `needed` the run folders of what it needs."""
        start = {"pretrained": (needed or {}).get("start", Path("RUN"))} if "start" in cell.needs else {}
        values = {**cell.values, **start, "seed": seed, "name": self.file.format(cell=cell.name, seed=seed)}
        return self.config(cell.model, cell.key[0], **values, **(where or {}))

    def needed(self, cell, seed, where=None):
        """What a cell needs, `{word: configuration}`; of the cell's seed where its values name none."""

        def config(name, model, values):
            values = {"seed": seed, **values}
            return self.config(model, **values, name=f"{name}-seed{values['seed']}", **(where or {}))

        return {word: config(*training) for word, training in cell.needs.items()}

    @property
    def command(self):
        """What makes it, after `table`."""
        return self.options or (self.name,)

    @property
    def data(self):
        """The name of the data, of all cells that have no own."""
        return self.shared.get("data", "mnist")
