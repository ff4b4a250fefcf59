"""`table dpvae`: Table 1 of dpVAE, regularised VAEs with and without a flow, and their leakage curves (Figure 4)."""

import dataclasses
import itertools
from pathlib import Path

from experiments import build, generation, judges, pages, runs
from experiments.config import TrainConfig, check_counts
from experiments.launch import LaunchConfig
from experiments.tables import asked, completed, kept
from experiments.tables.dpvae_page import OBJECTIVES, PRIORS, leakage, markdown

SHARED = TrainConfig(
    binarize="none",
    likelihood="squared-error",
    error_weight=10.0,
    latent_dim=2,
    hidden=(200, 200),
    discriminator_hidden=(200,) * 5,
    epochs=5,
    batch_size=200,
    lr=2e-3,
    prior_lr=1e-3,
    decay=True,
    threads=1,
    particles=10,
    progress=False,
)


COUNTS = ("samples", "lowest", "nll_samples", "nll_pictures")


@dataclasses.dataclass(frozen=True)
class DpvaeConfig(LaunchConfig):
    """Train regularised VAEs under N(0, I) and under a flow, all else equal, and judge what their priors draw.

    Results land in RESULTS/NAME/OBJECTIVE-PRIOR-seedS.json, the table in RESULTS/NAME.md, the leakage curves in
    RESULTS/NAME.png. What is there is not repeated.
    """

    name: str | None = None  # Of the table; default dpvae-DATA.
    train: TrainConfig = SHARED  # What all rows share.
    classifier: Path | None = None  # Run of `train classifier`, whose features the Frechet distance compares.
    rows: tuple[str, ...] = tuple(OBJECTIVES)  # Bounds to train by, each under both priors.
    seeds: tuple[int, ...] = (0, 1, 2)  # Seeds to run each row with, each by its number: --seeds 0 1 2.
    samples: int = 5000  # Draws of prior and aggregated posterior.
    lowest: int = 1000  # How many of them are low-posterior samples.
    nll_samples: int = 21_000  # Importance samples of each picture.
    nll_pictures: int = 50  # Test pictures whose likelihood is estimated.
    results: Path = pages.FOLDER  # Where results are kept.

    def __post_init__(self):
        super().__post_init__()
        asked.check_asked(self, OBJECTIVES, {"seed", "name", "objective", "prior"})
        check_counts(self, "nll_samples", "nll_pictures")
        generation.check_draws(self.samples, self.lowest)

    @property
    def title(self):
        """The name of the table."""
        return self.name or f"dpvae-{self.train.data}"

    def run(self, objective, prior, seed):
        """The configuration of one training."""
        return dataclasses.replace(
            self.train,
            objective=objective,
            prior=prior,
            seed=seed,
            name=f"{objective}-{prior}-seed{seed}",
            runs_dir=self.train.runs_dir / self.title,
        )


def main(config: DpvaeConfig):
    """Train and judge what is missing, then print and write the table of all that is kept."""
    wanted = [config.run(*row) for row in itertools.product(config.rows, PRIORS, config.seeds)]
    folder = config.results / config.title
    counts = {name: getattr(config, name) for name in COUNTS}
    data, judge, real = build.load_data(config.train), None, None
    if config.classifier is not None:
        judge = judges.extractor(config.classifier, runs.Run(folder, config.train, data.image_shape, ()))
        real = judges.features(judge, data.test)
    beside = {**counts, "judge": judge and judge.identity}
    if config.train.data == "folder":
        beside["data"] = kept.fingerprint(config.train.data_root)
    missing = [train for train in wanted if kept.result(folder, train, beside) is None]
    folder.mkdir(parents=True, exist_ok=True)

    def judged(train, end):
        run, model = build.trained(end)
        found = generation.results(model, data, train.seed, judge, real, **counts)
        summary = runs.read_json(run.folder / "summary.json")
        kept.keep(folder, train, {**summary, "generation": found}, beside)

    done = completed.complete(config, kept.train, missing).then(judged)
    if results := pairs(config, folder, beside):
        command = pages.command_of("table dpvae", config.train, _own_flags(config), SHARED)
        text = markdown(config, results, command)
        pages.show(config.results / f"{config.title}.md", text)
        leakage(config.results / f"{config.title}.png", results)
    done.end()


def pairs(config, folder, beside):
    """What is kept of this configuration under both priors: `{(objective, prior, seed): result}`."""
    seeds, found = kept.seeds(folder), {}
    for objective, seed in itertools.product(OBJECTIVES, seeds):
        pair = {
            (objective, prior, seed): kept.result(folder, config.run(objective, prior, seed), beside, strict=False)
            for prior in PRIORS
        }
        if None not in pair.values():
            found |= pair
    return found


def _own_flags(config):
    """Flags of the table itself that are not at their default."""
    judge = [] if config.classifier is None else ["--classifier", "CLASSIFIER_RUN"]
    rows = [] if config.rows == tuple(OBJECTIVES) else ["--rows", *config.rows]
    counts = [
        part
        for name in COUNTS
        if getattr(config, name) != getattr(DpvaeConfig, name)
        for part in (f"--{name.replace('_', '-')}", getattr(config, name))
    ]
    return ["--seeds", *config.seeds, *rows, *counts, *judge]
