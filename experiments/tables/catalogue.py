"""All tables, and all other pages of results."""

import importlib

from pyro_priors.checks import UserError

MODULES = ("trip_elbo", "ttlp", "cp_vae", "dpvae", "trip", "gan_points", "gan_tricks", "conditional_gan")
# Page with one JSON beside it -> module with `page(values, name)` and, where the figure is of that, `draw_results`.
PAGES = {
    "bench-start": "bench.start",
    "bench-tensor-ring-cpu": "bench.report",
    "bench-training-loop": "bench.training_loop",
    "bench-training-step-cpu": "bench.training_step",
    "category-gradients": "papers.category_gradients",
    "cp-vae-toy": "papers.cp_vae_toy",
    "dpvae-moons": "papers.dpvae_moons",
    "estimators": "papers.estimators",
}


def tables():
    """`{name: spec}`"""
    modules = [importlib.import_module(f"experiments.tables.{module}") for module in MODULES]
    return {table.name: table for module in modules for table in module.TABLES}


def table(name):
    """The table of that name."""
    if name not in (every := tables()):
        raise UserError(f"table: expected one of {', '.join(every)}, got {name}")
    return every[name]


def page(name):
    """The module of another page."""
    return importlib.import_module(f"experiments.{PAGES[name]}")


def lines():
    """A list of the tables."""
    every = tables()
    return ["usage: python -m experiments table NAME [--help] [flags]", ""] + [
        f"  {name:<26}{table.line}" for name, table in every.items()
    ]
