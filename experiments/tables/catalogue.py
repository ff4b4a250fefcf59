"""All tables, and all other pages of results."""

import importlib
from typing import NamedTuple

from experiments import pages
from models.shared import runs
from pyro_priors.checks import UserError

MODULES = ("trip_elbo", "ttlp", "cp_vae", "dpvae", "trip", "gan_points", "gan_tricks", "conditional_gan")
MODULES += ("prior_anatomy", "strong_decoder")


class Page(NamedTuple):
    """A page with one JSON beside it, or with a folder of them.

    `module` has `page(values, name)` and, where the figure is of that, `draw_results`; `command` measures it. Of a
    folder `page` has `{name of a file: its values}`, and says itself with what they were measured.
    """

    module: str
    command: str
    folder: bool = False


PAGES = {
    "bench-explore": Page("bench.explore", "bench explore"),
    "bench-factored-cpu": Page("bench.factored", "bench factored"),
    "bench-gaps": Page("bench.gaps", "bench gaps"),
    "bench-joint-step": Page("bench.joint_step", "bench joint-step"),
    "bench-start": Page("bench.start", "bench start"),
    "bench-table-pieces": Page("bench.table_pieces", "bench table-pieces"),
    "bench-tensor-ring-cpu": Page("bench.report", "bench tensor-ring"),
    "bench-training-loop": Page("bench.training_loop", "bench training-loop"),
    "bench-training-step-cpu": Page("bench.training_step", "bench training-step"),
    "category-gradients": Page("papers.category_gradients", "figure category-gradients"),
    "chain-forms": Page("density.forms", "figure chain-forms"),
    "cp-vae-toy": Page("papers.cp_vae_toy", "figure cp-vae-toy"),
    "density": Page("density.page", "table density"),
    "dpvae-moons": Page("papers.dpvae_moons", "figure dpvae-moons"),
    "estimators": Page("papers.estimators", "figure estimators"),
    "estimators-mixture": Page("papers.estimators", "figure estimators --init mixture"),
    "tables": Page("imputation.page", "table tables", folder=True),
}


def tables():
    """`{name: spec}`"""
    modules = [importlib.import_module(f"experiments.tables.{module}") for module in MODULES]
    return {table.name: table for module in modules for table in module.TABLES}


def table(name):
    """The table of that name."""
    if name not in (every := tables()):
        raise UserError(f"table: expected one of {', '.join([*every, *PAGES])}, got {name}")
    return every[name]


def page(name):
    """The module of another page."""
    return importlib.import_module(f"experiments.{PAGES[name].module}")


def values(name, folder):
    """What a page of `PAGES` is made of.

    Raises:
        UserError: there is none of it.
    """
    entry = PAGES[name]
    path = folder / name if entry.folder else folder / f"{name}.json"
    files = sorted(path.glob("*.json")) if entry.folder else [path] * path.is_file()
    if not files:
        raise UserError(f"results: expected {path}, got none (`{entry.command}` makes it)")
    return {file.stem: runs.read_json(file) for file in files} if entry.folder else runs.read_json(path)


def text(name, values):
    """The text of a page of `PAGES` from these."""
    make = page(name).page
    return pages.text(*make(values, name)) if PAGES[name].folder else pages.single(values, name, make)


def lines():
    """A list of the tables and of the other pages."""
    words = {name: table.line for name, table in tables().items()}
    words |= {name: f"page of `{page.command}`" for name, page in PAGES.items()}
    usage = "usage: python -m experiments table NAME [--help] [flags]"
    return [usage, "", *(f"  {name:<26}{line}" for name, line in words.items())]
