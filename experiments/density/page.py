"""The page of densities: a table over all sets, and one a set with what each fit cost and was chosen from."""

import statistics

from experiments import pages
from experiments.answers import Entry, sentence
from experiments.density.plan import best
from experiments.density.published import PUBLISHED
from experiments.density.rows import CUT, ROWS
from experiments.heads import headed
from experiments.protocol import PROTOCOL, item


def chosen(cells, table, row):
    """The fits of that trial, by seed."""
    trial = best(cells, table, row)
    own = [cell for cell in cells if (cell["set"], cell["row"], cell["trial"]) == (table, row, trial)]
    return sorted(own, key=lambda cell: cell["seed"])


def answer(values):
    """On every table the best row of ours and rivals that were run here, and the best published figure."""
    cells, said = list(values["cells"].values()), []
    for table in dict.fromkeys(cell["set"] for cell in cells):
        fits = [Entry(called(row), [cell["test"] for cell in chosen(cells, table, key)]) for key, row in ROWS.items()]
        first = max((fit for fit in fits if fit.values), key=lambda fit: fit.mean)
        printed = [float(one.nats[table]) for one in PUBLISHED if one.nats.get(table)]
        known = f"; published {max(printed):.2f}" if printed else ""
        said.append(f"on {table} {first.mean:.2f} ({first.title}{', one seed' * (first.error is None)}{known})")
    return sentence(f"the highest test log-density, in nats, is {', '.join(said)}" if said else "")


def called(row):
    """A row by itself, whose title on the page leans on the one above."""
    return row.title.replace("the same, ", "the chain with its ").replace("the first ", "the chain ")


def protocol(cells):
    """Trials and seeds of each row, which may not be the same."""
    seeds, trials = [], []
    for key, row in ROWS.items():
        if own := [cell for cell in cells if cell["row"] == key]:
            counts = {(cell["set"], cell["seed"]) for cell in own}
            first = min(seed for _, seed in counts)
            each = {sum((c["set"], c["seed"]) == (table, first) for c in own) for table, _ in counts}
            seeds.append((called(row), " or ".join(map(str, sorted(_seeds(own))))))
            trials.append((called(row), f"{' or '.join(map(str, sorted(each)))}, the best on the validation part"))
    return [PROTOCOL, item("Seeds", seeds), item("Trials of tuning", trials)]


def _seeds(cells):
    """How many seeds there are, of each table."""
    return {len({c["seed"] for c in cells if c["set"] == table}) for table in {cell["set"] for cell in cells}}


@headed(
    "How well does the chain explain binary tables, beside mixtures and circuits, and what do order and bonds carry?",
    answer,
    "Longer fits of every row; more settings of the rivals to choose from; tables of other kinds.",
)
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
        "rows as printed. Every row is fitted to the training part and chosen by the validation part alone; "
        "minutes are of one processor.",
        protocol(cells),
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
    more = [f"{package} {version}" for package, version in cell.get("versions", {}).items()]
    more += [f"at most {cell['limit'] / 60:g} minutes"] if "limit" in cell else []
    return f"{cell['trial']} of {count}" + (f" ({', '.join(more)})" if more else "")


def _nats(cells, key):
    return pages.mean([cell[key] for cell in cells]) if cells else ""
