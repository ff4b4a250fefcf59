"""`table trip-elbo`: the ELBO rows of TRIP Table 1."""

import dataclasses
import statistics
from pathlib import Path

from experiments import pages
from experiments.config import TrainConfig
from experiments.launch import LaunchConfig
from experiments.tables import asked, completed, kept

# Row -> title, what it changes in the configuration, -ELBO and -IWAE of TRIP Table 1 (CelebA, k = 100).
ROWS = {
    "normal": ("N(0, I)", {"prior": "normal"}, ("194.16", "185.09")),
    "gmm-fixed": ("GMM of 100, fixed", {"prior": "gmm", "fixed": True}, ("201.60", "191.99")),
    "gmm-20": ("GMM of 20 (as many as TRIP's rank), learnable", {"prior": "gmm", "gmm_components": 20}, ("", "")),
    "gmm": ("GMM of 100, learnable", {"prior": "gmm"}, ("193.88", "184.73")),
    "trip-fixed": ("TRIP, fixed", {"prior": "trip", "fixed": True, "init": "noise"}, ("202.04", "190.09")),
    "trip": ("TRIP, learnable", {"prior": "trip"}, ("193.32", "184.43")),
    "trip-noise": (
        "TRIP, learnable, the paper's start (noise, again every 5 epochs)",
        {"prior": "trip", "init": "noise"},
        ("", ""),
    ),
}
# Knobs that the rows and seeds decide.
DECIDED = {"seed", "name"}.union(*(changes for _, changes, _ in ROWS.values()))
SHARED = TrainConfig(progress=False, threads=1)


@dataclasses.dataclass(frozen=True)
class TripElboConfig(LaunchConfig):
    """Train every prior of TRIP Table 1 with the same networks and budget; skip runs whose result is there already.

    Results land in RESULTS/trip-elbo/ROW-seedK.json, the table in RESULTS/trip-elbo.md.
    """

    train: TrainConfig = SHARED  # What all rows share.
    rows: tuple[str, ...] = tuple(ROWS)  # Rows to run.
    seeds: tuple[int, ...] = (0, 1, 2)  # Seeds to run each row with, each by its number: --seeds 0 1 2.
    results: Path = pages.FOLDER  # Where results are kept.

    def __post_init__(self):
        super().__post_init__()
        asked.check_asked(self, ROWS, DECIDED)


def main(config: TripElboConfig):
    """Run what is missing, then print the table, and write it where all rows were asked for."""
    wanted = {
        (row, seed): dataclasses.replace(
            config.train,
            **ROWS[row][1],
            seed=seed,
            name=f"{row}-seed{seed}",
            runs_dir=config.train.runs_dir / "trip-elbo",
        )
        for seed in config.seeds
        for row in config.rows
    }
    folder = config.results / "trip-elbo"
    missing = [train for train in wanted.values() if kept.result(folder, train) is None]
    folder.mkdir(parents=True, exist_ok=True)
    done = completed.complete(config, lambda train: kept.train_and_keep(folder, train), missing)
    results = {key: one for key, train in wanted.items() if (one := kept.result(folder, train))}
    if results:
        text = markdown(config.train, results)
        if set(config.rows) == set(ROWS):  # a part of the table must not replace the whole
            pages.show(config.results / "trip-elbo.md", text)
        else:
            print(text)
    done.end()


def markdown(train, results):
    """Mean and standard error over seeds for every row, beside the paper's; `results` is `{(row, seed): result}`."""
    first, seeds = next(iter(results.values())), sorted({seed for _, seed in results})
    command = pages.command_of("table trip-elbo", train, ["--seeds", *seeds])
    lines = [
        f"# ELBO by prior on {train.data} (the rows of TRIP Table 1)",
        "",
        f"Test set, nats per image, lower is better; mean +- standard error over {len(seeds)} seed(s). IWAE with k = "
        f"{first['test']['particles']}. The paper's columns are CelebA with another likelihood: compare the order.",
        "",
        "k-hat > 0.7: share of test images whose importance weights are too heavy-tailed to take -IWAE for -log p(x).",
        "",
        f"    {command}",
        "",
        "| prior | -ELBO | -IWAE | k-hat > 0.7 | paper's -ELBO | paper's -IWAE |",
        "|---|---|---|---|---|---|",
    ]
    for row in dict.fromkeys(row for row, _ in results):
        title, _, paper = ROWS[row]
        found = [results[row, seed] for seed in seeds if (row, seed) in results]
        bounds = [pages.mean([-one["test"][bound] for one in found]) for bound in ("elbo", "iwae")]
        lines.append(
            f"| {' | '.join([title, *bounds, _share([one['test'].get('pareto_k') for one in found]), *paper])} |"
        )
    lines += ["", pages.measured([one["provenance"] for one in results.values()], "trip-elbo/"), ""]
    return "\n".join(lines)


def _share(shares):
    """
    Example:
        >>> _share([0.5, 0.25]), _share([None])
        ('38 %', '')
    """
    return "" if None in shares else f"{100 * statistics.mean(shares):.0f} %"
