"""`table gan-points`: modes that GANs find on a grid and on a ring of Gaussians, by kind of GAN and prior."""

import dataclasses
import itertools
from pathlib import Path

import torch
from matplotlib.figure import Figure

from experiments import build, pages
from experiments.config import check_rows
from experiments.config_gan import GanConfig, SnGanConfig, WganConfig, WganGpConfig
from experiments.figures import save
from experiments.launch import LaunchConfig
from experiments.tables import asked, completed, kept
from pyro_priors.checks import UserError
from pyro_priors.data.points import MODES

KINDS = {
    "gan": ("GAN", GanConfig, {}),
    "wgan": ("WGAN", WganConfig, {"clip": 0.3, "critic_steps": 1}),
    "wgan-gp": ("WGAN-GP", WganGpConfig, {"penalty": 0.1, "critic_steps": 1, "layer_norm": False}),
    "sn-gan": ("SN-GAN", SnGanConfig, {"lipschitz": 10.0}),
}
PRIORS = {
    "normal": ("N(0, I)", {"prior": "normal"}),
    "gmm-fixed": ("GMM, fixed", {"prior": "gmm", "fixed": True}),
    "gmm": ("GMM, learnable", {"prior": "gmm"}),
    "trip-fixed": ("TRIP, fixed", {"prior": "trip", "fixed": True}),
    "trip": ("TRIP, learnable", {"prior": "trip"}),
    "flow": ("flow, learnable", {"prior": "flow"}),
}
SHARED = GanConfig(
    data="grid",
    latent_dim=2,
    slope=0.2,
    hidden=(128, 128, 128),
    batch_size=128,
    lr=3e-3,
    decay=True,
    prior_lr=1e-3,
    components=10,
    rank=10,
    gmm_components=25,
    epochs=20,
    noise=0.5,
    noise_epochs=8,
    threads=1,
    progress=False,
)


@dataclasses.dataclass(frozen=True)
class GanPointsConfig(LaunchConfig):
    """Train every kind of GAN under every prior, all else equal, and count the modes that 5,000 draws find.

    Results land in RESULTS/gan-points/DATA-KIND-PRIOR-seedS.json, the table in RESULTS/gan-points.md, draws of the
    first seed in RESULTS/gan-points-DATA.png. What is there is not repeated.
    """

    train: GanConfig = SHARED  # What all runs share.
    data: tuple[str, ...] = tuple(MODES)  # Laws to learn.
    kinds: tuple[str, ...] = tuple(KINDS)  # Kinds of GAN.
    rows: tuple[str, ...] = tuple(PRIORS)  # Priors to train them with.
    seeds: tuple[int, ...] = (0, 1, 2)  # Seeds to run each with, each by its number: --seeds 0 1 2.
    results: Path = pages.FOLDER  # Where results are kept.

    def __post_init__(self):
        super().__post_init__()
        check_rows(self.data, MODES, "data")
        check_rows(self.kinds, KINDS, "kinds")
        asked.check_asked(self, PRIORS, {"seed", "name", "prior", "fixed", "critic_steps"})
        if self.train.data != SHARED.data:
            raise UserError(f"train.data: expected its default (--data decides it), got {self.train.data}")

    def run(self, data, kind, prior, seed):
        """The configuration of one training."""
        _, config, changes = KINDS[kind]
        shared = {
            field.name: getattr(self.train, field.name)
            for field in dataclasses.fields(GanConfig)
            if field.name != "critic_steps"
        }
        changes = changes | PRIORS[prior][1] | {"data": data, "seed": seed}
        name = f"{data}-{kind}-{prior}-seed{seed}"
        return config(**{**shared, **changes, "name": name, "runs_dir": self.train.runs_dir / "gan-points"})


def main(config: GanPointsConfig):
    """Train what is missing, then print and write the table of all that is kept."""
    folder = config.results / "gan-points"
    runs = itertools.product(config.seeds, config.data, config.kinds, config.rows)  # all once, then all again
    wanted = [config.run(*run, seed) for seed, *run in runs]
    missing = [train for train in wanted if kept.result(folder, train) is None]
    folder.mkdir(parents=True, exist_ok=True)
    done = completed.complete(config, lambda train: kept.train_and_keep(folder, train), missing)
    if found := results(config, folder):
        text = markdown(config, found)
        pages.show(config.results / "gan-points.md", text)
    for data in config.data:
        draw(config, data)
    done.end()


def results(config, folder):
    """What is kept of this configuration: `{(data, kind, prior): [result of each seed]}`."""
    seeds, found = kept.seeds(folder), {}
    for row in itertools.product(MODES, KINDS, PRIORS):
        kept_ones = [kept.result(folder, config.run(*row, seed), strict=False) for seed in seeds]
        if any(kept_ones):
            found[row] = [one for one in kept_ones if one]
    return found


def markdown(config, found):
    """Modes and share of good points by kind and prior, a table for each law."""
    train = config.train
    lines = [
        "# Modes that GANs find by prior",
        "",
        "Of 5,000 draws: modes with a good point, and the share of good points, those within three standard deviations "
        "of a mode (98.9 % of the data are). Mean +- standard error over seeds. All have the same networks and see "
        f"{train.epochs} epochs of 35,000 points, under noise of deviation {train.noise} that falls to 0 in the "
        f"first {train.noise_epochs}; every batch makes a step of the critic and one of the generator.",
        "",
        f"    {pages.command_of('table gan-points', train, default=SHARED)}",
    ]
    for data in dict.fromkeys(data for data, _, _ in found):
        lines += ["", f"## {data}, {len(MODES[data][0])} modes", ""]
        lines += ["| GAN | prior | modes | good points | balance | seeds |", "|---|---|---|---|---|---|"]
        for (of, kind, prior), ones in found.items():
            if of == data:
                tests = [one["test"] for one in ones]
                cells = [pages.mean([test["modes"] for test in tests], 1)]
                cells += [pages.mean([100 * test["good"] for test in tests], 1) + " %"]
                cells += [pages.mean([test["balance"] for test in tests]), str(len(ones))]
                lines.append(f"| {KINDS[kind][0]} | {PRIORS[prior][0]} | {' | '.join(cells)} |")
        lines += ["", f"![Draws on the {data}](gan-points-{data}.png)"]
    provenances = [one["provenance"] for ones in found.values() for one in ones]
    return "\n".join([*lines, "", pages.measured(provenances, "gan-points/"), ""])


@torch.no_grad()
def draw(config, data):
    """Draws of the first seed's models, kinds down, priors across; nothing where not all were trained here."""
    folders = {
        (kind, prior): kept.newest(config.run(data, kind, prior, config.seeds[0]))
        for kind, prior in itertools.product(config.kinds, config.rows)
    }
    if None in folders.values():
        return
    figure = Figure(figsize=(2.2 * len(config.rows), 2.3 * len(config.kinds)), layout="constrained")
    axes = figure.subplots(len(config.kinds), len(config.rows), squeeze=False)
    extent = MODES[data][0].abs().max().item() * 1.2
    for axis, ((kind, prior), folder) in zip(axes.flat, folders.items(), strict=True):
        torch.manual_seed(config.seeds[0])
        axis.scatter(*MODES[data][0].T.numpy(), s=40, color="lightgray", linewidths=0)
        axis.scatter(*build.trained(folder).model.generate(2000).flatten(1).T.numpy(), s=2, alpha=0.5, linewidths=0)
        axis.set(xlim=(-extent, extent), ylim=(-extent, extent), xticks=[], yticks=[])
        axis.set_title(f"{KINDS[kind][0]}, {PRIORS[prior][0]}", fontsize=8)
    save(figure, config.results / f"gan-points-{data}.png")
