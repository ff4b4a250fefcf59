"""`figure cp-vae-toy`: two Gaussians on a line, learned with and without knowing how many (CP-VAE Figures 3 and 4)."""

import dataclasses
import math
from pathlib import Path

import pyro
import torch
from matplotlib.figure import Figure

from experiments import build, pages, runs
from experiments.config import TrainConfig, check_counts, check_rows
from experiments.config_two_level import CategoricalConfig
from experiments.figures import save
from experiments.launch import LaunchConfig
from experiments.tables import completed, kept

MODES, SCALE = (0.3, 0.7), 0.05  # of the truth; equal weights
SHARED = {
    "data": "gaussians",
    "binarize": "none",
    "likelihood": "gaussian",
    "noise": SCALE,
    "latent_dim": 2,
    "hidden": (64, 64),
    "batch_size": 250,
    "epochs": 12,
    "warmup_epochs": 0,
    "lr": 3e-3,
    "decay": True,
    "threads": 1,
    "progress": False,
}
CP = {"blind_epochs": 4, "prior_lr": 1e-2}
ROWS = {
    "cp-2": ("CP-VAE, 2", CategoricalConfig(**SHARED, **CP, categories=2)),
    "cp-150": ("CP-VAE, 150", CategoricalConfig(**SHARED, **CP, categories=150)),
    "vae": ("VAE, N(0, I)", TrainConfig(**SHARED, prior="normal")),
    "mg-2": ("mixture of 2", TrainConfig(**SHARED, prior="gmm", gmm_equal=True, gmm_components=2)),
    "mg-150": ("mixture of 150", TrainConfig(**SHARED, prior="gmm", gmm_equal=True, gmm_components=150)),
    "vp-2": ("VampPrior of 2", TrainConfig(**SHARED, prior="vamp", pseudo_inputs=2)),
    "vp-150": ("VampPrior of 150", TrainConfig(**SHARED, prior="vamp", pseudo_inputs=150)),
}


@dataclasses.dataclass(frozen=True)
class CpVaeToyConfig:
    """Train CP-VAE and its baselines on 1/2 N(0.3, 0.05) + 1/2 N(0.7, 0.05), and draw what they generate.

    RESULTS/cp-vae-toy.json has the numbers, .md the table, .png the histograms. Runs that are there are not repeated.
    """

    rows: tuple[str, ...] = tuple(ROWS)  # Models to train.
    epochs: int = SHARED["epochs"]  # Passes over the training data.
    draws: int = 50_000  # Of each model.
    seed: int = 0  # Seed of trainings and draws.
    runs_dir: Path = Path("runs")  # Where runs land.
    results: Path = pages.FOLDER  # Where results are kept.

    def __post_init__(self):
        check_rows(self.rows, ROWS)
        check_counts(self, "epochs", "draws")


def main(config: CpVaeToyConfig):
    """Train what is missing, draw, print, and write the files."""
    wanted = {row: _train_config(config, row) for row in config.rows}
    missing = [train for train in wanted.values() if kept.newest(train) is None]
    completed.complete(LaunchConfig(), kept.train, missing).end()
    found, drawn = {}, {}
    for row, train in wanted.items():
        run, model = build.trained(kept.newest(train))
        test = runs.read_json(run.folder / "summary.json")["test"]
        pyro.set_rng_seed(config.seed)
        draws = {"": model.generate(config.draws, drawn=True)}
        if train.model == "cp-vae":
            draws = {
                "c from q(c)": model.generate(config.draws, probs=torch.tensor(test["categories"]), drawn=True),
                "c from p(c)": draws[""],
            }
        found[row] = {"elbo": test["elbo"], **_categories(test), "config": kept.identity(train), "draws": {}}
        for how, x in draws.items():
            found[row]["draws"][how] = compare(x.flatten())
            drawn[", ".join(filter(None, (ROWS[row][0], how)))] = x.flatten()
    text = markdown(found)
    path = config.results / "cp-vae-toy"
    pages.write_page(path, {"rows": found, "provenance": runs.provenance()}, text)
    histograms(path.with_suffix(".png"), drawn)


def _train_config(config, row):
    return dataclasses.replace(
        ROWS[row][1],
        epochs=config.epochs,
        seed=config.seed,
        name=f"{row}-seed{config.seed}",
        runs_dir=config.runs_dir / "cp-vae-toy",
    )


def _categories(test):
    """How many categories hold a tenth of an even share or more, and the largest share of the others."""
    if "categories" not in test:
        return {}
    shares = torch.tensor(test["categories"])
    used = shares > 0.1 / len(shares)
    return {"used": int(used.sum()), "largest_unused": float(shares[~used].max()) if not used.all() else None}


def truth_cdf(x):
    """The distribution function of the truth."""
    normal = torch.distributions.Normal(torch.tensor(MODES), SCALE)
    return normal.cdf(x.unsqueeze(-1)).mean(-1)


def compare(x):
    """Draws `(n,)` against the truth: each mode's share, mean and standard deviation, and Kolmogorov's distance.

    Example:
        >>> _ = torch.manual_seed(0)
        >>> found = compare(0.3 + 0.05 * torch.randn(1000))
        >>> round(found["modes"][0]["share"], 2), round(found["kolmogorov"], 2)
        (1.0, 0.5)
    """
    modes = []
    for mode in MODES:
        own = x[(x - mode).abs() < (MODES[1] - MODES[0]) / 2]
        moments = {"mean": float(own.mean()), "scale": float(own.std())} if len(own) > 1 else {}
        modes.append({"share": len(own) / len(x), **moments})
    ordered = x.sort().values.double()
    steps = torch.arange(len(x) + 1) / len(x)
    cdf = truth_cdf(ordered)
    distance = torch.maximum((cdf - steps[:-1]).abs().max(), (cdf - steps[1:]).abs().max())
    return {"modes": modes, "kolmogorov": float(distance)}


def markdown(found):
    """The modes that each model generates."""
    best = -(math.log(2) + 0.5 * math.log(2 * math.pi * math.e * SCALE**2))
    lines = [
        "# Two Gaussians on a line (CP-VAE Figures 3 and 4)",
        "",
        f"The truth is 1/2 N(0.3, 0.05) + 1/2 N(0.7, 0.05); no bound can exceed {best:.3f}, its mean log density. "
        "Each mode is what lies within 0.2 of its mean. Kolmogorov's distance is the largest difference of the two "
        "distribution functions. Used categories hold at least a tenth of an even share of the data.",
        "",
        "| model | ELBO | categories used | lower mode: share, mean, scale | upper mode | Kolmogorov |",
        "|---|---|---|---|---|---|",
    ]
    for row, one in found.items():
        for how, draws in one["draws"].items():
            used = f"{one['used']}, {how}" if how else ""
            modes = [_mode(mode) for mode in draws["modes"]]
            title = ROWS[row][0]
            lines.append(f"| {title} | {one['elbo']:.3f} | {used} | {' | '.join(modes)} | {draws['kolmogorov']:.3f} |")
    lines += ["", "![What they generate](cp-vae-toy.png)", ""]
    return "\n".join(lines)


def _mode(mode):
    moments = f", {mode['mean']:.3f}, {mode['scale']:.3f}" if "mean" in mode else ""
    return f"{mode['share']:.3f}{moments}"


def histograms(path, drawn):
    """One histogram a model beside the density of the truth."""
    columns = min(4, len(drawn))
    height = math.ceil(len(drawn) / columns)
    figure = Figure(figsize=(3.4 * columns, 2.6 * height), layout="constrained")
    axes = figure.subplots(height, columns, squeeze=False).flatten()
    x = torch.linspace(0, 1, 400)
    density = torch.distributions.Normal(torch.tensor(MODES), SCALE).log_prob(x.unsqueeze(-1)).exp().mean(-1)
    for axis, (title, values) in zip(axes, drawn.items(), strict=False):
        axis.hist(values.clamp(0, 1).numpy(), bins=80, range=(0, 1), density=True, alpha=0.6, label="generated")
        axis.plot(x.numpy(), density.numpy(), color="black", linewidth=1, label="truth")
        axis.set_title(title)
    for axis in axes[len(drawn) :]:
        axis.set_visible(False)
    axes[0].legend()
    save(figure, path)
