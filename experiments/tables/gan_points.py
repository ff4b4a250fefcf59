"""`table gan-points`: modes that GANs find on a grid and on a ring of Gaussians, by kind of GAN and prior."""

import itertools

import torch
from matplotlib.figure import Figure

from experiments import pages
from experiments.answers import Measure, sentence
from experiments.heads import Head
from experiments.tables.spec import Cell, Table
from models.shared.figures import save
from models.shared.runs import trained
from pyro_priors.data.points import MODES

KINDS = {"gan": "GAN", "wgan": "WGAN", "wgan-gp": "WGAN-GP", "sn-gan": "SN-GAN"}
PRIORS = {
    "normal": ("N(0, I)", {"prior": "normal"}),
    "gmm-fixed": ("GMM, fixed", {"prior": "gmm", "fixed": True}),
    "gmm": ("GMM, learnable", {"prior": "gmm"}),
    "trip-fixed": ("TRIP, fixed", {"prior": "trip", "fixed": True}),
    "trip": ("TRIP, learnable", {"prior": "trip"}),
    "flow": ("flow, learnable", {"prior": "flow"}),
}
SHARED = {"latent_dim": 2, "slope": 0.2, "hidden": (128, 128, 128), "batch_size": 128, "lr": 3e-3, "decay": True}
SHARED |= {"prior_lr": 1e-3, "rank": 10, "gmm.components": 25}
SHARED |= {"standard_start": False, "epochs": 20, "noise": 0.5, "noise_epochs": 8, "critic_steps": 1}
OWN = {"wgan.clip": 0.3, "wgan-gp.penalty": 0.1, "wgan-gp.layer_norm": False, "sn-gan.lipschitz": 10.0}
INTRODUCTION = (
    "Of 5,000 draws: modes with a good point, and the share of good points, those within three standard deviations of "
    "a mode (98.9 % of the data are). Mean +- standard error over seeds. All have the same networks and see {epochs} "
    "epochs of 35,000 points, under noise of deviation {noise} that falls to 0 in the first {noise_epochs}; every "
    "batch makes a step of the critic and one of the generator."
)


def page(table, rows):
    """Modes and share of good points by kind and prior, a table for each law."""
    parts = ["# Modes that GANs find by prior", INTRODUCTION.format(**table.shared)]
    columns = {
        ("GAN", "prior"): lambda row: row.cell.titles,
        "modes": lambda row: row.mean(lambda result: result["test"]["modes"], 1),
        "good points": lambda row: f"{row.mean(lambda result: 100 * result['test']['good'], 1)} %",
        "balance": lambda row: row.mean(lambda result: result["test"]["balance"]),
        "seeds": lambda row: str(len(row.results)),
    }
    for data, own in itertools.groupby(rows, lambda row: row.cell.key[0]):
        parts += [f"## {data}, {len(MODES[data][0])} modes", pages.table(columns, own)]
        parts.append(f"![Draws on the {data}](gan-points-{data}.png)")
    return parts


@torch.no_grad()
def draw(folder, runs):
    """Draws of models, `runs` being pairs of cell and run folder: a figure for each law, kinds down, priors across."""
    for data, own in itertools.groupby(runs, lambda pair: pair[0].key[0]):
        own = list(own)
        height = len({cell.key[1] for cell, _ in own})
        figure = Figure(figsize=(2.2 * len(own) / height, 2.3 * height), layout="constrained")
        axes = figure.subplots(height, len(own) // height, squeeze=False)
        extent = MODES[data][0].abs().max().item() * 1.2
        for axis, (cell, run) in zip(axes.flat, own, strict=True):
            chosen = trained(run)
            torch.manual_seed(chosen.run.config.seed)
            axis.scatter(*MODES[data][0].T.numpy(), s=40, color="lightgray", linewidths=0)
            axis.scatter(*chosen.model.generate(2000).flatten(1).T.numpy(), s=2, alpha=0.5, linewidths=0)
            axis.set(xlim=(-extent, extent), ylim=(-extent, extent), xticks=[], yticks=[])
            axis.set_title(", ".join(cell.titles), fontsize=8)
        save(figure, folder / f"gan-points-{data}.png")


GOOD = Measure("share of good points", lambda result: 100 * result["test"]["good"], 1, " %", higher=True)


MODES_REACHED = Measure("number of modes", lambda result: result["test"]["modes"], 1, higher=True)


def answer(rows):
    """Who has most good points on each law, how many of its modes, and who reaches most of these; beside N(0, I)."""
    said = []
    for data, own in itertools.groupby(rows, lambda row: row.cell.key[0]):
        own = list(own)
        first = max(own, key=lambda row: GOOD.of(row).mean)
        normal = [row for row in own if row.cell.key[1:] == (first.cell.key[1], "normal")]
        most = max(MODES_REACHED.of(row).mean for row in own)
        reach = [row for row in own if MODES_REACHED.of(row).mean == most]
        who = reach[0].cell.called if len(reach) == 1 else f"{len(reach)} of {len(own)} rows"
        beside = [first, *(row for row in normal if row is not first)]
        both = [
            f"{row.cell.called} {GOOD.text(GOOD.of(row))} and {MODES_REACHED.text(MODES_REACHED.of(row))}"
            for row in beside
        ]
        said.append(f"on the {data}, good points and modes: {', '.join(both)}; most modes, {most:.1f}, by {who}")
    return sentence(*said)


HEAD = Head(
    "Does a learnable prior help a GAN to draw points that lie in modes, and to reach all of these?",
    answer,
    "Equal starts of all priors; networks large enough for each GAN; settings tuned equally for each row.",
)
TABLES = [
    Table(
        "gan-points",
        "modes that GANs find on a grid and a ring",
        page,
        cells=[
            Cell((data, kind, prior), kind, {"data": data, **values}, (0, 1, 2), (KINDS[kind], title))
            for data, kind, (prior, (title, values)) in itertools.product(MODES, KINDS, PRIORS.items())
        ],
        shared=SHARED | OWN,
        figures=draw,
        head=HEAD,
    )
]
