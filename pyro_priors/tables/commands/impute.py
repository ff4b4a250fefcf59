"""`pyro-priors impute FILE.csv --out FILLED.csv`: the gaps of a CSV file, filled."""

import dataclasses
import time
from pathlib import Path
from typing import Annotated, NamedTuple

import numpy as np
import torch
import tyro

from pyro_priors.checks import UserError, check_seed
from pyro_priors.data.schema import read_kinds
from pyro_priors.tables.added import add_columns, check_added
from pyro_priors.tables.answers import Answers
from pyro_priors.tables.calibration import HeldOut, hide, hold_out
from pyro_priors.tables.certainty import Certainty, certainty_columns, certainty_names
from pyro_priors.tables.commands.files import check_outputs, copies_of, write
from pyro_priors.tables.commands.reading import checked, load, look, of_user
from pyro_priors.tables.frames import Frame
from pyro_priors.tables.imputer import TableImputer
from pyro_priors.tables.learning import learn
from pyro_priors.tables.schema import Schema
from pyro_priors.training.files import check_folder

FILE = tyro.conf.arg(metavar="FILE")
BUDGET = 60.0
SHOWN = 5  # draws for each gap in the pictures of a report
OF_FITS = ("kind", "missing_as", "budget", "max_steps", "ensemble")  # flags that say nothing to a law that is there


@dataclasses.dataclass(frozen=True)
class Impute:
    """Fill the empty cells of a CSV file by the joint law of its columns: numbers by their mean, categories by the
    most probable, each given what its row knows. All else stays as it is, to the byte.

    A cell that says NA, N/A, NaN, null or #N/A, or in a column of numbers None, ? or -, is empty too. Identifiers and
    free texts take no part. `pyro-priors describe FILE` says what is what.
    """

    file: Annotated[tyro.conf.Positional[Path], FILE]  # CSV file, in UTF-8, with a header.
    out: Path  # CSV file to write.
    draws: int = 0  # Completed copies besides, OUT-1.csv, OUT-2.csv ...: gaps drawn (multiple imputation).
    # Folder for a page with pictures: gaps, dependencies, draws, and calibration on held-out cells by a second fit.
    report: Path | None = None
    probabilities: bool = False  # Add columns NAME_probability, of the category that a gap was filled by.
    intervals: float | None = None  # Add columns NAME_low and NAME_high, of the interval of that level, such as 0.9.
    kind: tuple[str, ...] = ()  # What columns are where it is not what is found: zip=categorical age=continuous.
    missing_as: tuple[str, ...] = ()  # Spellings of a missing cell besides those above.
    model: Path | None = None  # Folder of a fitted law: where there is one it is used, else the law is saved there.
    budget: float | None = None  # Seconds of the fit, about; default 60.
    max_steps: int | None = None  # Steps of the fit, instead of a time.
    ensemble: int | None = None  # Laws that answer together, of which each is less sure; default 1.
    seed: int | None = None  # Seed of fit and draws; default 0.


class Ready(NamedTuple):
    """A table, what it says, and the law that answers."""

    config: Impute
    frame: Frame
    schema: Schema
    codes: np.ndarray
    imputer: TableImputer
    seconds: float | None  # of the fit, None where the law was there


def main(config: Impute) -> None:
    """Fit or load, fill, write, and say what was done."""
    fitted = _check(config)
    ready = _loaded(config) if fitted else _fitted(config)
    answers = Answers(ready.imputer.laws_)
    generator = torch.Generator().manual_seed(config.seed or 0)
    gaps = int(np.isnan(ready.codes).sum())
    filled = answers.fill(ready.codes)
    text = _with_certainty(ready, answers, ready.schema.restore(ready.frame, filled))
    write(config.out, text)
    print(f"{config.out}: {gaps:,} cells filled")
    for path in copies_of(config.out, config.draws):
        draw = answers.draws(ready.codes, 1, generator)[0]
        write(path, ready.schema.restore(ready.frame, draw))
        print(f"{path}: a completed copy, drawn")
    if config.report is not None:
        from pyro_priors.tables.summary import write_summary  # here, since matplotlib is slow to import

        drawn = answers.draws(ready.codes, SHOWN, generator)
        held_out = _held_out(ready)
        print(write_summary(config.report, config.file.name, ready.schema, ready.codes, answers, drawn, held_out))


def _check(config: Impute) -> bool:
    """All that can be said before any work -> whether the law is there already."""
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
    check_outputs({"out": [config.out], "draws": copies_of(config.out, config.draws)}, [config.file])
    if config.report is not None:
        check_folder("report", config.report)
    return config.model is not None and _is_there(config)


def _is_there(config: Impute) -> bool:
    """Whether `--model` names a law, beside which no flag of fits says anything."""
    assert config.model is not None
    if not config.model.exists():
        check_folder("model", config.model)
        return False
    for name in OF_FITS:
        if getattr(config, name) not in (None, ()):
            raise UserError(
                f"{name}: expected nothing beside a law that is fitted, {config.model}, got {getattr(config, name)} "
                "(remove the folder, or name another)"
            )
    if config.seed is not None and not config.draws and config.report is None:
        raise UserError(f"seed: expected draws or a report beside a law that is fitted, got {config.seed}")
    return True


def _loaded(config: Impute) -> Ready:
    assert config.model is not None
    imputer = load(config.model)
    schema = imputer.schema_
    frame, _, codes = look(config.file, schema=schema)
    _check_names(config, frame, schema, codes)
    print(f"{config.model}: a law of {len(schema.active)} columns")
    return Ready(config, frame, schema, codes, imputer, None)


def _fitted(config: Impute) -> Ready:
    kinds = read_kinds(config.kind)
    frame, schema, codes = look(config.file, kinds, config.missing_as)
    _check_names(config, frame, schema, codes)
    print(*schema.describe(), sep="\n")
    imputer = TableImputer(
        kinds or None,
        config.missing_as,
        BUDGET if config.budget is None else config.budget,
        config.max_steps,
        config.ensemble or 1,
        random_state=config.seed or 0,
        progress=True,
    )
    start = time.monotonic()
    of_user(lambda: imputer.fit(frame))
    seconds = time.monotonic() - start
    steps = imputer.records_[0]["max_steps"]
    print(f"fitted in {seconds:.0f} s; --max-steps {steps} repeats it exactly")
    if config.model is not None:
        imputer.save(config.model)
        print(f"{config.model}: the law, for `--model` and `pyro-priors sample`")
    return Ready(config, frame, schema, codes, imputer, seconds)


def _held_out(ready: Ready) -> HeldOut | None:
    """How a law of the same kind answers for cells that were hidden from it, None where none was fitted now."""
    if ready.seconds is None:
        return None
    config, seed = ready.config, ready.config.seed or 0
    hidden = hide(ready.codes, seed)
    if not hidden.any():
        return None
    print("A second fit, from which a tenth of the known cells are hidden, says how far such answers can be trusted.")
    laws, _ = learn(
        ready.schema,
        np.where(hidden, np.nan, ready.codes),
        None,
        ensemble=config.ensemble or 1,
        budget=BUDGET,
        max_steps=ready.imputer.records_[0]["max_steps"],
        seed=seed,
        progress=True,
    )
    return hold_out(Answers(laws), ready.schema.active_fields, ready.codes, hidden)


def _check_names(config: Impute, frame: Frame, schema: Schema, codes: np.ndarray) -> None:
    """That columns can be added."""
    wanted = Certainty(config.probabilities, config.intervals)
    check_added(frame.names, certainty_names(schema, codes, wanted))


def _with_certainty(ready: Ready, answers: Answers, text: str) -> str:
    wanted = Certainty(ready.config.probabilities, ready.config.intervals)
    columns = certainty_columns(ready.frame, ready.schema, ready.codes, answers, wanted)
    return add_columns(text, columns, ready.frame.native.separator) if columns else text
