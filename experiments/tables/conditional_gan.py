"""`table conditional-gan`: pictures given labels by a GAN with a joint prior, by how its prior gets gradients."""

import dataclasses
import itertools
import math
import re
from pathlib import Path

from experiments import build, judges, pages, runs
from experiments.config_gan import WganGpConfig
from experiments.launch import LaunchConfig
from experiments.tables import asked, completed, kept
from pyro_priors.checks import UserError

ROWS = {
    "pathwise": ("pathwise", {}),
    "reinforce": ("REINFORCE (batch mean)", {"estimator": "reinforce"}),
    "rloo": ("REINFORCE (leave-one-out)", {"estimator": "rloo"}),
    "plain": ("pathwise, no images with wrong labels", {"mismatched": False}),
    "missing": ("pathwise, 70 % of the labels hidden", {"missing": 0.7}),
}
SHARED = WganGpConfig(
    prior="ttlp",
    init="mixture",
    latent_dim=32,
    components=10,
    rank=10,
    boundary="train",
    hidden=(128, 128),
    batch_size=64,
    lr=1e-3,
    prior_lr=3e-5,  # faster, the laws of z given different labels run into each other
    critic_steps=2,
    decay=True,
    mismatched=True,
    epochs=3,
    threads=1,
    progress=False,
)


@dataclasses.dataclass(frozen=True)
class ConditionalGanConfig(LaunchConfig):
    """Train a conditional WGAN-GP with a TTLP prior by several estimators; a classifier reads what it draws for labels.

    Results land in RESULTS/NAME/ROW-seedS.json, the table in RESULTS/NAME.md. What is there is not repeated; a training
    that diverges is a result too.
    """

    classifier: Path  # Run of `train classifier` that reads the pictures.
    name: str | None = None  # Of the table; default conditional-gan-DATA.
    train: WganGpConfig = SHARED  # What all rows share.
    rows: tuple[str, ...] = tuple(ROWS)  # Rows to run.
    seeds: tuple[int, ...] = (0, 1, 2)  # Seeds to run each with, each by its number: --seeds 0 1 2.
    results: Path = pages.FOLDER  # Where results are kept.

    def __post_init__(self):
        super().__post_init__()
        asked.check_asked(self, ROWS, {"seed", "name", "estimator", "missing"})
        if self.train.prior != "ttlp":
            raise UserError(f"train.prior: expected ttlp, got {self.train.prior}")

    @property
    def title(self):
        """The name of the table."""
        return self.name or f"conditional-gan-{self.train.data}"

    def run(self, row, seed):
        """The configuration of one training."""
        where = {"name": f"{row}-seed{seed}", "runs_dir": self.train.runs_dir / self.title}
        return dataclasses.replace(self.train, **ROWS[row][1], seed=seed, **where)


def main(config: ConditionalGanConfig):
    """Train and judge what is missing, then print and write the table of all that is kept."""
    folder = config.results / config.title
    data = build.load_data(config.train)
    judge = judges.read(config.classifier, runs.Run(folder, config.train, data.image_shape, data.attributes))
    beside = {"judge": judge.identity}
    wanted = [config.run(row, seed) for seed, row in itertools.product(config.seeds, config.rows)]
    missing = [train for train in wanted if kept.result(folder, train, beside) is None]
    folder.mkdir(parents=True, exist_ok=True)

    def judged(train, end):
        if isinstance(end, str):
            kept.keep(folder, train, {"diverged": end, "provenance": runs.provenance()}, beside)
            return
        run, model = build.trained(end)
        found = judges.conditions(model, judge, data.test, train.seed)
        kept.keep(folder, train, {**runs.read_json(run.folder / "summary.json"), "conditions": found}, beside)

    done = completed.complete(config, trained_or_diverged, missing).then(judged)
    if found := results(config, folder, beside):
        text = markdown(config, found)
        pages.show(config.results / f"{config.title}.md", text)
    done.end()


def trained_or_diverged(train):
    """The run folder of a training, or what it said of a number that was not finite."""
    try:
        return kept.train(train)
    except UserError as error:
        if not re.search(r"ended with status 2;.*expected (a )?finite", str(error), re.DOTALL):
            raise
        return str(error)


def results(config, folder, beside):
    """What is kept of this configuration: `{row: [result of each seed]}`."""
    seeds, found = kept.seeds(folder), {}
    for row in ROWS:
        ones = [kept.result(folder, config.run(row, seed), beside, strict=False) for seed in seeds]
        if any(ones):
            found[row] = [one for one in ones if one]
    return found


def markdown(config, found):
    """Condition accuracy and Frechet distance by row, mean and standard error over seeds."""
    train, judge = config.train, next(iter(found.values()))[0]["beside"]["judge"]
    lines = [
        f"# Conditional GAN with a joint prior on {train.data}",
        "",
        f"WGAN-GP under TTLP, z ~ p(z given y), {train.epochs} epoch(s) of batches of {train.batch_size}, "
        f"{train.critic_steps} critic steps for one of the generator, a matching-aware critic, rates {train.lr:g} for "
        f"networks and {train.prior_lr:g} for the prior{', falling to 0' if train.decay else ''}. A picture is "
        "drawn for every test label; accuracy: share in which our own classifier (right on "
        f"{judge['accuracy']:.2%} of the test pictures) sees the label asked for; Frechet distance in its features "
        f"({judge['extractor']}, weights {judge['weights']}). Mean +- standard error over seeds, and the worst seed.",
        "",
        f"    {pages.command_of('table conditional-gan', train, ['--classifier', 'RUN'], SHARED)}",
        "",
        "| gradients of the prior | accuracy | worst seed | Frechet distance | seeds | diverged |",
        "|---|---|---|---|---|---|",
    ]
    for row, ones in found.items():
        done = [one["conditions"] for one in ones if "conditions" in one]
        shares = [100 * one["mean_accuracy"] for one in done]
        cells = [ROWS[row][0], f"{pages.mean(shares, 1)} %", f"{min(shares, default=math.nan):.1f} %"]
        cells += [pages.mean([one["frechet"] for one in done], 2), str(len(ones)), str(len(ones) - len(done))]
        lines.append(f"| {' | '.join(cells)} |")
    provenances = [one["provenance"] for ones in found.values() for one in ones]
    return "\n".join([*lines, "", pages.measured(provenances, f"{config.title}/"), ""])
