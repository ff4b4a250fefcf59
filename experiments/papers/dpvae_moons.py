"""`figure dpvae-moons`: pockets and leaks of regularised VAEs, with and without a flow (dpVAE Figures 1 and 3)."""

import dataclasses
import itertools
from pathlib import Path

import pyro
import torch
from matplotlib.figure import Figure

from experiments import generation, pages
from experiments.answers import counted, sentence
from experiments.heads import headed
from experiments.tables.completed import trained
from experiments.tables.dpvae import OBJECTIVES, PRIORS
from experiments.trainings import check_counts, check_rows, identity, training
from models.shared import runs
from models.shared.figures import save
from pyro_priors import metrics
from pyro_priors.data.images import loader

SHARED = {"data": "moons", "binarize": "none", "likelihood": "squared-error", "error_weight": 50.0, "latent_dim": 2}
SHARED |= {"hidden": (64, 64), "discriminator_hidden": (200,) * 5, "batch_size": 100, "epochs": 60, "lr": 1e-3}
SHARED |= {"prior_lr": 1e-3, "particles": 10, "threads": 1, "progress": False}
EXTREME = 5  # points marked in each panel


@dataclasses.dataclass(frozen=True)
class DpvaeMoonsConfig:
    """Train every regularised VAE on two moons under N(0, I) and under a flow, at the same hyperparameters.

    RESULTS/dpvae-moons.json has the numbers, .md the table, .png the figure. Runs that are there are not repeated.
    """

    objectives: tuple[str, ...] = tuple(OBJECTIVES)  # Bounds to train by.
    epochs: int = SHARED["epochs"]  # Passes over the training data.
    samples: int = 5000  # Draws of prior and aggregated posterior.
    lowest: int = 250  # Low-posterior samples whose distance from the moons is averaged.
    seed: int = 0  # Seed of trainings and draws.
    runs_dir: Path = Path("runs")  # Where runs land.
    results: Path = pages.FOLDER  # Where results lie.

    def __post_init__(self):
        check_rows(self.objectives, OBJECTIVES, "objectives")
        check_counts(self, "epochs")
        generation.check_draws(self.samples, max(self.lowest, EXTREME))


def main(config: DpvaeMoonsConfig):
    """Train what is missing, draw, print, and write the files."""
    where = {"epochs": config.epochs, "seed": config.seed, "runs_dir": config.runs_dir / "dpvae-moons"}
    wanted = {}
    for objective, prior in itertools.product(config.objectives, PRIORS):
        own = {"objective": objective, "prior": prior, "name": f"{objective}-{prior}-seed{config.seed}"}
        wanted[objective, prior] = training("vae", SHARED, **own, **where)
    folders, rows, panels = trained(wanted.values()), {}, {}
    data = training("vae", SHARED).load_data()
    for (key, train), folder in zip(wanted.items(), folders, strict=True):
        run, model = runs.trained(folder)
        pyro.set_rng_seed(config.seed)
        numbers, panels[key] = judge(model, data, config)
        numbers["elbo"] = runs.read_json(run.folder / "summary.json")["test"]["elbo"]
        rows[", ".join(key)] = numbers | {"config": identity(train)}
    distance = float(moons_distance(data.test.first(config.lowest).flatten(1)).mean())
    values = {"rows": rows, "data_distance": distance, "seed": config.seed, "provenance": runs.provenance()}
    path = config.results / "dpvae-moons"
    pages.write_page(path, values, page)
    draw(path.with_suffix(".png"), panels, data.test.first(1500).flatten(1))


@torch.no_grad()
def judge(model, data, config):
    """Numbers of a model, and what its panels show."""
    prior = model.prior_law()
    posterior = metrics.aggregated_posterior(model.encode, loader(data.train, 1000))
    drawn = model.decode(prior.sample((config.samples,))).mean.flatten(1)
    low = metrics.low_posterior(prior, posterior, config.lowest, config.samples)
    high = metrics.high_posterior(prior, posterior, EXTREME, config.samples)
    decoded = [model.decode(z).mean.flatten(1) for z in (low, high)]
    divergence = metrics.symmetric_kl(prior, posterior, config.samples)
    z = posterior.sample((2000,))
    numbers = {
        "distance": float(moons_distance(drawn).mean()),
        "low_posterior_distance": float(moons_distance(decoded[0]).mean()),
        "skl": divergence.value,
        "skl_se": divergence.standard_error,
    }
    panel = {
        "samples": drawn[:1500],
        "z": z,
        "z0": prior.to_generation(z) if hasattr(prior, "to_generation") else None,
        "low": (low[:EXTREME], decoded[0][:EXTREME]),
        "high": (high, decoded[1]),
    }
    return numbers, panel


def moons_distance(points):
    """Distance of points `(n, 2)` from the nearest of the two half circles that the moons scatter around.

    Example:
        >>> moons_distance(torch.tensor([[0.0, 1.0], [1.0, -0.7]])).round(decimals=4)
        tensor([0.0000, 0.2000])
    """
    turned = torch.stack([1 - points[..., 0], 0.5 - points[..., 1]], -1)  # the lower half circle becomes the upper one
    return torch.minimum(_arc_distance(points), _arc_distance(turned))


def _arc_distance(points):
    """Distance from the upper half of the unit circle: along the radius, or below it from the nearer end."""
    ends = torch.stack([points[..., 0].abs() - 1, points[..., 1]], -1)
    return torch.where(points[..., 1] >= 0, (points.norm(dim=-1) - 1).abs(), ends.norm(dim=-1))


def answer(values):
    """Under how many bounds the flow lowers the distances."""
    rows = values["rows"]
    both = [name for name in OBJECTIVES if {f"{name}, {prior}" for prior in PRIORS} <= rows.keys()]
    titles = {
        "distance": "the distance of draws",
        "low_posterior_distance": "that of low-posterior samples",
        "skl": "sKL",
    }
    counts = [
        f"{title} under {sum(rows[f'{name}, flow'][key] < rows[f'{name}, normal'][key] for name in both)}"
        for key, title in titles.items()
    ]
    return sentence(f"of {counted(len(both), 'bound')} the flow lowers {', '.join(counts)} (one seed)" if both else "")


@headed(
    "Does a flow as the prior close pockets and leaks of regularised VAEs on two moons?",
    answer,
    "More seeds; other strengths of the regularisers; other data.",
)
def page(values, name):
    """With and without the flow, side by side."""
    columns = {
        ("bound", "prior"): lambda row: (OBJECTIVES[row[0]], PRIORS[row[1]]),
        "distance": lambda row: f"{row[2]['distance']:.3f}",
        "of low-posterior samples": lambda row: f"{row[2]['low_posterior_distance']:.3f}",
        "sKL": lambda row: f"{pages.number(row[2]['skl'], 2)} +- {pages.number(row[2]['skl_se'], 2)}",
        "ELBO": lambda row: f"{row[2]['elbo']:.2f}",
    }
    return [
        "# Regularised VAEs on two moons (dpVAE Figures 1 and 3)",
        "Every pair has the same hyperparameters. Distance: mean distance of decoded draws of the prior from the two "
        "half circles that the data scatter around; of low-posterior samples: of the draws with the least q(z). That "
        f"of the data themselves is {values['data_distance']:.3f}. sKL in nats, with its standard error. Seed "
        f"{values['seed']}.",
        pages.table(columns, [(*key.split(", "), numbers) for key, numbers in values["rows"].items()]),
        f"![Samples, q(z), generation space]({name}.png)",
    ]


def draw(path, panels, data):
    """A row for each model: data and samples; q(z) with extreme samples; the generation space."""
    figure = Figure(figsize=(9, 2.7 * len(panels)), layout="constrained")
    axes = figure.subplots(len(panels), 3, squeeze=False)
    dots = {"s": 3, "alpha": 0.4, "linewidths": 0}
    for row, ((objective, prior), panel) in zip(axes, panels.items(), strict=True):
        row[0].scatter(*data.T.numpy(), color="lightgray", **dots)
        row[0].scatter(*panel["samples"].T.numpy(), color="tab:blue", **dots)
        row[0].set_ylabel(f"{OBJECTIVES[objective]}, {PRIORS[prior]}")
        row[1].scatter(*panel["z"].T.numpy(), color="gray", **dots)
        for name, color in (("low", "tab:red"), ("high", "tab:green")):
            for axis, points in zip(row[:2], reversed(panel[name]), strict=True):
                axis.scatter(*points.T.numpy(), color=color, marker="x", label=f"{name}-posterior")
        if panel["z0"] is None:
            row[2].set_visible(False)
        else:
            row[2].scatter(*panel["z0"].T.numpy(), color="gray", **dots)
    for axis, title in zip(axes[0], ("samples on data", "$q(z)$", "generation space, $g(z)$"), strict=True):
        axis.set_title(title)
    if not axes[0, 2].get_visible() and len(axes) > 1:
        axes[1, 2].set_title("generation space, $g(z)$")
    axes[0, 1].legend(fontsize=8)
    save(figure, path)
