"""`figure cp-vae-toy`: two Gaussians on a line, learned with and without knowing how many (CP-VAE Figures 3 and 4)."""

import dataclasses
import math
from pathlib import Path

import pyro
import torch
from matplotlib.figure import Figure

from experiments import pages
from experiments.answers import Entry, Measure, best, sentence
from experiments.heads import headed
from experiments.tables.completed import trained
from experiments.trainings import check_counts, check_rows, identity, training
from models.shared import runs
from models.shared.figures import save

MODES, SCALE = (0.3, 0.7), 0.05  # of the truth; equal weights
SHARED = {"data": "gaussians", "binarize": "none", "likelihood": "gaussian", "noise": SCALE, "latent_dim": 2}
SHARED |= {"hidden": (64, 64), "batch_size": 250, "epochs": 12, "warmup_epochs": 0, "lr": 3e-3, "decay": True}
SHARED |= {"cp-vae.blind_epochs": 4, "cp-vae.prior_lr": 1e-2, "threads": 1, "progress": False}
# Row -> title, model, what makes it another.
ROWS = {
    "cp-2": ("CP-VAE, 2", "cp-vae", {"categories": 2}),
    "cp-150": ("CP-VAE, 150", "cp-vae", {"categories": 150}),
    "vae": ("VAE, N(0, I)", "vae", {"prior": "normal"}),
    "mg-2": ("mixture of 2", "vae", {"prior": "gmm", "weights": "equal", "components": 2}),
    "mg-150": ("mixture of 150", "vae", {"prior": "gmm", "weights": "equal", "components": 150}),
    "vp-2": ("VampPrior of 2", "vae", {"prior": "vamp", "pseudo_inputs": 2}),
    "vp-150": ("VampPrior of 150", "vae", {"prior": "vamp", "pseudo_inputs": 150}),
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
    results: Path = pages.FOLDER  # Where results lie.

    def __post_init__(self):
        check_rows(self.rows, ROWS)
        check_counts(self, "epochs", "draws")


def main(config: CpVaeToyConfig):
    """Train what is missing, draw, print, and write the files."""
    where = {"epochs": config.epochs, "seed": config.seed, "runs_dir": config.runs_dir / "cp-vae-toy"}
    wanted = {}
    for row in config.rows:
        _, model, values = ROWS[row]
        wanted[row] = training(model, SHARED, **values, **where, name=f"{row}-seed{config.seed}")
    rows, drawn = {}, {}
    for (row, train), folder in zip(wanted.items(), trained(wanted.values()), strict=True):
        run, model = runs.trained(folder)
        test = runs.read_json(run.folder / "summary.json")["test"]
        pyro.set_rng_seed(config.seed)
        draws = {"": model.generate(config.draws, drawn=True)}
        if "categories" in test:
            posterior = model.generate(config.draws, probs=torch.tensor(test["categories"]), drawn=True)
            draws = {"c from q(c)": posterior, "c from p(c)": draws[""]}
        rows[row] = {"elbo": test["elbo"], **_categories(test), "config": identity(train)}
        rows[row]["draws"] = {how: compare(x.flatten()) for how, x in draws.items()}
        drawn |= {", ".join(filter(None, (ROWS[row][0], how))): x.flatten() for how, x in draws.items()}
    path = config.results / "cp-vae-toy"
    pages.write_page(path, {"rows": rows, "provenance": runs.provenance()}, page)
    histograms(path.with_suffix(".png"), drawn)


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
        >>> result = compare(0.3 + 0.05 * torch.randn(1000))
        >>> round(result["modes"][0]["share"], 2), round(result["kolmogorov"], 2)
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


def answer(values):
    """The highest bound, and Kolmogorov's distance of every CP-VAE."""
    bound = Measure("ELBO", None, 3, " nats", higher=True)
    said = [best(bound, [Entry(ROWS[row][0], [part["elbo"]]) for row, part in values["rows"].items()])]
    for row, part in values["rows"].items():
        if ROWS[row][1] == "cp-vae":
            parts = [f"{draws['kolmogorov']:.3f} with {how}" for how, draws in part["draws"].items()]
            said.append(f"Kolmogorov's distance of {ROWS[row][0]} is {' and '.join(parts)}")
    return sentence(*said)


@headed(
    "Does CP-VAE generate both modes of two Gaussians on a line, and does it with far more categories than modes?",
    answer,
    "More seeds; a harder law; longer training of the rivals.",
)
def page(values, name):
    """The modes that each model generates."""
    best = -(math.log(2) + 0.5 * math.log(2 * math.pi * math.e * SCALE**2))
    columns = {
        "model": lambda row: ROWS[row[0]][0],
        "ELBO": lambda row: f"{row[1]['elbo']:.3f}",
        "categories used": lambda row: f"{row[1]['used']}, {row[2]}" if row[2] else "",
        ("lower mode: share, mean, scale", "upper mode"): lambda row: map(_mode, row[3]["modes"]),
        "Kolmogorov": lambda row: f"{row[3]['kolmogorov']:.3f}",
    }
    rows = [(row, part, how, draws) for row, part in values["rows"].items() for how, draws in part["draws"].items()]
    return [
        "# Two Gaussians on a line (CP-VAE Figures 3 and 4)",
        f"The truth is 1/2 N(0.3, 0.05) + 1/2 N(0.7, 0.05); no bound can exceed {best:.3f}, its mean log density. "
        "Each mode is what lies within 0.2 of its mean. Kolmogorov's distance is the largest difference of the two "
        "distribution functions. Used categories hold at least a tenth of an even share of the data.",
        pages.table(columns, rows),
        f"![What they generate]({name}.png)",
    ]


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
