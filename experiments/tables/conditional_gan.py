"""`table conditional-gan-mnist`: images given labels by a GAN with a joint prior, by how its prior gets gradients."""

import math

from experiments import pages
from experiments.answers import Measure, best, entries, sentence
from experiments.heads import Head
from experiments.tables.judged import Judges
from experiments.tables.reading import Conditions
from experiments.tables.spec import Cell, Table

# Row -> title, what makes it another, seeds.
ROWS = {
    "pathwise": ("pathwise", {}, (0, 1, 2)),
    "reinforce": ("REINFORCE (batch mean)", {"estimator": "reinforce"}, (0, 1, 2)),
    "rloo": ("REINFORCE (leave-one-out)", {"estimator": "rloo"}, ()),
    "plain": ("pathwise, no images with wrong labels", {"mismatched": False}, (0,)),
    "missing": ("pathwise, 70 % of the labels hidden", {"missing": 0.7}, (0,)),
}
SHARED = {"prior": "ttlp", "init": "mixture", "latent_dim": 32, "rank": 10, "boundary": "train"}
SHARED |= {"hidden": (128, 128), "batch_size": 64, "lr": 1e-3, "critic_steps": 2, "decay": True, "epochs": 3}
SHARED |= {"standard_start": False}
SHARED |= {"prior_lr": 3e-5}  # set by hand; no row has another
INTRODUCTION = (
    "WGAN-GP under TTLP, z ~ p(z given y), {epochs} epoch(s) of batches of {batch_size}, {critic_steps} critic steps "
    "for one of the generator, a matching-aware critic, rates {lr:g} for networks and {prior_lr:g} for the "
    "prior{falling}. An image is drawn for every test label; accuracy: share in which our own classifier (right on "
    "{accuracy:.2%} of the test images) sees the label asked for; Frechet distance in its features ({extractor}, "
    "weights {weights}). Mean +- standard error over seeds, and the worst seed."
)


def page(table, rows):
    """Condition accuracy and Frechet distance by row."""
    falling = ", falling to 0" if table.shared["decay"] else ""
    introduction = INTRODUCTION.format(falling=falling, **table.shared, **rows[0].results[0]["beside"]["judge"])
    return [
        f"# Conditional GAN with a joint prior on {table.data}",
        introduction,
        pages.table(
            {
                "gradients of the prior": lambda row: row.cell.titles,
                "accuracy": lambda row: f"{pages.mean(shares(row), 1)} %",
                "worst seed": lambda row: f"{min(shares(row), default=math.nan):.1f} %",
                "Frechet distance": lambda row: pages.mean([ended["frechet"] for ended in conditions(row)], 2),
                "seeds": lambda row: str(len(row.results)),
                "diverged": lambda row: str(len(row.results) - len(conditions(row))),
                **Judges(rows).columns,
            },
            rows,
        ),
    ]


def conditions(row):
    """Of the trainings that did not diverge."""
    return [result["conditions"] for result in row.results if "conditions" in result]


def shares(row):
    """Condition accuracies in percent."""
    return [100 * ended["mean_accuracy"] for ended in conditions(row)]


SHOWN = Measure(
    "condition accuracy",
    lambda result: 100 * result["conditions"]["mean_accuracy"] if "conditions" in result else None,
    *(1, " %", True),
)
HEAD = Head(
    "Can a GAN whose latents and labels have one learnable law draw the label asked for, and by which gradients?",
    lambda rows: sentence(best(SHOWN, entries(SHOWN, rows))),
    "Three seeds for every row; longer training; an equal choice of rates for each estimator; equal starts.",
)
TABLES = [
    Table(
        "conditional-gan-mnist",
        "images given labels by a GAN with a joint prior",
        page,
        cells=[
            Cell((row,), "wgan-gp", {"mismatched": True, **values}, seeds, (title,), reading=Conditions)
            for row, (title, values, seeds) in ROWS.items()
        ],
        shared=SHARED,
        head=HEAD,
    )
]
