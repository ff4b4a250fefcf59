"""`table ttlp`: conditional generation and imputation with hidden labels, TTLP Tables 1 and 2."""

import dataclasses
import itertools
import json
import statistics
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

from tqdm import tqdm

from experiments import kept
from experiments.config import TrainConfig, UserError
from experiments.config_attributes import ClassifierConfig, CVAEConfig, JointConfig
from inference import replace_file

# Row -> title, class of its configuration, what it changes in it.
ROWS = {
    "joint": ("VAE-TTLP", JointConfig, {}),
    "weighted": ("VAE-TTLP, 50 log p(y given z) added to the bound", JointConfig, {"label_weight": 50.0}),
    "pretrained": ("VAE-TTLP, networks of a VAE trained without labels, all tuned", JointConfig, {}),
    "frozen": ("VAE-TTLP, networks of a VAE trained without labels, prior alone", JointConfig, {"frozen": True}),
    "cvae": ("CVAE, labels predicted", CVAEConfig, {}),
    "classifier": ("classifier trained on the same labels", ClassifierConfig, {}),
}
# (data, row) -> condition accuracy and imputation accuracy of the paper by share of missing labels, in percent.
PAPER = {
    ("mnist", "joint"): ({0.0: "89.94", 0.3: "89.84", 0.7: "88.97"}, {0.0: "95.4"}),
    ("mnist", "pretrained"): ({0.0: "75.39"}, {}),
    ("mnist", "frozen"): ({0.0: "75.39"}, {}),
    ("mnist", "cvae"): ({0.0: "86.34"}, {}),
    ("folder", "joint"): ({0.0: "88.7", 0.3: "84.89", 0.7: "87.08"}, {0.0: "89.21"}),
    ("folder", "pretrained"): ({0.0: "87.5"}, {}),
    ("folder", "frozen"): ({0.0: "87.5"}, {}),
    ("folder", "cvae"): ({0.0: "82.89"}, {}),
}
DECIDED = {"seed", "name", "missing", "pretrained", "frozen", "label_weight"}
SHARED = JointConfig(progress=False, threads=1)


@dataclasses.dataclass(frozen=True)
class TtlpConfig:
    """Train the joint VAE and its baselines with labels hidden, and judge them by a classifier trained with all labels.

    Runs whose result is there already are skipped. Results land in RESULTS/NAME/ROW-missingPERCENT-seedK.json, the
    table of all that are kept in RESULTS/NAME.md. The pretrained rows start from one VAE with N(0, I) per seed.
    """

    train: JointConfig = SHARED  # What all rows share.
    name: str = "ttlp-mnist"  # Of the table.
    rows: tuple[str, ...] = tuple(ROWS)  # Rows to run.
    missing: tuple[float, ...] = (0.0, 0.3, 0.7)  # Shares of the labels that are hidden.
    seeds: tuple[int, ...] = (0,)  # Seeds to run each row with.
    classifier_epochs: int = 6  # Passes over the data of the classifier.
    cvae_epochs: int = 10  # Passes of the conditional VAE.
    tuning_epochs: int = 10  # Passes of the pretrained model with all its parts.
    jobs: int = 1  # Processes at a time.
    results: Path = kept.FOLDER  # Where results are kept.

    def __post_init__(self):
        if unknown := [row for row in self.rows if row not in ROWS]:
            raise UserError(f"rows: expected some of {', '.join(ROWS)}, got {', '.join(unknown)}")
        for field in sorted(DECIDED):
            if getattr(self.train, field) != getattr(JointConfig, field):
                raise UserError(f"train.{field}: expected its default (rows, seeds and missing decide it), got another")
        for field in ("rows", "seeds", "missing"):
            if not getattr(self, field):
                raise UserError(f"{field}: expected at least one, got none")
        for field in ("jobs", "classifier_epochs", "cvae_epochs", "tuning_epochs"):
            if getattr(self, field) < 1:
                raise UserError(f"{field}: expected at least 1, got {getattr(self, field)}")

    def run(self, row, missing, seed):
        """The configuration of one run."""
        kind, changes = ROWS[row][1:]
        epochs = {
            "classifier": self.classifier_epochs,
            "cvae": self.cvae_epochs,
            "pretrained": self.tuning_epochs,
            "joint": self.train.epochs,
            "weighted": self.train.epochs,
            "frozen": self.train.epochs,
        }
        if row in ("pretrained", "frozen"):
            changes = {**changes, "pretrained": Path("RUN")}  # known once it is trained
        return self._of(kind, f"{row}-missing{missing:.0%}", seed, missing=missing, epochs=epochs[row], **changes)

    def unlabelled(self, seed):
        """The configuration of the VAE without labels from which the pretrained rows start."""
        return self._of(TrainConfig, "unlabelled", seed, prior="normal")

    def _of(self, kind, name, seed, **changes):
        names = {field.name for field in dataclasses.fields(kind)} & {f.name for f in dataclasses.fields(JointConfig)}
        shared = {field: getattr(self.train, field) for field in names - DECIDED}
        if kind is ClassifierConfig:
            shared = {field: value for field, value in shared.items() if field not in ("lr", "network", "decay")}
        name = f"{name}-seed{seed}".replace("%", "")
        runs_dir = self.train.runs_dir / self.name
        return kind(**{**shared, "seed": seed, "name": name, "runs_dir": runs_dir, **changes})


def main(config: TtlpConfig):
    """Run what is missing, then print and write the table of everything that is kept."""
    folder = config.results / config.name
    folder.mkdir(parents=True, exist_ok=True)
    wanted = {
        (row, m, seed): config.run(row, m, seed) for seed in config.seeds for m in config.missing for row in config.rows
    }
    missing = {key: train for key, train in wanted.items() if kept.result(folder, train) is None}
    judged = {seed for row, _, seed in missing if row != "classifier"}
    started = {seed for row, _, seed in missing if row in ("pretrained", "frozen")}
    first = [("judge", seed, config.run("classifier", 0.0, seed)) for seed in sorted(judged)]
    first += [("unlabelled", seed, config.unlabelled(seed)) for seed in sorted(started)]
    with ThreadPoolExecutor(config.jobs) as pool:
        # The threads only wait for the processes.
        folders = pool.map(lambda one: kept.newest(one[2]) or kept.train(one[2]), first)
        made = {(what, seed): run for (what, seed, _), run in zip(first, folders, strict=True)}
        jobs = [lambda key=key: _run(folder, key, missing[key], made) for key in missing]
        list(tqdm(pool.map(lambda job: job(), jobs), total=len(jobs), desc="runs"))
    text = markdown(config, kept_results(config))
    print(text)
    replace_file(config.results / f"{config.name}.md", lambda temporary: temporary.write_text(text))


def kept_results(config):
    """Everything kept of this configuration, whatever rows and shares are asked for now: {(row, missing, seed): it}."""
    folder, found = config.results / config.name, {}
    shares = sorted({*TtlpConfig.missing, *config.missing})
    for row, missing, seed in itertools.product(ROWS, shares, config.seeds):
        one = kept.result(folder, config.run(row, missing, seed))
        if one is not None:
            found[row, missing, seed] = one
    return found


def _run(folder, key, train, made):
    """Train, judge, and keep both."""
    row, _, seed = key
    if getattr(train, "pretrained", None) is not None:
        train = dataclasses.replace(train, pretrained=made["unlabelled", seed])
    run = kept.newest(train) or kept.train(train)
    found = json.loads((run / "summary.json").read_text())
    if row != "classifier":
        judge = ["--classifier", str(made["judge", seed])]
        kept.run(["evaluate", str(run), *judge], train.runs_dir / f"{train.name}-evaluate.log", train.name)
        found["test"] = json.loads((run / "evaluation-test.json").read_text())["test"]
    kept.keep(folder, train, found)


def markdown(config, results):
    """The comparison, and where there are several attributes the accuracy of imputation of each."""
    seeds, shares = sorted({seed for *_, seed in results}), sorted({missing for _, missing, _ in results})
    first = next(iter(results.values()))
    several = len(first["test"]["imputation"]) > 1
    epochs = [
        f"--{f.replace('_', '-')} {getattr(config, f)}" for f in ("classifier_epochs", "cvae_epochs", "tuning_epochs")
    ]
    command = kept.command_of("python -m experiments table ttlp", config.train)
    command = " ".join([command, f"--name {config.name} --seeds {' '.join(map(str, seeds))}", *epochs])
    together = {}  # shares -> rows that have them
    for row in dict.fromkeys(row for row, *_ in results):
        together.setdefault(tuple(m for m in shares if (row, m, seeds[0]) in results), []).append(row)
    lines = [
        f"# Conditional generation and imputation on {config.train.data} (TTLP Tables 1 and 2)",
        "",
        f"Test set, {len(seeds)} seed(s). Condition accuracy: share of generated pictures, one for the labels of each "
        "test picture, in which a classifier trained with all labels finds what was asked for"
        f"{', mean over attributes' if several else ''}. Frechet distance: of that classifier's features, comparable "
        "in this table only. Imputation: the attributes of test pictures, from the picture alone; ECE with 15 bins.",
        "",
        *(
            f"    {command} --rows {' '.join(rows)} --missing {' '.join(f'{m:g}' for m in own)}"
            for own, rows in together.items()
        ),
        "",
        "| model | labels hidden | condition accuracy, % | paper | Frechet distance | imputation accuracy, % | paper | "
        "log-loss | ECE |",
        "|---|---|---|---|---|---|---|---|---|",
    ]
    for row in dict.fromkeys(row for row, *_ in results):
        for missing in (m for own, rows in together.items() if row in rows for m in own):
            found = [results[row, missing, seed] for seed in seeds]
            conditions = [one["test"].get("conditions") for one in found]
            asked = (
                ["", ""]
                if None in conditions
                else [
                    kept.mean([100 * one["mean_accuracy"] for one in conditions]),
                    kept.mean([one["frechet"] for one in conditions], 1),
                ]
            )
            paper = [part.get(missing, "") for part in PAPER.get((config.train.data, row), ({}, {}))]
            imputed = [
                _mean_of(found, "accuracy", 100, 2),
                _mean_of(found, "log_loss", 1, 3),
                _mean_of(found, "ece", 1, 4),
            ]
            cells = [ROWS[row][0], f"{missing:.0%}", asked[0], paper[0], asked[1], imputed[0], paper[1], *imputed[1:]]
            lines.append(f"| {' | '.join(cells)} |")
    if several:
        lines += ["", *_by_attribute(results, seeds[0])]
    return "\n".join([*lines, "", kept.measured([one["provenance"] for one in results.values()], config.name), ""])


def _mean_of(found, what, factor, digits):
    """The mean over discrete attributes, then over seeds."""
    values = [[one[what] for one in run["test"]["imputation"].values() if what in one] for run in found]
    return kept.mean([factor * statistics.mean(one) for one in values], digits)


def _by_attribute(results, seed):
    """Accuracy of imputation and ECE of every discrete attribute, one column a run."""
    columns = {(row, missing): one["test"]["imputation"] for (row, missing, s), one in results.items() if s == seed}
    names = [name for name, one in next(iter(columns.values())).items() if "accuracy" in one]
    heads = [f"{row}, {missing:.0%}" for row, missing in columns]
    lines = [
        f"Imputation accuracy in percent (and ECE) by attribute, seed {seed}; majority: the most frequent answer.",
        "",
        f"| attribute | majority | {' | '.join(heads)} |",
        f"|---|---|{'---|' * len(heads)}",
    ]
    for name in names:
        cells = [f"{100 * one[name]['accuracy']:.2f} ({one[name]['ece']:.3f})" for one in columns.values()]
        majority = next(iter(columns.values()))[name]["majority"]
        lines.append(f"| {name} | {100 * majority:.2f} | {' | '.join(cells)} |")
    means = [100 * statistics.mean(one[name]["accuracy"] for name in names) for one in columns.values()]
    majority = 100 * statistics.mean(next(iter(columns.values()))[name]["majority"] for name in names)
    return [*lines, f"| mean | {majority:.2f} | {' | '.join(f'{mean:.2f}' for mean in means)} |"]
