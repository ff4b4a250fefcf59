"""`table trip-elbo`: the ELBO rows of TRIP Table 1, one process a run, results kept in the checkout."""

import dataclasses
import json
import statistics
import subprocess
import sys
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

from tqdm import tqdm

from experiments.config import TrainConfig, UserError, to_flags, to_json
from experiments.runs import write_json
from inference import replace_file

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
# Knobs that change where a run happens, not what comes out.
ELSEWHERE = {"data_root", "runs_dir", "name", "threads", "progress"}
SHARED = TrainConfig(progress=False, threads=1)


@dataclasses.dataclass(frozen=True)
class TripElboConfig:
    """Train every prior of TRIP Table 1 with the same networks and budget; skip runs whose result is there already.

    Results land in RESULTS/trip-elbo/ROW-seedK.json, the table in RESULTS/trip-elbo.md.
    """

    train: TrainConfig = SHARED  # What all rows share.
    rows: tuple[str, ...] = tuple(ROWS)  # Rows to run.
    seeds: tuple[int, ...] = (0, 1, 2)  # Seeds to run each row with.
    jobs: int = 1  # Processes at a time.
    results: Path = Path(__file__).parent / "results"  # Where results are kept.

    def __post_init__(self):
        if unknown := [row for row in self.rows if row not in ROWS]:
            raise UserError(f"rows: expected some of {', '.join(ROWS)}, got {', '.join(unknown)}")
        for field in sorted(DECIDED):
            if getattr(self.train, field) != getattr(TrainConfig, field):
                raise UserError(f"train.{field}: expected its default (the rows and seeds decide it), got another")
        for field in ("rows", "seeds"):
            if not getattr(self, field):
                raise UserError(f"{field}: expected at least one, got none")
        if self.jobs < 1:
            raise UserError(f"jobs: expected at least 1, got {self.jobs}")


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
    folder.mkdir(parents=True, exist_ok=True)
    missing = [train for train in wanted.values() if result(folder, train) is None]
    with ThreadPoolExecutor(config.jobs) as pool:
        # The threads only wait for the processes.
        list(tqdm(pool.map(lambda train: run(folder, train), missing), total=len(missing), desc="runs"))
    results = {key: result(folder, train) for key, train in wanted.items()}
    text = markdown(config.train, results)
    print(text)
    if set(config.rows) == set(ROWS):  # a part of the table must not replace the whole
        replace_file(config.results / "trip-elbo.md", lambda temporary: temporary.write_text(text))


def identity(values):
    """The part of a configuration (as `to_json` gives it) that decides the outcome."""
    return json.loads(json.dumps({key: value for key, value in values.items() if key not in ELSEWHERE}))


def result(folder, train):
    """The kept result of this configuration, or None."""
    path = Path(folder) / f"{train.name}.json"
    if not path.is_file():
        return None
    kept = json.loads(path.read_text())
    return kept if identity(kept["config"]) == identity(to_json(train)) else None


def run(folder, train):
    """Train in a process of its own and keep what its `summary.json` says."""
    log = train.runs_dir / f"{train.name}.log"
    log.parent.mkdir(parents=True, exist_ok=True)
    with log.open("w") as output:
        command = [sys.executable, "-m", "experiments", "train", "vae", *to_flags(train)]
        status = subprocess.run(command, stdout=output, stderr=subprocess.STDOUT).returncode
    if status:
        raise UserError(f"{train.name}: training ended with status {status}; {log.absolute()} ends:\n{_tail(log)}")
    newest = max((train.runs_dir / train.name).glob("*/summary.json"), key=lambda path: path.stat().st_mtime_ns)
    keep(folder, train, json.loads(newest.read_text()))


def keep(folder, train, summary):
    """Write the result of a run without the paths of the machine it ran on."""
    command = ["python", "-m", "experiments", "train", "vae", *to_flags(anywhere(train))]
    provenance = {**summary["provenance"], "command": command}
    kept = {"config": identity(to_json(train)), **summary, "provenance": provenance}
    write_json(Path(folder) / f"{train.name}.json", kept)


def anywhere(train):
    """The same configuration with the knobs that change where a run happens at their defaults."""
    return dataclasses.replace(train, **{f.name: f.default for f in dataclasses.fields(train) if f.name in ELSEWHERE})


def markdown(train, results):
    """Mean and standard error over seeds for every row, beside the paper's; `results` is `{(row, seed): result}`."""
    first, seeds = next(iter(results.values())), sorted({seed for _, seed in results})
    flags = [flag.replace("--", "--train.", 1) if flag.startswith("--") else flag for flag in to_flags(anywhere(train))]
    lines = [
        f"# ELBO by prior on {train.data} (the rows of TRIP Table 1)",
        "",
        f"Test set, nats per image, lower is better; mean +- standard error over {len(seeds)} seed(s). IWAE with k = "
        f"{first['test']['particles']}. The paper's columns are CelebA with another likelihood: compare the order.",
        "",
        "k-hat > 0.7: share of test images whose importance weights are too heavy-tailed to take -IWAE for -log p(x).",
        "",
        f"    {' '.join(['python -m experiments table trip-elbo', *flags, '--seeds', *map(str, seeds)])}",
        "",
        "| prior | -ELBO | -IWAE | k-hat > 0.7 | paper's -ELBO | paper's -IWAE |",
        "|---|---|---|---|---|---|",
    ]
    for row in dict.fromkeys(row for row, _ in results):
        title, _, paper = ROWS[row]
        kept = [results[row, seed] for seed in seeds]
        bounds = [_mean([-one["test"][bound] for one in kept]) for bound in ("elbo", "iwae")]
        lines.append(
            f"| {' | '.join([title, *bounds, _share([one['test'].get('pareto_k') for one in kept]), *paper])} |"
        )
    lines += ["", _measured([one["provenance"] for one in results.values()]), ""]
    return "\n".join(lines)


def _measured(provenances):
    """With what: kept results may be of different versions and commits, and the reader should know."""
    versions = [", ".join(f"{name} {version}" for name, version in one["versions"].items()) for one in provenances]
    commits = list(dict.fromkeys(map(_commit, provenances)))
    at = f"commit {commits[0]}" if len(commits) == 1 else f"different commits ({', '.join(commits)})"
    return f"Measured with {' or '.join(dict.fromkeys(versions))} at {at}; every run's command stands in `trip-elbo/`."


def _commit(provenance):
    """
    Example:
        >>> _commit({"commit": "7ab8f0e2c41d", "uncommitted_changes": True})
        '7ab8f0e with changes'
    """
    commit = (provenance["commit"] or "unknown")[:7]
    return f"{commit} with changes" if provenance["uncommitted_changes"] else commit


def _mean(values):
    """
    Example:
        >>> _mean([1.0, 2.0, 3.0]), _mean([1.0])
        ('2.00 +- 0.58', '1.00')
    """
    mean = f"{statistics.mean(values):.2f}"
    return mean if len(values) == 1 else f"{mean} +- {statistics.stdev(values) / len(values) ** 0.5:.2f}"


def _share(shares):
    """
    Example:
        >>> _share([0.5, 0.25]), _share([None])
        ('38 %', '')
    """
    return "" if None in shares else f"{100 * statistics.mean(shares):.0f} %"


def _tail(log, lines=5):
    return "\n".join(log.read_text().splitlines()[-lines:])
