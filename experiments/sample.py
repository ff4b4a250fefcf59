"""`sample RUN`: pictures drawn from a trained model, given attributes or not."""

import dataclasses
from pathlib import Path

import pyro
import tyro

from experiments import build, figures, figures_attributes
from experiments.config import UserError, check_counts, check_seed
from experiments.data.attributes import parse_given


@dataclasses.dataclass(frozen=True)
class SampleConfig:
    """Draw pictures from a trained model: z from the prior, then the mean of p(x given z)."""

    run: tyro.conf.Positional[Path]  # Run folder that `train` wrote.
    given: tuple[str, ...] = ()  # Attributes the pictures shall have, as male=1,eyeglasses=1; several: a row for each.
    n: int | None = None  # Number of pictures, of each row where several are given; default 100, or 10 a row.
    seed: int = 0  # Seed of the draws.
    output: Path | None = None  # PNG to write; default samples.png in the run folder.


def main(config: SampleConfig):
    """Write the grid of pictures and say where it is."""
    check_counts(config, "n")
    check_seed(config.seed)
    run, model = build.trained(config.run)
    if not hasattr(model, "generate"):
        raise UserError(f"run: expected a model that draws pictures, got a {run.config.model}")
    if config.given and not run.attributes:
        raise UserError(f"given: expected a run with attributes (train joint-vae), got {run.folder.absolute()}")
    asked = [parse_given(run.attributes, text) for text in config.given]
    titles = [_title(run.attributes, given) for given in asked]
    same = [_title(run.attributes, dict(sorted(given.items()))) for given in asked]  # whatever their order
    if twice := [title for row, title in enumerate(titles) if same[row] in same[:row]]:
        raise UserError(f"given: expected each row of pictures once, got {twice[0]} twice")
    if not asked:
        asked, titles = [{}], [run.config.prior if run.config.model == "vae" else run.config.model]
    pyro.set_rng_seed(config.seed)
    path = config.output or run.folder / "samples.png"
    count = config.n or (100 if len(asked) == 1 else 10)
    drawn = {title: model.generate(count, **given) for title, given in zip(titles, asked, strict=True)}
    (figures.samples if len(drawn) == 1 else figures_attributes.attribute_grid)(path, drawn)
    print(path)


def _title(attributes, given):
    """What was given, in the words of the data."""
    named = {attribute.name: attribute for attribute in attributes}
    return ", ".join(f"{name}={named[name].format(value)}" for name, value in given.items())
