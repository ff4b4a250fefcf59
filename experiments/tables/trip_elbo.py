"""`table trip-elbo`: the ELBO rows of TRIP Table 1."""

import statistics

from experiments import pages
from experiments.answers import Measure, best, entries, sentence
from experiments.heads import Head
from experiments.tables.judged import Judges
from experiments.tables.reading import Grey, Summary
from experiments.tables.spec import Cell, Table

SIZES = dict.fromkeys((f"{row}.reinit_samples" for row in ("gmm-full", "trip-vector", "trip-vectors")), 20_000)
SIZES |= {"trip-vector.block_size": 32, "trip-vector.rank": 100, "trip-vectors.block_size": 8, "trip-vectors.rank": 100}
JUDGED = ("normal", "gmm", "gmm-full", "trip", "trip-vector", "trip-vectors")  # rows whose draws a classifier judges
# Row -> title, what makes it another, -ELBO and -IWAE of TRIP Table 1 (CelebA, k = 100).
ROWS = {
    "normal": ("N(0, I)", {"prior": "normal"}, ("194.16", "185.09")),
    "gmm-fixed": ("GMM of 100, fixed", {"prior": "gmm", "fixed": True}, ("201.60", "191.99")),
    "gmm-20": ("GMM of 20 (as many as TRIP's rank), learnable", {"prior": "gmm", "components": 20}, ("", "")),
    "gmm": ("GMM of 100, learnable", {"prior": "gmm"}, ("193.88", "184.73")),
    "trip-fixed": ("TRIP, fixed", {"prior": "trip", "fixed": True, "init": "noise"}, ("202.04", "190.09")),
    "trip": ("TRIP, learnable", {"prior": "trip"}, ("193.32", "184.43")),
    "trip-noise": (
        "TRIP, learnable, the paper's start (noise, again every 5 epochs)",
        {"prior": "trip", "init": "noise"},
        ("", ""),
    ),
    "gmm-full": ("GMM of 100, full covariances", {"prior": "gmm", "covariance": "full"}, ("", "")),
    "trip-vector": ("TRIP of one vector, full covariances, rank 100", {"prior": "trip"}, ("", "")),
    "trip-vectors": ("TRIP of four vectors of 8, full covariances, rank 100", {"prior": "trip"}, ("", "")),
}
INTRODUCTION = (
    "Test set, nats per image, lower is better; mean +- standard error over seeds. IWAE with k = "
    "{particles}. The paper's columns are CelebA with another likelihood: compare the order. Frechet distance: between "
    "generated (their probabilities) and as many test images, in the features of a classifier."
)
HEAVY = "k-hat > 0.7: share of test images whose importance weights are too heavy-tailed to take -IWAE for -log p(x)."


class Drawn(Grey):
    """The same, where a classifier is named: bounds are of use without."""

    needs_judge = False


def page(table, rows):
    """Bounds by prior."""
    particles, judges = rows[0].results[0]["test"]["particles"], Judges(rows)
    return [
        f"# ELBO by prior on {table.data} (the rows of TRIP Table 1)",
        INTRODUCTION.format(particles=particles),
        HEAVY,
        judges.lines(),
        pages.table(
            {
                "prior": lambda row: row.cell.titles,
                "-ELBO": lambda row: row.mean(lambda result: -result["test"]["elbo"]),
                "-IWAE": lambda row: row.mean(lambda result: -result["test"]["iwae"]),
                "Frechet distance": lambda row: drawn(row),
                "k-hat > 0.7": lambda row: share([result["test"].get("pareto_k") for result in row.results]),
                ("paper's -ELBO", "paper's -IWAE"): lambda row: row.cell.paper,
                "parameters": parameters,
                "seeds": lambda row: str(len(row.results)),
                **judges.columns,
            },
            rows,
        ),
    ]


def drawn(row):
    """The Frechet distance of its draws, as text; none of results that no classifier judged."""
    return LIKENESS.text(LIKENESS.of(row)) if entries(LIKENESS, [row]) else ""


def parameters(row):
    """How many the prior has, as text; none of results that do not say it."""
    counts = row.results[0].get("parameters")
    return "" if counts is None else f"{counts['prior']:,}"


def share(shares):
    """
    Example:
        >>> share([0.5, 0.25]), share([None])
        ('38 %', '')
    """
    return "" if None in shares else f"{100 * statistics.mean(shares):.0f} %"


BOUND = Measure("-ELBO", lambda result: -result["test"]["elbo"], unit=" nats")
LIKENESS = Measure("Frechet distance", lambda result: result.get("frechet"), 1)
HEAD = Head(
    "Which prior gives a VAE the best bound at an equal budget, and is a tensor ring worth more than a mixture?",
    lambda rows: sentence(
        best(BOUND, entries(BOUND, rows), *(ROWS[row][0] for row in ("normal", "trip"))),
        best(LIKENESS, entries(LIKENESS, rows), *(ROWS[row][0] for row in ("normal", "gmm"))),
    ),
    "Priors of equal size; longer training; a flow or a VampPrior, which have no row here; other data.",
)
TABLES = [
    Table(
        "trip-elbo",
        "the ELBO rows of TRIP Table 1",
        page,
        cells=[
            Cell((row,), "vae", values, (0, 1, 2), (title,), paper, Drawn if row in JUDGED else Summary)
            for row, (title, values, paper) in ROWS.items()
        ],
        shared={"epochs": 20, "warmup_epochs": 3} | SIZES,
        head=HEAD,
    )
]
