"""`table gan-tricks`: each trick and each kind of adversarial model once, with a number that shows what it is for."""

import dataclasses
from pathlib import Path

from experiments import pages
from experiments.config import TrainConfig, check_rows
from experiments.config_gan import AaeConfig, EbGanConfig, InfoGanConfig, VaeGanConfig
from experiments.launch import LaunchConfig
from experiments.tables import completed, judged, kept
from experiments.tables.gan_points import SHARED
from pyro_priors.checks import UserError

QUIET = {"threads": 1, "progress": False}
PLAIN = {"hidden": (64, 64), "slope": 0.0, "lr": 1e-3, "decay": False, "epochs": 20, "noise": 0.0, "noise_epochs": None}
BASE = dataclasses.replace(SHARED, prior="normal", **PLAIN)
# Row -> title, what it changes in a GAN on the grid.
TRICKS = {
    "plain": ("none", {}),
    "minimax": ("minimax instead of the non-saturating loss", {"minimax": True}),
    "matching": ("feature matching", {"matching": True}),
    "minibatch": ("minibatch discrimination, 8 kernels", {"minibatch": 8}),
    "noise": ("instance noise 0.5, falling to 0", {"noise": 0.5, "noise_epochs": 8}),
    "smoothing": ("one-sided label smoothing, 0.9", {"real_label": 0.9}),
    "two-rates": ("two time-scale rates, critic 3 times as fast", {"critic_lr": 3e-3}),
    "consensus": ("consensus optimisation, 0.1", {"consensus": 0.1}),
    "average": ("moving average of the generator, 0.999", {"average": 0.999}),
}
MNIST = {"data": "mnist", "epochs": 5, "batch_size": 64, **QUIET}
MATCH = (  # what the number of an autoencoder says, and the number
    "squared MMD, and sKL, of prior and codes",
    lambda test: f"{test['squared_mmd']:.2g}, {pages.number(test['skl'], 0)}",
)
# Row -> title, its configuration, what its number is, and the number of its test results.
KINDS = {
    "info-gan": (
        "InfoGAN",
        InfoGanConfig(prior="normal", latent_dim=32, lr=2e-3, slope=0.2, decay=True, **MNIST),
        "cluster accuracy of the code on test pictures",
        lambda test: f"{test['clusters']['accuracy']:.2%}",
    ),
    "eb-gan": (
        "EBGAN",
        EbGanConfig(prior="normal", latent_dim=32, lr=5e-4, **MNIST),
        "mean energy of test, and of generated pictures",
        lambda test: f"{test['critic_real']:.2f}, {test['critic_fake']:.2f}",
    ),
    "aae-free": ("autoencoder, codes left free", AaeConfig(prior="normal", weight=1e-6, particles=10, **MNIST), *MATCH),
    "aae-normal": ("AAE, N(0, I)", AaeConfig(prior="normal", particles=10, **MNIST), *MATCH),
    "aae-trip": (
        "AAE, TRIP that goes to meet the codes",
        AaeConfig(prior="trip", rank=10, particles=10, **MNIST),
        *MATCH,
    ),
    "vae": (
        "VAE",
        TrainConfig(prior="normal", latent_dim=32, binarize="none", particles=10, **MNIST),
        "KL(q(z given x), p(z)) of test pictures",
        lambda test: f"{test['kl']:.2f}",
    ),
    "vae-gan": (
        "VAE/GAN",
        VaeGanConfig(prior="normal", latent_dim=32, particles=10, critic_lr=1e-3, **MNIST),
        "KL(q(z given x), p(z)) of test pictures",
        lambda test: f"{test['kl']:.2f}",
    ),
}


@dataclasses.dataclass(frozen=True)
class GanTricksConfig(LaunchConfig):
    """Train a GAN on the grid with each trick by itself, and every other kind of adversarial model on MNIST.

    Results land in RESULTS/gan-tricks/ROW.json, the table in RESULTS/gan-tricks.md. What is there is not repeated; the
    pictures lie in the run folders.
    """

    rows: tuple[str, ...] = (*TRICKS, *KINDS)  # Rows to run.
    classifier: Path | None = None  # Run of `train classifier` on MNIST, by which the pictures there are judged.
    seed: int = 0  # Of all.
    data_root: Path | None = None  # Where the data lie; default $PYRO_PRIORS_DATA, else data/.
    runs_dir: Path = Path("runs")  # Where runs land.
    results: Path = pages.FOLDER  # Where results are kept.

    def __post_init__(self):
        super().__post_init__()
        check_rows(self.rows, (*TRICKS, *KINDS))
        if self.classifier is None and any(row in KINDS for row in self.rows):
            raise UserError("classifier: expected a run of `train classifier` beside rows on MNIST, got none")

    def run(self, row):
        """The configuration of one training."""
        train = dataclasses.replace(BASE, **TRICKS[row][1]) if row in TRICKS else KINDS[row][1]
        where = {"runs_dir": self.runs_dir / "gan-tricks", "data_root": self.data_root}
        return dataclasses.replace(train, name=row, seed=self.seed, **where)


def main(config: GanTricksConfig):
    """Train what is missing, then print and write the table of all that is kept."""
    folder = config.results / "gan-tricks"
    missing = [config.run(row) for row in config.rows if row in TRICKS]
    missing = [train for train in missing if kept.result(folder, train) is None]
    folder.mkdir(parents=True, exist_ok=True)
    done = completed.complete(config, lambda train: kept.train_and_keep(folder, train), missing)
    found = {row: kept.result(folder, config.run(row), strict=False) for row in TRICKS}
    if config.classifier is not None:
        by = judged.judged(folder, config.classifier, config.run("vae"))
        kinds = judged.complete(folder, by, config, [config.run(row) for row in config.rows if row in KINDS])
        done = completed.Completed(done.made | kinds.made, done.failed + kinds.failed)
        found |= {row: kept.result(folder, config.run(row), by.beside, strict=False) for row in KINDS}
    if any(found.values()):
        text = markdown({row: one for row, one in found.items() if one})
        pages.show(config.results / "gan-tricks.md", text)
    done.end()


def markdown(found):
    """Tricks on the grid, kinds on MNIST."""
    lines = [
        "# Tricks and kinds of adversarial models",
        "",
        f"One seed each. The grid has 25 modes; a GAN under N(0, I) sees {BASE.epochs} epochs. Good points lie within "
        "three standard deviations of a mode; balance is the entropy of their modes over the largest possible; the gap "
        "is the critic's mean number for real points less that for generated ones.",
        "",
        "    python -m experiments table gan-tricks --classifier RUN",
        "",
        "| trick | modes | good points | balance | gap |",
        "|---|---|---|---|---|",
    ]
    for row in (row for row in TRICKS if row in found):
        test = found[row]["test"]
        cells = [TRICKS[row][0], str(test["modes"]), f"{test['good']:.1%}", f"{test['balance']:.3f}"]
        lines.append(f"| {' | '.join(cells)} | {test['critic_real'] - test['critic_fake']:.3f} |")
    rows = [row for row in KINDS if row in found]
    if rows:
        judge = found[rows[0]]["beside"]["judge"]
        lines += [
            "",
            f"On MNIST, {MNIST['epochs']} epochs; Frechet distance from the test pictures in the features of our own "
            f"classifier (weights {judge['weights']}, right on {judge['accuracy']:.2%}). Encoders of adversarial "
            "autoencoders learn a width of almost nothing, which makes the sKL huge; by the MMD their codes match.",
            "",
            "| model | Frechet distance | number | |",
            "|---|---|---|---|",
        ]
    for row in rows:
        title, _, meaning, number = KINDS[row]
        lines.append(f"| {title} | {found[row]['frechet']:.1f} | {meaning} | {number(found[row]['test'])} |")
    lines += ["", pages.measured([one["provenance"] for one in found.values()], "gan-tricks/"), ""]
    return "\n".join(lines)
