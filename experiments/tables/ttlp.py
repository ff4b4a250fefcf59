"""`table ttlp`: conditional generation and imputation with hidden labels, TTLP Tables 1 and 2."""

import dataclasses
import itertools
import json
import statistics
from pathlib import Path

from experiments import pages
from experiments.config import TrainConfig
from experiments.config_attributes import ClassifierConfig, CVAEConfig, JointConfig
from experiments.launch import LaunchConfig
from experiments.tables import asked, completed, kept
from pyro_priors.checks import UserError

# Row -> title, class of its configuration, what it changes in it.
ROWS = {
    "joint": ("VAE-TTLP", JointConfig, {}),
    "weighted": ("VAE-TTLP, {label_weight:g} log p(y given z) added to the bound", JointConfig, {}),
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
JUDGED, STARTED = set(ROWS) - {"classifier"}, {"pretrained", "frozen"}
EPOCHS = ("classifier_epochs", "cvae_epochs", "tuning_epochs")


@dataclasses.dataclass(frozen=True)
class TtlpConfig(LaunchConfig):
    """Train the joint VAE and its baselines with labels hidden, and judge them by a classifier trained with all labels.

    Runs whose result is there already are skipped. Results land in RESULTS/NAME/ROW-missingSHARE-seedK.json, the
    table of all that are kept in RESULTS/NAME.md. The pretrained rows start from one VAE with N(0, I) per seed.
    """

    train: JointConfig = SHARED  # What all rows share.
    name: str = "ttlp-mnist"  # Of the table.
    rows: tuple[str, ...] = tuple(ROWS)  # Rows to run.
    missing: tuple[float, ...] = (0.0, 0.3, 0.7)  # Shares of the labels that are hidden.
    seeds: tuple[int, ...] = (0,)  # Seeds to run each row with, each by its number: --seeds 0 1 2.
    label_weight: float = 50.0  # Of the row `weighted`.
    classifier_epochs: int = 6  # Passes over the data of the classifier.
    cvae_epochs: int = 10  # Passes of the conditional VAE.
    tuning_epochs: int = 10  # Passes of the pretrained model with all its parts.
    results: Path = pages.FOLDER  # Where results are kept.

    def __post_init__(self):
        super().__post_init__()
        asked.check_asked(self, ROWS, DECIDED, some=("rows", "seeds", "missing"), counts=EPOCHS)
        if not self.label_weight > 0:
            raise UserError(f"label_weight: expected a positive number, got {self.label_weight}")

    def run(self, row, missing, seed):
        """The configuration of one run."""
        kind, changes = ROWS[row][1:]
        epochs = {
            "classifier": self.classifier_epochs,
            "cvae": self.cvae_epochs,
            "pretrained": self.tuning_epochs,
        }.get(row, self.train.epochs)
        if row in STARTED:
            changes = {**changes, "pretrained": Path("RUN")}  # known once it is trained
        if row == "weighted":
            changes = {**changes, "label_weight": self.label_weight}
        return self._of(kind, f"{row}-missing{missing:g}", seed, missing=missing, epochs=epochs, **changes)

    def beside(self, row, missing, seed):
        """What else decides the outcome of that run: its judge, where it started, and the user's own data."""
        beside = {"judge": kept.identity(self.run("classifier", 0.0, seed))} if row in JUDGED else {}
        if row in STARTED:
            beside["start"] = kept.identity(self.unlabelled(seed))
        if self.train.data == "folder":
            beside["data"] = kept.fingerprint(self.train.data_root)
        return beside

    def unlabelled(self, seed):
        """The configuration of the VAE without labels from which the pretrained rows start."""
        return self._of(TrainConfig, "unlabelled", seed, prior="normal")

    def _of(self, kind, name, seed, **changes):
        names = {field.name for field in dataclasses.fields(kind)} & {f.name for f in dataclasses.fields(JointConfig)}
        shared = {field: getattr(self.train, field) for field in names - DECIDED}
        if kind is ClassifierConfig:
            shared = {field: value for field, value in shared.items() if field not in ("lr", "network", "decay")}
        runs_dir = self.train.runs_dir / self.name
        return kind(**{**shared, "seed": seed, "name": f"{name}-seed{seed}", "runs_dir": runs_dir, **changes})


def main(config: TtlpConfig):
    """Run what is missing, then print and write the table of everything that is kept of this configuration."""
    folder = config.results / config.name
    wanted = list(itertools.product(config.rows, config.missing, config.seeds))
    missing = [key for key in wanted if kept.result(folder, config.run(*key), config.beside(*key)) is None]
    first = [
        config.run("classifier", 0.0, seed) for seed in sorted({seed for row, _, seed in missing if row in JUDGED})
    ]
    first += [config.unlabelled(seed) for seed in sorted({seed for row, _, seed in missing if row in STARTED})]
    folder.mkdir(parents=True, exist_ok=True)
    done = completed.complete(config, kept.train, first)
    made = {train.name: run for train, run in done.made.items()}
    then = completed.complete(config, lambda key: _run(config, key, made), missing)
    if results := kept_results(config):
        text = markdown(config, results)
        pages.show(config.results / f"{config.name}.md", text)
    completed.Completed(done.made | then.made, done.failed + then.failed).end()


def kept_results(config):
    """Everything kept of this configuration, whatever rows and shares are asked for now: {(row, missing, seed): it}."""
    folder, shares = config.results / config.name, sorted({*TtlpConfig.missing, *config.missing})
    found = {
        key: kept.result(folder, config.run(*key), config.beside(*key), strict=False)
        for key in itertools.product(ROWS, shares, config.seeds)
    }
    return {key: one for key, one in found.items() if one is not None}


def _run(config, key, made):
    """Train, judge, and keep both."""
    row, _, seed = key
    train = config.run(*key)
    start, judge = config.unlabelled(seed).name, config.run("classifier", 0.0, seed).name
    for name, needed in ((start, row in STARTED), (judge, row in JUDGED)):
        if needed and name not in made:
            raise UserError(f"{train.name}: expected {name}, which it needs, to end well, but it failed")
    if row in STARTED:
        train = dataclasses.replace(train, pretrained=made[start])
    run = kept.train(train)
    found = json.loads((run / "summary.json").read_text())
    if row in JUDGED:
        arguments = ["evaluate", str(run), "--classifier", str(made[judge]), "--seed", str(seed)]
        kept.run(arguments, train.runs_dir / f"{train.name}-evaluate.log", train.name)
        evaluation = json.loads((run / "evaluation-test.json").read_text())
        command = ["python", "-m", "experiments", "evaluate", "RUN", "--classifier", "RUN", "--seed", str(seed)]
        found |= {"test": evaluation["test"], "evaluated": {**evaluation["provenance"], "command": command}}
    kept.keep(config.results / config.name, train, found, config.beside(*key))


def markdown(config, results):
    """The comparison, and where there are several attributes the accuracy of imputation of each."""
    several = any(len(one["test"]["imputation"]) > 1 for one in results.values())
    lines = [
        f"# Conditional generation and imputation on {config.train.data} (TTLP Tables 1 and 2)",
        "",
        "Test set. Condition accuracy: share of generated pictures, one for the labels of each test picture, in which "
        f"a classifier trained with all labels finds what was asked for{', mean over attributes' if several else ''}. "
        "Frechet distance: of that classifier's features, comparable in this table only. Imputation: the attributes of "
        "test pictures, from the picture alone; ECE with 15 bins.",
        "",
        *_judges(results),
        "",
        *_commands(config, results),
        "",
        "| model | labels hidden | seeds | condition accuracy, % | paper | Frechet distance | imputation accuracy, % | "
        "paper | log-loss | ECE |",
        "|---|---|---|---|---|---|---|---|---|---|",
        *_rows(config, results),
    ]
    if several:
        lines += ["", *_by_attribute(results)]
    provenances = [one[part] for one in results.values() for part in ("provenance", "evaluated") if part in one]
    return "\n".join([*lines, "", pages.measured(provenances, f"{config.name}/"), ""])


def _judges(results):
    """The classifiers that read the generated pictures; there should be one for each seed."""
    judges = {(seed, one["test"]["conditions"]["judge"]["weights"]): one["test"]["conditions"]["judge"]["accuracy"]
              for (_, _, seed), one in results.items() if "conditions" in one["test"]}  # fmt: skip
    return [
        f"Judge of seed {seed} (weights {weights}): right on {accuracy:.2%} of the labels of the test set."
        for (seed, weights), accuracy in sorted(judges.items())
    ]


def _commands(config, results):
    """What makes these results again: rows with the same shares and seeds in one command."""
    together = {}
    for row in dict.fromkeys(row for row, *_ in results):
        shares = tuple(sorted({share for r, share, _ in results if r == row}))
        seeds = tuple(sorted({seed for r, _, seed in results if r == row}))
        together.setdefault((shares, seeds), []).append(row)
    epochs = [(f"--{name.replace('_', '-')}", getattr(config, name)) for name in EPOCHS]
    weight = ["--label-weight", f"{config.label_weight:g}"] if any(row == "weighted" for row, *_ in results) else []
    shared = ["--name", config.name, *weight, *itertools.chain.from_iterable(epochs)]
    for (shares, seeds), rows in together.items():
        own = ["--rows", *rows, "--missing", *(f"{share:g}" for share in shares), "--seeds", *seeds]
        yield f"    {pages.command_of('table ttlp', config.train, [*shared, *own])}"


def _rows(config, results):
    for row, missing in dict.fromkeys((row, missing) for row, missing, _ in results):
        tests = [one["test"] for (*cell, _), one in results.items() if cell == [row, missing]]
        conditions = [test["conditions"] for test in tests if "conditions" in test]
        papers = [part.get(missing, "") for part in PAPER.get((config.train.data, row), ({}, {}))]
        cells = [
            ROWS[row][0].format(label_weight=config.label_weight),
            f"{missing:.0%}",
            str(len(tests)),
            pages.mean([100 * one["mean_accuracy"] for one in conditions]),
            papers[0],
            pages.mean([one["frechet"] for one in conditions], 1),
            _mean_of(tests, "accuracy", 100, 2),
            papers[1],
            _mean_of(tests, "log_loss", 1, 3),
            _mean_of(tests, "ece", 1, 4),
        ]
        yield f"| {' | '.join(cells)} |"


def _mean_of(tests, what, factor, digits):
    """The mean over discrete attributes whose truth is known, then over seeds."""
    values = [[one[what] for one in test["imputation"].values() if one.get(what) is not None] for test in tests]
    return pages.mean([factor * statistics.mean(one) if one else None for one in values], digits)


def _by_attribute(results):
    """Accuracy of imputation and ECE of every discrete attribute, one column a run of the first seed."""
    first = min(seed for *_, seed in results)
    columns = {(row, missing): one["test"]["imputation"] for (row, missing, s), one in results.items() if s == first}
    any_column = next(iter(columns.values()))
    names = [name for name, one in any_column.items() if one.get("accuracy") is not None]
    lines = [
        f"Imputation accuracy in percent (and ECE) by attribute, seed {first}; majority: the answer that is most "
        "frequent in the test set.",
        "",
        f"| attribute | majority | {' | '.join(f'{row}, {missing:.0%}' for row, missing in columns)} |",
        f"|---|---|{'---|' * len(columns)}",
    ]
    for name in names:
        cells = [f"{100 * one[name]['accuracy']:.2f} ({one[name]['ece']:.3f})" for one in columns.values()]
        lines.append(f"| {name} | {100 * any_column[name]['majority']:.2f} | {' | '.join(cells)} |")
    means = [100 * statistics.mean(one[name]["accuracy"] for name in names) for one in columns.values()]
    majority = 100 * statistics.mean(any_column[name]["majority"] for name in names)
    return [*lines, f"| mean | {majority:.2f} | {' | '.join(f'{mean:.2f}' for mean in means)} |"]
