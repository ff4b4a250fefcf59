"""`evaluate RUN`: bounds on log p(x) of a trained model."""

import dataclasses
import math
from pathlib import Path
from typing import Literal

import pyro
import tyro

import inference
from experiments import build, runs
from experiments.config import UserError, check_seed
from experiments.images import loader


@dataclasses.dataclass(frozen=True)
class EvaluateConfig:
    """Evaluate a trained model: ELBO and importance-weighted bound with their standard errors, in nats per image."""

    run: tyro.conf.Positional[Path]  # Run folder that `train` wrote.
    part: Literal["validation", "test"] = "test"  # Part of the data.
    data_root: Path | None = None  # Where the data lie, if not where they lay at training.
    particles: int = 100  # Importance samples.
    seed: int = 0  # Seed of the draws.


def main(config: EvaluateConfig):
    """Print the bounds and write them to `evaluation-PART.json` in the run folder."""
    if config.particles < 1:
        raise UserError(f"particles: expected at least 1, got {config.particles}")
    check_seed(config.seed)
    run, model = build.trained(config.run)
    images = build.load_data(dataclasses.replace(run.config, data_root=config.data_root or run.config.data_root))
    if images.image_shape != run.image_shape:
        raise UserError(f"data: expected pictures of {run.image_shape} as at training, got {images.image_shape}")
    bounds = bounds_of(model, getattr(images, config.part), config.particles, config.seed)
    path = run.folder / f"evaluation-{config.part}.json"
    runs.write_json(path, {config.part: bounds, "seed": config.seed, "provenance": runs.provenance()})
    print(f"ELBO {bounds['elbo']:.2f} +- {bounds['elbo_se']:.2f}")
    print(f"IWAE {bounds['iwae']:.2f} +- {bounds['iwae_se']:.2f} (k = {config.particles})")
    if bounds["pareto_k"] is not None:
        print(f"Images whose importance weights are unreliable (Pareto k-hat > 0.7): {bounds['pareto_k']:.1%}")
    print(path)


def bounds_of(model, images, particles, seed, batch_size=100):
    """`inference.evaluate_bounds` over `images` with a seed -> dict of numbers, None where there is none."""
    pyro.set_rng_seed(seed)
    bounds = inference.evaluate_bounds(model.model, model.guide, loader(images, batch_size), num_particles=particles)
    # JSON has no NaN: with few particles there is no Pareto k-hat, with one image no standard error.
    numbers = {name: None if math.isnan(value) else value for name, value in bounds._asdict().items()}
    return {**numbers, "particles": particles}
