"""`sample RUN`: pictures drawn from a trained model."""

import dataclasses
from pathlib import Path

import pyro
import tyro

from experiments import build, figures
from experiments.config import UserError, check_seed


@dataclasses.dataclass(frozen=True)
class SampleConfig:
    """Draw pictures from a trained model: z from the prior, then the mean of p(x given z)."""

    run: tyro.conf.Positional[Path]  # Run folder that `train` wrote.
    n: int = 100  # Number of pictures.
    seed: int = 0  # Seed of the draws.
    output: Path | None = None  # PNG to write; default samples.png in the run folder.


def main(config: SampleConfig):
    """Write the grid of pictures and say where it is."""
    if config.n < 1:
        raise UserError(f"n: expected at least 1, got {config.n}")
    check_seed(config.seed)
    run, model = build.trained(config.run)
    pyro.set_rng_seed(config.seed)
    path = config.output or run.folder / "samples.png"
    figures.samples(path, {run.config.prior: model.generate(config.n)})
    print(path)
