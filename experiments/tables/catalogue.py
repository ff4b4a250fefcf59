"""All tables, and all other pages of results."""

import importlib
from typing import NamedTuple

from pyro_priors.checks import UserError

MODULES = ("trip_elbo", "ttlp", "cp_vae", "dpvae", "trip", "gan_points", "gan_tricks", "conditional_gan")
MODULES += ("prior_anatomy",)


class Page(NamedTuple):
    """A page with one JSON beside it.

    `module` has `page(values, name)` and, where the figure is of that, `draw_results`; `command` measures it.
    """

    module: str
    command: str


PAGES = {
    "bench-factored-cpu": Page("bench.factored", "bench factored"),
    "bench-start": Page("bench.start", "bench start"),
    "bench-tensor-ring-cpu": Page("bench.report", "bench tensor-ring"),
    "bench-training-loop": Page("bench.training_loop", "bench training-loop"),
    "bench-training-step-cpu": Page("bench.training_step", "bench training-step"),
    "category-gradients": Page("papers.category_gradients", "figure category-gradients"),
    "chain-forms": Page("density.forms", "figure chain-forms"),
    "cp-vae-toy": Page("papers.cp_vae_toy", "figure cp-vae-toy"),
    "density": Page("density.page", "table density"),
    "dpvae-moons": Page("papers.dpvae_moons", "figure dpvae-moons"),
    "estimators": Page("papers.estimators", "figure estimators"),
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


def lines():
    """A list of the tables and of the other pages."""
    words = {name: table.line for name, table in tables().items()}
    words |= {name: f"page of `{page.command}`" for name, page in PAGES.items()}
    usage = "usage: python -m experiments table NAME [--help] [flags]"
    return [usage, "", *(f"  {name:<26}{line}" for name, line in words.items())]
