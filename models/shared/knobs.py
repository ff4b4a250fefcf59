"""Knobs: which of them act, a class that has those of a prior too, their words for the command line, and as JSON.

A knob is a field of a frozen dataclass. `knob(default, other=value)` makes one that acts only where the knob or
property `other` has that value, one of several, or one that a function accepts; elsewhere it must be left alone.
"""

import ast
import dataclasses
import difflib
import functools
import inspect
import textwrap
from pathlib import Path

from pyro_priors.checks import UserError
from pyro_priors.modules.plugins import knobs_of, prior_names


def acts(config, field):
    """Whether a knob changes anything beside the other values of `config`."""
    return all(_holds(config, name, wanted) for name, wanted in field.metadata.get("when", {}).items())


def _holds(config, name, wanted):
    conditions = next((f for f in dataclasses.fields(config) if f.name == name), None)
    value = getattr(config, name)
    if conditions is not None and not acts(config, conditions):
        return False
    if callable(wanted):
        return bool(wanted(value))
    return value in (wanted if isinstance(wanted, tuple) else (wanted,))


def acting(config):
    """The knobs that act, as `{name: field}`."""
    return {field.name: field for field in dataclasses.fields(config) if acts(config, field)}


def check_idle(config):
    """`UserError` where a knob that does not act is not at its default."""
    for field in dataclasses.fields(config):
        if not acts(config, field) and getattr(config, field.name) != field.default:
            raise UserError(f"{field.name}: expected {missing(config, field)}")


def missing(config, field):
    """What must hold before a knob that does not act does, and what holds instead."""
    fields = {other.name: other for other in dataclasses.fields(config)}
    name, wanted = next((name, w) for name, w in field.metadata["when"].items() if not _holds(config, name, w))
    if name not in fields:
        what = next(vars(kind)[name].__doc__ for kind in type(config).__mro__ if _is_property(kind, name))
        fixed = " --fixed" if getattr(config, "fixed", False) else ""
        return f"only where {what.removeprefix('Whether ').rstrip('.')}, got it with `{words(type(config))}{fixed}`"
    if not acts(config, fields[name]):
        return missing(config, fields[name])
    flag, value = f"--{name.replace('_', '-')}", getattr(config, name)
    if wanted is True or callable(wanted):
        return f"{flag} beside it, got none"
    return f"{flag} {either(wanted if isinstance(wanted, tuple) else (wanted,))} beside it, got {flag} {value}"


def _is_property(kind, name):
    return isinstance(vars(kind).get(name), property)


def draft(kind, values):
    """A config that nothing has checked: these values, others at their defaults."""
    config = object.__new__(kind)
    for field in dataclasses.fields(kind):
        object.__setattr__(config, field.name, values.get(field.name, field.default))
    return config


def with_prior(model, prior=None):
    """The class of a model together with the knobs of the prior of that name; the model's own choice if None.

    Raises:
        UserError: a model without a choice of priors, or a prior that the model cannot take.
    """
    default = next((field.default for field in dataclasses.fields(model) if field.name == "prior"), None)
    if default is None:
        if prior is not None:
            raise UserError(f"prior: expected none with {model.model}, got {prior!r}")
        return model
    return _joined(model, default if prior is None else prior)


@functools.cache  # one class for one pair: equal configurations are of the same
def _joined(model, prior):
    """The class whose fields are those of a model and of the knobs of a prior."""
    if prior not in priors_of(model):
        raise UserError(f"prior: expected one of {', '.join(priors_of(model))} with {model.model}, got {prior!r}")
    kind = knobs_of(prior)
    fields = {field.name for field in dataclasses.fields(model)}
    own = dataclasses.fields(kind)
    if clash := sorted({field.name for field in own} & fields):
        raise UserError(f"prior: expected knobs that {model.model} does not have itself, got {', '.join(clash)}")
    changed = model.prior_defaults.get(prior, {})
    added = [
        (f.name, f.type, dataclasses.field(default=changed.get(f.name, f.default), metadata=f.metadata)) for f in own
    ]
    added.append(("prior", str, dataclasses.field(default=prior)))
    space = {"prior_kind": kind, "bare": model, "__module__": model.__module__, "__doc__": model.__doc__}
    return dataclasses.make_dataclass(model.__name__, added, bases=(model,), namespace=space, frozen=True)


def priors_of(model):
    """The names of the priors that a model takes, none where it has no choice."""
    if all(field.name != "prior" for field in dataclasses.fields(model)):
        return ()
    return tuple(name for name in prior_names() if model.takes(knobs_of(name)))


def check_known(kind, names):
    """`UserError` where one of these names is no knob, with where it belongs."""
    known = {field.name for field in dataclasses.fields(kind)}
    for name in names:
        if name not in known:
            raise UserError(f"{name}: expected a knob of `{words(kind)}`, got {_belongs(name, known)}")


def words(kind):
    """A model and its prior, as the command line says them."""
    prior = next((f" --prior {f.default}" for f in dataclasses.fields(kind) if f.name == "prior"), "")
    return f"train {kind.model}{prior}"


def either(values):
    """Several values as words.

    Example:
        >>> either(("a", "b", "c"))
        'a, b or c'
    """
    *first, last = map(str, values)
    return f"{', '.join(first)} or {last}" if first else last


def _belongs(name, known):
    """Where there is a knob of this name; if nowhere, which of those that are known is like it."""
    from models import model_of, names

    priors = [prior for prior in prior_names() if name in {f.name for f in dataclasses.fields(knobs_of(prior))}]
    models = [model for model in names() if name in {f.name for f in dataclasses.fields(model_of(model))}]
    places = [f"--prior {either(priors)}"] if priors else []
    places += [f"train {either(models)}"] if models else []
    if places:
        return f"one that belongs to {' and to '.join(places)}"
    near = difflib.get_close_matches(name, known, 1)
    return "one that no model and no prior has" + (f" (did you mean {near[0]}?)" if near else "")


@functools.cache
def comments(kind):
    """What the comments behind the fields of a class, or above them, say: `{name: words}`."""
    words = {}
    for cls in reversed(kind.__mro__):
        if not dataclasses.is_dataclass(cls) or "prior_kind" in vars(cls):
            continue
        source = textwrap.dedent(inspect.getsource(cls))
        lines = source.splitlines()
        for node in ast.parse(source).body[0].body:
            if isinstance(node, ast.AnnAssign) and not ast.unparse(node.annotation).startswith("ClassVar"):
                _, mark, behind = lines[node.end_lineno - 1].rpartition("  # ")
                above = lines[node.lineno - 2].strip()
                words[node.target.id] = behind if mark else above.removeprefix("# ") if above.startswith("# ") else ""
    return words | (comments(kind.prior_kind) if hasattr(kind, "prior_kind") else {})


def to_json(config):
    """The knobs that act -> dict of JSON values."""
    values = {name: getattr(config, name) for name in acting(config)}
    return {name: str(value) if isinstance(value, Path) else value for name, value in values.items()}


def to_flags(config):
    """The command-line flags that build `config`, those at their default left out.

    Example:
        >>> from models import configure
        >>> to_flags(configure("vae", prior="gmm", fixed=True, hidden=(64, 32)))
        ['--hidden', '64', '32', '--prior', 'gmm', '--fixed']
    """
    flags = []
    for name, field in acting(config).items():
        value, flag = getattr(config, name), name.replace("_", "-")
        if value == (config.bare.prior if name == "prior" else field.default):
            continue
        if isinstance(value, bool):
            flags.append(f"--{flag}" if value else f"--no-{flag}")
        else:
            flags += [f"--{flag}", *map(str, value if isinstance(value, tuple) else [value])]
    return flags
