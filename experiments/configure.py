"""Configurations of trainings by the name of a model: all that tables and figures know of them."""

import dataclasses
import json
from pathlib import Path

from experiments import build, fitting, runs
from experiments.config import check_counts, check_rows, to_flags, to_json, with_former
from pyro_priors.checks import UserError

__all__ = ["check_counts", "check_rows", "configure", "former", "identity", "knobs", "same", "to_flags", "to_json"]

# Knobs that change where a run happens, not what comes out.
ELSEWHERE = {"data_root", "runs_dir", "name", "threads", "progress", "stream", "workers"}
ELSEWHERE |= {"checkpoint_every", "tensorboard", "figures_every"}


def configure(model, shared=None, row=None, **values):
    """The configuration of a model with these values, and with what of the `shared` ones is a knob of it.

    A shared `MODEL.knob` is of that model alone, `ROW.knob` of that row of a table.

    Example:
        >>> config = configure("vae", {"epochs": 3, "wgan.epochs": 4, "clip": 0.1, "hidden": 8}, prior="normal")
        >>> config.epochs, config.hidden
        (3, (8,))
    """
    fields = {field.name: field for field in dataclasses.fields(runs.CONFIGS[model])}
    shared, own = shared or {}, {}
    for name in (model, row):
        own |= {key.removeprefix(f"{name}."): value for key, value in shared.items() if key.startswith(f"{name}.")}
    if unknown := [name for name in (*own, *values) if name not in fields]:
        raise UserError(f"{unknown[0]}: expected a knob of train {model}, got none of that name")
    values = {key: value for key, value in shared.items() if key in fields} | own | values
    return runs.CONFIGS[model](**{name: _fitting(fields[name].default, value) for name, value in values.items()})


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


def knobs(model):
    """The names of the knobs of a model."""
    return {field.name for field in dataclasses.fields(runs.CONFIGS[model])}


def anywhere(config):
    """The same configuration with the knobs that change where a run happens at their defaults."""
    fields = [field for field in dataclasses.fields(config) if field.name in ELSEWHERE]
    if getattr(config, "pretrained", None) is not None:
        config = dataclasses.replace(config, pretrained=Path("RUN"))
    return dataclasses.replace(config, **{field.name: field.default for field in fields})


def identity(config):
    """What decides the outcome of a configuration, as JSON values; of a run to start from, whether there is one."""
    values = decisive(to_json(config))
    if "pretrained" in values:
        values["pretrained"] = values["pretrained"] is not None
    return values


def decisive(values):
    """What decides the outcome, of a configuration that `to_json` wrote, as JSON values."""
    return json.loads(json.dumps({key: value for key, value in values.items() if key not in ELSEWHERE}))


def former(values):
    """What `to_json` once wrote, in the words of today."""
    return with_former(values)


def same(written, config, wanted=None):
    """Whether a configuration that was written is this one; a knob not known then was at its default."""
    written, wanted = former(written), identity(config) if wanted is None else wanted
    defaults = {field.name: field.default for field in dataclasses.fields(config)}
    defaults = json.loads(json.dumps(defaults, default=str))
    return not set(written) - set(wanted) and all(
        written[key] == value if key in written else value == defaults[key] for key, value in wanted.items()
    )


def fitted(config):
    """A model trained in this process, whose run leaves nothing, and its data."""
    images = build.load_data(config)
    model = build.model(config, images.image_shape)
    fitting.fit(config, model, images, run_dir=None)
    return model, images


def codes(model, images):
    """Mean and standard deviation of q(z given x) for each picture, `(n, d)` each, and the labels or None."""
    return fitting.codes(model, images)
