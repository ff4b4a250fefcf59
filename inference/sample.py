"""`sample RUN`: images drawn from a trained model, given attributes, a category, or nothing."""

import dataclasses
from pathlib import Path
from typing import Literal

import pyro
import torch
import tyro

from models.shared import runs
from pyro_priors.checks import UserError, check_seed
from pyro_priors.data.attributes import parse_given
from pyro_priors.training.files import check_output


@dataclasses.dataclass(frozen=True)
class Sample:
    """Draw images from a trained model: z from the prior, then the mean of p(x given z)."""

    run: tyro.conf.Positional[Path]  # Run folder that `train` wrote.
    category: tuple[int, ...] = ()  # Categories that they shall be of, where a model has some; several: a row for each.
    categories_of: Literal["prior", "posterior"] = "prior"  # Or drawn: evenly, or as often as the test images' are.
    # Attributes the images shall have, as male=1,eyeglasses=1; several: a row for each. A value with a comma stands in
    # quotes: 'city="Rome, Italy",male=1'.
    given: tuple[str, ...] = ()
    n: int | None = None  # Number of images, of each row where several are given; default 100, or 10 a row.
    seed: int = 0  # Seed of the draws.
    output: Path | None = None  # PNG to write; default samples.png in the run folder.

    def __post_init__(self):
        check_seed(self.seed)
        if self.n is not None and self.n < 1:
            raise UserError(f"n: expected at least 1, got {self.n}")


def main(config: Sample):
    """Write the grid of images and say where it is."""
    from models.shared import figures, figures_attributes  # here, since --help does without matplotlib

    run, model = runs.trained(config.run)
    if not run.config.generates:
        raise UserError(f"run: expected a model that draws images, got a {run.config.model}")
    if config.category and not run.config.counts_categories:
        raise UserError(f"category: expected a run with categories, got {_described(run)}")
    if config.categories_of != "prior" and not run.config.infers_categories:
        raise UserError(f"categories_of: expected prior, or a run that infers categories, got {_described(run)}")
    path = config.output or run.folder / "samples.png"
    check_output("output", path, runs.files(run.folder))
    rows, titles = _by_attributes(config, run) if config.given else _by_category(config, run)
    if not rows:
        rows, titles = [{}], [run.config.title]
    pyro.set_rng_seed(config.seed)
    count = config.n or (100 if len(rows) == 1 else 10)
    drawn = {title: model.generate(count, **given) for title, given in zip(titles, rows, strict=True)}
    (figures.samples if len(drawn) == 1 else figures_attributes.attribute_grid)(path, drawn)
    print(path)


def _by_attributes(config, run):
    """What each row of images is given, and its title."""
    if not run.attributes:
        raise UserError(f"given: expected a run with attributes, got {_described(run)}")
    rows = [parse_given(run.attributes, text) for text in config.given]
    titles = [_title(run.attributes, given) for given in rows]
    _check_once("given", titles, [_title(run.attributes, dict(sorted(given.items()))) for given in rows])
    return rows, titles


def _by_category(config, run):
    """The same where images are drawn by categories; nothing where neither is given."""
    if config.categories_of == "posterior":
        if config.category:
            raise UserError("category, categories_of: expected one of them, got both")
        shares = runs.read_json(run.folder / "summary.json")["test"]["categories"]
        return [{"probs": torch.tensor(shares)}], ["c as often as among the test images"]
    if unknown := [c for c in config.category if not 0 <= c < run.config.categories]:
        raise UserError(f"category: expected 0..{run.config.categories - 1}, got {unknown[0]}")
    titles = [f"category {c}" for c in config.category]
    _check_once("category", titles, titles)
    return [{"category": c} for c in config.category], titles


def _described(run):
    """In a message."""
    return f"a {run.config.model} in {run.folder.absolute()}"


def _check_once(field, titles, same):
    """`UserError` where two rows are the same, by `same`, whatever their titles."""
    if twice := [title for row, title in enumerate(titles) if same[row] in same[:row]]:
        raise UserError(f"{field}: expected each row of images once, got {twice[0]} twice")


def _title(attributes, given):
    """What was given, in the words of the data."""
    named = {attribute.name: attribute for attribute in attributes}
    return ", ".join(f"{name}={named[name].format(value)}" for name, value in given.items())
