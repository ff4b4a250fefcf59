"""`bench table-pieces`: time and memory of a fit of generated tables, one in pieces and one in memory."""

import dataclasses
import json
import os
import resource
import subprocess
import sys
import tempfile
import time
from pathlib import Path

import numpy as np

from experiments import pages
from experiments.answers import sentence
from experiments.heads import headed
from experiments.trainings import check_counts
from models.shared import runs

PART = 250_000  # rows of a file
LATENTS = 4  # that all columns of a row follow
MISSING = 0.1  # of the cells
PLACES = ("north", "north-east", "east", "south", "west", "abroad")


@dataclasses.dataclass(frozen=True)
class BenchTablePiecesConfig:
    """Generate tables half of whose columns are numbers and half categories, fit them, and fill their gaps.

    One is a folder of Parquet files, read in pieces; the other a CSV file, read as a whole. Each is worked on by a
    process of its own, whose largest resident memory is taken from the system.
    """

    rows: int = 10_000_000  # Of the table in pieces.
    columns: int = 20  # Of it.
    memory_rows: int = 100_000  # Of the table in memory.
    memory_columns: int = 30  # Of it.
    filled_rows: int = 1_000_000  # Rows of the table in pieces that are filled: whole files, one at least.
    max_steps: int = 600  # Of each fit.
    threads: int = 2  # CPU threads.
    results: Path = pages.FOLDER  # RESULTS/bench-table-pieces.json and .md.

    def __post_init__(self):
        check_counts(self, "rows", "columns", "memory_rows", "memory_columns", "filled_rows", "max_steps", "threads")


def main(config: BenchTablePiecesConfig):
    """Generate, measure, print, and write the files."""
    with tempfile.TemporaryDirectory() as temporary:
        folder = Path(temporary)
        tables = {
            "pieces": _measured(config, "pieces", folder, config.rows, config.columns),
            "memory": _measured(config, "memory", folder, config.memory_rows, config.memory_columns),
        }
    values = {"max_steps": config.max_steps, "tables": tables}
    pages.write_page(config.results / "bench-table-pieces", {**values, "provenance": runs.provenance()}, page)


def generated(seed, count, columns):
    """A data frame of pandas: numbers, counts and categories that follow a few latents, a tenth of them missing."""
    import pandas as pd

    shape = np.random.default_rng(0).normal(size=(LATENTS, columns))  # the same in every part
    rng = np.random.default_rng([1, seed])
    scores = rng.normal(size=(count, LATENTS)) @ shape / LATENTS**0.5 + 0.5 * rng.normal(size=(count, columns))
    parts = {}
    for k in range(columns):
        gone = rng.random(count) < MISSING
        if k % 4 == 1:
            cells = pd.Series(np.exp(scores[:, k] + 2).round())
        elif k % 2:
            cells = pd.Series((10 * scores[:, k]).round(3))
        else:
            edges = np.linspace(-1.5, 1.5, (2, 4, 6)[k % 3] - 1)
            cells = pd.Series(np.array(PLACES, dtype=object)[np.searchsorted(edges, scores[:, k])])
        parts[f"c{k}"] = cells.mask(gone)
    return pd.DataFrame(parts)


def _measured(config, name, folder, rows, columns):
    path = folder / name
    if name == "pieces":
        path.mkdir()
        for part, start in enumerate(range(0, rows, PART)):
            generated(part, min(PART, rows - start), columns).to_parquet(path / f"{part:04d}.parquet", index=False)
        size = sum(file.stat().st_size for file in path.iterdir())
    else:
        path = path.with_suffix(".csv")
        generated(0, rows, columns).to_csv(path, index=False)
        size = path.stat().st_size
    environment = {**os.environ, "OMP_NUM_THREADS": str(config.threads)}
    files = str(max(1, config.filled_rows // PART))
    words = [sys.executable, "-m", "experiments.bench.table_pieces", str(path), str(config.max_steps), files]
    root = Path(__file__).parent.parent.parent
    said = subprocess.run(words, cwd=root, env=environment, check=True, stdout=subprocess.PIPE, text=True).stdout
    filled = min(rows, PART * int(files)) if path.is_dir() else rows
    return {"rows": rows, "columns": columns, "filled_rows": filled, "bytes": size, **json.loads(said.splitlines()[-1])}


def work(path, max_steps, files):
    """Fit a table and fill it, or so many files of it, in a process of its own -> seconds, and memory in bytes."""
    from pyro_priors.tables import TableImputer

    seconds, began = {}, time.perf_counter()
    before = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss * 1024
    imputer = TableImputer(max_steps=max_steps, random_state=0)
    imputer.fit(path)
    record = imputer.records_[0]
    passes = record.get("table", {}).get("seconds", {})
    seconds |= passes
    seconds["fit" if passes else "read and fit"] = time.perf_counter() - began - sum(passes.values())
    began = time.perf_counter()
    if path.is_dir():
        for file in sorted(path.iterdir())[files:]:
            file.unlink()
        imputer.fill_files(path, path.with_name("filled"))
    else:
        imputer.transform(path)
    seconds["fill"] = time.perf_counter() - began
    return {
        "seconds": seconds,
        "peak_bytes": resource.getrusage(resource.RUSAGE_SELF).ru_maxrss * 1024,
        "imports_bytes": before,
        "drawn": record["rows"],
        "rank": record["chosen"]["rank"],
        "score": record["score"],
        "fit_seconds": record["seconds"],
    }


def answer(values):
    """Of the table in pieces: its largest memory, and rows a second that are filled."""
    pieces = values["tables"]["pieces"]
    speed = pieces["filled_rows"] / pieces["seconds"]["fill"]
    return sentence(
        f"{pieces['rows']:,} rows of {pieces['columns']} columns are fitted within {pieces['peak_bytes'] / 1e9:.2f} "
        f"GB, in {pieces['seconds']['fit']:.0f} seconds after they were read and surveyed, and filled at {speed:,.0f} "
        "rows a second"
    )


@headed(
    "How much time and memory does a table take that is fitted and filled in pieces?",
    answer,
    "More columns or states; a faster disk; more threads; real tables in place of generated ones.",
)
def page(values, name):
    """The whole page."""
    tables = values["tables"]
    return [
        "# A table that outgrows memory, and one that does not",
        "Generated tables of numbers, counts and categories that follow four latents, a tenth of the cells missing. "
        f"Each was fitted with {values['max_steps']} steps and then filled, by a process of its own; memory is the "
        "largest resident one of that process, what Python and torch take included. Of the table in pieces "
        f"{tables['pieces']['filled_rows']:,} rows were filled.",
        pages.table(
            {
                "table": {"pieces": "a folder of Parquet files, in pieces", "memory": "a CSV file, in memory"}.get,
                "rows x columns": lambda name: f"{tables[name]['rows']:,} x {tables[name]['columns']}",
                "rows in the fit": lambda name: f"{tables[name]['drawn']:,}",
                "states": lambda name: str(tables[name]["rank"]),
                "largest memory, GB": lambda name: f"{tables[name]['peak_bytes'] / 1e9:.2f}",
            },
            tables,
        ),
        *(_passes(each, title) for title, each in tables.items()),
    ]


def _passes(table, title):
    return pages.table(
        {
            {"pieces": "in pieces", "memory": "in memory"}[title]: str,
            "seconds": lambda each: f"{table['seconds'][each]:.0f}",
            "rows a second": lambda each: f"{_rows(table, each) / max(table['seconds'][each], 1e-3):,.0f}",
        },
        table["seconds"],
    )


def _rows(table, each):
    """Of a pass: a fit sees the drawn ones."""
    return {"fit": table["drawn"], "fill": table["filled_rows"]}.get(each, table["rows"])


if __name__ == "__main__":
    print(json.dumps(work(Path(sys.argv[1]), *map(int, sys.argv[2:]))))
