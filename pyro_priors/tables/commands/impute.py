"""`pyro-priors impute FILE.csv --out FILLED.csv`: the gaps of a CSV file, filled."""

import dataclasses
import importlib
import time
from pathlib import Path
from typing import Annotated, Any, NamedTuple

import numpy as np
import torch
import tyro

from pyro_priors.checks import UserError, check_seed
from pyro_priors.data.schema import read_kinds
from pyro_priors.tables.answers.answers import Answers
from pyro_priors.tables.commands import piecewise
from pyro_priors.tables.commands.files import check_outputs, copies_of, write
from pyro_priors.tables.commands.reading import checked, load, look, of_user
from pyro_priors.tables.fits.calibration import from_record
from pyro_priors.tables.fits.effort import EXEMPLARS
from pyro_priors.tables.frames.frames import Frame
from pyro_priors.tables.frames.schema import Schema
from pyro_priors.tables.imputer import TableImputer
from pyro_priors.tables.nothing import NoAnswers
from pyro_priors.tables.pieces.pieces import in_pieces
from pyro_priors.tables.reports.added import add_columns, check_added
from pyro_priors.tables.reports.certainty import Certainty, certainty_columns, certainty_names
from pyro_priors.training.files import check_folder

FILE = tyro.conf.arg(metavar="FILE")
BUDGET = 60.0
SHOWN = 5  # draws for each gap in the pictures of a report
# Flags that say nothing to a law that is there.
OF_FITS = ("kind", "missing_as", "budget", "max_steps", "ensemble", "exemplars", "checkpoint")


@dataclasses.dataclass(frozen=True)
class Impute:
    """Fill the empty cells of a CSV file by the joint law of its columns: numbers by their mean, categories by the
    most probable, each given what its row knows. All else stays as it is, to the byte.

    A cell that says NA, N/A, NaN, null or #N/A, or in a column of numbers None, ? or -, is empty too. Identifiers and
    free texts take no part. `pyro-priors describe FILE` says what is what.
    """

    # CSV file, in UTF-8, with a header; a Parquet file; a folder of either, one table, which may outgrow memory.
    file: Annotated[tyro.conf.Positional[Path], FILE]
    out: Path  # File to write; of a folder the folder that gets files of the same names.
    draws: int = 0  # Completed copies besides, OUT-1.csv, OUT-2.csv ...: gaps drawn (multiple imputation).
    # Folder for a page with pictures: gaps, dependencies, draws, and calibration on held-out rows.
    report: Path | None = None
    probabilities: bool = False  # Add columns NAME_probability, of the category that a gap was filled by.
    intervals: float | None = None  # Add columns NAME_low and NAME_high, of the interval of that level, such as 0.9.
    kind: tuple[str, ...] = ()  # What columns are where it is not what is found: zip=categorical age=continuous.
    missing_as: tuple[str, ...] = ()  # Spellings of a missing cell besides those above.
    model: Path | None = None  # Folder of a fitted law: where there is one it is used, else the law is saved there.
    budget: float | None = None  # Seconds of the fit, about; default 60.
    max_steps: int | None = None  # Steps of the fit, instead of a time.
    ensemble: int | None = None  # Laws that answer together, of which each is less sure; default 1.
    exemplars: int | None = None  # Rows that the law remembers, at most; 0: none, nor does the saved law; default 5000.
    seed: int | None = None  # Seed of fit and draws; default 0.
    # Folder for the state of a long fit, now and then: the same command goes on from it. It is removed in the end.
    checkpoint: Path | None = None


class Table(NamedTuple):
    """A table that was read, and what its columns are: as the law says that is there, if one is."""

    frame: Frame
    schema: Schema
    codes: np.ndarray
    imputer: TableImputer | None


def main(config: Impute) -> None:
    """Fit or load, fill, write, and say what was done."""
    _check(config)
    if in_pieces(config.file):
        whole = {name: getattr(config, name) for name in ("draws", "intervals", "probabilities", "report")}
        pieces = piecewise.check(config.file, config.out, whole)
        piecewise.impute(pieces, config.out, config.model, lambda X: _fit(config, X))
        return
    check_outputs({"out": [config.out], "draws": copies_of(config.out, config.draws)}, [config.file])
    table = _read(config)
    gaps, constants = int(np.isnan(table.codes).sum()), sum(table.schema.constant_gaps(table.frame).values())
    if not gaps and config.model is None and config.report is None:
        for path in (config.out, *copies_of(config.out, config.draws)):
            write(path, table.schema.restore(table.frame, table.codes))
        filled = f"{constants:,} cells of constant columns filled" if constants else "no cell to fill"
        print(f"{config.out}: {filled}, nothing was fitted")
        return
    imputer = _fit(config, table.frame) if table.imputer is None else table.imputer
    answers: Any = Answers(imputer.laws_) if imputer.laws_ else NoAnswers()
    generator = torch.Generator().manual_seed(config.seed or 0)
    write(config.out, _filled(config, table, answers))
    print(f"{config.out}: {gaps + constants:,} cells filled")
    for path in copies_of(config.out, config.draws):
        write(path, table.schema.restore(table.frame, answers.draws(table.codes, 1, generator)[0]))
        print(f"{path}: a completed copy, drawn")
    if config.report is not None:
        from pyro_priors.tables.reports.summary import write_summary  # here, since matplotlib is slow to import

        record = imputer.records_[0].get("answers") if imputer.records_ else None  # of few rows none is held out
        held_out = None if record is None else from_record(record)
        drawn = answers.draws(table.codes, SHOWN, generator)
        print(write_summary(config.report, config.file.name, table.schema, table.codes, answers, drawn, held_out))


def _check(config: Impute) -> None:
    """All that can be said before any work."""
    checked("draws", config.draws, 0)
    check_seed(config.seed or 0)
    read_kinds(config.kind)
    if config.intervals is not None and not 0 < config.intervals < 1:
        raise UserError(f"intervals: expected a level between 0 and 1, such as 0.9, got {config.intervals}")
    if config.budget is not None and not 0 < config.budget < float("inf"):
        raise UserError(f"budget: expected seconds above 0, got {config.budget}")
    if config.budget is not None and config.max_steps is not None:
        raise UserError("budget: expected no --max-steps beside it, which says how long a fit is, got both")
    checked("max_steps", 1 if config.max_steps is None else config.max_steps)
    checked("ensemble", 1 if config.ensemble is None else config.ensemble)
    checked("exemplars", config.exemplars or 0, 0)
    if config.report is not None:
        importlib.import_module("matplotlib")  # if it is not there, this is the time to say so
        check_folder("report", config.report)
    if config.checkpoint is not None:
        importlib.import_module("safetensors")
        check_folder("checkpoint", config.checkpoint)
    if config.model is not None and not config.model.exists():
        importlib.import_module("safetensors")
        check_folder("model", config.model)
    elif config.model is not None:
        _check_beside(config)


def _check_beside(config: Impute) -> None:
    """Beside a law that is there no flag of fits says anything."""
    for name in OF_FITS:
        if getattr(config, name) not in (None, ()):
            raise UserError(
                f"{name}: expected nothing beside a law that is fitted, {config.model}, got {getattr(config, name)} "
                "(remove the folder, or name another)"
            )
    if config.seed is not None and not config.draws and config.report is None:
        raise UserError(f"seed: expected draws or a report beside a law that is fitted, got {config.seed}")


def _read(config: Impute) -> Table:
    """The table, and the law if it is there."""
    imputer = None
    if config.model is not None and config.model.exists():
        imputer = load(config.model)
        print(f"{config.model}: a law of {len(imputer.schema_.active)} columns, none is fitted")
        table = Table(*look(config.file, schema=imputer.schema_), imputer)
    else:
        table = Table(*look(config.file, read_kinds(config.kind), config.missing_as), None)
        print(*table.schema.describe(), sep="\n")
    wanted = Certainty(config.probabilities, config.intervals)
    check_added(table.frame.names, certainty_names(table.schema, table.codes, wanted))
    return table


def _fit(config: Impute, X: Any) -> TableImputer:
    """Learn the law, and save it where that is wanted."""
    imputer = TableImputer(
        read_kinds(config.kind) or None,
        config.missing_as,
        config.budget or BUDGET,
        config.max_steps,
        config.ensemble or 1,
        exemplars=EXEMPLARS if config.exemplars is None else config.exemplars,
        random_state=config.seed or 0,
        progress=True,
        checkpoint=config.checkpoint,
    )
    start = time.monotonic()
    of_user(lambda: imputer.fit(X))
    steps = "".join(f"; --max-steps {record['max_steps']} repeats it exactly" for record in imputer.records_[:1])
    print(f"fitted in {time.monotonic() - start:.0f} s{steps}")
    if config.model is not None:
        imputer.save(config.model)
        print(f"{config.model}: the law, for --model and `pyro-priors sample`")
    return imputer


def _filled(config: Impute, table: Table, answers: Answers) -> str:
    """The text of the filled file, with the columns that are wanted."""
    frame, schema, codes, _ = table
    text = schema.restore(frame, answers.fill(codes))
    wanted = Certainty(config.probabilities, config.intervals)
    columns = certainty_columns(frame, schema, codes, answers, wanted)
    return add_columns(text, columns, frame.native.separator) if columns else text
