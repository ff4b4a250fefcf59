"""`sample RUN`: pictures drawn from a trained model, given attributes or not."""

import dataclasses
from pathlib import Path

import pyro
import tyro

from experiments import build, figures
from experiments.attributes import parse_given
from experiments.config import UserError, check_seed


@dataclasses.dataclass(frozen=True)
class SampleConfig:
    """Draw pictures from a trained model: z from the prior, then the mean of p(x given z)."""

    run: tyro.conf.Positional[Path]  # Run folder that `train` wrote.
    given: str | None = None  # Attributes that the pictures shall have, as male=1,eyeglasses=1 (not of train vae).
    n: int = 100  # Number of pictures.
    seed: int = 0  # Seed of the draws.
    output: Path | None = None  # PNG to write; default samples.png in the run folder.


def main(config: SampleConfig):
    """Write the grid of pictures and say where it is."""
    if config.n < 1:
        raise UserError(f"n: expected at least 1, got {config.n}")
    check_seed(config.seed)
    run, model = build.trained(config.run)
    if not hasattr(model, "generate"):
        raise UserError(f"run: expected a model that draws pictures, got a {run.config.model}")
    title, given = run.config.prior if run.config.model == "vae" else run.config.model, {}
    if config.given is not None:
        if not run.attributes:
            raise UserError(f"given: expected a run with attributes (train joint-vae), got {run.folder.absolute()}")
        given = parse_given(run.attributes, config.given)
        named = {attribute.name: attribute for attribute in run.attributes}
        title = ", ".join(f"{name}={named[name].format(value)}" for name, value in given.items())
    pyro.set_rng_seed(config.seed)
    path = config.output or run.folder / "samples.png"
    figures.samples(path, {title: model.generate(config.n, **given)})
    print(path)
