"""`table cp-vae`: Table 1 of CP-VAE, and how well its categories match labels."""

import dataclasses
import json
from pathlib import Path

from experiments import pages
from experiments.config import TrainConfig
from experiments.config_two_level import CategoricalConfig, HierarchicalConfig, PaperConfig
from experiments.launch import LaunchConfig
from experiments.tables import asked, completed, kept
from pyro_priors.checks import UserError

# Row -> title, its configuration's class, what it changes, the field that holds K.
ROWS = {
    "cp": ("CP-VAE", CategoricalConfig, {}, "categories"),
    "vae": ("VAE, N(0, I)", TrainConfig, {"prior": "normal"}, None),
    "mg": ("VAE, mixture of K Gaussians", TrainConfig, {"prior": "gmm", "gmm_equal": True}, "gmm_components"),
    "vp": ("VAE, VampPrior of K", TrainConfig, {"prior": "vamp"}, "pseudo_inputs"),
    "hvae": ("two levels, N(0, I)", HierarchicalConfig, {"prior": "normal"}, None),
    "hvp": ("two levels, VampPrior of K", HierarchicalConfig, {"prior": "vamp"}, "pseudo_inputs"),
}
# -ELBO of CP-VAE Table 1 by data, row and K (0 where there is none).
PAPER = {
    "mnist": {
        "cp": {10: "84.76", 150: "86.84", 500: "88.63"},
        "vae": {0: "88.75"},
        "mg": {10: "89.43", 150: "88.96", 500: "88.85"},
        "vp": {10: "87.94", 150: "86.55", 500: "86.07"},
        "hvae": {0: "86.7"},
        "hvp": {10: "85.90", 150: "85.09", 500: "85.01"},
    },
    "omniglot": {
        "cp": {50: "114.31", 500: "114.14"},
        "vae": {0: "115.06"},
        "mg": {50: "116.31", 500: "116.12"},
        "vp": {50: "114.01", 500: "113.74"},
        "hvae": {0: "110.81"},
        "hvp": {50: "110.50", 500: "110.16"},
    },
}
SHARED = {field.name for field in dataclasses.fields(PaperConfig)}


@dataclasses.dataclass(frozen=True)
class CpVaeConfig(LaunchConfig):
    """Train CP-VAE and its baselines with the same networks and budget; skip runs whose result is there already.

    Results land in RESULTS/NAME/ROW-K-seedS.json, the table of all that are kept in RESULTS/NAME.md. Up to
    --enumerate-up-to categories are summed over, more are drawn (Gumbel-Softmax); bounds are always of hard categories.
    """

    name: str | None = None  # Of the table; default cp-vae-DATA.
    train: PaperConfig = PaperConfig(epochs=300, patience=50, progress=False, threads=1, particles=10)  # noqa: RUF009
    cp: CategoricalConfig = CategoricalConfig()  # What CP-VAE has beside; its other knobs are those of train.  # noqa: RUF009
    rows: tuple[str, ...] = tuple(ROWS)  # Rows to run.
    categories: tuple[int, ...] = (10,)  # Values of K for the rows that have one.
    enumerate_up_to: int = 10  # Largest K that is summed over.
    seeds: tuple[int, ...] = (0,)  # Seeds to run each row with, each by its number: --seeds 0 1 2.
    results: Path = pages.FOLDER  # Where results are kept.

    def __post_init__(self):
        super().__post_init__()
        asked.check_asked(self, ROWS, {"seed", "name"}, some=("rows", "categories", "seeds"))
        own = {field.name for field in dataclasses.fields(CategoricalConfig)} - SHARED - {"categories", "estimator"}
        for field in dataclasses.fields(self.cp):
            if field.name not in own and getattr(self.cp, field.name) != field.default:
                raise UserError(
                    f"cp.{field.name}: expected its default (--train or --categories decide it), got another"
                )
        if min(self.categories) < 1:
            raise UserError(f"categories: expected at least 1, got {min(self.categories)}")

    @property
    def title(self):
        """The name of the table."""
        return self.name or f"cp-vae-{self.train.data}"

    def run(self, row, count, seed):
        """The configuration of one training."""
        _, kind, changes, field = ROWS[row]
        base = self.cp if row == "cp" else kind()
        known = {field.name for field in dataclasses.fields(kind)}
        shared = {name: getattr(self.train, name) for name in SHARED & known}
        changes = changes | ({field: count} if field else {})
        if row == "cp":
            summed = count <= self.enumerate_up_to
            changes |= {"estimator": "enumerate"} if summed else {"estimator": "gumbel", "kept": None}
        where = {"seed": seed, "name": run_name(row, count, seed), "runs_dir": self.train.runs_dir / self.title}
        return dataclasses.replace(base, **shared | changes | where)


def run_name(row, count, seed):
    """
    Example:
        >>> run_name("cp", 10, 0), run_name("vae", 0, 1)
        ('cp-10-seed0', 'vae-seed1')
    """
    return f"{row}-{count}-seed{seed}" if count else f"{row}-seed{seed}"


def main(config: CpVaeConfig):
    """Run what is missing, then print and write the table of all that is kept."""
    wanted = {
        (row, count, seed): config.run(row, count, seed)
        for seed in config.seeds
        for row in config.rows
        for count in (config.categories if ROWS[row][3] else (0,))
    }
    folder = config.results / config.title
    missing = [train for train in wanted.values() if kept.result(folder, train) is None]
    folder.mkdir(parents=True, exist_ok=True)
    done = completed.complete(config, lambda train: kept.train_and_keep(folder, train), missing)
    if any(folder.glob("*.json")):
        text = markdown(config, folder)
        pages.show(config.results / f"{config.title}.md", text)
    done.end()


def markdown(config, folder):
    """All kept results of this table: -ELBO by row and K beside the paper's, and the clusters of CP-VAE."""
    found = {}
    for path in sorted(Path(folder).glob("*.json")):
        row, *count, _ = path.stem.split("-")
        found.setdefault((row, int(count[0]) if count else 0), []).append(json.loads(path.read_text()))
    paper, data = PAPER.get(config.train.data, {}), config.train.data
    lines = [
        f"# Two-level priors on {data} (CP-VAE Table 1)",
        "",
        "Test set, nats per image, lower is better, with hard categories; mean +- standard error over the seeds. "
        "Clusters: most probable categories of the test pictures against labels that training has not seen, under the "
        "best one-to-one match, or each category standing for the label it holds most of.",
        "",
        *_budgets([one["config"] for results in found.values() for one in results]),
        "",
        "| model | K | seeds | -ELBO | paper | -IWAE | cluster accuracy, % | best seed | majority, % | NMI | used |",
        "|---|---|---|---|---|---|---|---|---|---|---|",
    ]
    for row in ROWS:
        for (name, count), results in sorted(found.items()):
            if name == row:
                lines.append(_line(row, count, results, paper.get(row, {}).get(count, "")))
    everything = [one for results in found.values() for one in results]
    lines += ["", pages.measured([one["provenance"] for one in everything], f"{config.title}/"), ""]
    return "\n".join(lines)


def _budgets(configs):
    """What all runs were given, one line for each budget that occurs."""
    budgets = {}
    for one in configs:
        decay = ", falling to 0 along a cosine" if one["decay"] else ""
        words = (
            f"{one['epochs']} epochs of batches of {one['batch_size']}, Adam {one['lr']:g} (prior {one['prior_lr']:g})"
            f"{decay}, KL warm-up over {one['warmup_epochs']} epochs"
        )
        budgets.setdefault(words, []).append(one["seed"])
    every = len(budgets) == 1
    return [f"{'Every run' if every else f'{len(runs)} runs'} had {words}." for words, runs in budgets.items()]


def _title(row, config):
    """The row, and for CP-VAE how it was trained."""
    if row != "cp":
        return ROWS[row][0]
    summed = f"sum over the {config['kept']} most probable c" if config["kept"] else "sum over c"
    how = {"gumbel": "Gumbel-Softmax", "enumerate": summed}
    blind = f", categories from epoch {config['blind_epochs'] + 1} on" if config["blind_epochs"] else ""
    return f"{ROWS[row][0]}, {how[config['estimator']]}{blind}"


def _line(row, count, results, paper):
    tests = [one["test"] for one in results]
    bounds = [pages.mean([-test[bound] for test in tests]) for bound in ("elbo", "iwae")]
    cells = [_title(row, results[0]["config"]), str(count or ""), str(len(results)), bounds[0], paper, bounds[1]]
    clusters = [test["clusters"] for test in tests if "clusters" in test]
    if clusters:
        accuracy = [100 * one["accuracy"] for one in clusters]
        majority = [100 * one["majority_accuracy"] for one in clusters]
        cells += [pages.mean(accuracy), f"{max(accuracy):.2f}", pages.mean(majority)]
        cells += [pages.mean([one["nmi"] for one in clusters], 3), pages.mean([one["used"] for one in clusters], 0)]
    else:
        cells += [""] * 5
    return f"| {' | '.join(cells)} |"
