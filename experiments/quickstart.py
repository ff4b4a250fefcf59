"""`quickstart`: one VAE, three priors, on scikit-learn's digits."""

import dataclasses
from pathlib import Path

import pyro
import torch

from experiments import build, data, figures, runs
from experiments.config import TrainConfig
from experiments.train import train


@dataclasses.dataclass(frozen=True)
class QuickstartConfig:
    """Train the same VAE with N(0, I), a Gaussian mixture and TRIP as its prior; no download, under two minutes."""

    epochs: int = 100  # Passes over the 1,258 training digits.
    seed: int = 0  # Seed of weights, batches and draws.
    runs_dir: Path = Path("runs")  # Results land in RUNS_DIR/quickstart/TIME.
    progress: bool = True  # Show progress bars.


def main(config: QuickstartConfig):
    """Train the three, print their bounds, write samples.png, reconstructions.png and prior.png."""
    base = TrainConfig(
        data="digits",
        # Grey values are no coin flips: under a Bernoulli the codes of digits this small carry few nats to model.
        likelihood="gaussian",
        binarize="none",
        latent_dim=10,
        hidden=(200,),
        gmm_components=50,
        rank=10,
        epochs=config.epochs,
        lr=3e-3,
        prior_lr=3e-2,
        warmup_epochs=20,
        reinit_first=5,
        seed=config.seed,
        progress=config.progress,
    )
    torch.set_num_threads(1)  # networks this small gain nothing from more
    images = data.load("digits")
    folder = runs.new_folder(config.runs_dir, "quickstart")
    models, rows = {}, []
    for prior in ("normal", "gmm", "trip"):
        run, summary = train(dataclasses.replace(base, prior=prior, runs_dir=folder), images, name=prior)
        models[prior] = build.trained(run.folder).model
        rows.append([figures.TITLES[prior], summary])
    pyro.set_rng_seed(config.seed)
    figures.draw(folder, models, images.test)
    print(table(rows, base.particles))
    print("Nats per image, larger is better; differences below about two standard errors mean nothing.")
    print(f"samples.png, reconstructions.png and prior.png are in {folder}")


def table(rows, particles):
    """Rows of (title, summary) -> text; bounds in nats per image with their standard errors over the test set."""
    lines = [f"{'prior':<18}{'test ELBO':>18}{f'IWAE (k={particles})':>18}{'seconds':>10}"]
    for title, summary in rows:
        test = summary["test"]
        elbo, iwae = (f"{test[bound]:.2f} +- {test[bound + '_se']:.2f}" for bound in ("elbo", "iwae"))
        lines.append(f"{title:<18}{elbo:>18}{iwae:>18}{summary['seconds']:>10.0f}")
    return "\n".join(lines)
