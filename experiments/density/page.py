"""The page of densities: a table over all sets, and one a set with what each fit cost and was chosen from."""

import statistics

from experiments import pages
from experiments.density.plan import best
from experiments.density.published import PUBLISHED
from experiments.density.rows import CUT, ROWS


def chosen(cells, table, row):
    """The fits of that trial, by seed."""
    trial = best(cells, table, row)
    own = [cell for cell in cells if (cell["set"], cell["row"], cell["trial"]) == (table, row, trial)]
    return sorted(own, key=lambda cell: cell["seed"])


def page(values, name):
    """All sets at a glance, each set by itself, and where the published figures were read."""
    cells = list(values["cells"].values())
    sets = list(dict.fromkeys(cell["set"] for cell in cells))
    known = [published for published in PUBLISHED if any(table in published.nats for table in sets)]
    lines = [
        (row.title, {table: _nats(chosen(cells, table, key), "test") for table in sets}) for key, row in ROWS.items()
    ]
    lines.insert(1, (CUT, {table: _nats(chosen(cells, table, "chain"), "cut") for table in sets}))
    lines += [(published.title, published.nats) for published in known]
    lines = [line for line in lines if any(line[1].values())]
    columns = {"": lambda line: line[0]} | {table: lambda line, table=table: line[1].get(table, "") for table in sets}
    return [
        "# Densities of binary tables",
        "Mean log-density of the test rows in nats, higher is better; mean +- standard error over seeds, of published "
        "rows as printed. Every row is fitted to the training part and chosen by the validation part alone.",
        pages.table(columns, lines),
        *(part for table in sets for part in _section(cells, table)),
        "## Where the published figures were read" if known else "",
        [f"- {published.title}: {published.source}" for published in known],
    ]


def _section(cells, table):
    """What each row cost, and what it was chosen from."""
    rows = [(row, own) for key, row in ROWS.items() if (own := chosen(cells, table, key))]
    columns = {
        "": lambda line: line[0].title,
        "test": lambda line: _nats(line[1], "test"),
        "validation": lambda line: _nats(line[1], "valid"),
        "seeds": lambda line: f"{len(line[1])}",
        "minutes a fit": lambda line: f"{statistics.mean(cell['seconds'] for cell in line[1]) / 60:.1f}",
        "parameters": lambda line: f"{line[1][0]['parameters']:,}",
        "chosen": lambda line: _choice(cells, table, line[1][0]),
    }
    return [f"## {table}", shape(rows[0][1][0]), pages.table(columns, rows)]


def shape(cell):
    """Columns of a table, and rows in each of its parts."""
    fitted, choosing, scored = cell["counts"]
    return f"{cell['width']} columns; {fitted:,} rows to fit to, {choosing:,} to choose by, {scored:,} to score."


def _choice(cells, table, cell):
    """The trial that was best on the validation part, and of how many."""
    own = (table, cell["row"], cell["seed"])
    count = len([other for other in cells if (other["set"], other["row"], other["seed"]) == own])
    version = f" ({', '.join(f'{k} {v}' for k, v in cell['versions'].items())})" if "versions" in cell else ""
    return f"{cell['trial']} of {count}{version}" if count > 1 else f"{cell['trial']}{version}"


def _nats(cells, key):
    return pages.mean([cell[key] for cell in cells]) if cells else ""
