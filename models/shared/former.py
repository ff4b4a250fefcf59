"""Configurations as they were written before: knobs that had other names, or stood where they did nothing."""

import dataclasses
import functools
from pathlib import Path

from models import configure, model_of, names
from models.shared.knobs import acts, draft, with_prior
from pyro_priors.checks import UserError
from pyro_priors.modules.latents import COMPONENTS
from pyro_priors.modules.plugins import knobs_of, prior_names

# Formats of `config.json`: in 2 every model had the knobs of all priors, in 3 folders were cut at random.
READABLE = (2, 3, 4)
RENAMED = {"told": "reads", "kept": "top", "kept_epochs": "top_epochs"}
GONE = {"gmm_components", "gmm_equal", "fixed", "local", *RENAMED}
NO_CHOICE = {"joint-vae": "ttlp"}  # models that had one prior


def configured(model, values):
    """The model that a `config.json` or a kept result describes, of whatever version.

    Raises:
        UserError: a knob that no version has, or a value that is none.

    Example:
        >>> configured("vae", {"prior": "gmm", "gmm_components": 5, "rank": 20, "layers": 6}).components
        5
    """
    if not set(values) <= _ever():
        _ever.cache_clear()  # models and priors of others may have come since
    if unknown := sorted(set(values) - _ever()):
        raise UserError(f"config: expected the keys of this version, got also {', '.join(unknown)}")
    return suited(model, **_typed(_renamed(model, values)))


@functools.lru_cache
def _ever():
    """The names of all knobs that there are or were."""
    kinds = [*map(model_of, names()), *map(knobs_of, prior_names())]
    return {field.name for kind in kinds for field in dataclasses.fields(kind)} | GONE


def suited(model, **values):
    """A model with those of these values that act in it; what all rows of a table share need not act in each."""
    kind = with_prior(model_of(model), values.get("prior") if "prior" in _fields(model_of(model)) else None)
    config = draft(kind, values)
    wanted = {field.name: getattr(config, field.name) for field in dataclasses.fields(kind) if acts(config, field)}
    return configure(model, **wanted)


def _fields(kind):
    return {field.name: field for field in dataclasses.fields(kind)}


def _renamed(model, values):
    """The same with the names of today."""
    values = {RENAMED.get(name, name): value for name, value in values.items()}
    if values.get("data") == "celeba":
        values.setdefault("crop", 148)  # before there was a choice
    prior = values.get("prior", NO_CHOICE.get(model))
    if prior is not None:
        values["prior"] = prior
    if "gmm_components" in values and prior == "gmm":
        equal = values.get("gmm_equal")
        values |= {"components": values["gmm_components"], "weights": "equal" if equal else "learned"}
    if values.get("pseudo_inputs", 0) is None:
        values["pseudo_inputs"] = 500
    if "standard_start" in _fields(model_of(model)):
        values.setdefault("standard_start", False)  # before there was a choice; dropped where there is nothing to move
    if "cores" not in values and prior in ("trip", "ttlp"):  # before there was a choice
        values["cores"] = "full"
        values.setdefault("order", "random" if prior == "ttlp" else "declared")
        values |= {"local": values.get("local") or 1}
        if prior == "trip" and values.get("boundary") == "ring":
            values["boundary"] = None
    if prior in ("trip", "ttlp") and "block_size" not in values:  # before there were vectors
        values["components"] = None if values.get("components") == COMPONENTS else values.get("components")
        values["block_size"] = "auto" if prior == "ttlp" and values["cores"] == "full" else None
        values["cores"] = None if (prior, values["cores"]) == ("trip", "full") else values["cores"]
    if isinstance(values.get("pretrained"), bool):  # results say whether there was a run
        values["pretrained"] = "RUN" if values["pretrained"] else None
    return {name: value for name, value in values.items() if name not in ("gmm_components", "gmm_equal")}


def _typed(values):
    """JSON's lists and texts as the tuples and paths that they were."""
    paths = {"data_root", "runs_dir", "pretrained"}
    typed = {name: tuple(value) if isinstance(value, list) else value for name, value in values.items()}
    return {name: Path(v) if name in paths and v is not None else v for name, v in typed.items()}
