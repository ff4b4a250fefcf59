"""`pyro-priors sample MODEL --rows N --out FILE.csv`: new rows from a fitted law."""

import dataclasses
import sys
import warnings
from collections.abc import Sequence
from pathlib import Path
from typing import Annotated, Any

import tyro

from pyro_priors.checks import UserError, check_seed
from pyro_priors.tables.answers.ranges import WeightedDrawsWarning
from pyro_priors.tables.commands.files import check_outputs, write
from pyro_priors.tables.commands.reading import checked, load, of_user
from pyro_priors.tables.imputer import TableImputer

MODEL = tyro.conf.arg(metavar="MODEL")


@dataclasses.dataclass(frozen=True)
class Sample:
    """Draw new rows from a law that `pyro-priors impute --model` has saved, and write them as a CSV file.

    Identifiers and free texts are empty in it.
    """

    model: Annotated[tyro.conf.Positional[Path], MODEL]  # Folder that `impute --model` wrote.
    out: Path  # CSV file to write.
    rows: int = 100  # How many.
    # Cells that all rows shall have, class=red, or of numbers a range, age=30..40 or age=30.. ; several: all of them.
    given: tuple[str, ...] = ()
    seed: int = 0  # Seed of the draws.


def main(config: Sample) -> None:
    """Draw, write, and say where."""
    checked("rows", config.rows)
    check_seed(config.seed)
    check_outputs({"out": [config.out]}, config.model.glob("*") if config.model.is_dir() else ())
    imputer = load(config.model)
    given = read_given(imputer, config.given)
    with warnings.catch_warnings(record=True) as caught:
        warnings.simplefilter("always", WeightedDrawsWarning)
        text = of_user(lambda: imputer.sample(n=config.rows, given=given, random_state=config.seed))
    write(config.out, text)
    for warning in caught:
        print(f"warning: {warning.message}", file=sys.stderr)
    print(f"{config.out}: {config.rows:,} rows")


def read_given(imputer: TableImputer, entries: Sequence[str]) -> dict[str, Any]:
    """Entries name=value and name=low..high as `TableImputer.sample` takes them."""
    fields, given = {field.name: field for field in imputer.schema_.fields}, {}
    for entry in entries:
        # A name may have a "=" in it, and one may begin as another.
        names = [name for name in fields if entry.startswith(f"{name}=")]
        name = max(names, key=len, default=None)
        if name is None:
            raise UserError(f"given: expected name=value, the name one of {', '.join(fields)}, got {entry!r}")
        if name in given:
            raise UserError(f"given: expected each column once, got {name} twice")
        value, categories = entry[len(name) + 1 :], fields[name].categories or ()
        low, dots, high = value.partition("..")
        given[name] = (low or None, high or None) if dots and value not in categories else value
    return given
