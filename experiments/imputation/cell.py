"""A cell of the page: a method on a mask of a table -> all that is recorded of it."""

import hashlib
import time
from importlib import metadata

import numpy as np

from experiments.imputation.downstream import accuracy
from experiments.imputation.filled import scored
from models.shared import runs


def measure(case, table, mask, name, method, whole):
    """Hide, fill and score -> a dict for JSON.

    Seconds are the processor's, of all that a method does for its answers, draws, intervals and probabilities; others
    may share the machine, whose own `wall_seconds` stand beside.

    Args:
        case: a `sources.Case`, whose copy is the seed too.
        table: its `Table`.
        mask: bool ``(n, C)``, True where a cell is hidden.
        name, method: a row of `methods.METHODS`.
        whole: `downstream.Whole`.
    """
    settings = method.of(len(table.values))
    begin, passed = time.process_time(), time.monotonic()
    filled = method.fill(table, np.where(mask, np.nan, table.values), case.copy, **settings)
    seconds = {"seconds": time.process_time() - begin, "wall_seconds": time.monotonic() - passed}
    by_column, means = scored(table, mask, filled)
    return {
        **identity(case, name, method, len(table.values)),
        **seen(table, mask),
        "scores": means,
        "by_column": by_column,
        "downstream": {
            "target": table.columns[table.target].name,
            "accuracy": accuracy(table, filled.point),
            "whole": whole(table),
        },
        **seconds,
        "provenance": provenance(case, name, method),
    }


def identity(case, name, method, rows):
    """What was wanted."""
    return {**case._asdict(), "method": name, "seed": case.copy, "settings": method.of(rows)}


def seen(table, mask):
    """The table and its mask by their content."""
    return {
        "rows": len(table.values),
        "columns": {column.name: column.kind for column in table.columns},
        "hidden": int(mask.sum()),
        "data": hashlib.sha256(np.ascontiguousarray(table.values).tobytes()).hexdigest()[:16],
        "mask": hashlib.sha256(np.packbits(mask).tobytes()).hexdigest()[:16],
    }


def provenance(case, name, method):
    """The command that makes this cell alone, and with what it was made."""
    chosen = {"--sets": case.table, "--masks": case.masking, "--shares": case.share, "--copies": case.copy}
    flags = [str(word) for pair in {**chosen, "--rows": name}.items() for word in pair]
    made = runs.provenance()
    versions = {package: metadata.version(package) for package in method.packages}
    command = ["python", "-m", "experiments", "table", "tables", *flags]
    return {**made, "command": command, "versions": {**made["versions"], **versions}}
