"""Configurations of trainings by the name of a model: all that tables and figures know of them."""

import dataclasses
import functools
import json
from pathlib import Path

from models import model_of
from models.shared.former import configured, suited
from models.shared.knobs import priors_of, to_flags, to_json, with_prior
from pyro_priors.checks import UserError
from pyro_priors.modules.plugins import knobs_of

__all__ = ["check_counts", "check_rows", "configured", "identity", "knobs", "same", "to_flags", "to_json", "training"]

# Knobs that change where a run happens, not what comes out.
ELSEWHERE = {"data_root", "runs_dir", "name", "threads", "progress", "stream", "workers"}
ELSEWHERE |= {"checkpoint_every", "tensorboard", "figures_every"}


def training(model, shared=None, row=None, **values):
    """The configuration of a model with these values, and with what of the `shared` ones acts in it.

    A shared `PRIOR.knob` or `MODEL.knob` is of that prior or model alone, `ROW.knob` of that row of a table.

    Example:
        >>> config = training("vae", {"epochs": 3, "wgan.epochs": 4, "clip": 0.1, "hidden": 8}, prior="normal")
        >>> config.epochs, config.hidden
        (3, (8,))
    """
    shared, own = shared or {}, {}
    known = {field.name for field in dataclasses.fields(model_of(model))}
    prior = values.get("prior", shared.get("prior")) if "prior" in known else None
    kind = with_prior(model_of(model), prior)
    fields = {field.name: field for field in dataclasses.fields(kind)}
    for name in (prior, model, row):
        own |= {key.removeprefix(f"{name}."): value for key, value in shared.items() if key.startswith(f"{name}.")}
    if unknown := [name for name in (*own, *values) if name not in knobs(model)]:
        raise UserError(f"{unknown[0]}: expected a knob of train {model}, got none of that name")
    values = {key: value for key, value in (shared | own | values).items() if key in fields}
    return suited(model, **{name: _fitting(fields[name].default, value) for name, value in values.items()})


def _fitting(default, value):
    """A value as its knob has it: of several things that are one also several, a path where a text says one."""
    if isinstance(default, tuple) and not isinstance(value, tuple):
        return tuple(value.split(",")) if isinstance(value, str) else (value,)
    return value


def check_numbers(values):
    """`UserError` where one of these is below 1."""
    for name, value in values.items():
        if value < 1:
            raise UserError(f"{name}: expected at least 1, got {value}")


def check_counts(config, *fields):
    """The same of fields of a configuration; None is no number."""
    check_numbers({field: value for field in fields if (value := getattr(config, field)) is not None})


def check_rows(chosen, rows, field="rows"):
    """`UserError` where a row is none of `rows`, or where there is none at all."""
    if unknown := [row for row in chosen if row not in rows]:
        raise UserError(f"{field}: expected some of {', '.join(rows)}, got {', '.join(unknown)}")
    if not chosen:
        raise UserError(f"{field}: expected at least one, got none")


@functools.lru_cache
def knobs(model):
    """The names of the knobs of a model, and of those of the priors that it takes."""
    kind = model_of(model)
    priors = [knobs_of(prior) for prior in priors_of(kind)] if hasattr(kind, "prior") else []
    return {field.name for part in (kind, *priors) for field in dataclasses.fields(part)}


def anywhere(config):
    """The same configuration with the knobs that change where a run happens at their defaults."""
    fields = [field for field in dataclasses.fields(config) if field.name in ELSEWHERE]
    if getattr(config, "pretrained", None) is not None:
        config = dataclasses.replace(config, pretrained=Path("RUN"))
    return dataclasses.replace(config, **{field.name: field.default for field in fields})


def identity(config):
    """What decides the outcome of a configuration, as JSON values; of a run to start from, whether there is one."""
    values = decisive(config)
    if "pretrained" in values:
        values["pretrained"] = values["pretrained"] is not None
    return values


def decisive(config):
    """What decides the outcome of a configuration, as JSON values."""
    return json.loads(json.dumps({key: value for key, value in to_json(config).items() if key not in ELSEWHERE}))


def same(written, config, by=identity):
    """Whether a configuration that was written, by whatever version, is this one."""
    try:
        return by(configured(config.model, written)) == by(config)
    except UserError:
        return False


def fitted(config):
    """A model trained in this process, whose run leaves nothing, and its data."""
    images = config.load_data()
    program = config.build(images.image_shape)
    config.fit(program, images, run_dir=None)
    return program, images
