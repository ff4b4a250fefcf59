"""`table density`: binary tables under our chain and its rivals, all on the same rows."""

import dataclasses
from pathlib import Path
from typing import Literal

from experiments import pages
from experiments.density import circuits
from experiments.density.page import page
from experiments.density.plan import Page, Plan
from experiments.density.rows import ROWS
from experiments.density.sources import of_table
from experiments.launch import LaunchConfig
from experiments.tables import check
from experiments.tables.runner import remake
from experiments.trainings import check_rows
from pyro_priors.checks import UserError, check_seed
from pyro_priors.data.binary_tables import names

PAGE = Page("density", ("table", "density"), page)


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
        check.main(PAGE.name, config.results)
    elif config.path is None:
        remake(PAGE.name, config.results)
    else:
        there = names(config.path)
        check_rows(config.sets or there, there, "sets")
        sources = {name: of_table(config.path, name) for name in config.sets or there}
        rows = {name: ROWS[name] for name in config.rows or ROWS if name != "spflow" or has_spflow(config)}
        python = config.spflow_python and str(config.spflow_python)
        Plan(config, PAGE, rows, sources, {"seconds": 60 * config.minutes, "spflow_python": python}).carry_out()


def has_spflow(config):
    """Whether it is anywhere; it is said where it is not."""
    if circuits.python(config.spflow_python) is not None:
        return True
    print("spflow: left out, since this environment has no SPFlow (--spflow-python names one that has)")
    return False
